"""Static memory allocation: addresses for boxes of partitions x bytes x time, none overlapping.

In    `Problem`: small arrays in the domain's words
Out   an address a box, or None when this solver finds none (there may still be one)
Read  `check_plan.py` for what a correct answer is; this file may be wrong, that one may not

A box takes bytes [address, address + size) of the quadrants [q0, q1) of 32 partitions during
[start, end). With q0 = 0, q1 = 1 throughout this is the plain two-dimensional problem. Solvers are
functions from Problem to addresses; `solve` tries them from quick to thorough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from compiler import memory
from compiler.memory.bounds import most_live

Ints = NDArray[np.int64]

MOST_STEPS, STEPS_TIMES_BOXES = 12_000, 8_000_000
"""Steps that the search may take, and steps times boxes: a tenth of a second at most."""

MOST_PAIRS = 100_000_000
"""Pairs of boxes that a solver which looks at all of them may look at."""


@dataclass(frozen=True)
class Problem:
    """Boxes to be placed in [0, capacity). All arrays int64 [n]."""

    start: Ints
    end: Ints
    size: Ints
    align: Ints
    q0: Ints
    q1: Ints
    capacity: int

    def __len__(self) -> int:
        return len(self.start)


Solver = Callable[[Problem], Ints | None]


def solve(problem: Problem) -> Ints | None:
    """Addresses of the boxes, int64 [n], by the first solver that finds any."""
    for solver in SOLVERS:
        found = solver(problem)
        if found is not None:
            return found
    return None


def first_fit(problem: Problem) -> Ints | None:
    """In order of time, the lowest gap that is large enough."""
    return _by_time(problem, two_ended=False, best=False)


def best_fit(problem: Problem) -> Ints | None:
    """In order of time, the smallest gap that is large enough."""
    return _by_time(problem, two_ended=False, best=True)


def two_ended(problem: Problem) -> Ints | None:
    """In order of time, long-lived boxes from the top, the others from the bottom."""
    return _by_time(problem, two_ended=True, best=False)


def largest_first(problem: Problem) -> Ints | None:
    """Boxes of the largest area first, each at the lowest address that those placed leave; a box
    that finds none goes to the front, and all is placed anew."""
    p, n = problem, len(problem)
    order = np.lexsort((p.start, -p.size * (p.end - p.start)))
    address = np.zeros(n, np.int64)
    attempts = min(MOST_PAIRS // max(1, n * n), 4 * n)
    fits = attempts > 0 and _promote(
        order, p.start, p.end, p.size, p.align, p.q0, p.q1, p.capacity, address, attempts
    )
    return address if fits else None


def fullest_first(problem: Problem) -> Ints | None:
    """Boxes of the fullest moments first, there the long-lived ones, each in its lowest gap."""
    p = problem
    if len(p) > memory.MOST_PAIRED:
        return None
    found = memory.fullest_first(memory.Problem(p.start, p.end, p.size, p.align, p.q0, p.q1))
    return found.offsets if found.height <= p.capacity else None


def searched(problem: Problem) -> Ints | None:
    """By search over canonical solutions (`compiler/memory`), for some thousand steps."""
    p = problem
    steps = min(MOST_STEPS, STEPS_TIMES_BOXES // max(1, len(p)))
    if steps < 2 * len(p):
        return None
    boxes = memory.Problem(p.start, p.end, p.size, p.align, p.q0, p.q1)
    found = memory.solve(boxes, p.capacity, budget=steps)
    return None if found is None else found.offsets


QUICK: tuple[Solver, ...] = (first_fit, two_ended, best_fit, largest_first, fullest_first)
SOLVERS: tuple[Solver, ...] = (*QUICK, searched)


def _by_time(p: Problem, *, two_ended: bool, best: bool) -> Ints | None:
    order = np.lexsort((-(p.size * (p.end - p.start)), p.start))
    life = p.end - p.start
    from_top = np.zeros(len(p), bool)
    if two_ended and len(p):
        from_top = life > 4 * np.median(life)
    address = np.zeros(len(p), np.int64)
    fits = _in_order(
        order, p.start, p.end, p.size, p.align, p.q0, p.q1, p.capacity, from_top, best, address
    )
    return address if fits else None


@njit(cache=True)
def _in_order(order, start, end, size, align, q0, q1, capacity, from_top, best, address):  # type: ignore[no-untyped-def]
    """Place boxes in order of start. The live ones are kept sorted by address."""
    live = np.empty(len(order) + 1, np.int64)
    count = 0
    for b in order:
        kept = 0
        for k in range(count):
            if end[live[k]] > start[b]:
                live[kept] = live[k]
                kept += 1
        count = kept
        at = _gap(live, count, b, size, align, q0, q1, capacity, from_top[b], best, address)
        if at < 0:
            return False
        address[b] = at
        k = count
        while k > 0 and address[live[k - 1]] > at:
            live[k] = live[k - 1]
            k -= 1
        live[k] = b
        count += 1
    return True


@njit(cache=True)
def _gap(live, count, b, size, align, q0, q1, capacity, top, best, address):  # type: ignore[no-untyped-def]
    """An address for box `b` among live ones (sorted by address), or -1."""
    found, least, low = -1, capacity + 1, 0
    for k in range(count + 1):
        high = capacity
        if k < count:
            a = live[k]
            if q0[a] >= q1[b] or q0[b] >= q1[a]:
                continue
            high = address[a]
        at = -(-low // align[b]) * align[b]
        if at + size[b] <= high:
            if top:
                found = (high - size[b]) // align[b] * align[b]
            elif not best:
                return at
            elif high - low < least:
                found, least = at, high - low
        if k < count:
            low = max(low, address[live[k]] + size[live[k]])
    return found


@njit(cache=True)
def _promote(order, start, end, size, align, q0, q1, capacity, address, attempts):  # type: ignore[no-untyped-def]
    """Place all boxes; whenever one finds no place, put it first and begin again."""
    for _ in range(attempts):
        k = _any_order(order, start, end, size, align, q0, q1, capacity, address)
        if k < 0:
            return True
        if k == 0:
            return False
        stuck = order[k]
        order[1 : k + 1] = order[:k].copy()
        order[0] = stuck
    return False


@njit(cache=True)
def _any_order(order, start, end, size, align, q0, q1, capacity, address):  # type: ignore[no-untyped-def]
    """Place boxes in the order given; returns the place of the first that finds none, or -1.

    Those placed are kept sorted by address, so that the lowest gap is met first.
    """
    placed = np.empty(len(order), np.int64)
    for k in range(len(order)):
        b, low, at = order[k], 0, 0
        wide, unit, since, until, p0, p1 = size[b], align[b], start[b], end[b], q0[b], q1[b]
        for a in placed[:k]:
            if start[a] < until and since < end[a] and q0[a] < p1 and p0 < q1[a]:
                if at + wide <= address[a]:
                    break
                if address[a] + size[a] > low:
                    low = address[a] + size[a]
                    at = -(-low // unit) * unit
        if at + wide > capacity:
            return k
        address[b] = at
        j = k
        while j > 0 and address[placed[j - 1]] > at:
            placed[j] = placed[j - 1]
            j -= 1
        placed[j] = b
    return -1


def peak(problem: Problem) -> int:
    """The most bytes that are live at once in any quadrant: no answer takes fewer."""
    return most_live(problem.start, problem.end, problem.size, problem.q0, problem.q1)


def used(problem: Problem, address: Any) -> int:
    """One past the highest byte that is taken."""
    return int((address + problem.size).max(initial=0))
