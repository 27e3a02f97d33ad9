"""A trace file holds the trace, exactly; what does not is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from isa.errors import SystolaError
from tests.traces.synthetic import pipelined, traces
from traces import Trace, chrome, load, save
from traces.trace import same

KINDS = [".json", ".json.gz", ".npz"]


@settings(max_examples=80, deadline=None)
@given(traces())
def test_the_json_of_a_trace_is_the_trace(trace: Trace) -> None:
    assert same(chrome.parse("".join(chrome.chunks(trace)), "test"), trace)


@pytest.mark.parametrize("suffix", KINDS)
def test_what_is_saved_is_loaded(suffix: str, tmp_path: Path) -> None:
    trace, path = pipelined(40), tmp_path / f"run{suffix}"
    save(trace, path)
    assert same(load(path), trace)
    first = path.read_bytes()
    save(trace, path)
    assert path.read_bytes() == first


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    for action in (lambda: save(pipelined(1), tmp_path / "a.txt"), lambda: load(tmp_path / "b.x")):
        with pytest.raises(SystolaError) as caught:
            action()
        assert caught.value.code == "SYS-E001"
    assert list(tmp_path.iterdir()) == []


DOCUMENT = json.loads("".join(chrome.chunks(pipelined(6))))
ROW = next(i for i, event in enumerate(DOCUMENT["traceEvents"]) if event["ph"] == "X")


def changed(path: tuple[Any, ...], value: Any) -> str:
    document = json.loads(json.dumps(DOCUMENT))
    place = document
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(document)


ROW_ARGS = ("traceEvents", ROW, "args")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("systola",), None),
        (("systola",), []),
        (("systola", "version"), 2),
        (("systola", "version"), None),
        (("systola", "layers"), 5),
        (("systola", "layers"), []),
        (("systola", "ticks_per_s"), 0),
        (("systola", "ticks_per_s"), "fast"),
        (("systola", "ticks_per_s"), 1.5),
        (("systola", "ticks_per_s"), True),
        (("systola", "total_ticks"), 3),
        (("systola", "counters"), {"a": "b"}),
        (("systola", "counters"), []),
        (("systola", "mnemonics"), {"x": "y"}),
        (("systola", "memory"), {}),
        (("systola", "memory", "start"), [0]),
        (("systola", "memory", "start"), "abc"),
        (("systola", "memory", "name"), [99] * 18),
        (("systola", "memory_names"), []),
        (("traceEvents",), None),
        (("traceEvents",), 7),
        (("traceEvents",), [1, 2]),
        (("traceEvents", ROW), {"ph": "X"}),
        ((*ROW_ARGS, "index"), None),
        ((*ROW_ARGS, "index"), 3.5),
        ((*ROW_ARGS, "index"), 10**30),
        ((*ROW_ARGS, "index"), [1]),
        ((*ROW_ARGS, "index"), 5),
        ((*ROW_ARGS, "stream"), -1),
        ((*ROW_ARGS, "opcode"), 256),
        ((*ROW_ARGS, "start_ticks"), -1),
        ((*ROW_ARGS, "end_ticks"), 0),
        ((*ROW_ARGS, "visible_ticks"), 0),
        ((*ROW_ARGS, "layer_index"), 99),
        ((*ROW_ARGS, "after_row"), 10**6),
        ((*ROW_ARGS, "waited_for"), "Godot"),
        ((*ROW_ARGS, "port_wait_ticks"), 10**9),
    ],
)
def test_a_damaged_trace_is_refused(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(SystolaError) as caught:
        chrome.parse(changed(path, value), "test")
    assert caught.value.code == "SYS-E003"
    assert caught.value.found


@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_that_is_cut_or_is_something_else_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"run{suffix}"
    save(pipelined(10), path)
    data = path.read_bytes()
    others = [b"", b"\xff\xfe", b"[]", b"{}", b"[" * 10_000, gzip.compress(b"{}"), b"PK\x03\x04"]
    for damaged in (*others, data[: len(data) // 2], data[:-9], b"x" + data):
        path.write_bytes(damaged)
        with pytest.raises(SystolaError) as caught:
            load(path)
        assert caught.value.code in ("SYS-E002", "SYS-E003")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystolaError) as caught:
        load(tmp_path / "none.json")
    assert caught.value.code == "SYS-E002"


@pytest.mark.parametrize(
    ("column", "value"),
    [("end", [1, 2]), ("end", [0.5]), ("opcode", [300]), ("nonsense", [1]), ("layer", [4])],
)
def test_columns_that_do_not_fit_make_no_trace(column: str, value: list[Any]) -> None:
    good: dict[str, Any] = {"start": [0], "end": [5], "visible": [6]}
    with pytest.raises(ValueError, match=r"\w"):
        Trace.from_arrays(name="m", target="inf1", ticks_per_s=10, **(good | {column: value}))


def test_an_empty_run_is_a_trace() -> None:
    trace = Trace.from_arrays(name="m", target="inf1", ticks_per_s=10**9, start=np.zeros(0, int))
    assert same(chrome.parse("".join(chrome.chunks(trace)), "test"), trace)
    assert trace.cycles == 0
