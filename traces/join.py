"""Join: traces of runs that followed each other become one, each starting where the last ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from traces.events import EVENT_DTYPES, MEMORY_DTYPES, Events, MemoryUse
from traces.trace import Trace, require_consistent


def joined(traces: Sequence[Trace], name: str, metadata: Mapping[str, Any]) -> Trace:
    """One trace of all runs, in their order, on the same target.

    Counters add up: all of them are sums over a run. A stream's instructions are numbered on.
    """
    starts = np.cumsum([0, *(t.total_ticks for t in traces)])
    columns = _events(traces, starts)
    which = np.repeat(np.arange(len(traces)), [len(t.events) for t in traces])
    order = np.lexsort((which, columns["stream"], columns["core"]))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    caused = columns["cause_row"] >= 0
    columns["cause_row"][caused] = place[columns["cause_row"][caused]]
    kept = {n: c[order].astype(EVENT_DTYPES[n]) for n, c in columns.items()}
    kept["index"] = _numbered(kept["core"], kept["stream"])
    counters: dict[str, int] = {}
    for trace in traces:
        for key, value in trace.counters.items():
            counters[key] = counters.get(key, 0) + value
    trace = replace(
        traces[0],
        name=name,
        total_ticks=int(starts[-1]),
        events=Events(**kept),
        layers=tuple(layer for t in traces for layer in t.layers),
        counters=counters,
        memory=_memory(traces, starts),
        metadata=dict(metadata),
    )
    require_consistent(trace)
    return trace


def _events(traces: Sequence[Trace], starts: Any) -> dict[str, Any]:
    """All rows, one trace behind the other; references to rows and layers count through."""
    columns: dict[str, list[Any]] = {n: [] for n in EVENT_DTYPES}
    rows = layers = 0
    for trace, start in zip(traces, starts, strict=False):
        e = trace.events
        moved = {n: getattr(e, n).astype(np.int64) for n in EVENT_DTYPES}
        for key in ("start", "end", "visible"):
            moved[key] += start
        moved["cause_row"][moved["cause_row"] >= 0] += rows
        moved["layer"][moved["layer"] >= 0] += layers
        rows, layers = rows + len(e), layers + len(trace.layers)
        for key, column in moved.items():
            columns[key].append(column)
    return {n: np.concatenate(parts) for n, parts in columns.items()}


def _numbered(core: Any, stream: Any) -> Any:
    """Places in their streams, for rows in order of core and stream."""
    keys = core.astype(np.int64) << 16 | stream
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
    lengths = np.diff([*first, len(keys)])
    return (np.arange(len(keys)) - np.repeat(first, lengths)).astype(EVENT_DTYPES["index"])


def _memory(traces: Sequence[Trace], starts: Any) -> MemoryUse:
    columns: dict[str, list[Any]] = {n: [] for n in MEMORY_DTYPES}
    names: tuple[str, ...] = ()
    for trace, start in zip(traces, starts, strict=False):
        moved = {n: getattr(trace.memory, n).astype(np.int64) for n in MEMORY_DTYPES}
        moved["start"] += start
        moved["end"] += start
        moved["name"] += len(names)
        names += trace.memory.names
        for key, column in moved.items():
            columns[key].append(column)
    whole = {n: np.concatenate(p).astype(MEMORY_DTYPES[n]) for n, p in columns.items()}
    return MemoryUse(**whole, names=names)
