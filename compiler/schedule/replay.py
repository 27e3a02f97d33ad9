"""Replay a schedule with the places that its buffers got: the time that it really takes.

The list scheduler holds a unit back while too few bytes are free, or while going ahead could use up
what others will need. A program knows nothing of that: it waits for the very bytes that it takes,
until those that had them are done. So once places are known, the same units in the same order on
the same queues are timed again, by the same rules of time, with waits for places instead.

In    a finished `State`, an address a buffer
Out   another `State` with the times of the replay
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from compiler.schedule.demand import QUADRANTS
from compiler.schedule.engines import TENSOR, arrive, mark, run_compute
from compiler.schedule.inner import inner
from compiler.schedule.list_scheduler import next_time, quiet, settle
from compiler.schedule.tables import (
    BUFFER,
    BUFFER_END,
    COST,
    COUNT,
    EDGE,
    EDGE_END,
    END,
    ENGINE_FREE,
    FIRST,
    FOREVER,
    LANE,
    LAST,
    MEMORY,
    NEXT_PE,
    NTH,
    Q0,
    Q1,
    QUEUE,
    READY,
    SIZE,
    TAKEN,
    TO,
    TO_FREE,
    USES,
    WAITS,
    Ints,
    Machine,
    State,
    Tables,
)
from compiler.schedule.transfers import enqueue
from compiler.schedule.units import IN_QUEUE
from isa.memory import FIRST_QUEUE

GRANULE = 64
"""Bytes that no two buffers share: every address is a multiple of it."""

NO_LIMIT = 1 << 30


def replay(
    tables: Tables, machine: Machine, fresh: State, done: State, address: Ints
) -> State | None:
    """Time the schedule `done` again, from the `fresh` state; None if it stands still."""
    used = np.flatnonzero(done.buffer[:, TAKEN] >= 0)
    used = used[np.argsort(done.buffer[used, TAKEN], kind="stable")].astype(np.int64)
    start, before = _conflicts(tables.buffer, address, used)
    weightless = tables.buffer.copy()
    weightless[:, SIZE] = 0
    edge = _within_queues(tables, done.unit[:, QUEUE])
    bare = tables._replace(buffer=weightless, edge=edge)
    order = done.unit[: done.misc[COUNT], NTH]
    lane, queue = tables.unit[order, LANE], done.unit[order, QUEUE]
    track = np.where(lane < FIRST_QUEUE, lane, FIRST_QUEUE + queue)
    tracks = FIRST_QUEUE + len(fresh.queue)
    sequence = order[np.argsort(track, kind="stable")].astype(np.int64)
    first = np.searchsorted(np.sort(track), np.arange(tracks + 1)).astype(np.int64)
    free = machine._replace(horizon=NO_LIMIT, late=NO_LIMIT, late_loaded=NO_LIMIT)
    went = _replay(bare, free, fresh, sequence, first, start, before)
    return fresh if went else None


def _within_queues(tables: Tables, queue: Ints) -> Ints:
    """The edges, those between transfers that share a queue marked: it keeps their order."""
    count = tables.instruction[:, EDGE_END] - tables.instruction[:, EDGE]
    unit = np.empty(len(count), np.int64)
    unit[tables.member] = np.repeat(
        np.arange(len(tables.unit)), tables.unit[:, LAST] - tables.unit[:, FIRST]
    )
    edge, target = tables.edge.copy(), tables.edge[:, TO]
    source = np.repeat(unit, count)
    edge[(queue[source] >= 0) & (queue[source] == queue[target]), COST] = IN_QUEUE
    return edge


@njit(cache=True)
def _conflicts(buffer, address, used):  # type: ignore[no-untyped-def]
    """For each buffer those that had its bytes last, CSR. `used` is by time of taking.

    Whoever had them before those was done when those took them.
    """
    cells = 0
    for b in used:
        cells = max(cells, -(-(address[b] + buffer[b, SIZE]) // GRANULE))
    start = np.zeros(len(buffer) + 1, np.int64)
    before = np.empty(0, np.int64)
    for fill in range(2):
        owner = np.full((2, QUADRANTS, cells), -1, np.int64)
        seen = np.full(len(buffer), -1, np.int64)
        if fill:
            before = np.empty(start.sum(), np.int64)
            begin = 0
            for b in range(len(start)):
                here = start[b]
                start[b] = begin
                begin += here
        for b in used:
            count = 0
            first, last = address[b] // GRANULE, -(-(address[b] + buffer[b, SIZE]) // GRANULE)
            for q in range(buffer[b, Q0], buffer[b, Q1]):
                line = owner[buffer[b, MEMORY], q]
                for cell in range(first, last):
                    a = line[cell]
                    if a >= 0 and seen[a] != b:
                        seen[a] = b
                        if fill:
                            before[start[b] + count] = a
                        count += 1
                    line[cell] = b
            if not fill:
                start[b] = count
    return start, before


@inner
def places_free(t: Any, v: Any, u: int, now: int, seen: Any, start: Any, before: Any) -> bool:
    """Whether those that had the bytes of the unit's buffers are done; `seen` remembers who is."""
    for k in range(t.unit[u, BUFFER], t.unit[u, BUFFER_END]):
        b = t.of_unit[k]
        while seen[b] < start[b + 1] - start[b]:
            a = before[start[b] + seen[b]]
            if v.buffer[a, USES] > 0 or v.buffer[a, END] > now:
                return False
            seen[b] += 1
    return True


@inner
def tell_queue(t: Any, v: Any, u: int, now: int) -> None:
    """Transfers that follow in the same queue hear of a trigger."""
    i = t.member[t.unit[u, FIRST]]
    for e in range(t.instruction[i, EDGE], t.instruction[i, EDGE_END]):
        if t.edge[e, COST] == IN_QUEUE:
            arrive(t, v, t.edge[e, TO], now)


@njit(cache=True)
def _replay(t, m, v, sequence, first, start, before):  # type: ignore[no-untyped-def]
    """Every track (an engine, a queue) runs its units in order, each as soon as it can."""
    units, tracks = len(v.unit), len(first) - 1
    seen = np.zeros(len(start), np.int64)
    at = first[:tracks].copy()
    while v.misc[NEXT_PE] < units and t.unit[v.misc[NEXT_PE], LANE] != TENSOR:
        v.misc[NEXT_PE] += 1
    now = np.int64(0)
    while True:
        settle(t, m, v, now)
        again = True
        while again:
            again = False
            for k in range(tracks):
                while at[k] < first[k + 1]:
                    u = sequence[at[k]]
                    if v.unit[u, WAITS] > 0 or v.unit[u, READY] > now:
                        break
                    if k < FIRST_QUEUE and v.lane[k, ENGINE_FREE] > now:
                        break
                    if not places_free(t, v, u, now, seen, start, before):
                        break
                    if k < FIRST_QUEUE:
                        run_compute(t, m, v, u, now)
                    else:
                        mark(t, v, u)
                        enqueue(t, m, v, u, k - FIRST_QUEUE, now)
                        tell_queue(t, v, u, now)
                    at[k] += 1
                    again = True
        if v.misc[COUNT] == units and v.misc[TO_FREE] == 0 and quiet(v):
            return True
        now = next_time(t, m, v, now)
        if now == FOREVER:
            return bool(v.misc[COUNT] == units)
