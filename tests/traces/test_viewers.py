"""What Perfetto opens, read back by readers that know nothing of our writers."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings

from tests.traces.synthetic import pipelined, traces
from traces import Trace, chrome, save
from traces.chrome import flows, nanoseconds
from traces.perfetto import packets

# --- the trace-event JSON ------------------------------------------------------------------------


def test_the_json_has_what_the_trace_event_format_asks_for() -> None:
    trace = pipelined(30)
    document = json.loads("".join(chrome.chunks(trace)))
    phases = defaultdict(list)
    for event in document["traceEvents"]:
        phases[event["ph"]].append(event)
    assert set(phases) == {"M", "X", "C"} | ({"s", "f"} if len(flows(trace)[0]) else set())
    names = {e["tid"]: e["args"]["name"] for e in phases["M"] if e["name"] == "thread_name"}
    assert sorted(names.values()) == sorted(["PE", "PE weights", "ACT", "DVE", "q0", "q1"])
    assert len(phases["X"]) == len(trace.events)
    for event in phases["X"]:
        assert event["tid"] in names
        assert event["ts"] == event["args"]["start_ticks"] / 1000
        assert event["args"]["layer"] == f"layer{event['args']['layer_index']}"
    counters = {(e["name"], *e["args"]) for e in phases["C"]}
    assert counters == {("SBUF", "bytes"), ("PSUM", "bytes"), ("DRAM", "MB/s")}


def test_the_events_come_first_and_are_in_microseconds() -> None:
    """What Perfetto's importers, old and new, need (`traces/chrome.py`)."""
    text = "".join(chrome.chunks(pipelined(3)))
    assert text.startswith('{"traceEvents":[')
    assert text.endswith("}")
    document = json.loads(text)
    assert list(document) == ["traceEvents", "systola"]
    events = document["traceEvents"]
    assert not {e["pid"] for e in events} & {e["tid"] for e in events if "tid" in e}


def test_slices_of_a_thread_follow_each_other() -> None:
    document = json.loads("".join(chrome.chunks(pipelined(100))))
    ends: dict[int, float] = defaultdict(float)
    for event in document["traceEvents"]:
        if event["ph"] == "X":
            assert event["ts"] >= ends[event["tid"]] - 1e-9
            ends[event["tid"]] = event["ts"] + event["dur"]


def test_a_flow_leads_from_the_row_that_ended_a_wait() -> None:
    trace = waiting()
    document = json.loads("".join(chrome.chunks(trace)))
    pairs = defaultdict(dict)  # type: ignore[var-annotated]
    for event in document["traceEvents"]:
        if event["ph"] in "sf":
            pairs[event["id"]][event["ph"]] = (event["ts"], event["tid"])
    assert dict(pairs) == {0: {"s": (0.0, 1002), "f": (0.012, 1001)}}


def waiting() -> Trace:
    """The tensor engine waits for what the scalar engine made; the wait of 0 draws no flow."""
    return Trace.from_arrays(
        name="m",
        target="inf1",
        ticks_per_s=10**9,
        stream=[0, 0, 1],
        index=[0, 1, 0],
        opcode=[2, 2, 0x10],
        start=[12, 30, 0],
        end=[30, 40, 10],
        visible=[35, 45, 11],
        wait=[12, 0, 0],
        cause=[1, 1, 0],
        cause_row=[2, 2, -1],
    )


@settings(max_examples=200, deadline=None)
@given(traces())
def test_nanoseconds_are_the_ticks_rounded_down(trace: Trace) -> None:
    got = nanoseconds(trace, trace.events.start)
    assert got.tolist() == [t * 10**9 // trace.ticks_per_s for t in trace.events.start.tolist()]


# --- Perfetto's own format, read with Google's protobuf library ----------------------------------

F = descriptor_pb2.FieldDescriptorProto
SCHEMA: dict[str, list[tuple[str, int, Any, bool]]] = {
    "Trace": [("packet", 1, "TracePacket", True)],
    "TracePacket": [
        ("timestamp", 8, F.TYPE_UINT64, False),
        ("trusted_packet_sequence_id", 10, F.TYPE_UINT32, False),
        ("track_event", 11, "TrackEvent", False),
        ("interned_data", 12, "InternedData", False),
        ("sequence_flags", 13, F.TYPE_UINT32, False),
        ("track_descriptor", 60, "TrackDescriptor", False),
    ],
    "TrackEvent": [
        ("debug_annotations", 4, "DebugAnnotation", True),
        ("type", 9, F.TYPE_INT32, False),
        ("name_iid", 10, F.TYPE_UINT64, False),
        ("track_uuid", 11, F.TYPE_UINT64, False),
        ("counter_value", 30, F.TYPE_INT64, False),
        ("flow_ids", 47, F.TYPE_FIXED64, True),
        ("terminating_flow_ids", 48, F.TYPE_FIXED64, True),
    ],
    "DebugAnnotation": [
        ("name_iid", 1, F.TYPE_UINT64, False),
        ("int_value", 4, F.TYPE_INT64, False),
        ("string_value", 6, F.TYPE_STRING, False),
    ],
    "InternedData": [
        ("event_names", 2, "InternedName", True),
        ("debug_annotation_names", 3, "InternedName", True),
    ],
    "InternedName": [("iid", 1, F.TYPE_UINT64, False), ("name", 2, F.TYPE_STRING, False)],
    "TrackDescriptor": [
        ("uuid", 1, F.TYPE_UINT64, False),
        ("name", 2, F.TYPE_STRING, False),
        ("process", 3, "ProcessDescriptor", False),
        ("parent_uuid", 5, F.TYPE_UINT64, False),
        ("counter", 8, "CounterDescriptor", False),
        ("child_ordering", 11, F.TYPE_INT32, False),
        ("sibling_order_rank", 12, F.TYPE_INT32, False),
    ],
    "ProcessDescriptor": [
        ("pid", 1, F.TYPE_INT32, False),
        ("process_name", 6, F.TYPE_STRING, False),
    ],
    "CounterDescriptor": [("unit", 3, F.TYPE_INT32, False)],
}


def trace_message() -> Any:
    """The class of Perfetto's `Trace`, from the part of its schema above."""
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto2")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for label, tag, kind, repeated in fields:
            field = message.field.add(name=label, number=tag)
            field.label = F.LABEL_REPEATED if repeated else F.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type, field.type_name = F.TYPE_MESSAGE, f".t.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Trace"))


