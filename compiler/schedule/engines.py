"""Issuing a unit of a sequencer: when it starts and ends, who hears of it, what it gives back.

Read  `list_scheduler.py` for who is chosen, `docs/timing.md` for the rules of time
"""

from __future__ import annotations

from typing import Any

from compiler.schedule.costs import PSUM_PORT, SBUF_PORT
from compiler.schedule.heaps import push
from compiler.schedule.inner import inner
from compiler.schedule.tables import (
    BUFFER,
    BUFFER_END,
    CHAINED,
    COST,
    COUNT,
    EDGE,
    EDGE_END,
    END,
    ENGINE_FREE,
    FIRST,
    FOLLOWS,
    FRONTIER,
    ISSUED,
    LANE,
    LAST,
    LAST_START,
    LATENCY,
    LATEST,
    LOADS,
    LOCK,
    NEXT_PE,
    NTH,
    OCCUPANCY,
    PENDING,
    PORT,
    PSUM_UNTIL,
    READY,
    SBUF_UNTIL,
    START,
    TABLE,
    TABLE_SET,
    TO,
    TO_FREE,
    TO_LOAD,
    USES,
    VERSION,
    WAITS,
    WEIGHTS_IN,
    WEIGHTS_READY,
)
from compiler.schedule.units import IN_QUEUE, ORDER, RESULT
from isa.memory import Engine

TENSOR, SCALAR, VECTOR, GPSIMD = (
    int(e) for e in (Engine.TENSOR, Engine.SCALAR, Engine.VECTOR, Engine.GPSIMD)
)


@inner
def arrive(t: Any, v: Any, u: int, time: int) -> None:
    """One of the unit's edges is met at `time`."""
    v.unit[u, READY] = max(v.unit[u, READY], time)
    v.unit[u, WAITS] -= 1
    if v.unit[u, WAITS] == 0 and not t.unit[u, FOLLOWS]:
        v.misc[PENDING] = push(v.pending[0], v.pending[1], v.misc[PENDING], v.unit[u, READY], u)


@inner
def tell(t: Any, m: Any, v: Any, i: int, start: int, visible: int) -> None:
    """Instruction `i` has its times: its successors hear of it."""
    for e in range(t.instruction[i, EDGE], t.instruction[i, EDGE_END]):
        cost = t.edge[e, COST]
        if cost == IN_QUEUE:
            continue
        time = visible + m.semaphore
        if cost == ORDER:
            time = start
        elif cost == RESULT:
            time = visible
        if t.edge[e, TO_LOAD]:
            u = t.edge[e, TO]
            v.unit[u, WEIGHTS_READY] = max(v.unit[u, WEIGHTS_READY], time)
        arrive(t, v, t.edge[e, TO], time)
    v.misc[LATEST] = max(v.misc[LATEST], visible)


@inner
def give_back(t: Any, m: Any, v: Any, u: int, visible: int) -> None:
    """The unit's buffers have one use less; those without any are freed when it has ended."""
    for k in range(t.unit[u, BUFFER], t.unit[u, BUFFER_END]):
        b = t.of_unit[k]
        v.buffer[b, END] = max(v.buffer[b, END], visible + m.semaphore)
        v.buffer[b, USES] -= 1
        if v.buffer[b, USES] == 0:
            v.misc[TO_FREE] = push(v.free[0], v.free[1], v.misc[TO_FREE], v.buffer[b, END], b)


@inner
def mark(t: Any, v: Any, u: int) -> None:
    """The unit is issued: it stands next in the order; the frontier moves on."""
    v.unit[v.misc[COUNT], NTH] = u
    v.misc[COUNT] += 1
    v.unit[u, ISSUED] = True
    f = v.misc[FRONTIER]
    if u == f:
        while f < len(v.unit) and v.unit[f, ISSUED]:
            f += 1
        v.misc[FRONTIER] = f
        v.misc[VERSION] += 1
    if t.unit[u, LANE] == TENSOR:
        nxt = v.misc[NEXT_PE]
        while nxt < len(v.unit) and (t.unit[nxt, LANE] != TENSOR or v.unit[nxt, ISSUED]):
            nxt += 1
        v.misc[NEXT_PE] = nxt
        v.misc[LOCK] = (
            nxt if nxt < len(v.unit) and t.unit[u, CHAINED] and t.unit[nxt, FOLLOWS] else -1
        )
        v.misc[VERSION] += 1


@inner
def start_of(t: Any, m: Any, v: Any, u: int, now: int) -> int:
    """When a compute unit would start if it were taken now."""
    lane, time = t.unit[u, LANE], now
    if t.unit[u, TABLE_SET] != 0 and t.unit[u, TABLE_SET] != v.misc[TABLE]:
        time = max(time, v.lane[lane, ENGINE_FREE] + m.table_load)
    if t.unit[u, PORT] & PSUM_PORT:
        time = max(time, v.lane[SCALAR + VECTOR - lane, PSUM_UNTIL])
    if t.unit[u, PORT] & SBUF_PORT:
        time = max(time, v.lane[VECTOR + GPSIMD - lane, SBUF_UNTIL])
    return time


@inner
def run_compute(t: Any, m: Any, v: Any, u: int, now: int) -> None:
    """Issue a unit of a sequencer and work out its times."""
    lane = t.unit[u, LANE]
    time = start_of(t, m, v, u, now)
    v.unit[u, START] = time
    mark(t, v, u)
    visible = time
    for k in range(t.unit[u, FIRST], t.unit[u, LAST]):
        i = t.member[k]
        if t.instruction[i, LOADS]:
            loaded = (
                max(v.misc[WEIGHTS_IN], v.misc[LAST_START], v.unit[u, WEIGHTS_READY])
                + t.instruction[i, OCCUPANCY]
            )
            v.misc[WEIGHTS_IN] = loaded
            tell(t, m, v, i, time, loaded)
            continue
        if lane == TENSOR:
            time = max(time, v.misc[WEIGHTS_IN])
            v.misc[LAST_START] = time
        end = time + t.instruction[i, OCCUPANCY]
        visible = end + t.instruction[i, LATENCY]
        tell(t, m, v, i, time, visible)
        time = end
    v.lane[lane, ENGINE_FREE] = time
    if t.unit[u, PORT] & PSUM_PORT:
        v.lane[lane, PSUM_UNTIL] = time
    if t.unit[u, PORT] & SBUF_PORT:
        v.lane[lane, SBUF_UNTIL] = time
    if t.unit[u, TABLE_SET] != 0:
        v.misc[TABLE] = t.unit[u, TABLE_SET]
    give_back(t, m, v, u, visible)
