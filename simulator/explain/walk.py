"""Back from the end of an idle gap along what released what, until the gap's beginning.

In    the facts of each row, the timeline of the DMA engines, the gaps
Out   segments (begin, end, row, cause) that fill each gap exactly

A row that starts late was released by a signal, a result, a load or the row in front of it; that
one was busy until then, and started when something released it; and so on. Each stretch goes to
what was under way. Two corrections, where a wait was for room in a memory:

- the stretches below it (the row that had to wait, and what hung on it) would have come sooner had
  there been room: as many ticks of them as the row's own engine stood idle go to the room;
- the stretches above it would have run beside the rest: their latencies go to the room, and so does
  the work of an engine that has stood idle since it was last waited for so; what an engine that had
  no idle time worked stays with the engine, and where transfers kept the DMA engines busy, with
  these.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simulator.explain.causes import Cause
from simulator.explain.facts import (
    BEFORE,
    BEGUN,
    BUSY,
    DESCRIPTOR_WORK,
    ENDED,
    ENGINE_WORK,
    LIMITED,
    OWNER,
    READY,
    RELEASE,
    ROOM,
    SLOT,
    TURN,
    VISIBLE,
    WAIT,
    WAIT_ROW,
    WORKED,
)
from simulator.explain.transfers import AT, BUSY_NOW, IDLE, IDLE_NOW
from simulator.explain.transfers import BUSY as SHARED
from simulator.timing.result import Cause as Wait

Ints = NDArray[np.int64]

BEGIN, END, ROW, CAUSE = range(4)
"""Columns of a segment."""

# Numbers of the machine that the walk needs.
QUEUES, ENGINES, STREAMS = range(3)

# Where a walk stands: the gap's beginning; how far back it has come; its first segment, and one
# past the last; ticks by which what it has passed could have come sooner; the cause of a wait for
# room that it has passed, -1; the transfer that waited so, -1; end of the last gap that asked for
# idle DMA time; the earliest moment from which it is spoken for in this gap.
CUT, NOW, FIRST, USED, SLACK, HELD, HOLDER, PAST, SPOKEN = range(9)
WALK = 9

# Rows of the idle time of engines: what this gap has taken of it, whether it has asked, and the end
# of the last gap that did. Shape [3, streams].
TAKEN, ASKED, SINCE_WHEN = range(3)

FURTHER = 16
"""Steps that a walk goes beyond the gap's beginning."""

FOREVER = 1 << 62
STATIONARY, MULTIPLY = int(Cause.STATIONARY), int(Cause.MULTIPLY)
DESCRIPTORS, FEW_DESCRIPTORS = int(Cause.DESCRIPTORS), int(Cause.FEW_DESCRIPTORS)
DMA_LATENCY, TABLE, PORT = int(Cause.DMA_LATENCY), int(Cause.TABLE), int(Cause.PORT)
SEMAPHORE, RESULT, CONTROL = int(Cause.SEMAPHORE), int(Cause.RESULT), int(Cause.CONTROL)
BY_NOTHING, BY_SEMAPHORE, BY_RESULT = int(Wait.NOTHING), int(Wait.SEMAPHORE), int(Wait.RESULT)
BY_WEIGHTS, BY_TABLE = int(Wait.WEIGHTS), int(Wait.TABLE)


_OPTIONS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
inner = njit(**_OPTIONS)
"""For functions that compiled ones alone call and that make no array: half the time to compile."""


# --- segments -----------------------------------------------------------------------------------


@inner
def put(w: Any, out: Any, cause: int, row: int, ticks: int) -> None:
    """The `ticks` before NOW, or what is left of the gap, go to a cause."""
    ticks = min(ticks, w[NOW] - w[CUT])
    if ticks > 0:
        k = w[USED]
        out[k, BEGIN], out[k, END] = w[NOW] - ticks, w[NOW]
        out[k, ROW], out[k, CAUSE] = row, cause
        w[NOW] -= ticks
        w[USED] += 1


@inner
def last_at(table: Any, column: int, low: int, high: int, when: int) -> int:
    """The last of rows [low, high), whose column ascends, that is at most `when`; or low - 1."""
    while low < high:
        middle = (low + high) // 2
        if table[middle, column] <= when:
            low = middle + 1
        else:
            high = middle
    return int(low - 1)