MESSAGE = trace_message()


def read_back(trace: Trace) -> dict[str, Any]:
    """Slices, counters and flows of the packets, by track name."""
    data = b"".join(packets(trace))
    parsed = MESSAGE.FromString(data)
    assert parsed.SerializeToString() == data or len(parsed.SerializeToString()) == len(data)
    names, labels = {}, {}
    tracks: dict[int, Any] = {}
    slices, counters = defaultdict(list), defaultdict(list)
    sources, sinks = {}, {}
    for packet in parsed.packet:
        assert packet.trusted_packet_sequence_id == 1
        if packet.HasField("interned_data"):
            names.update({n.iid: n.name for n in packet.interned_data.event_names})
            labels.update({n.iid: n.name for n in packet.interned_data.debug_annotation_names})
        if packet.HasField("track_descriptor"):
            tracks[packet.track_descriptor.uuid] = packet.track_descriptor
        if not packet.HasField("track_event"):
            continue
        event, at = packet.track_event, packet.timestamp
        where = event.track_uuid
        assert tracks[tracks[where].parent_uuid].process.pid >= 1
        if event.type == 1:
            notes = {
                labels[a.name_iid]: a.int_value if a.HasField("int_value") else a.string_value
                for a in event.debug_annotations
            }
            slices[where].append([names.get(event.name_iid), at, None, notes])
            sources.update(dict.fromkeys(event.flow_ids, notes))
            sinks.update(dict.fromkeys(event.terminating_flow_ids, notes))
        elif event.type == 2:
            assert slices[where][-1][2] is None
            slices[where][-1][2] = at
        else:
            assert tracks[where].HasField("counter")
            counters[where].append((at, event.counter_value))
    return {
        "tracks": tracks,
        "slices": slices,
        "counters": counters,
        "flows": [(sources[i], sinks[i]) for i in sorted(sources)],
    }


@settings(max_examples=40, deadline=None)
@given(traces())
def test_the_native_format_holds_every_row(trace: Trace) -> None:
    found = read_back(trace)
    rows = [s for track in found["slices"].values() for s in track]
    assert len(rows) == len(trace.events)
    e = trace.events
    expected = sorted(
        (i, s, t, v)
        for i, s, t, v in zip(
            *(x.tolist() for x in (e.index, e.start, e.end, e.visible)), strict=True
        )
    )
    got = sorted(
        (n["index"], n["start ticks"], n["end ticks"], n["visible ticks"]) for _, _, _, n in rows
    )
    assert got == expected
    assert sum(n.get("DRAM bytes read", 0) for *_, n in rows) == int(e.read_bytes.sum())
    assert len(found["flows"]) == len(flows(trace)[0])


def test_the_native_format_names_tracks_layers_and_causes() -> None:
    found = read_back(pipelined(20))
    names = [t.name for t in found["tracks"].values() if t.name]
    assert names[:6] == ["PE", "PE weights", "ACT", "DVE", "q0", "q1"]
    assert names[6:] == ["SBUF bytes", "PSUM bytes", "DRAM bytes/s"]
    first = next(iter(found["slices"].values()))[0]
    assert first[0] == "matmul"
    assert first[3]["layer"] == "layer0"
    assert first[3]["waited for"] == "weights"
    assert first[2] - first[1] == 512


def test_the_native_format_draws_flows() -> None:
    ((source, sink),) = read_back(waiting())["flows"]
    assert (source["start ticks"], sink["start ticks"]) == (0, 12)


@pytest.mark.parametrize("suffix", [".json", ".pftrace"])
def test_a_hundred_thousand_rows_are_written_in_seconds(suffix: str, tmp_path: Path) -> None:
    import time

    trace = pipelined(25_000)
    assert len(trace.events) == 100_004
    before = time.perf_counter()
    save(trace, tmp_path / f"run{suffix}")
    assert time.perf_counter() - before < 20
    assert np.all(trace.events.busy >= 0)
