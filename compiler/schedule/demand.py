"""Memory that the canonical order still demands at every point, so that going ahead stays safe.

A *curve* is one quadrant of one memory. `curve[c, p]` are the bytes a partition that are live at
unit p of the canonical order, counting also buffers that were taken ahead of it. If no curve passes
its capacity at or after the frontier, the rest can always be run in canonical order: so a buffer is
taken early only where that stays true.

Values stand in blocks: `blocks[0, c, k]` is the greatest of a block, `blocks[1, c, k]` what is
added to all of it besides. A query or an addition touches two partial blocks and whole ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from compiler.schedule.inner import inner

BLOCK = 128
QUADRANTS = 4
CURVES = 2 * QUADRANTS
"""SBUF's quadrants, then PSUM's."""


@njit(cache=True)
def base_curves(units, memory, q0, q1, size, first, last):  # type: ignore[no-untyped-def]
    """Bytes live at each unit, [CURVES, units]; a buffer lives from `first` through `last`."""
    curve = np.zeros((CURVES, units + 1), np.int64)
    for b in range(len(size)):
        if first[b] >= 0 and memory[b] >= 0:
            for q in range(q0[b], q1[b]):
                curve[memory[b] * QUADRANTS + q, first[b]] += size[b]
                curve[memory[b] * QUADRANTS + q, last[b] + 1] -= size[b]
    for c in range(CURVES):
        total = 0
        for p in range(units):
            total += curve[c, p]
            curve[c, p] = total
    return curve[:, :units].copy()


@njit(cache=True)
def blocks_of(curve: Any) -> Any:
    """The greatest value of each block, and nothing added yet. Shape [2, CURVES, blocks]."""
    units = curve.shape[1]
    peak = np.zeros((2, CURVES, -(-units // BLOCK)), np.int64)
    for c in range(CURVES):
        for p in range(units):
            peak[0, c, p // BLOCK] = max(peak[0, c, p // BLOCK], curve[c, p])
    return peak


@inner
def greatest(curve, blocks, c, begin, end):  # type: ignore[no-untyped-def]
    """The greatest value of a curve in [begin, end), at least 0."""
    most = 0
    p = begin
    while p < end:
        k = p // BLOCK
        if p % BLOCK == 0 and p + BLOCK <= end:
            most = max(most, blocks[0, c, k] + blocks[1, c, k])
            p += BLOCK
        else:
            stop = min(end, (k + 1) * BLOCK)
            for i in range(p, stop):
                most = max(most, curve[c, i] + blocks[1, c, k])
            p = stop
    return most


@inner
def add(curve, blocks, c, begin, end, amount):  # type: ignore[no-untyped-def]
    """Add to a curve over [begin, end)."""
    p = begin
    while p < end:
        k = p // BLOCK
        stop = min(end, (k + 1) * BLOCK)
        if p % BLOCK == 0 and stop == p + BLOCK:
            blocks[1, c, k] += amount
        else:
            for i in range(p, stop):
                curve[c, i] += amount
            most = curve[c, k * BLOCK]
            for i in range(k * BLOCK, min((k + 1) * BLOCK, curve.shape[1])):
                most = max(most, curve[c, i])
            blocks[0, c, k] = most
        p = stop
