"""The data side of the DMA queues: begin, share, finish.

A queue's triggers run ahead (`loop.issue`); its data move in order. Whenever a transfer begins or
ends the rates are shared out anew; a transfer whose rate stays keeps its time of ending, so what is
left of it is worked out only when its rate changes. Arguments are named as in `streams.py`.
"""

from __future__ import annotations

from simulator.timing.compiled import compiled
from simulator.timing.sharing import share_out
from simulator.timing.state import (
    BEGUN,
    CAUSE,
    CAUSE_ROW,
    DMA_START,
    ENDED,
    FOREVER,
    NOTHING,
    Q_ACTIVE,
    Q_AT,
    Q_CORE,
    Q_FREE,
    Q_LEFT,
    Q_RATE,
    Q_ROW,
    Q_SHARED,
    Q_SINCE,
    Q_SLOT,
    Q_TRAFFIC,
    Q_WIDEST,
    READY,
    RESULT,
    ROW,
    SEMAPHORE,
    VISIBLE,
    WAIT,
)
from simulator.timing.streams import complete
from simulator.timing.tables import (
    DMA_COMPLETION,
    DMA_START_UP,
    KIND,
    TRAFFIC,
    TRANSFER,
    WIDEST,
    WORK,
    WRITER,
)


@compiled
def schedule(t, m, v, r, q, k):  # type: ignore[no-untyped-def]
    """Set when the data of queue `k`'s next row begin, if it is triggered and none are moving."""
    i = q[Q_ROW, k]
    if q[Q_ACTIVE, k] or q[Q_AT, k] != FOREVER or i == v[ROW, q[Q_SLOT, k]]:
        return
    moves = t[i, KIND] == TRANSFER
    begin, cause, cause_row = q[Q_FREE, k], NOTHING, -1
    asked = r[i, READY] + (m[DMA_START_UP] if moves else 0)
    if asked > begin:
        begin = asked
        if r[i, CAUSE] == SEMAPHORE:
            cause, cause_row = SEMAPHORE, r[i, CAUSE_ROW]
        elif moves:
            cause = DMA_START
    j = t[i, WRITER]
    if j >= 0 and r[j, VISIBLE] > begin:
        begin, cause, cause_row = r[j, VISIBLE], RESULT, j
    r[i, WAIT], r[i, CAUSE], r[i, CAUSE_ROW] = begin - q[Q_FREE, k], cause, cause_row
    q[Q_AT, k] = begin


@compiled
def move(t, c, d, m, v, r, q, room, now):  # type: ignore[no-untyped-def]
    """Begin and finish what is due now; share out again if anything did."""
    changed = False
    for k in range(q.shape[1]):
        while q[Q_AT, k] == now:
            i = q[Q_ROW, k]
            if not q[Q_ACTIVE, k]:
                r[i, BEGUN] = now
                if d[i, WORK] > 0:
                    begin(d, q, k, i, now)
                    changed = True
                    break
            else:
                q[Q_ACTIVE, k], q[Q_WIDEST, k], q[Q_TRAFFIC, k], q[Q_RATE, k] = 0, 0, 0, 0
                changed = True
            r[i, ENDED] = now
            seen = now + (m[DMA_COMPLETION] if t[i, KIND] == TRANSFER else 0)
            complete(t, c, m, v, r, q[Q_SLOT, k], i, seen)
            q[Q_ROW, k], q[Q_FREE, k], q[Q_AT, k] = i + 1, now, FOREVER
            schedule(t, m, v, r, q, k)
    if changed:
        reshare(m, q, room, now)


@compiled
def begin(d, q, k, i, now):  # type: ignore[no-untyped-def]
    """Row `i` of queue `k` starts to move; `reshare` gives it its rate and end."""
    q[Q_ACTIVE, k], q[Q_AT, k] = 1, FOREVER
    q[Q_LEFT, k], q[Q_SINCE, k], q[Q_RATE, k] = d[i, WORK], now, 0
    q[Q_WIDEST, k], q[Q_TRAFFIC, k] = d[i, WIDEST], d[i, TRAFFIC]


@compiled
def reshare(m, q, room, now):  # type: ignore[no-untyped-def]
    """New rates, and new times of ending where a rate changed."""
    share_out(m, q[Q_CORE], q[Q_WIDEST], q[Q_TRAFFIC], room, q[Q_SHARED])
    for k in range(q.shape[1]):
        rate = q[Q_SHARED, k]
        if q[Q_ACTIVE, k] and rate != q[Q_RATE, k]:
            q[Q_LEFT, k] -= q[Q_RATE, k] * (now - q[Q_SINCE, k])
            q[Q_SINCE, k], q[Q_RATE, k] = now, rate
            q[Q_AT, k] = now + (q[Q_LEFT, k] + rate - 1) // rate


@compiled
def next_move(q):  # type: ignore[no-untyped-def]
    """When data next begin or end."""
    at = FOREVER
    for k in range(q.shape[1]):
        at = min(at, q[Q_AT, k])
    return at