@inner
def line_at(line: Any, column: int, slope: int, when: int) -> int:
    """What `Sharing.line` has reached by a moment."""
    k = last_at(line, AT, 0, len(line), when)
    return int(line[k, column] + (when - line[k, AT]) * line[k, slope])


@inner
def shared(line: Any, begin: int, end: int) -> int:
    """Ticks of [begin, end) in which transfers held each other up, or all engines worked."""
    return line_at(line, SHARED, BUSY_NOW, end) - line_at(line, SHARED, BUSY_NOW, begin)


@inner
def put_rate(w: Any, out: Any, f: Any, row: int, ticks: int) -> None:
    """Ticks at the full rate of the DMA engines: by what they did, bytes or descriptors."""
    ticks = min(ticks, w[NOW] - w[CUT])
    if ticks > 0:
        work = f[row, ENGINE_WORK]
        share = f[row, DESCRIPTOR_WORK] / work if work > 0 else 0.0
        own = int(ticks * share)
        put(w, out, DESCRIPTORS, row, own)
        put(w, out, f[row, BUSY], row, ticks - own)


# --- what is under way --------------------------------------------------------------------------


@inner
def latency(w: Any, out: Any, f: Any, line: Any, cause: int, row: int, begin: int) -> None:
    """A latency from `begin` to NOW."""
    begin = max(begin, w[CUT])
    if begin >= w[NOW]:
        return
    if w[HELD] < 0:
        put(w, out, cause, row, w[NOW] - begin)
        return
    if w[HOLDER] >= 0:
        put_rate(w, out, f, w[HOLDER], shared(line, begin, w[NOW]))
    put(w, out, w[HELD], row, w[NOW] - begin)


@inner
def dma_latency(w: Any, out: Any, f: Any, line: Any, row: int, begin: int) -> None:
    """The start or completion of a transfer. It hides behind others' data, if those keep the
    engines busy and the transfer did not wait for its own data."""
    begin = max(begin, w[CUT])
    if begin >= w[NOW]:
        return
    for_data = f[row, RELEASE] >= 0 and f[row, ROOM] < 0
    if w[HELD] < 0 and not for_data:
        put_rate(w, out, f, row, shared(line, begin, w[NOW]))
    latency(w, out, f, line, DMA_LATENCY, row, begin)


@inner
def worked(f: Any, slots: Any, slot: int, when: int) -> int:
    """Ticks that a stream has been busy by a moment."""
    low, high = slots[0, slot], slots[1, slot]
    k = last_at(f, BEGUN, low, high, when)
    if k < low:
        return 0
    running = 0 if f[k, BUSY] == STATIONARY else min(when, f[k, ENDED]) - f[k, BEGUN]
    return int(f[k, WORKED] + running)


@inner
def engine(w: Any, out: Any, f: Any, line: Any, slots: Any, pool: Any, row: int) -> None:
    """A compute instruction at work until NOW."""
    begin = max(f[row, BEGUN], w[CUT])
    if begin >= w[NOW]:
        return
    if w[HELD] >= 0:
        if w[HOLDER] >= 0:
            put_rate(w, out, f, w[HOLDER], shared(line, begin, w[NOW]))
        slot, start = f[row, SLOT], f[row, BEGUN]
        past = min(pool[SINCE_WHEN, slot], start)
        idle = start - past - worked(f, slots, slot, start) + worked(f, slots, slot, past)
        hidden = max(0, min(w[NOW] - begin, idle - pool[TAKEN, slot]))
        put(w, out, w[HELD], row, hidden)
        pool[TAKEN, slot] += hidden
        pool[ASKED, slot] = 1
    put(w, out, f[row, BUSY], row, w[NOW] - begin)


@inner
def transfer(w: Any, out: Any, f: Any, line: Any, row: int) -> None:
    """A transfer's data on their way until NOW."""
    begin = max(f[row, BEGUN], w[CUT])
    if begin >= w[NOW]:
        return
    if w[HELD] >= 0:
        put_rate(w, out, f, row, shared(line, begin, w[NOW]))
        put(w, out, w[HELD], row, w[NOW] - begin)
        return
    ticks = w[NOW] - begin
    whole = max(1, f[row, ENDED] - f[row, BEGUN])
    full = min(ticks, int(ticks * (f[row, LIMITED] / whole)))
    put_rate(w, out, f, row, full)
    put(w, out, FEW_DESCRIPTORS, row, w[NOW] - begin)


# --- waits for room -----------------------------------------------------------------------------


