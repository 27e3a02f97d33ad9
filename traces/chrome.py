"""Trace <-> trace-event JSON, which Perfetto and Chrome's viewer open.

A row is a complete event (`X`) whose args hold its ticks as whole numbers, so that the file is also
the exact record: `parse` gives back the trace that `chunks` wrote. Counters (`C`) show SBUF, PSUM
and DRAM over time; flows (`s`, `f`) lead from the row that ended a wait to the row that waited.
What no event can say (layers, counters, allocations, units) stands under the key `systola`.

Perfetto's importer asks for some care: older ones stop at a key that they do not know, so ours is
the last; nothing may follow the closing brace; `displayTimeUnit` was once taken as the unit of
`ts`, so it is left out; a thread's number is to be unlike every process's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from isa.errors import MalformedError
from isa.memory import PSUM, SBUF
from traces.events import (
    EVENT_DTYPES,
    MEMORY_DTYPES,
    Events,
    Ints,
    WaitCause,
    columns,
    memory_use,
)
from traces.lanes import Lane, lanes
from traces.occupancy import bytes_in_use, dram_rate
from traces.trace import Trace, require_consistent

VERSION = 1
_FLOWS = (WaitCause.SEMAPHORE, WaitCause.RESULT, WaitCause.WEIGHTS)
_RATE_BINS = 2000
_FIRST_TID = 1001
_ARGS = {  # column -> name in args; `cause` stands there as text, `waited_for`
    "core": "core",
    "stream": "stream",
    "index": "index",
    "opcode": "opcode",
    "start": "start_ticks",
    "end": "end_ticks",
    "visible": "visible_ticks",
    "wait": "wait_ticks",
    "port_wait": "port_wait_ticks",
    "cause_row": "after_row",
    "layer": "layer_index",
    "read_bytes": "read_bytes",
    "written_bytes": "written_bytes",
}
_SPARSE = {  # values that are left out
    **dict.fromkeys(("core", "wait", "port_wait", "read_bytes", "written_bytes"), 0),
    **dict.fromkeys(("cause_row", "layer"), -1),
}
_CAUSE_OF = {c.text: int(c) for c in WaitCause}


def nanoseconds(trace: Trace, ticks: Ints) -> Ints:
    """Ticks as whole nanoseconds, rounded down; exact where a tick is a whole number of them."""
    whole, rest = np.divmod(ticks, trace.ticks_per_s)
    high, low = np.divmod(rest, 1 << 20)  # rest * 10**9 may exceed 63 bits
    q, r = np.divmod(high * 10**9, trace.ticks_per_s)
    part = (q << 20) + ((r << 20) + low * 10**9) // trace.ticks_per_s
    return np.asarray(whole * 10**9 + part, dtype=np.int64)


# --- writing -------------------------------------------------------------------------------------


def chunks(trace: Trace) -> Iterator[str]:
    """The file's text, piece by piece."""
    yield '{"traceEvents":[\n'
    yield ",\n".join(_names(trace))
    place = np.zeros((len(trace.events), 2), np.int64)  # pid and tid of each row
    for tid, lane in enumerate(lanes(trace), _FIRST_TID):
        place[lane.rows] = lane.core + 1, tid
        yield from _slices(trace, lane, tid)
    yield from _counters(trace)
    yield from _flows(trace, place)
    yield '\n],"systola":'
    yield json.dumps(heading(trace), allow_nan=False, sort_keys=True)
    yield "}"


def heading(trace: Trace) -> dict[str, Any]:
    use = trace.memory
    return {
        "version": VERSION,
        "name": trace.name,
        "target": trace.target,
        "ticks_per_s": trace.ticks_per_s,
        "base_clock_hz": trace.base_clock_hz,
        "total_ticks": trace.total_ticks,
        "layers": list(trace.layers),
        "mnemonics": {str(k): v for k, v in trace.mnemonics.items()},
        "counters": dict(trace.counters),
        "limits": dict(trace.limits),
        "metadata": dict(trace.metadata),
        "memory": {n: getattr(use, n).tolist() for n in MEMORY_DTYPES},
        "memory_names": list(use.names),
    }


