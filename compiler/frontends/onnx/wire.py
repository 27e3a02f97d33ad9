"""The protobuf wire format, as far as it takes to leave weights where they are.

In    the bytes of a ModelProto, best mapped from its file
Out   the same model without the data of its large initializers, and where those data lie

Parsing a model with the protobuf library copies its weights several times over: into the message,
out of it, and again for the checker. Here only the outer structure is walked: the model's graph,
its initializers, their fields. Whatever is unusual (a field that comes twice, a group, a cut-off
length) gives None, and the caller parses everything and finds out what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx

GRAPH, INITIALIZER = 7, 5  # fields of ModelProto and of GraphProto
DIMS, DATA_TYPE, NAME, RAW_DATA = 1, 2, 8, 9  # of TensorProto
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types

SMALL_BYTES = 4096
"""Data up to this size stay in the message."""

_T = onnx.TensorProto
PLAIN = frozenset(
    (_T.FLOAT, _T.FLOAT16, _T.BFLOAT16, _T.DOUBLE, _T.INT64, _T.INT32, _T.INT16, _T.INT8, _T.UINT8)
)
"""Element types whose raw data are numpy's own bytes."""


@dataclass(frozen=True)
class Field:
    """One field of a message: its bytes are [start, end), what they hold [value, end)."""

    number: int
    kind: int
    start: int
    value: int
    end: int


@dataclass(frozen=True)
class Skeleton:
    """A serialised model without large data, and those data by the initializer's index."""

    model: bytes
    data: dict[int, memoryview]


class _UnusualError(Exception):
    """Not for this reader."""


def skeleton_of(data: memoryview) -> Skeleton | None:
    """The skeleton of a serialised model; None if it has nothing large or is unusual."""
    try:
        graphs = [f for f in _fields(data, 0, len(data)) if f.number == GRAPH]
        if len(graphs) != 1 or graphs[0].kind != LENGTH:
            return None
        (graph,) = graphs
        parts, large = _without_data(data, graph)
    except (_UnusualError, IndexError):
        return None
    if not large:
        return None
    size = sum(len(p) for p in parts)
    head = _varint(GRAPH << 3 | LENGTH) + _varint(size)
    whole = (data[: graph.start], head, *parts, data[graph.end :])
    return Skeleton(b"".join(whole), large)


def _without_data(
    data: memoryview, graph: Field
) -> tuple[list[bytes | memoryview], dict[int, memoryview]]:
    """The graph's bytes in pieces, large data left out, and these by initializer."""
    parts: list[bytes | memoryview] = []
    large: dict[int, memoryview] = {}
    done, index = graph.value, 0
    for field in _fields(data, graph.value, graph.end):
        if field.number != INITIALIZER:
            continue
        raw = _large_data(data, field)
        if raw is not None:
            size = field.end - field.value - (raw.end - raw.start)
            parts += [data[done : field.start], _varint(INITIALIZER << 3 | LENGTH), _varint(size)]
            parts += [data[field.value : raw.start], data[raw.end : field.end]]
            large[index] = data[raw.value : raw.end]
            done = field.end
        index += 1
    parts.append(data[done : graph.end])
    return parts, large


def _large_data(data: memoryview, tensor: Field) -> Field | None:
    """The raw data of a tensor if they can be left out."""
    if tensor.kind != LENGTH:
        raise _UnusualError
    if tensor.end - tensor.value <= SMALL_BYTES:
        return None
    fields = list(_fields(data, tensor.value, tensor.end))
    raw = [f for f in fields if f.number == RAW_DATA]
    types = [f for f in fields if f.number == DATA_TYPE]
    named = any(f.number == NAME and f.end > f.value for f in fields)
    if len(raw) != 1 or len(types) != 1 or not named or raw[0].kind != LENGTH:
        return None
    if any(f.number not in (DIMS, DATA_TYPE, NAME, RAW_DATA) for f in fields):
        return None
    if types[0].kind != VARINT or _read_varint(data, types[0].value)[0] not in PLAIN:
        return None
    return raw[0] if raw[0].end - raw[0].value > SMALL_BYTES else None


def _fields(data: memoryview, at: int, end: int) -> Iterator[Field]:
    """The fields of the message in [at, end)."""
    while at < end:
        start = at
        key, at = _read_varint(data, at)
        kind, value = key & 7, at
        if kind == VARINT:
            _, at = _read_varint(data, at)
        elif kind == LENGTH:
            size, value = _read_varint(data, at)
            at = value + size
        elif kind in (FIXED32, FIXED64):
            at += 4 if kind == FIXED32 else 8
        else:
            raise _UnusualError
        if at > end or key >> 3 == 0:
            raise _UnusualError
        yield Field(key >> 3, kind, start, value, at)


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number and the place behind it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise _UnusualError


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
