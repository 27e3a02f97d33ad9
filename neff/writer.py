"""Model -> bytes. The same model gives the same bytes; weights are streamed, never gathered."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from isa.errors import IllegalError
from isa.files import whole_file
from neff.archive import Chunk, archive_chunks, compressed
from neff.documents import constants_bytes, definition_json, graph_json, layers_json
from neff.header import Header
from neff.layout import (
    CONSTANT_ALIGNMENT,
    GRAPH,
    HEADER_BYTES,
    INFO,
    LAYERS,
    LIMITS,
    PINNED,
    section_name,
    stream_file,
)
from neff.model import Neff, Section
from neff.strict_json import dump
from neff.verify import require_sound

Entry = tuple[str, int, list[Chunk]]


def write(neff: Neff, path: str | Path, *, compress: bool = False) -> Header:
    """Write a file, whole or not at all.

    Args:
        compress: gzip the payload; its weights can then not be mapped, and its bytes depend on the
            version of zlib.
    Returns:
        The header that was written.
    Raises:
        IllegalError: SYS-N030 .. SYS-N035, the model is not sound.
        SystolaError: SYS-F001, the file cannot be written.
    """
    entries = _entries(neff)
    with whole_file(path) as file:
        return _write(neff, entries, file, compress)


def to_bytes(neff: Neff, *, compress: bool = False) -> bytes:
    """The file's bytes. Raises as `write`."""
    file = io.BytesIO()
    _write(neff, _entries(neff), file, compress)
    return file.getvalue()


def _write(neff: Neff, entries: list[Entry], file: BinaryIO, compress: bool) -> Header:
    chunks: Iterator[Chunk] = archive_chunks(entries)
    if compress:
        chunks = compressed(chunks)
    file.write(bytes(HEADER_BYTES))
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        file.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    header = Header(
        data_size=size,
        hash=digest.digest(),
        name=neff.name,
        neff_build_version=neff.build_version,
        num_tpb=len(neff.sections),
        requested_tpb_count=neff.cores,
        tpb_per_node=b"\x01" * len(neff.sections),
    )
    file.seek(0)
    file.write(header.to_bytes())
    return header


def _entries(neff: Neff) -> list[Entry]:
    require_sound(neff)
    entries = [
        _json(GRAPH, graph_json(neff)),
        _json(INFO, {"metadata": neff.metadata}),
        _json(LAYERS, layers_json(neff)),
    ]
    for index, section in enumerate(neff.sections):
        entries += _section(section, section_name(index))
    return entries


def _json(name: str, value: Any) -> Entry:
    try:
        _require_text_keys(value)
        raw = dump(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise IllegalError(
            "SYS-N035",
            "metadata is made of what JSON has: text keys, no NaN, no infinity",
            found=str(error)[:200],
            at=name,
        ) from None
    if len(raw) > LIMITS.json_bytes:
        message = f"a document has at most {LIMITS.json_bytes} bytes"
        raise IllegalError("SYS-N035", message, found=f"{len(raw)} bytes", at=name)
    return name, len(raw), [raw]


def _require_text_keys(value: Any, depth: int = 0) -> None:
    if depth > LIMITS.json_depth - 2:
        raise ValueError(f"nested deeper than {LIMITS.json_depth - 2}")
    if isinstance(value, dict):
        for key, child in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is no text")
            _require_text_keys(child, depth + 1)
    elif isinstance(value, list | tuple):
        for child in value:
            _require_text_keys(child, depth + 1)


def _section(section: Section, folder: str) -> Iterator[Entry]:
    program = section.program
    yield _json(f"{folder}/def.json", definition_json(section))
    for stream in sorted(program.streams):
        words = np.ascontiguousarray(program.streams[stream], dtype="<u8")
        yield _array(f"{folder}/{stream_file(stream)}.bin", words)
    if len(program.pinned):
        yield _array(f"{folder}/{PINNED}.bin", np.ascontiguousarray(program.pinned, dtype="<u8"))
    for stream in sorted(program.debug):
        layer_of = np.ascontiguousarray(program.debug[stream], dtype="<i4")
        yield _array(f"debug_info/{folder}/{stream_file(stream)}.bin", layer_of)
    size = constants_bytes(program.buffers)
    if size:
        yield f"{folder}/constants.bin", size, list(_constants(section))


def _array(name: str, array: NDArray[Any]) -> Entry:
    return name, array.nbytes, [_bytes_of(array)]


def _constants(section: Section) -> Iterator[Chunk]:
    for buffer in section.constant_buffers():
        yield _bytes_of(np.ascontiguousarray(section.constants[buffer.name]))
        yield bytes(-buffer.size_bytes % CONSTANT_ALIGNMENT)


def _bytes_of(array: NDArray[Any]) -> Chunk:
    return array.reshape(-1).view(np.uint8).data if array.size else b""