@inner
def passes_room(w: Any, out: Any, f: Any, line: Any, m: Any, row: int, idle_from: int) -> None:
    """The walk passes a wait for room of `row`, which has been at the head of its stream since
    `idle_from`: hand what could have come sooner to the room, and remember it."""
    if w[HELD] >= 0:
        return
    if f[row, ENGINE_WORK] > 0:
        low, high = max(idle_from, w[PAST]), min(f[row, BEGUN], w[SPOKEN])
        idle = 0
        if high > low:
            idle = line_at(line, IDLE, IDLE_NOW, high) - line_at(line, IDLE, IDLE_NOW, low)
        w[SPOKEN] = min(w[SPOKEN], max(idle_from, w[PAST]))
        w[SLACK] = min(w[SLACK], idle // m[ENGINES])
        w[HOLDER] = row
    else:
        w[SLACK] = min(w[SLACK], f[row, READY] - idle_from)
    w[HELD] = f[row, ROOM]
    reassign(w, out, w[HELD], w[SLACK])


@inner
def reassign(w: Any, out: Any, cause: int, ticks: int) -> None:
    """The last `ticks` that the walk has put down go to another cause."""
    k = w[USED] - 1
    while k >= w[FIRST] and ticks > 0:
        own = out[k, END] - out[k, BEGIN]
        if own > ticks:  # part of the segment: its earlier ticks
            w[USED] += 1
            for move in range(w[USED] - 1, k, -1):
                for c in range(4):
                    out[move, c] = out[move - 1, c]
            out[k + 1, END] = out[k + 1, BEGIN] + ticks
            out[k, BEGIN] = out[k + 1, END]
            out[k + 1, CAUSE] = cause
            return
        out[k, CAUSE] = cause
        ticks -= own
        k -= 1


# --- steps --------------------------------------------------------------------------------------


@inner
def result_of(w: Any, out: Any, f: Any, line: Any, slots: Any, pool: Any, m: Any, row: int) -> int:
    """From the moment that a row is visible back to its start. Returns the row that it came to."""
    row = f[row, OWNER]
    if row >= m[QUEUES]:
        dma_latency(w, out, f, line, row, f[row, ENDED])
        transfer(w, out, f, line, row)
    else:
        latency(w, out, f, line, RESULT, row, f[row, ENDED])
        engine(w, out, f, line, slots, pool, row)
    return int(row)


@inner
def signal_of(w: Any, out: Any, f: Any, line: Any, slots: Any, pool: Any, m: Any, row: int) -> int:
    """From the moment that a signal is heard back to the start of the row that sent it."""
    latency(w, out, f, line, SEMAPHORE, row, f[row, VISIBLE])
    return result_of(w, out, f, line, slots, pool, m, row)


@inner
def before_engine(
    w: Any, out: Any, f: Any, line: Any, slots: Any, pool: Any, m: Any, row: int
) -> int:
    """From the start of a compute instruction back to the start of what released it; -1 at the
    program's start."""
    latency(w, out, f, line, PORT, row, f[row, READY])
    why, other, front = f[row, WAIT], f[row, WAIT_ROW], f[row, BEFORE]
    free = f[front, ENDED] if front >= 0 else 0
    if why == BY_SEMAPHORE:
        if f[row, ROOM] >= 0:
            passes_room(w, out, f, line, m, row, free)
        elif w[HELD] < 0:
            w[SLACK] = min(w[SLACK], f[row, READY] - free)
        return signal_of(w, out, f, line, slots, pool, m, other)
    if why == BY_RESULT:
        if w[HELD] < 0:
            w[SLACK] = min(w[SLACK], f[row, READY] - free)
        return result_of(w, out, f, line, slots, pool, m, other)
    if why == BY_WEIGHTS:
        engine(w, out, f, line, slots, pool, other)
        return int(other)
    if why == BY_TABLE:
        latency(w, out, f, line, TABLE, row, free)
    if f[row, BUSY] == STATIONARY:
        return before_load(w, out, f, line, slots, pool, row)
    if front >= 0:
        engine(w, out, f, line, slots, pool, front)
    return int(front)


@inner
def before_load(w: Any, out: Any, f: Any, line: Any, slots: Any, pool: Any, row: int) -> int:
    """The same for a load of weights that nothing outside its stream held: it follows the load
    before, or the start of the row in front."""
    front = row - 1
    if front < slots[0, f[row, SLOT]]:
        return -1
    other = front
    while other > slots[0, f[row, SLOT]] and f[other, BUSY] != STATIONARY:
        other -= 1
    if f[other, BUSY] == STATIONARY and f[other, ENDED] == f[row, BEGUN]:
        engine(w, out, f, line, slots, pool, other)
        return int(other)
    return int(front)


@inner
def before_transfer(
    w: Any, out: Any, f: Any, line: Any, slots: Any, pool: Any, m: Any, row: int
) -> int:
    """From the moment that a transfer's data begin back to the start of what released it."""
    if f[row, WAIT] == BY_RESULT:
        return result_of(w, out, f, line, slots, pool, m, f[row, WAIT_ROW])
    front = f[row, BEFORE]
    if f[row, WAIT] == BY_NOTHING and front >= 0:
        transfer(w, out, f, line, front)
        return int(front)
    dma_latency(w, out, f, line, row, f[row, READY])
    begin = row
    while f[row, RELEASE] < 0:  # triggers come in turn
        front = f[row, BEFORE]
        if front < 0 or f[row, READY] != f[front, READY] + f[front, TURN]:
            break
        row = front
    latency(w, out, f, line, CONTROL, begin, f[row, READY])
    if f[row, RELEASE] < 0:
        return -1
    front = f[row, BEFORE]
    turn = f[front, READY] + f[front, TURN] if front >= 0 else 0
    if f[row, ROOM] >= 0:
        passes_room(w, out, f, line, m, row, turn)
    elif w[HELD] < 0:
        w[SLACK] = min(w[SLACK], f[row, READY] - turn)
    return signal_of(w, out, f, line, slots, pool, m, f[row, RELEASE])


@inner
def may_be_held(w: Any, f: Any, row: int, beyond: int) -> bool:
    """Whether the gap is filled and it is still worth looking, some steps further back, for a wait
    for room: a transfer may have waited so long before the gap that its data fill."""
    if row < 0 or beyond >= FURTHER or w[HELD] >= 0 or w[SLACK] <= 0:
        return False
    return f[row, BUSY] != MULTIPLY


@njit(cache=True)
def walk(f: Any, line: Any, slots: Any, m: Any, gaps: Any) -> tuple[Ints, Ints]:
    """Fill every gap.

    Args:
        gaps: [k, 3]: begin, end, the row that ended it; a row of -1 - r stands for the completion
            of row r instead of its start.
    Returns:
        (segments [s, 4] in order of gaps and backwards in time in each, first segment of each gap
        [k + 1]).
    """
    out = np.empty((4 * len(gaps) + 256, 4), np.int64)
    start = np.zeros(len(gaps) + 1, np.int64)
    w = np.zeros(WALK, np.int64)
    pool = np.zeros((3, m[STREAMS]), np.int64)
    for g in range(len(gaps)):
        w[CUT], w[NOW], row = gaps[g, 0], gaps[g, 1], gaps[g, 2]
        w[FIRST], w[SLACK], w[HELD], w[HOLDER] = w[USED], FOREVER, -1, -1
        w[SPOKEN] = FOREVER
        pool[TAKEN], pool[ASKED] = 0, 0
        if row < 0:
            row = result_of(w, out, f, line, slots, pool, m, -1 - row)
        beyond = 0
        while w[NOW] > w[CUT] or may_be_held(w, f, row, beyond):
            beyond += w[NOW] <= w[CUT]
            if w[USED] + 32 > len(out):
                grown = np.empty((2 * len(out), 4), np.int64)
                grown[: w[USED]] = out[: w[USED]]
                out = grown
            if row >= m[QUEUES]:
                row = before_transfer(w, out, f, line, slots, pool, m, row)
            elif row >= 0:
                row = before_engine(w, out, f, line, slots, pool, m, row)
            if row < 0 and w[NOW] > w[CUT]:  # nothing is known to have held it: a counted semaphore
                put(w, out, SEMAPHORE, gaps[g, 2] if gaps[g, 2] >= 0 else -1 - gaps[g, 2], FOREVER)
        if w[SPOKEN] != FOREVER:
            w[PAST] = gaps[g, 1]
        for slot in range(m[STREAMS]):
            if pool[ASKED, slot]:
                pool[SINCE_WHEN, slot] = gaps[g, 1]
        start[g + 1] = w[USED]
    return out[: w[USED]].copy(), start
