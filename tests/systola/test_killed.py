"""A compilation killed at any moment leaves the old file or the new one, and no broken cache."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper, parser

import neff
import systola.cli

OLD = b"what was there before"
QUICK, SLOW = 3, 12

# Runs the command line; kills itself at the n-th call of a function of `os`.
SUICIDE = """
import os, signal, sys
name, count = sys.argv[1], int(sys.argv[2])
real = getattr(os, name)
def counted(*arguments, **options):
    global count
    count -= 1
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
setattr(os, name, counted)
from systola.cli import run
sys.exit(run(sys.argv[3:]))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers: small, but there is something to tune."""
    made = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> agraph (float[16,64] x) => (float[16,64] y)'
        " { a = MatMul(x, w)  b = Relu(a)  y = MatMul(b, w) }"
    )
    weight = np.random.default_rng(1).standard_normal((64, 64)).astype(np.float32)
    made.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def command(model: Path, out: Path, *options: str) -> list[str]:
    return ["compile", str(model), "-o", str(out / "m.neff"), *options]


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "SYSTOLA_CACHE": str(cache)}


def compiled(model: Path, out: Path, cache: Path, *options: str) -> bytes:
    """The bytes of a compilation that is left alone."""
    out.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYSTOLA_CACHE", str(cache))
        assert systola.cli.run(command(model, out, *options)) == 0
    return (out / "m.neff").read_bytes()


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a compilation gives that nobody kills."""
    return compiled(model, tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("cache"))


def check_whole(out: Path, allowed: set[bytes]) -> None:
    """Under the result's name stands one of the allowed files, and nothing else looks like it."""
    for path in out.iterdir():
        if path.name == "m.neff":
            assert path.read_bytes() in allowed
        else:
            assert path.name.startswith(".")
            assert path.suffix == ".tmp"


def check_cache(cache: Path) -> None:
    """Every search in the cache is whole."""
    for path in cache.rglob("*.json"):
        if not path.name.startswith("."):
            assert json.loads(path.read_text())["trials"] is not None


@pytest.mark.parametrize("count", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)])
def test_killed_at_any_moment(count: int, model: Path, whole: bytes, tmp_path: Path) -> None:
    out = tmp_path / "alone"
    out.mkdir()
    begun = time.monotonic()
    alone = [sys.executable, "-m", "systola", *command(model, out)]
    subprocess.run(alone, env=environment(tmp_path / "cache"), capture_output=True, check=True)
    took = time.monotonic() - begun
    assert neff.read(out / "m.neff").name == "agraph"
    assert (out / "m.neff").read_bytes() == whole
    moments = random.Random(count)
    for trial in range(count):
        out = tmp_path / f"out{trial}"
        out.mkdir()
        if trial % 2:
            (out / "m.neff").write_bytes(OLD)
        call = [sys.executable, "-m", "systola", *command(model, out)]
        with subprocess.Popen(
            call, env=environment(tmp_path / "cache"), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            time.sleep(took * (trial + moments.random()) / count)
            process.kill()
        check_whole(out, {OLD, whole})
    assert compiled(model, out, tmp_path / "cache") == whole


@pytest.mark.parametrize(
    ("step", "before"),
    [
        ("link", False),
        ("replace", True),  # a new file takes its name at once, without one
        *(pytest.param(*case, marks=pytest.mark.slow)
          for case in (("fsync", False), ("fsync", True), ("link", True))),
    ],
)  # fmt: skip
def test_killed_while_it_writes(
    step: str, before: bool, model: Path, whole: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if before:
        (out / "m.neff").write_bytes(OLD)
    call = [sys.executable, "-c", SUICIDE, step, "1", *command(model, out)]
    done = subprocess.run(
        call, env=environment(tmp_path), capture_output=True, timeout=300, check=False
    )
    assert done.returncode == -signal.SIGKILL
    check_whole(out, {OLD} if before else set())
    assert compiled(model, out, tmp_path) == whole


@pytest.mark.parametrize(
    ("step", "count"),
    [
        ("link", 2),
        *(pytest.param(s, n, marks=pytest.mark.slow) for s in ("fsync", "replace") for n in (1, 3)),
    ],
)
def test_killed_while_it_tunes(step: str, count: int, model: Path, tmp_path: Path) -> None:
    cache, out = tmp_path / "cache", tmp_path / "out"
    out.mkdir()
    tuning = ("-O", "3", "--budget", "3")
    call = [sys.executable, "-c", SUICIDE, step, str(count), *command(model, out, *tuning)]
    done = subprocess.run(
        call, env=environment(cache), capture_output=True, timeout=300, check=False
    )
    assert done.returncode == -signal.SIGKILL
    check_whole(out, set())
    check_cache(cache)
    resumed = compiled(model, out, cache, *tuning)
    assert resumed == compiled(model, tmp_path / "whole", tmp_path / "fresh", *tuning)
    check_cache(cache)
