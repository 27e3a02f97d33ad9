"""Back from the end of an idle gap along what released what, until the gap's beginning.

In    the facts of each row, the timeline of the DMA engines, the gaps
Out   segments (begin, end, row, cause) that fill each gap exactly
Read  `stretches.py` for how they are put down

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
    ENDED,
    OWNER,
    READY,
    RELEASE,
    ROOM,
    SLOT,
    TURN,
    VISIBLE,
    WAIT,
    WAIT_ROW,
)
from simulator.explain.stretches import (
    A_LATENCY,
    A_START_UP,
    ASKED,
    AT_ROW,
    CUT,
    FIRST,
    HELD,
    HOLDER,
    NOTHING,
    NOW,
    OF_ROW,
    PAST,
    PLACE,
    QUEUES,
    SINCE,
    SINCE_WHEN,
    SLACK,
    SOME_DATA,
    SOME_WORK,
    SPOKEN,
    STREAMS,
    TAKEN,
    USED,
    WALK,
    WHAT,
    WHY,
    fill,
    inner,
    passes_room,
    put,
)
from simulator.timing.result import Cause as Wait

Ints = NDArray[np.int64]

# Places of a row, backwards: its signal is heard; it is visible; it works; it starts; it has what
# it waited for (a transfer is triggered); the signal has come for which its trigger waited.
HEARD, DONE, AT_WORK, STARTED, HELD_UP, RELEASED = range(6)

FURTHER = 40
"""Steps that a walk goes beyond the gap's beginning."""

FOREVER = 1 << 62
STATIONARY, MULTIPLY = int(Cause.STATIONARY), int(Cause.MULTIPLY)
DMA_LATENCY, TABLE, PORT = int(Cause.DMA_LATENCY), int(Cause.TABLE), int(Cause.PORT)
SEMAPHORE, RESULT, CONTROL = int(Cause.SEMAPHORE), int(Cause.RESULT), int(Cause.CONTROL)
BY_NOTHING, BY_SEMAPHORE, BY_RESULT = int(Wait.NOTHING), int(Wait.SEMAPHORE), int(Wait.RESULT)
BY_WEIGHTS, BY_TABLE = int(Wait.WEIGHTS), int(Wait.TABLE)


@inner
def go(w: Any, place: int, row: int) -> None:
    """The walk goes on at a place of a row; at row -1 nothing is known to have come before."""
    w[PLACE], w[AT_ROW] = place, row


@inner
def note(w: Any, what: int, cause: int, row: int, begin: int) -> None:
    """From `begin` to NOW something was under way: `fill` puts it down."""
    w[WHAT], w[WHY], w[OF_ROW], w[SINCE] = what, cause, row, begin


@inner
def at_signal(w: Any, f: Any, row: int) -> None:
    """A signal has been heard."""
    note(w, A_LATENCY, SEMAPHORE, row, f[row, VISIBLE])
    go(w, DONE, row)


@inner
def at_done(w: Any, f: Any, m: Any, row: int) -> None:
    """A row is visible: itself, or one in front of it, was the last to complete."""
    row = f[row, OWNER]
    what = A_START_UP if row >= m[QUEUES] else A_LATENCY
    note(w, what, RESULT, row, f[row, ENDED])
    go(w, AT_WORK, row)


@inner
def at_start(w: Any, f: Any, m: Any, row: int) -> None:
    """A row starts; of a transfer, its data do."""
    if row < m[QUEUES]:
        note(w, A_LATENCY, PORT, row, f[row, READY])
        go(w, HELD_UP, row)
    elif f[row, WAIT] == BY_RESULT:
        go(w, DONE, f[row, WAIT_ROW])
    elif f[row, WAIT] == BY_NOTHING and f[row, BEFORE] >= 0:
        go(w, AT_WORK, f[row, BEFORE])
    else:
        note(w, A_START_UP, DMA_LATENCY, row, f[row, READY])
        go(w, HELD_UP, row)


@inner
def at_ready(w: Any, out: Any, f: Any, line: Any, m: Any, row: int) -> None:
    """A compute instruction has all that it waited for."""
    why, other, front = f[row, WAIT], f[row, WAIT_ROW], f[row, BEFORE]
    free = f[front, ENDED] if front >= 0 else 0
    if why in (BY_SEMAPHORE, BY_RESULT):
        if why == BY_SEMAPHORE and f[row, ROOM] >= 0:
            passes_room(w, out, f, line, m, row, free)
        elif w[HELD] < 0:
            w[SLACK] = min(w[SLACK], f[row, READY] - free)
        go(w, HEARD if why == BY_SEMAPHORE else DONE, other)
    elif why == BY_WEIGHTS:
        go(w, AT_WORK, other)
    elif f[row, BUSY] == STATIONARY:
        after_load(w, f, m, row)
    else:
        if why == BY_TABLE:
            note(w, A_LATENCY, TABLE, row, free)
        go(w, AT_WORK, front)


