"""The folder where made models are kept: nothing of them is in the repository.

SYSTOLA_ZOO names it; else it is `systola/zoo` in the user's cache folder. A file's name ends in a
digest of what made it (the recipe's source, its packages' versions), so an edit makes it anew.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import tempfile
from pathlib import Path

import onnx

from benchmarks.zoo.entries import ENTRIES, Entry

RECIPES = {
    "none": (("matmul",), ()),
    "onnx": (("light", "calibration"), ("onnx",)),
    "transformers": (("exported", "architectures"), ("torch", "transformers", "onnxscript")),
    "unseen": (("unseen", "unseen_modules", "second_wave"), ("torch", "transformers")),
}
"""By source: the modules that make a model, and the packages whose version decides."""


def folder() -> Path:
    """Where models are kept; it need not exist yet."""
    if "SYSTOLA_ZOO" in os.environ:
        return Path(os.environ["SYSTOLA_ZOO"])
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "systola" / "zoo"


def missing(entry: Entry) -> list[str]:
    """Packages that making it needs and that are not installed."""

    def installed(package: str) -> bool:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return False
        return True

    return [p for p in RECIPES[entry.source][1] if not installed(p)]


def path(name: str) -> Path:
    """The file of a model, made now if it is not there.

    Raises:
        KeyError: no such model. ImportError: a package of the extra `zoo` is not installed.
    """
    entry = ENTRIES[name]
    file = folder() / f"{name}.{digest(entry)}.onnx"
    if not file.exists():
        _write(entry, file)
    return file


def digest(entry: Entry) -> str:
    """What the file's contents depend on, in 12 hexadecimal digits."""
    modules, packages = RECIPES[entry.source]
    found = hashlib.sha256(entry.name.encode())
    for module in modules:
        found.update((Path(__file__).parent / f"{module}.py").read_bytes())
    for package in packages:
        version = importlib.metadata.version(package) if not missing(entry) else "absent"
        found.update(f"{package} {version}".encode())
    return found.hexdigest()[:12]


def _write(entry: Entry, file: Path) -> None:
    """Whole or not at all."""
    absent = missing(entry)
    if absent:
        raise ImportError(f"{entry.name} is made with {', '.join(absent)}: pip install '.[zoo]'")
    model = entry.make()
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
        try:
            onnx.save(model, part.name)
            os.replace(part.name, file)
        except BaseException:
            os.unlink(part.name)
            raise
