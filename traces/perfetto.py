"""Trace -> Perfetto's own format: a stream of protobuf packets, made by hand.

A lane is a track of slices, a core its process, a memory or the DRAM rate a counter track; a wait
that another row ended is a flow. Names stand once, in the first packet, and are referred to by
number. Field numbers are those of Perfetto's public schema (trace_packet, track_event,
track_descriptor, counter_descriptor, debug_annotation, interned_data).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from isa.memory import PSUM, SBUF
from traces.chrome import flows, nanoseconds
from traces.events import Ints, WaitCause
from traces.lanes import Lane, lanes
from traces.occupancy import bytes_in_use, dram_rate
from traces.trace import Trace

# fmt: off
# Trace
PACKET = 1
# TracePacket
TIMESTAMP, SEQUENCE, TRACK_EVENT, INTERNED, FLAGS, TRACK_DESCRIPTOR = 8, 10, 11, 12, 13, 60
# TrackEvent
ANNOTATION, TYPE, NAME_IID, TRACK, COUNTER_VALUE, FLOW, FLOW_END = 4, 9, 10, 11, 30, 47, 48
# TrackDescriptor; ProcessDescriptor; CounterDescriptor
UUID, NAME, PROCESS, PARENT, COUNTER, ORDERING, RANK = 1, 2, 3, 5, 8, 11, 12
PID, PROCESS_NAME, UNIT = 1, 6, 3
# InternedData; an interned name; DebugAnnotation
EVENT_NAMES, ANNOTATION_NAMES, IID, INTERNED_NAME = 2, 3, 1, 2
ANNOTATION_IID, INT_VALUE, STRING_VALUE = 1, 4, 6
# fmt: on
BEGIN, END, COUNTED = 1, 2, 4
CLEARED, NEEDS_STATE = 1, 2
EXPLICIT_ORDER = 3
SIZE_BYTES = 3
_SEQUENCE = 1
_RATE_BINS = 2000
_ANNOTATIONS = {
    "index": 1,
    "start": 2,
    "end": 3,
    "visible": 4,
    "wait": 5,
    "port_wait": 6,
    "read_bytes": 7,
    "written_bytes": 8,
}
_ANNOTATION_TEXT = {
    "index": "index",
    "start": "start ticks",
    "end": "end ticks",
    "visible": "visible ticks",
    "wait": "wait ticks",
    "port_wait": "port wait ticks",
    "read_bytes": "DRAM bytes read",
    "written_bytes": "DRAM bytes written",
}
_WAITED_FOR, _LAYER = 9, 10


_DIGIT = [bytes([i]) for i in range(256)]


def varint(value: int) -> bytes:
    """A whole number in base 128, low digits first; a negative one as its 64-bit complement."""
    if 0 <= value < 0x80:
        return _DIGIT[value]
    if 0 < value < 0x4000:
        return _DIGIT[value & 0x7F | 0x80] + _DIGIT[value >> 7]
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A field that holds a whole number."""
    return varint(field << 3) + varint(value)


def fixed64(field: int, value: int) -> bytes:
    """A field of eight bytes."""
    return varint(field << 3 | 1) + value.to_bytes(8, "little")


def message(field: int, *parts: bytes) -> bytes:
    """A field that holds a message made of these fields."""
    body = b"".join(parts)
    return varint(field << 3 | 2) + varint(len(body)) + body


def text(field: int, value: str) -> bytes:
    """A field that holds a text."""
    return message(field, value.encode("utf-8", errors="replace"))


def _names(trace: Trace) -> bytes:
    """The packet of interned names: opcode c is event name c + 1."""
    codes = sorted({*trace.mnemonics, *np.unique(trace.events.opcode).tolist()})
    events = [
        message(EVENT_NAMES, number(IID, c + 1), text(INTERNED_NAME, trace.mnemonic(c)))
        for c in codes
    ]
    labels = {_ANNOTATIONS[k]: v for k, v in _ANNOTATION_TEXT.items()}
    labels |= {_WAITED_FOR: "waited for", _LAYER: "layer"}
    keys = [
        message(ANNOTATION_NAMES, number(IID, iid), text(INTERNED_NAME, label))
        for iid, label in labels.items()
    ]
    return _packet(number(FLAGS, CLEARED | NEEDS_STATE), message(INTERNED, *events, *keys))


def _packet(*parts: bytes) -> bytes:
    return message(PACKET, number(SEQUENCE, _SEQUENCE), *parts)


def packets(trace: Trace) -> Iterator[bytes]:
    """The file's bytes, packet by packet."""
    yield _names(trace)
    cores = sorted({core for core, _ in trace.tracks}) or [0]
    for core in cores:
        yield _process(trace, core)
    into, out_of = _flow_ids(trace)
    for place, lane in enumerate(lanes(trace), 1):
        uuid = _uuid(lane.core, place)
        described = [number(UUID, uuid), text(NAME, lane.name), number(RANK, place)]
        described.append(number(PARENT, _uuid(lane.core, 0)))
        yield _packet(message(TRACK_DESCRIPTOR, *described))
        yield from _slices(trace, lane, uuid, into, out_of)
    for core in cores:
        yield from _counters(trace, core)