@inner
def after_load(w: Any, f: Any, m: Any, row: int) -> None:
    """A load of weights that nothing outside its stream held follows the load before, or the start
    of the row in front."""
    other = row - 1
    while other >= 0 and f[other, SLOT] == f[row, SLOT] and f[other, BUSY] != STATIONARY:
        other -= 1
    loads = other >= 0 and f[other, SLOT] == f[row, SLOT]
    if loads and f[other, ENDED] == f[row, BEGUN]:
        go(w, AT_WORK, other)
    elif row >= 1 and f[row - 1, SLOT] == f[row, SLOT]:
        go(w, STARTED, row - 1)
    else:
        go(w, STARTED, -1)


@inner
def at_trigger(w: Any, f: Any, row: int) -> None:
    """A transfer is triggered: when its signal came, or in turn."""
    first = row
    while f[row, RELEASE] < 0:
        front = f[row, BEFORE]
        if front < 0 or f[row, READY] != f[front, READY] + f[front, TURN]:
            go(w, STARTED, -1)
            return
        row = front
    note(w, A_LATENCY, CONTROL, first, f[row, READY])
    go(w, RELEASED, row)


@inner
def at_release(w: Any, out: Any, f: Any, line: Any, m: Any, row: int) -> None:
    """A transfer's signal has come."""
    front = f[row, BEFORE]
    turn = f[front, READY] + f[front, TURN] if front >= 0 else 0
    if f[row, ROOM] >= 0:
        passes_room(w, out, f, line, m, row, turn)
    elif w[HELD] < 0:
        w[SLACK] = min(w[SLACK], f[row, READY] - turn)
    go(w, HEARD, f[row, RELEASE])


@inner
def step(w: Any, out: Any, f: Any, line: Any, m: Any) -> None:
    """One step back: note what was under way, and go to what released it."""
    row = w[AT_ROW]
    w[WHAT] = NOTHING
    if w[PLACE] == HEARD:
        at_signal(w, f, row)
    elif w[PLACE] == DONE:
        at_done(w, f, m, row)
    elif w[PLACE] == AT_WORK:
        note(w, SOME_DATA if row >= m[QUEUES] else SOME_WORK, 0, row, f[row, BEGUN])
        go(w, STARTED, row)
    elif w[PLACE] == STARTED:
        at_start(w, f, m, row)
    elif w[PLACE] == RELEASED:
        at_release(w, out, f, line, m, row)
    elif row < m[QUEUES]:
        at_ready(w, out, f, line, m, row)
    else:
        at_trigger(w, f, row)


@inner
def may_be_held(w: Any, f: Any, beyond: int) -> bool:
    """Whether the gap is filled and it is still worth looking, some steps further back, for a wait
    for room: a transfer may have waited so long before the gap that its data fill."""
    row = w[AT_ROW]
    if row < 0 or beyond >= FURTHER or w[HELD] >= 0 or w[SLACK] <= 0:
        return False
    return f[row, BUSY] != MULTIPLY or w[PLACE] == HEARD


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
        go(w, STARTED if row >= 0 else DONE, max(row, -1 - row))
        beyond = 0
        while w[NOW] > w[CUT] or may_be_held(w, f, beyond):
            beyond += w[NOW] <= w[CUT]
            if w[USED] + 8 > len(out):
                grown = np.empty((2 * len(out), 4), np.int64)
                grown[: w[USED]] = out[: w[USED]]
                out = grown
            if w[AT_ROW] >= 0:
                step(w, out, f, line, m)
                fill(w, out, f, line, slots, pool)
            else:  # nothing is known to have held it: a counted semaphore
                put(w, out, SEMAPHORE, max(row, -1 - row), FOREVER)
        if w[SPOKEN] != FOREVER:
            w[PAST] = gaps[g, 1]
        for slot in range(m[STREAMS]):
            if pool[ASKED, slot]:
                pool[SINCE_WHEN, slot] = gaps[g, 1]
        start[g + 1] = w[USED]
    return out[: w[USED]].copy(), start
