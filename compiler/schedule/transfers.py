"""DMA as the scheduler sees it: queues in order, engines and DRAM shared by what is under way.

The rules are those of the timing model: data begin `dma_start` after the trigger, or when the
queue's transfer in front has ended; equal shares of the engines, none more than a transfer has
descriptors for, what is left over to the others; DRAM's rate slows all by one factor.
"""

from __future__ import annotations

from typing import Any

from compiler.schedule.costs import LOAD
from compiler.schedule.inner import inner
from compiler.schedule.tables import (
    ACTIVE,
    AT,
    FOREVER,
    HEAD,
    LAST_TRIGGER,
    LEFT,
    NEXT,
    QUEUE,
    QUEUE_COUNT,
    QUEUE_FIRST,
    QUEUE_FREE,
    QUEUED,
    RATE,
    SINCE,
    START,
    TAIL,
    TRAFFIC,
    TRIGGER,
    WIDEST,
    WORK,
)
from isa.timing import WORK_SHIFT


@inner
def choose_queue(t: Any, m: Any, v: Any, lane: int) -> int:
    """The queue for the next transfer of a class.

    A queue that works keeps its start-up hidden and the order of use; another one is opened only
    while the transfers in front leave engines idle.
    """
    first, count = v.lane[lane, QUEUE_FIRST], v.lane[lane, QUEUE_COUNT]
    best, least, idle, width = -1, FOREVER, -1, 0
    for q in range(first, first + count):
        if v.queue[q, HEAD] < 0:
            if idle < 0:
                idle = q
            continue
        width += t.unit[v.queue[q, HEAD], WIDEST]
        work = v.queue[q, QUEUED] + v.queue[q, LEFT]
        if work < least:
            best, least = q, work
    if best < 0 or (idle >= 0 and (lane != LOAD or width < m.engines)):
        return idle
    return best


@inner
def enqueue(t: Any, m: Any, v: Any, u: int, q: int, now: int) -> None:
    """Trigger unit `u` on queue `q`."""
    v.unit[u, QUEUE] = q
    v.unit[u, TRIGGER] = max(now, v.queue[q, LAST_TRIGGER] + m.control)
    v.queue[q, LAST_TRIGGER] = v.unit[u, TRIGGER]
    v.queue[q, QUEUED] += t.unit[u, WORK]
    if v.queue[q, HEAD] < 0:
        v.queue[q, HEAD] = u
        v.queue[q, AT] = max(v.unit[u, TRIGGER] + m.dma_start, v.queue[q, QUEUE_FREE])
    else:
        v.unit[v.queue[q, TAIL], NEXT] = u
    v.queue[q, TAIL] = u


@inner
def begin(t: Any, v: Any, q: int, now: int) -> None:
    """The data of the queue's first transfer start to move."""
    u: int = v.queue[q, HEAD]
    v.queue[q, ACTIVE], v.queue[q, LEFT], v.queue[q, SINCE], v.queue[q, RATE] = (
        1,
        max(1, t.unit[u, WORK]),
        now,
        0,
    )
    v.queue[q, QUEUED] -= t.unit[u, WORK]
    v.unit[u, START] = now


@inner
def finish(t: Any, m: Any, v: Any, q: int, now: int) -> int:
    """The queue's first transfer has ended; returns its unit."""
    u: int = v.queue[q, HEAD]
    v.queue[q, ACTIVE], v.queue[q, RATE], v.queue[q, LEFT], v.queue[q, QUEUE_FREE] = 0, 0, 0, now
    v.queue[q, HEAD] = v.unit[u, NEXT]
    v.queue[q, AT] = FOREVER
    if v.queue[q, HEAD] >= 0:
        v.queue[q, AT] = max(v.unit[v.queue[q, HEAD], TRIGGER] + m.dma_start, now)
    else:
        v.queue[q, TAIL] = -1
    return u


@inner
def share(t: Any, m: Any, v: Any, now: int) -> None:
    """New rates for what is under way, and new times of ending."""
    queues = len(v.queue)
    rest, open_ones = m.engines, 0
    for q in range(queues):
        if v.queue[q, ACTIVE]:
            v.queue[q, LEFT] -= v.queue[q, RATE] * (now - v.queue[q, SINCE])
            v.queue[q, SINCE], v.queue[q, RATE] = now, -1
            open_ones += 1
    while open_ones > 0:
        level, met = rest // open_ones, 0
        for q in range(queues):
            if (
                v.queue[q, ACTIVE]
                and v.queue[q, RATE] < 0
                and t.unit[v.queue[q, HEAD], WIDEST] <= level
            ):
                v.queue[q, RATE] = t.unit[v.queue[q, HEAD], WIDEST]
                rest -= v.queue[q, RATE]
                met += 1
        open_ones -= met
        if met == 0:
            for q in range(queues):
                if v.queue[q, ACTIVE] and v.queue[q, RATE] < 0:
                    v.queue[q, RATE] = level
            break
    total = 0
    for q in range(queues):
        if v.queue[q, ACTIVE]:
            total += (v.queue[q, RATE] * t.unit[v.queue[q, HEAD], TRAFFIC]) >> WORK_SHIFT
    for q in range(queues):
        if v.queue[q, ACTIVE]:
            if total > m.dram and t.unit[v.queue[q, HEAD], TRAFFIC] > 0:
                v.queue[q, RATE] = (
                    v.queue[q, RATE] * ((m.dram << WORK_SHIFT) // total) >> WORK_SHIFT
                )
            v.queue[q, RATE] = max(1, v.queue[q, RATE])
            v.queue[q, AT] = now + max(1, -(-v.queue[q, LEFT] // v.queue[q, RATE]))


@inner
def work_ahead(m: Any, v: Any, lane: int, now: int) -> int:
    """Engine time that the transfers of a class still need."""
    total: int = 0
    first, count = v.lane[lane, QUEUE_FIRST], v.lane[lane, QUEUE_COUNT]
    for q in range(first, first + count):
        total += (
            v.queue[q, QUEUED] + v.queue[q, LEFT] - v.queue[q, RATE] * (now - v.queue[q, SINCE])
        )
    return total
