"""The event loop: when each instruction starts, ends and can be seen.

In    the arrays of `tables.py`
Out   the record, filled; the state as it was left, from which a deadlock is told (`state.py`)
Read  `docs/timing.md` for the rules, `reference.py` for the same machine written plainly

A slot (stream) stands at one row. `plan` works out from what is known the earliest time at which
that row can start, or the row it must first hear of; `issue` starts it when its time is the least
of all, unless a port or a counted semaphore still holds it; `complete` tells those who wait. The
data of queues move on a timetable of their own. Arguments are named as in `streams.py`.
"""

from __future__ import annotations

from simulator.timing.compiled import compiled
from simulator.timing.state import (
    AT,
    AWAITS,
    BEGUN,
    ENDED,
    FOREVER,
    FREE,
    LAST,
    LOAD_FREE,
    LOAD_ROW,
    LOADED,
    PSUM_UNTIL,
    QUEUE,
    READY,
    REQUEST,
    ROW,
    SBUF_UNTIL,
    TELL_AT,
    TOLD,
    WAIT,
)
from simulator.timing.streams import complete, note_cause, plan, tell
from simulator.timing.tables import (
    KIND,
    LATENCY,
    LOAD,
    OCCUPANCY,
    PORT,
    PSUM_PORT,
    PSUM_RIVAL,
    SBUF_PORT,
    SBUF_RIVAL,
    TABLE,
    WAIT_SEMAPHORES,
    WAIT_VALUES,
)
from simulator.timing.transfers import move, next_move, schedule


@compiled
def run(t, c, d, m, v, r, q, count, room):  # type: ignore[no-untyped-def]
    """Events in order of time until none is left. Returns a row that overflows a semaphore, or -1.

    Counted signals come first at a time, then data, then instructions by age of their request.
    """
    for s in range(v.shape[1]):
        plan(t, m, v, r, s)
    next_data = next_move(q)
    while True:
        s = next_slot(v)
        now = v[AT, s]
        if len(c):
            teller = next_teller(v)
            at = v[TELL_AT, teller]
            if at < FOREVER and at <= now and at <= next_data:
                if not tell(c, m, v, r, count, teller):
                    return v[TOLD, teller]
                continue
        if next_data <= now:
            if next_data == FOREVER:
                return -1
            move(t, c, d, m, v, r, q, room, next_data)
            next_data = next_move(q)
        elif not held(t, c, v, count, s, now):
            issue(t, c, m, v, r, q, s, now)
            k = v[QUEUE, s]
            if k >= 0:
                schedule(t, m, v, r, q, k)
                next_data = next_move(q)
            plan(t, m, v, r, s)


@compiled
def held(t, c, v, count, s, now):  # type: ignore[no-untyped-def]
    """Whether a counted semaphore or a port still holds the slot's row; then it is put off."""
    i = v[ROW, s]
    if len(c):
        for w in range(2):
            semaphore = c[i, WAIT_SEMAPHORES + w]
            if semaphore >= 0 and count[semaphore] < c[i, WAIT_VALUES + w]:
                v[AWAITS, s], v[AT, s] = semaphore, FOREVER
                return True
    later = now
    if t[i, PORT] & PSUM_PORT:
        later = max(later, v[PSUM_UNTIL, v[PSUM_RIVAL, s]])
    if t[i, PORT] & SBUF_PORT:
        later = max(later, v[SBUF_UNTIL, v[SBUF_RIVAL, s]])
    v[AT, s] = later
    return later > now


@compiled
def issue(t, c, m, v, r, q, s, now):  # type: ignore[no-untyped-def]
    """Start the slot's row; of a queue, trigger it."""
    i = v[ROW, s]
    r[i, READY] = v[REQUEST, s]
    note_cause(v, r, s, i)
    v[ROW, s] = i + 1
    end = now + t[i, OCCUPANCY]
    if v[QUEUE, s] >= 0:
        v[FREE, s] = end
        return
    r[i, BEGUN], r[i, ENDED] = now, end
    if t[i, KIND] == LOAD:
        r[i, WAIT] = now - max(v[LOAD_FREE, s], v[LAST, s])
        v[LOAD_FREE, s], v[LOAD_ROW, s] = end, i
    else:
        r[i, WAIT] = now - v[FREE, s]
        v[FREE, s] = end
    if t[i, PORT] & PSUM_PORT:
        v[PSUM_UNTIL, s] = end
    if t[i, PORT] & SBUF_PORT:
        v[SBUF_UNTIL, s] = end
    if t[i, TABLE] != 0:
        v[LOADED, s] = t[i, TABLE]
    v[LAST, s] = now
    complete(t, c, m, v, r, s, i, end + t[i, LATENCY])


@compiled
def next_slot(v):  # type: ignore[no-untyped-def]
    """The slot that tries first; of several, the one with the oldest request."""
    s = 0
    for k in range(1, v.shape[1]):
        if v[AT, k] < v[AT, s] or (v[AT, k] == v[AT, s] and v[REQUEST, k] < v[REQUEST, s]):
            s = k
    return s


@compiled
def next_teller(v):  # type: ignore[no-untyped-def]
    """The slot whose counted signal is due first."""
    s = 0
    for k in range(v.shape[1]):
        if v[TELL_AT, k] < v[TELL_AT, s]:
            s = k
    return s