def _names(trace: Trace) -> Iterator[str]:
    cores = sorted({core for core, _ in trace.tracks}) or [0]
    for core in cores:
        label = f"{trace.name} on {trace.target}, core {core}"
        yield _event("M", core + 1, name="process_name", args={"name": label})
    for tid, lane in enumerate(lanes(trace), _FIRST_TID):
        pid = lane.core + 1
        yield _event("M", pid, tid=tid, name="thread_name", args={"name": lane.name})
        yield _event("M", pid, tid=tid, name="thread_sort_index", args={"sort_index": tid})


def _event(phase: str, pid: int, **others: Any) -> str:
    return json.dumps({"ph": phase, "pid": pid, **others}, separators=(",", ":"))


def _slices(trace: Trace, lane: Lane, tid: int, step: int = 1 << 14) -> Iterator[str]:
    names = {code: json.dumps(trace.mnemonic(code)) for code in range(256)}
    layers = [json.dumps(name) for name in trace.layers]
    causes = [json.dumps(c.text) for c in WaitCause]
    head = f'{{"ph":"X","pid":{lane.core + 1},"tid":{tid},"cat":"{lane.name}","ts":'
    for at in range(0, len(lane.rows), step):
        rows = lane.rows[at : at + step]
        yield "".join(
            f',\n{head}{ts},"dur":{dur},"name":{names[code]},"args":{{{args}}}}}'
            for ts, dur, code, args in zip(
                *_times(trace, rows),
                trace.events.opcode[rows].tolist(),
                _args(trace.events, rows, layers, causes),
                strict=True,
            )
        )


def _times(trace: Trace, rows: Ints) -> tuple[list[str], list[str]]:
    start = nanoseconds(trace, trace.events.start[rows])
    length = nanoseconds(trace, trace.events.end[rows]) - start
    return _microseconds(start), _microseconds(length)


def _microseconds(ns: Ints) -> list[str]:
    return [f"{n // 1000}.{n % 1000:03d}" for n in ns.tolist()]


def _args(e: Events, rows: Ints, layers: list[str], causes: list[str]) -> Iterator[str]:
    columns = [getattr(e, name)[rows].tolist() for name in _ARGS]
    fields = [(f'"{key}":', _SPARSE.get(name)) for name, key in _ARGS.items()]
    for cause, layer, *values in zip(
        e.cause[rows].tolist(), e.layer[rows].tolist(), *columns, strict=True
    ):
        parts = [
            f"{key}{value}"
            for (key, default), value in zip(fields, values, strict=True)
            if value != default
        ]
        if cause:
            parts.append(f'"waited_for":{causes[cause]}')
        if layer >= 0:
            parts.append(f'"layer":{layers[layer]}')
        yield ",".join(parts)


def _counters(trace: Trace) -> Iterator[str]:
    for core in sorted({core for core, _ in trace.tracks}):
        for memory in (SBUF, PSUM):
            ticks, values = bytes_in_use(trace, memory, core)
            at = nanoseconds(trace, ticks)
            yield from _counter(core, memory.name, "bytes", at, values)
    seconds, rate = dram_rate(trace, min(_RATE_BINS, max(trace.total_ticks, 1)))
    at = np.floor(seconds[:-1] * 1e9).astype(np.int64)
    yield from _counter(0, "DRAM", "MB/s", at, np.rint(rate / 1e6).astype(np.int64))


def _counter(core: int, name: str, unit: str, ns: Ints, values: Ints) -> Iterator[str]:
    head = f',\n{{"ph":"C","pid":{core + 1},"name":"{name}","ts":'
    yield "".join(
        f'{head}{ts},"args":{{"{unit}":{value}}}}}'
        for ts, value in zip(_microseconds(ns), values.tolist(), strict=True)
    )


