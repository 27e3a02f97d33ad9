"""The list scheduler: at every moment each idle engine takes the ready unit that comes first.

In    units in canonical order, costs, buffers, limits (`tables.py`)
Out   `State`: units in the order in which they start, with queues, times and lives of buffers;
      False when it stands still (the canonical order itself does not fit)

"First" is canonical order within a window; ACT passes over a unit that would switch its table while
another waits with the table that is loaded. A unit is issued only when the buffers that it takes
fit now, and, if it is ahead of the frontier (the first unit of the canonical order that has not
been issued), when they leave room for all that the canonical order needs up to their own turn
there. So the frontier can always go on, and the scheduler never locks up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from compiler.schedule.admission import release, reserve, undo
from compiler.schedule.costs import CLASSES, LOAD
from compiler.schedule.engines import TENSOR, give_back, mark, run_compute, start_of, tell
from compiler.schedule.heaps import pop, push
from compiler.schedule.inner import inner
from compiler.schedule.tables import (
    ACTIVE,
    AT,
    CHAINED,
    COUNT,
    ENGINE_FREE,
    FIRST,
    FOLLOWS,
    FOREVER,
    FRONTIER,
    HEAD,
    LANE,
    LATENCY,
    LOCK,
    NEXT_LATE,
    NEXT_LOADED,
    NEXT_PE,
    PENDING,
    READY,
    READY_UNITS,
    SOURCELESS,
    START,
    TO_FREE,
    TRIED,
    VERSION,
    WAITS,
)
from compiler.schedule.transfers import begin, choose_queue, enqueue, finish, share, work_ahead
from isa.memory import FIRST_QUEUE


@inner
def pick(t: Any, m: Any, v: Any, lane: int, now: int) -> int:
    """The ready unit that the engine takes now, its buffers taken; -1 for none."""
    heap, looked = v.heap[lane], 0
    f = v.misc[FRONTIER]
    best, soonest = -1, FOREVER
    while v.lane[lane, READY_UNITS] > 0 and looked < m.look:
        u = heap[0]
        if u > f + m.window and lane < FIRST_QUEUE:
            break
        v.lane[lane, READY_UNITS] = pop(heap, heap, v.lane[lane, READY_UNITS])
        v.seen[looked] = u
        looked += 1
        if t.unit[u, CHAINED] and u != v.misc[NEXT_PE]:
            continue
        start = start_of(t, m, v, u, now) if lane < FIRST_QUEUE else now
        if start < soonest:
            if best >= 0:
                undo(t, v, best)
            if reserve(t, m, v, u):
                best, soonest = u, start
                if start == now or now - v.unit[u, READY] > m.patience:
                    break
            elif best >= 0:
                reserve(t, m, v, best)
        if lane == LOAD:
            break
    for k in range(looked):
        if v.seen[k] != best:
            v.lane[lane, READY_UNITS] = push(
                heap, heap, v.lane[lane, READY_UNITS], v.seen[k], v.seen[k]
            )
    return best


@inner
def admit_late(t: Any, m: Any, v: Any) -> None:
    """Units that read nothing become ready when the frontier comes near."""
    _admit(t, v, NEXT_LATE, m.late, 1)
    _admit(t, v, NEXT_LOADED, m.late_loaded, 2)


@inner
def _admit(t: Any, v: Any, place: int, ahead: int, kind: int) -> None:
    end = min(len(v.unit), v.misc[FRONTIER] + ahead)
    while v.misc[place] < end:
        u = v.misc[place]
        v.misc[place] += 1
        if t.unit[u, SOURCELESS] == kind and not t.unit[u, FOLLOWS]:
            lane = t.unit[u, LANE]
            v.lane[lane, READY_UNITS] = push(
                v.heap[lane], v.heap[lane], v.lane[lane, READY_UNITS], u, u
            )
            v.lane[lane, TRIED] = -1


@inner
def issue_compute(t: Any, m: Any, v: Any, lane: int, now: int) -> bool:
    """Let an idle sequencer take a unit. Returns whether it did."""
    u = -1
    if lane == TENSOR and v.misc[LOCK] >= 0:
        u = v.misc[LOCK]
        if v.unit[u, WAITS] > 0 or v.unit[u, READY] > now or not reserve(t, m, v, u):
            return False
    else:
        if v.lane[lane, READY_UNITS] > 0:
            u = pick(t, m, v, lane, now)
        if u < 0:
            v.lane[lane, TRIED] = v.misc[VERSION]
            return False
    run_compute(t, m, v, u, now)
    return True


@inner
def issue_transfer(t: Any, m: Any, v: Any, lane: int, now: int) -> bool:
    """Trigger a ready transfer. Returns whether there was one."""
    if lane == LOAD and work_ahead(m, v, lane, now) >= m.horizon * m.engines:
        return False
    u = pick(t, m, v, lane, now)
    if u < 0:
        v.lane[lane, TRIED] = v.misc[VERSION]
        return False
    mark(t, v, u)
    enqueue(t, m, v, u, choose_queue(t, m, v, lane), now)
    return True


@inner
def settle(t: Any, m: Any, v: Any, now: int) -> None:
    """All that happens of itself by `now`: data move, buffers are freed, units become ready."""
    changed = False
    for q in range(len(v.queue)):
        while v.queue[q, AT] <= now:
            changed = True
            if not v.queue[q, ACTIVE]:
                begin(t, v, q, now)
                v.queue[q, AT] = FOREVER
                break
            u = finish(t, m, v, q, now)
            i = t.member[t.unit[u, FIRST]]
            tell(t, m, v, i, v.unit[u, START], now + t.instruction[i, LATENCY])
            give_back(t, m, v, u, now + t.instruction[i, LATENCY])
    if changed:
        share(t, m, v, now)
    while v.misc[TO_FREE] > 0 and v.free[0, 0] <= now:
        b = v.free[1, 0]
        v.misc[TO_FREE] = pop(v.free[0], v.free[1], v.misc[TO_FREE])
        release(t, v, b)
    while v.misc[PENDING] > 0 and v.pending[0, 0] <= now:
        u = v.pending[1, 0]
        v.misc[PENDING] = pop(v.pending[0], v.pending[1], v.misc[PENDING])
        lane = t.unit[u, LANE]
        v.lane[lane, READY_UNITS] = push(
            v.heap[lane], v.heap[lane], v.lane[lane, READY_UNITS], u, u
        )
        v.lane[lane, TRIED] = -1


@inner
def next_time(t: Any, m: Any, v: Any, now: int) -> int:
    """The next moment at which anything can change."""
    time = FOREVER
    if v.misc[PENDING] > 0:
        time = min(time, v.pending[0, 0])
    if v.misc[TO_FREE] > 0:
        time = min(time, v.free[0, 0])
    for q in range(len(v.queue)):
        time = min(time, v.queue[q, AT])
    for lane in range(FIRST_QUEUE):
        if v.lane[lane, ENGINE_FREE] > now:
            time = min(time, v.lane[lane, ENGINE_FREE])
    lock = v.misc[LOCK]
    if lock >= 0 and v.unit[lock, WAITS] == 0 and v.unit[lock, READY] > now:
        time = min(time, v.unit[lock, READY])
    if v.lane[LOAD, READY_UNITS] > 0 and v.lane[LOAD, TRIED] != v.misc[VERSION]:
        over = work_ahead(m, v, LOAD, now) - m.horizon * m.engines
        if over >= 0:
            time = min(time, now + 1 + over // m.engines)
    return time


@inner
def quiet(v: Any) -> bool:
    """Whether no transfer is under way or triggered."""
    working = 0
    for q in range(len(v.queue)):
        working += v.queue[q, HEAD] >= 0
    return working == 0


@njit(cache=True)
def run(t: Any, m: Any, v: Any) -> bool:
    """Schedule everything. Returns whether it went through."""
    units = len(v.unit)
    for u in range(units):
        if v.unit[u, WAITS] == 0 and not t.unit[u, FOLLOWS] and not t.unit[u, SOURCELESS]:
            v.misc[PENDING] = push(v.pending[0], v.pending[1], v.misc[PENDING], 0, u)
    while v.misc[NEXT_PE] < units and t.unit[v.misc[NEXT_PE], LANE] != TENSOR:
        v.misc[NEXT_PE] += 1
    now = np.int64(0)  # a literal would compile every function that takes it twice
    while True:
        settle(t, m, v, now)
        again = True
        while again:
            again = False
            admit_late(t, m, v)
            for lane in range(CLASSES):
                if v.lane[lane, TRIED] == v.misc[VERSION]:
                    continue
                if lane < FIRST_QUEUE:
                    if v.lane[lane, ENGINE_FREE] <= now:
                        again |= issue_compute(t, m, v, lane, now)
                elif v.lane[lane, READY_UNITS] > 0:
                    again |= issue_transfer(t, m, v, lane, now)
        if v.misc[COUNT] == units and v.misc[TO_FREE] == 0 and quiet(v):
            return True
        now = next_time(t, m, v, now)
        if now == FOREVER:
            return bool(v.misc[COUNT] == units)
