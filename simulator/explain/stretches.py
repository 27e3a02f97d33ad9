"""Putting down what a walk passes: stretches of time, each to its cause.

Read  `walk.py` for the walk, and for the rules
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

from numba import njit

from simulator.explain.causes import Cause
from simulator.explain.facts import (
    BEGUN,
    BUSY,
    DESCRIPTOR_WORK,
    ENDED,
    ENGINE_WORK,
    LIMITED,
    READY,
    RELEASE,
    ROOM,
    SLOT,
    WORKED,
)
from simulator.explain.transfers import AT, BUSY_NOW, IDLE, IDLE_NOW
from simulator.explain.transfers import BUSY as SHARED

BEGIN, END, ROW, CAUSE = range(4)
"""Columns of a segment."""

# Numbers of the machine that the walk needs: first row of a queue, engine time in a tick, streams.
QUEUES, ENGINES, STREAMS = range(3)

# Where a walk stands: the gap's beginning; how far back it has come; its first segment, and one
# past the last; ticks by which what it has passed could have come sooner; the cause of a wait for
# room that it has passed, -1; the transfer that waited so, -1; end of the last gap that asked for
# idle DMA time; the earliest moment from which it is spoken for in this gap.
CUT, NOW, FIRST, USED, SLACK, HELD, HOLDER, PAST, SPOKEN = range(9)
# Row and place at which it goes on; what the last step noted: kind, cause, row, begin.
AT_ROW, PLACE, WHAT, WHY, OF_ROW, SINCE = range(9, 15)
WALK = 15

# Kinds of what is under way: a latency; the start or completion of a transfer; an engine's work;
# a transfer's data.
NOTHING, A_LATENCY, A_START_UP, SOME_WORK, SOME_DATA = range(5)

# Rows of the idle time of engines: what this gap has taken of it, whether it has asked, and the end
# of the last gap that did. Shape [3, streams].
TAKEN, ASKED, SINCE_WHEN = range(3)

STATIONARY, DMA_LATENCY = int(Cause.STATIONARY), int(Cause.DMA_LATENCY)
DESCRIPTORS, FEW_DESCRIPTORS = int(Cause.DESCRIPTORS), int(Cause.FEW_DESCRIPTORS)

_OPTIONS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
inner = njit(**_OPTIONS)
"""For functions that compiled ones alone call and that make no array: half the time to compile."""


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


@inner
def latency(w: Any, out: Any, f: Any, line: Any, row: int, begin: int) -> None:
    """A latency from `begin` to NOW. That of a transfer hides behind others' data, if those keep
    the engines busy and it did not wait for data of its own."""
    holder = w[HOLDER]
    if w[WHAT] == A_START_UP and w[HELD] < 0 and (f[row, RELEASE] < 0 or f[row, ROOM] >= 0):
        holder = row
    if holder >= 0:
        put_rate(w, out, f, holder, shared(line, begin, w[NOW]))
    cause = DMA_LATENCY if w[WHAT] == A_START_UP else w[WHY]
    put(w, out, w[HELD] if w[HELD] >= 0 else cause, row, w[NOW] - begin)


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
def engine(
    w: Any, out: Any, f: Any, line: Any, slots: Any, pool: Any, row: int, begin: int
) -> None:
    """A compute instruction at work from `begin` to NOW."""
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
def transfer(w: Any, out: Any, f: Any, line: Any, row: int, begin: int) -> None:
    """A transfer's data on their way from `begin` to NOW."""
    if w[HELD] >= 0:
        put_rate(w, out, f, row, shared(line, begin, w[NOW]))
        put(w, out, w[HELD], row, w[NOW] - begin)
        return
    ticks = w[NOW] - begin
    whole = max(1, f[row, ENDED] - f[row, BEGUN])
    full = min(ticks, int(ticks * (f[row, LIMITED] / whole)))
    put_rate(w, out, f, row, full)
    put(w, out, FEW_DESCRIPTORS, row, w[NOW] - begin)


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


@inner
def fill(w: Any, out: Any, f: Any, line: Any, slots: Any, pool: Any) -> None:
    """Put down what the step has noted."""
    begin = max(w[SINCE], w[CUT])
    if w[WHAT] == NOTHING or begin >= w[NOW]:
        return
    if w[WHAT] == SOME_DATA:
        transfer(w, out, f, line, w[OF_ROW], begin)
    elif w[WHAT] == SOME_WORK:
        engine(w, out, f, line, slots, pool, w[OF_ROW], begin)
    else:
        latency(w, out, f, line, w[OF_ROW], begin)