def flows(trace: Trace) -> tuple[Ints, Ints]:
    """Rows that ended a wait, and the rows that waited."""
    e = trace.events
    waited = (e.cause_row >= 0) & (e.wait > 0) & np.isin(e.cause, _FLOWS)
    rows = np.flatnonzero(waited)
    return e.cause_row[rows].astype(np.int64), rows


def _flows(trace: Trace, place: Ints) -> Iterator[str]:
    before, after = flows(trace)
    start = trace.events.start
    for phase, rows in (("s", before), ("f", after)):
        binds = ',"bp":"e"' if phase == "f" else ""
        ts = _microseconds(nanoseconds(trace, start[rows]))
        at = place[rows].tolist()
        yield "".join(
            f',\n{{"ph":"{phase}","id":{i},"pid":{pid},"tid":{tid},"ts":{t}'
            f',"name":"waits for","cat":"dependency"{binds}}}'
            for i, (t, (pid, tid)) in enumerate(zip(ts, at, strict=True))
        )


# --- reading -------------------------------------------------------------------------------------


def parse(text: str, at: str) -> Trace:
    """The trace that a file holds. `at` names it in errors.

    Raises:
        MalformedError: SYS-E002 not JSON, SYS-E003 not one of our traces, or damaged.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = "a trace is a JSON document"
        raise MalformedError("SYS-E002", message, found=str(error), at=at) from None
    try:
        if document["systola"]["version"] != VERSION:
            raise ValueError(f"version {document['systola']['version']!r}; known is {VERSION}")
        return _trace(document["systola"], document["traceEvents"])
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise not_a_trace(error, at) from None


def not_a_trace(error: Exception, at: str) -> MalformedError:
    """The error of a file that does not hold what a trace holds."""
    found = f"no {error}" if isinstance(error, KeyError) else str(error)
    return MalformedError(
        "SYS-E003",
        "a trace holds what `systola run --trace` wrote, whole",
        found=found[:300],
        at=at,
        hint="run the model again with --trace",
    )


def _trace(heading: dict[str, Any], recorded: list[dict[str, Any]]) -> Trace:
    args = [event["args"] for event in recorded if event.get("ph") == "X"]
    given: dict[str, Any] = {}
    for name, key in _ARGS.items():
        default = _SPARSE.get(name)
        values = [a[key] for a in args] if default is None else [a.get(key, default) for a in args]
        given[name] = np.array(values) if args else np.zeros(0, np.int64)
    given["cause"] = np.array([_CAUSE_OF[a.get("waited_for", "nothing")] for a in args], np.int64)
    made = columns(EVENT_DTYPES, len(args), given)
    order = np.lexsort((made["index"], made["stream"], made["core"]))
    return made_of(heading, {name: column[order] for name, column in made.items()})


def made_of(heading: dict[str, Any], event_columns: dict[str, Any]) -> Trace:
    """A trace from the heading and the event columns. Raises ValueError, KeyError, TypeError."""
    use = {n: np.array(v, np.int64) if not v else np.array(v) for n, v in heading["memory"].items()}
    trace = Trace(
        str(heading["name"]),
        str(heading["target"]),
        _whole(heading["ticks_per_s"]),
        _whole(heading["base_clock_hz"]),
        _whole(heading["total_ticks"]),
        Events(**event_columns),
        tuple(map(str, heading["layers"])),
        {int(k): str(v) for k, v in heading["mnemonics"].items()},
        {str(k): _whole(v) for k, v in heading["counters"].items()},
        memory_use(use, len(use["start"]), tuple(map(str, heading["memory_names"]))),
        {str(k): _whole(v) for k, v in heading["limits"].items()},
        dict(heading["metadata"]),
    )
    require_consistent(trace)
    return trace


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no whole number")
    return value
