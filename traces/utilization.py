"""Where the time of each stream went: busy, waiting and on what, done.

The parts add up to the run's ticks for every stream, exactly. The tensor engine loads weights
while it multiplies, so its loads count neither as busy nor as a gap's end: `load` has their ticks,
and a matmul that waits for one says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traces.events import Events, WaitCause
from traces.trace import Trace

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Utilization:
    """One stream's ticks: busy + sum(waiting) + done == total.

    Attributes:
        busy: ticks in which it was occupied, overlapping rows counted once.
        occupied: sum of the rows' own ticks; `busy` when no row overlaps another.
        load: ticks of stationary loads, hidden or not.
        waiting: gaps, by the cause of the row that ended them.
        done: ticks from its last row's end to the end of the run.
    """

    track: str
    instructions: int
    total: int
    busy: int
    occupied: int
    load: int
    waiting: dict[WaitCause, int]
    done: int
    read_bytes: int
    written_bytes: int

    @property
    def busy_fraction(self) -> float:
        """Busy ticks over the run's ticks; 0 of an empty run."""
        return self.busy / self.total if self.total else 0.0


def utilization(trace: Trace) -> list[Utilization]:
    """One entry a track, in the trace's order."""
    return [_of_rows(trace, name, rows) for name, rows in trace.rows()]


def _of_rows(trace: Trace, name: str, rows: slice) -> Utilization:
    e = trace.events
    every = np.arange(rows.start, rows.stop)
    works, loads = every[~trace.is_load[rows]], every[trace.is_load[rows]]
    start, end = e.start[works], e.end[works]
    gaps, busy = gaps_of(start, end)
    waiting = _by_cause(e, works, gaps)
    last = int(end.max()) if len(end) else 0
    return Utilization(
        name,
        len(every),
        trace.total_ticks,
        busy,
        int((end - start).sum()),
        int(e.busy[loads].sum()),
        waiting,
        trace.total_ticks - last,
        int(e.read_bytes[rows].sum()),
        int(e.written_bytes[rows].sum()),
    )


def gaps_of(start: Ints, end: Ints) -> tuple[Ints, int]:
    """The gap that each row ends, and the ticks that the rows cover together.

    The gap in front of a row is the time in which no row that started before it was running.
    """
    order = np.argsort(start, kind="stable")
    reached = np.maximum.accumulate(np.concatenate([[0], end[order]]))
    gaps = np.zeros(len(start), np.int64)
    gaps[order] = np.maximum(start[order] - reached[:-1], 0)
    return gaps, int(reached[-1] - gaps.sum())


def _by_cause(e: Events, rows: Ints, gaps: Ints) -> dict[WaitCause, int]:
    """Ticks by cause. What a stationary load itself waited for counts under the load's own cause,
    and only the time that it took as `WEIGHTS`."""
    port = np.minimum(gaps, e.port_wait[rows])
    idle, cause = gaps - port, e.cause[rows].astype(np.int64)
    ticks = np.zeros(max(WaitCause) + 1, np.int64)
    held = np.flatnonzero((cause == WaitCause.WEIGHTS) & (idle > 0) & (e.cause_row[rows] >= 0))
    load = e.cause_row[rows][held]
    late = np.maximum(0, idle[held] - (e.end[load] - e.start[load]))
    idle[held] -= late
    why = np.where(e.cause[load] == WaitCause.NOTHING, WaitCause.WEIGHTS, e.cause[load])
    np.add.at(ticks, why.astype(np.int64), late)
    np.add.at(ticks, cause, idle)
    ticks[WaitCause.PORT] += port.sum()
    return {c: int(ticks[c]) for c in WaitCause if ticks[c]}


def sums(trace: Trace) -> dict[str, int]:
    """What a simulator's counters must equal, by name.

    `instructions`, `dram_read_bytes`, `dram_written_bytes`, `total_ticks`; for each track
    `instructions.PE`, `busy_ticks.PE` and `wait_ticks.PE` (sums over its rows but for stationary
    loads); and `load_ticks.PE` where there are such.
    """
    e = trace.events
    works = ~trace.is_load
    found = {
        "instructions": len(e),
        "dram_read_bytes": int(e.read_bytes.sum()),
        "dram_written_bytes": int(e.written_bytes.sum()),
        "total_ticks": trace.total_ticks,
    }
    for name, rows in trace.rows():
        found[f"instructions.{name}"] = rows.stop - rows.start
        found[f"busy_ticks.{name}"] = int(e.busy[rows][works[rows]].sum())
        found[f"wait_ticks.{name}"] = int(e.wait[rows][works[rows]].sum())
        if not works[rows].all():
            found[f"load_ticks.{name}"] = int(e.busy[rows][trace.is_load[rows]].sum())
    return found


def disagreements(trace: Trace) -> list[str]:
    """Counters of the trace that its own rows contradict, as sentences; empty when it is sound."""
    counted = sums(trace)
    return [
        f"{name}: counted {value}, the rows give {counted[name]}"
        for name, value in sorted(trace.counters.items())
        if name in counted and counted[name] != value
    ]


def by_layer(trace: Trace) -> dict[str, dict[str, int]]:
    """For each layer name and track, the ticks that its rows occupied; `-` where none is known."""
    e = trace.events
    found: dict[str, dict[str, int]] = {}
    for track, rows in trace.rows():
        ticks = np.zeros(len(trace.layers) + 1, np.int64)
        np.add.at(ticks, e.layer[rows], e.busy[rows])  # layer -1 falls on the last entry
        for layer in np.flatnonzero(ticks).tolist():
            name = trace.layers[layer] if layer < len(trace.layers) else "-"
            of_layer = found.setdefault(name, {})
            of_layer[track] = of_layer.get(track, 0) + int(ticks[layer])
    return found
