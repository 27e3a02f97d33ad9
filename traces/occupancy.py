"""How full the memories were, and how busy the DRAM, over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.memory import PSUM, Memory
from traces.trace import Trace

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def steps(start: Ints, end: Ints, amount: Ints) -> tuple[Ints, Ints]:
    """The sum of what is there, as a step function.

    Args:
        start, end: ticks, half open; amount: what each interval adds while it lasts.
    Returns:
        (ticks, values): from ticks[i] until ticks[i + 1] the sum is values[i]. It starts at tick 0.
    """
    at = np.concatenate([[0], start, end])
    change = np.concatenate([[0], amount, -amount])
    ticks, place = np.unique(at, return_inverse=True)
    total = np.zeros(len(ticks), np.int64)
    np.add.at(total, place, change)
    values = np.cumsum(total)
    kept = np.concatenate([[True], values[1:] != values[:-1]])
    return ticks[kept], values[kept]


def bytes_in_use(trace: Trace, memory: Memory, core: int = 0) -> tuple[Ints, Ints]:
    """Bytes allocated in a memory, as a step function (`steps`)."""
    use = trace.memory.of(memory, core)
    return steps(use.start, use.end, use.size_bytes * use.partitions)


def banks_in_use(trace: Trace, bank_bytes: int, core: int = 0) -> tuple[Ints, Ints]:
    """PSUM banks of which any part is allocated, as a step function."""
    use = trace.memory.of(PSUM, core)
    first, last = use.address // bank_bytes, (use.address + use.size_bytes - 1) // bank_bytes
    starts, ends = [], []
    for bank in range(int(last.max()) + 1 if len(use) else 0):
        inside = (first <= bank) & (bank <= last)
        one = np.ones(int(inside.sum()), np.int64)
        ticks, count = steps(use.start[inside], use.end[inside], one)
        on = np.concatenate([[0], (count > 0).astype(np.int64), [0]])
        edges = np.append(ticks, trace.total_ticks)
        starts.append(edges[np.flatnonzero(np.diff(on) == 1)])
        ends.append(edges[np.flatnonzero(np.diff(on) == -1)])
    none = np.zeros(0, np.int64)
    start, end = np.concatenate([none, *starts]), np.concatenate([none, *ends])
    return steps(start, end, np.ones(len(start), np.int64))


def peak(trace: Trace, memory: Memory, core: int = 0) -> int:
    """Most bytes that were allocated at one time."""
    return int(bytes_in_use(trace, memory, core)[1].max())


def dram_rate(trace: Trace, bins: int, *, written: bool | None = None) -> tuple[Floats, Floats]:
    """Mean DRAM bytes a second in each of `bins` equal spans of the run.

    A trace has a transfer's bytes and time, not its rate at each moment; while k transfers run,
    each is taken to go at 1/k of the rate that it would have alone.

    Args:
        written: True for writes, False for reads, None for both.
    Returns:
        (edges in seconds [bins + 1], bytes/s [bins]).
    """
    e = trace.events
    rows = np.flatnonzero(e.read_bytes + e.written_bytes > 0)
    moved = (e.read_bytes * (written is not True) + e.written_bytes * (written is not False))[rows]
    start, end = e.start[rows], np.maximum(e.end[rows], e.start[rows] + 1)
    total = max(trace.total_ticks, 1)
    edges = np.linspace(0, total, bins + 1)
    ticks, share = _shared_time(start, end)
    begun, ended = np.searchsorted(ticks, start), np.searchsorted(ticks, end)
    rate = np.zeros(len(ticks))  # bytes in a unit of shared time, from each tick on
    of_transfer = moved / (share[ended] - share[begun])
    np.add.at(rate, begun, of_transfer)
    np.subtract.at(rate, ended, of_transfer)
    moved_until = np.concatenate([[0.0], np.cumsum(np.cumsum(rate)[:-1] * np.diff(share))])
    done = np.interp(edges, ticks.astype(np.float64), moved_until)
    seconds = total / bins / trace.ticks_per_s
    return edges / trace.ticks_per_s, np.clip(np.diff(done) / seconds, 0.0, 1e18)


def _shared_time(start: Ints, end: Ints) -> tuple[Ints, Floats]:
    """Every tick at which an interval starts or ends, and the time until then, shared: it advances
    by 1/k of a tick while k intervals last."""
    ticks = np.unique(np.concatenate([[0], start, end]))
    change = np.zeros(len(ticks), np.int64)
    np.add.at(change, np.searchsorted(ticks, start), 1)
    np.subtract.at(change, np.searchsorted(ticks, end), 1)
    lasting = np.maximum(np.cumsum(change)[:-1], 1)
    return ticks, np.concatenate([[0.0], np.cumsum(np.diff(ticks) / lasting)])
