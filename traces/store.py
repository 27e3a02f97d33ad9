"""Trace files: the suffix says which kind.

.json, .json.gz   trace-event JSON: Perfetto opens it, and it is the exact record (`chrome.py`)
.npz              the exact record as arrays: small and quick, for large runs
.pftrace          Perfetto's own format (`perfetto.py`); written only
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from isa.errors import MalformedError
from isa.files import whole_file
from traces import chrome, perfetto
from traces.events import EVENT_DTYPES, columns
from traces.trace import Trace


def save(trace: Trace, path: str | Path) -> None:
    """Write a trace, whole or not at all.

    Raises:
        MalformedError: SYS-E001, the suffix names no kind of trace file.
        SystolaError: SYS-F001, the file cannot be written.
    """
    write = _WRITERS[_kind(path, _WRITERS)]
    with whole_file(path) as file:
        write(trace, file)


def require_writable(path: str | Path) -> None:
    """Raise MalformedError SYS-E001 when the suffix names no kind of trace file."""
    _kind(path, _WRITERS)


def load(path: str | Path) -> Trace:
    """A trace from its file.

    Raises:
        MalformedError: SYS-E001 a kind that cannot be read, SYS-E002 .. SYS-E003 damaged.
    """
    read = _READERS[_kind(path, _READERS)]
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        message = "the trace cannot be opened"
        raise MalformedError("SYS-E002", message, found=found, at=str(path)) from None
    return read(data, str(path))


def _kind(path: str | Path, table: Iterable[str]) -> str:
    name = Path(path).name.lower()
    for suffix in table:
        if name.endswith(suffix):
            return suffix
    raise MalformedError(
        "SYS-E001",
        "the suffix says which kind of trace file it is",
        found=f"{name}; known are {', '.join(table)}",
        at=str(path),
        hint="`systola run MODEL --trace FILE.json` writes one",
    )


def _write_json(trace: Trace, file: BinaryIO) -> None:
    for piece in chrome.chunks(trace):
        file.write(piece.encode("utf-8"))


def _write_zipped_json(trace: Trace, file: BinaryIO) -> None:
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as zipped:
        for piece in chrome.chunks(trace):
            zipped.write(piece.encode("utf-8"))


def _write_arrays(trace: Trace, file: BinaryIO) -> None:
    heading = json.dumps(chrome.heading(trace), allow_nan=False, sort_keys=True).encode()
    arrays = {name: getattr(trace.events, name) for name in EVENT_DTYPES}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in (("heading", np.frombuffer(heading, np.uint8)), *arrays.items()):
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: the same trace, the same bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _write_perfetto(trace: Trace, file: BinaryIO) -> None:
    for packet in perfetto.packets(trace):
        file.write(packet)


def _read_json(data: bytes, at: str) -> Trace:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = "a trace is text in UTF-8"
        raise MalformedError("SYS-E002", message, found=str(error), at=at) from None
    return chrome.parse(text, at)


def _read_zipped_json(data: bytes, at: str) -> Trace:
    try:
        return _read_json(gzip.decompress(data), at)
    except (OSError, EOFError, zlib.error) as error:
        message = "a compressed trace is whole"
        raise MalformedError("SYS-E002", message, found=str(error), at=at) from None


def _read_arrays(data: bytes, at: str) -> Trace:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            heading = json.loads(arrays["heading"].tobytes())
            if heading["version"] != chrome.VERSION:
                raise ValueError(f"version {heading['version']!r}; known is {chrome.VERSION}")
            given = {name: arrays[name] for name in EVENT_DTYPES}
        made = columns(EVENT_DTYPES, len(given["start"]), given)
        return chrome.made_of(heading, made)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RecursionError) as error:
        message = "a trace of arrays is a whole archive"
        raise MalformedError("SYS-E002", message, found=str(error), at=at) from None
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise chrome.not_a_trace(error, at) from None


_WRITERS: dict[str, Callable[[Trace, BinaryIO], None]] = {
    ".json": _write_json,
    ".json.gz": _write_zipped_json,
    ".npz": _write_arrays,
    ".pftrace": _write_perfetto,
}
_READERS: dict[str, Callable[[bytes, str], Trace]] = {
    ".json": _read_json,
    ".json.gz": _read_zipped_json,
    ".npz": _read_arrays,
}
