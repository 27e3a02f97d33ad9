"""One stream's part of the event loop: plan its next row, complete one, tell who waits.

Read  `loop.py` for the whole; this is what it and `transfers.py` call

Arguments everywhere: `t` rows, `c` counted, `d` dma of `Tables`; `m` the machine's numbers; `v`
state, `q` queues, `r` record of `state.py`; `s` a slot, `i` a row.
"""

from __future__ import annotations

from simulator.timing.compiled import compiled
from simulator.timing.state import (
    AT,
    AWAITS,
    BLOCKED,
    CAUSE,
    CAUSE_ROW,
    DONE,
    FOREVER,
    FREE,
    LAST,
    LOAD_FREE,
    LOAD_ROW,
    LOADED,
    NOTHING,
    QUEUE,
    REQUEST,
    RESULT,
    ROW,
    SEMAPHORE,
    TABLE_LOADING,
    TELL_AT,
    TOLD,
    VISIBLE,
    WATCHED,
    WEIGHTS,
    WHY,
    WHY_ROW,
)
from simulator.timing.tables import (
    CLEAR_SEMAPHORE,
    DRAIN,
    END,
    FIRST,
    KIND,
    LOAD,
    NEVER,
    SEMAPHORE_LATENCY,
    SEMAPHORE_MAX,
    SIGNAL_AMOUNT,
    SIGNAL_SEMAPHORE,
    SIGNALLERS,
    TABLE,
    TABLE_LOAD,
    WRITER,
)


@compiled
def block(v, s, row):  # type: ignore[no-untyped-def]
    """The slot stands still until `row` has completed."""
    v[BLOCKED, s], v[AT, s] = row, FOREVER
    if row != NEVER:
        k = 0
        while v[END, k] <= row:
            k += 1
        v[WATCHED, k] = min(v[WATCHED, k], row)


@compiled
def plan(t, m, v, r, s):  # type: ignore[no-untyped-def]
    """Set when the slot will try its next row, or what it is blocked on."""
    i = v[ROW, s]
    v[BLOCKED, s] = -1
    if i == v[END, s]:
        v[AT, s] = FOREVER
        return
    free = v[FREE, s]
    time, cause, cause_row = free, NOTHING, -1
    if t[i, KIND] == LOAD:
        time = max(v[LOAD_FREE, s], v[LAST, s])  # the second set of weights is free by then
    elif v[LOAD_FREE, s] > time:
        time, cause, cause_row = v[LOAD_FREE, s], WEIGHTS, v[LOAD_ROW, s]
    for w in range(SIGNALLERS, SIGNALLERS + 2):
        j = t[i, w]
        if j != -1:
            if j == NEVER or r[j, VISIBLE] < 0:
                block(v, s, j)
                return
            heard = r[j, VISIBLE] + m[SEMAPHORE_LATENCY]
            if heard > time:
                time, cause, cause_row = heard, SEMAPHORE, j
    if v[QUEUE, s] < 0:
        if t[i, KIND] == DRAIN and v[DONE, s] > time:
            time, cause, cause_row = v[DONE, s], RESULT, i - 1
        j = t[i, WRITER]
        if j >= 0 and r[j, VISIBLE] > time:
            time, cause, cause_row = r[j, VISIBLE], RESULT, j
        table = t[i, TABLE]
        if table != 0 and table != v[LOADED, s] and free + m[TABLE_LOAD] > time:
            time, cause, cause_row = free + m[TABLE_LOAD], TABLE_LOADING, -1
    v[AT, s], v[REQUEST, s] = time, time
    v[WHY, s], v[WHY_ROW, s] = cause, cause_row


@compiled
def complete(t, c, m, v, r, s, i, time):  # type: ignore[no-untyped-def]
    """Row `i` is done at `time`, and not before those in front; who waits for it hears."""
    done = max(v[DONE, s], time)
    v[DONE, s], r[i, VISIBLE] = done, done
    if v[WATCHED, s] == i:
        wake(t, m, v, r, s, i)
    if len(c) and v[TELL_AT, s] == FOREVER:
        next_telling(c, m, v, r, s)


@compiled
def wake(t, m, v, r, s, row):  # type: ignore[no-untyped-def]
    """Plan anew the slots that were blocked on `row` of slot `s`."""
    v[WATCHED, s] = FOREVER
    for k in range(v.shape[1]):
        other = v[BLOCKED, k]
        if v[FIRST, s] <= other < v[END, s] and other != row:
            v[WATCHED, s] = min(v[WATCHED, s], other)
    for k in range(v.shape[1]):
        if v[BLOCKED, k] == row:
            plan(t, m, v, r, k)


@compiled
def next_telling(c, m, v, r, s):  # type: ignore[no-untyped-def]
    """Find the slot's next completed row that signals or clears a counted semaphore."""
    i = v[TOLD, s]
    while i < v[END, s] and r[i, VISIBLE] >= 0:
        if c[i, SIGNAL_SEMAPHORE] >= 0 or c[i, CLEAR_SEMAPHORE] >= 0:
            v[TOLD, s], v[TELL_AT, s] = i, r[i, VISIBLE] + m[SEMAPHORE_LATENCY]
            return
        i += 1
    v[TOLD, s], v[TELL_AT, s] = i, FOREVER


@compiled
def tell(c, m, v, r, count, s):  # type: ignore[no-untyped-def]
    """Deliver a counted signal. Returns False when the semaphore overflows."""
    i, now = v[TOLD, s], v[TELL_AT, s]
    if c[i, CLEAR_SEMAPHORE] >= 0:
        count[c[i, CLEAR_SEMAPHORE]] = 0
    semaphore = c[i, SIGNAL_SEMAPHORE]
    if semaphore >= 0:
        count[semaphore] += c[i, SIGNAL_AMOUNT]
        if count[semaphore] > m[SEMAPHORE_MAX]:
            return False
        for k in range(v.shape[1]):
            if v[AWAITS, k] == semaphore:
                v[AWAITS, k] = -1
                v[AT, k], v[REQUEST, k] = now, now
                v[WHY, k], v[WHY_ROW, k] = SEMAPHORE, i
    v[TOLD, s] = i + 1
    next_telling(c, m, v, r, s)
    return True


@compiled
def note_cause(v, r, s, i):  # type: ignore[no-untyped-def]
    """Write down why row `i` could not start before."""
    r[i, CAUSE], r[i, CAUSE_ROW] = v[WHY, s], v[WHY_ROW, s]
