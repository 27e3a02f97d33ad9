"""Which buffers may be taken now: what fits, and what leaves the frontier able to go on.

Read  `demand.py` for the guard, `list_scheduler.py` for who asks
"""

from __future__ import annotations

from typing import Any

from compiler.schedule.costs import LOAD
from compiler.schedule.demand import QUADRANTS, add, greatest
from compiler.schedule.inner import inner
from compiler.schedule.tables import (
    BUFFER,
    BUFFER_END,
    CAPACITY,
    COUNT,
    EARLY,
    FIRST_USE,
    FRONTIER,
    LANE,
    LAST_USE,
    MEMORY,
    PREFETCH,
    Q0,
    Q1,
    RELEASED,
    SIZE,
    TAKEN,
    VERSION,
)


@inner
def release(t: Any, v: Any, b: int) -> None:
    """The bytes of a buffer are free again."""
    v.buffer[b, RELEASED] = v.misc[COUNT]
    ahead = t.buffer[b, LAST_USE] >= v.misc[FRONTIER]
    for q in range(t.buffer[b, Q0], t.buffer[b, Q1]):
        c = t.buffer[b, MEMORY] * QUADRANTS + q
        v.live[c] -= t.buffer[b, SIZE]
        if ahead:
            add(v.curve, v.blocks, c, 0, t.buffer[b, LAST_USE] + 1, -t.buffer[b, SIZE])
    v.misc[VERSION] += 1


@inner
def reserve(t: Any, m: Any, v: Any, u: int) -> bool:
    """Whether the buffers that the unit takes fit, now and until their turn; they are taken."""
    f = v.misc[FRONTIER]
    done = t.unit[u, BUFFER]
    fits = True
    while fits and done < t.unit[u, BUFFER_END]:
        b = t.of_unit[done]
        if v.buffer[b, TAKEN] < 0:
            fits = fits_now(t, m, v, u, b, f)
            if fits:
                take(t, v, b, f, 1)
        done += 1
    if not fits:
        for k in range(t.unit[u, BUFFER], done - 1):
            if v.buffer[t.of_unit[k], TAKEN] == v.misc[COUNT]:
                take(t, v, t.of_unit[k], f, -1)
    return fits


@inner
def fits_now(t: Any, m: Any, v: Any, u: int, b: int, f: int) -> bool:
    """Whether buffer `b` fits for unit `u`."""
    memory = t.buffer[b, MEMORY]
    limit = t.limit[EARLY, memory]
    if t.unit[u, LANE] == LOAD and u - f > m.near:
        limit = t.limit[PREFETCH, memory]
    for q in range(t.buffer[b, Q0], t.buffer[b, Q1]):
        c = memory * QUADRANTS + q
        if v.live[c] + t.buffer[b, SIZE] > t.limit[CAPACITY, memory]:
            return False
        if u != f and v.live[c] + t.buffer[b, SIZE] > limit:
            return False
        if t.buffer[b, FIRST_USE] > f:
            most = greatest(v.curve, v.blocks, c, f, t.buffer[b, FIRST_USE])
            if most + t.buffer[b, SIZE] > limit:
                return False
    return True


@inner
def take(t: Any, v: Any, b: int, f: int, sign: int) -> None:
    """Take a buffer (sign 1), or undo that (-1)."""
    v.buffer[b, TAKEN] = v.misc[COUNT] if sign > 0 else -1
    for q in range(t.buffer[b, Q0], t.buffer[b, Q1]):
        c = t.buffer[b, MEMORY] * QUADRANTS + q
        v.live[c] += sign * t.buffer[b, SIZE]
        if t.buffer[b, FIRST_USE] > f:
            add(v.curve, v.blocks, c, 0, t.buffer[b, FIRST_USE], sign * t.buffer[b, SIZE])


@inner
def undo(t: Any, v: Any, u: int) -> None:
    """Give back what `reserve` has just taken for a unit that is not issued after all."""
    for k in range(t.unit[u, BUFFER], t.unit[u, BUFFER_END]):
        if v.buffer[t.of_unit[k], TAKEN] == v.misc[COUNT]:
            take(t, v, t.of_unit[k], v.misc[FRONTIER], -1)