def _uuid(core: int, place: int) -> int:
    return core + 1 << 32 | place


def _process(trace: Trace, core: int) -> bytes:
    name = f"{trace.name} on {trace.target}, core {core}"
    process = message(PROCESS, number(PID, core + 1), text(PROCESS_NAME, name))
    order = number(ORDERING, EXPLICIT_ORDER)
    return _packet(message(TRACK_DESCRIPTOR, number(UUID, _uuid(core, 0)), process, order))


def _flow_ids(trace: Trace) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """For each row, the fields of the flows that end and that start there."""
    into: dict[int, bytes] = {}
    out_of: dict[int, bytes] = {}
    for i, (before, after) in enumerate(zip(*(r.tolist() for r in flows(trace)), strict=True), 1):
        out_of[before] = out_of.get(before, b"") + fixed64(FLOW, i)
        into[after] = fixed64(FLOW_END, i)
    return into, out_of


def _slices(
    trace: Trace, lane: Lane, uuid: int, into: dict[int, bytes], out_of: dict[int, bytes]
) -> Iterator[bytes]:
    e = trace.events
    begin, end = (nanoseconds(trace, ticks[lane.rows]).tolist() for ticks in (e.start, e.end))
    track = number(TRACK, uuid)
    closing = message(TRACK_EVENT, number(TYPE, END), track)
    head = [number(TYPE, BEGIN) + track + number(NAME_IID, code + 1) for code in range(256)]
    state = number(FLAGS, NEEDS_STATE)
    notes = _annotations(trace, lane.rows)
    codes = e.opcode[lane.rows].tolist()
    for row, code, note, start, stop in zip(
        lane.rows.tolist(), codes, notes, begin, end, strict=True
    ):
        joined = (head[code], note, into.get(row, b""), out_of.get(row, b""))
        opening = message(TRACK_EVENT, *joined)
        yield _packet(number(TIMESTAMP, start), state, opening)
        yield _packet(number(TIMESTAMP, stop), closing)


def _annotations(trace: Trace, rows: NDArray[np.int64]) -> Iterator[bytes]:
    e = trace.events
    causes = [_note(_WAITED_FOR, text(STRING_VALUE, c.text)) for c in WaitCause]
    layers = [_note(_LAYER, text(STRING_VALUE, name)) for name in trace.layers]
    columns = [getattr(e, name)[rows].tolist() for name in _ANNOTATIONS]
    tag = varint(ANNOTATION << 3 | 2)
    heads = [number(ANNOTATION_IID, iid) + varint(INT_VALUE << 3) for iid in _ANNOTATIONS.values()]
    always = list(_ANNOTATIONS.values()).index(_ANNOTATIONS["visible"]) + 1
    for cause, layer, *values in zip(
        e.cause[rows].tolist(), e.layer[rows].tolist(), *columns, strict=True
    ):
        note = b""
        for i, value in enumerate(values):
            if value or i < always:
                body = heads[i] + varint(value)
                note += tag + _DIGIT[len(body)] + body
        note += causes[cause] if cause else b""
        yield note + (layers[layer] if layer >= 0 else b"")


def _note(iid: int, value: bytes) -> bytes:
    return message(ANNOTATION, number(ANNOTATION_IID, iid), value)


def _counters(trace: Trace, core: int) -> Iterator[bytes]:
    for place, memory in ((1, SBUF), (2, PSUM)):
        ticks, values = bytes_in_use(trace, memory, core)
        at = nanoseconds(trace, ticks)
        yield from _counter(core, place, f"{memory.name} bytes", at, values)
    if core == 0:
        seconds, rate = dram_rate(trace, min(_RATE_BINS, max(trace.total_ticks, 1)))
        at = np.floor(seconds[:-1] * 1e9).astype(np.int64)
        yield from _counter(core, 3, "DRAM bytes/s", at, np.rint(rate).astype(np.int64))


def _counter(core: int, place: int, name: str, at: Ints, values: Ints) -> Iterator[bytes]:
    uuid = _uuid(core, 1 << 16 | place)
    described = (number(UUID, uuid), text(NAME, name), number(PARENT, _uuid(core, 0)))
    unit = message(COUNTER, number(UNIT, SIZE_BYTES))
    yield _packet(message(TRACK_DESCRIPTOR, *described, unit))
    head = number(TYPE, COUNTED) + number(TRACK, uuid)
    for ns, value in zip(at.tolist(), values.tolist(), strict=True):
        event = message(TRACK_EVENT, head, number(COUNTER_VALUE, value))
        yield _packet(number(TIMESTAMP, ns), event)
