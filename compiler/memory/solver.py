"""Find offsets: quick orders first, then search, restarted with what its failures taught.

In    a `Problem`, a capacity or the wish for the least
Out   `Solution`, or None: none found within the budget
Read  `greedy.py` for the fast tier, `search.py` for the exact one, `checker.py` for what is correct

Parts of the problem that share no moment are searched one by one. A search is cut off after a few
steps and begun again in another order, for its time is heavy-tailed (Gomes, Selman and Kautz,
"Boosting Combinatorial Search Through Randomization", AAAI 1998), with the cut-offs of Luby,
Sinclair and Zuckerman ("Optimal Speedup of Las Vegas Algorithms", 1993). Budgets count steps, never
seconds: the same problem has the same answer everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from compiler.memory.bounds import fullness, lower_bound, parts, sections
from compiler.memory.greedy import first_fit, in_time, lowest_floor
from compiler.memory.orders import Traits, mixed, plain, random_words, traits
from compiler.memory.problem import Ints, Problem, Solution
from compiler.memory.search import search
from compiler.memory.state import (
    NONE,
    SOLVED,
    UNDECIDED,
    Boxes,
    fingerprint_table,
    meetings,
    work_for,
)

BUDGET = 1_000_000
"""Steps a call may take; a step is some microseconds."""

CUT_OFF = 1_000
"""Steps of the shortest search; none is shorter than its boxes and a quarter."""

MOST_SEARCHED = 4096
"""Boxes of the largest part that is searched: the search keeps pairs of boxes."""

MOST_PAIRED = 20_000
"""Boxes of the largest problem whose greedy orders look at all pairs."""

MOST_LIVE = 1000
"""Boxes live in a section, on average, beyond which lowest floors take too many looks."""

LOOKS = 40
"""Looks at the skyline a box, before the greedy tier gives up on lowest floors."""


def solve(p: Problem, capacity: int, *, budget: int = BUDGET) -> Solution | None:
    """Offsets below `capacity`, or None: there are none, or none were found within the budget."""
    bound = lower_bound(p)
    if bound > capacity:
        return None
    view = _view(p)
    offsets, height = _greedy(view, capacity)
    if height <= capacity:
        return Solution(offsets, height, bound, "greedy", 0)
    verdict, offsets, steps = _search_parts(view, capacity, budget)
    if verdict != SOLVED:
        return None
    return Solution(offsets, int((offsets + p.size).max(initial=0)), bound, "search", steps)


def minimise(p: Problem, *, tolerance: float = 0.0, budget: int = BUDGET) -> Solution:
    """The lowest solution found within the budget.

    Args:
        tolerance: a height of (1 + tolerance) times the lower bound is low enough.
    """
    view, bound = _view(p), lower_bound(p)
    goal = max(bound, int(bound * (1.0 + tolerance)))
    offsets, height = _greedy(view, goal)
    best = Solution(offsets, height, bound, "greedy", 0)
    steps, low, target = 0, goal, goal
    while best.height > low and steps < budget:
        share = max(2 * len(p), (budget - steps) // 2) if target == goal else (budget - steps) // 4
        verdict, offsets, taken = _search_parts(view, target, min(share, budget - steps))
        steps += taken
        if verdict == SOLVED:
            height = int((offsets + p.size).max(initial=0))
            best = Solution(offsets, height, bound, "search", steps)
        else:
            low = target + 1
        target = (low + best.height) // 2
        if taken == 0:
            break
    return Solution(best.offsets, best.height, bound, best.method, steps)


def fullest_first(p: Problem) -> Solution:
    """Boxes by the fullness of their fullest moment, then by life, each in its lowest gap."""
    view, offsets = _view(p), np.zeros(len(p), np.int64)
    order = plain(view.traits)[0]
    columns = (p.lower, p.upper, p.size, p.align, p.q0, p.q1)
    height = int(first_fit(order, *columns, offsets)) if len(p) else 0
    return Solution(offsets, height, lower_bound(p), "greedy", 0)


@dataclass(frozen=True)
class _View:
    """A problem with what is worked out once."""

    problem: Problem
    first: Ints
    last: Ints
    count: int
    traits: Traits


def _view(p: Problem) -> _View:
    first, last, count = sections(p)
    return _View(p, first, last, count, traits(p, first, last, fullness(p, first, last, count)))


def _greedy(v: _View, goal: int) -> tuple[Ints, int]:
    """The best of the greedy orders, or the first that is no higher than `goal`."""
    best, least = np.zeros(len(v.problem), np.int64), 0
    for offsets, height in _greedy_tries(v):
        if least == 0 or height < least:
            best, least = offsets, height
        if least <= goal:
            break
    return best, least


def _greedy_tries(v: _View) -> Iterator[tuple[Ints, int]]:
    p, n = v.problem, len(v.problem)
    if not n:
        return
    columns = (p.lower, p.upper, p.size, p.align, p.q0, p.q1)
    orders = plain(v.traits)
    crowded = int((v.last - v.first).sum()) > MOST_LIVE * v.count
    for order in () if crowded else orders[:3]:
        rank, offsets = np.empty(n, np.int64), np.empty(n, np.int64)
        rank[order] = np.arange(n)
        boxes = (p.size, p.align, p.q0, p.q1, offsets)
        height = int(lowest_floor(rank, v.first, v.last, v.count, *boxes, LOOKS * n))
        if height < 0:
            break
        yield offsets, height
    for order in orders if n <= MOST_PAIRED else ():
        offsets = np.empty(n, np.int64)
        yield offsets, int(first_fit(order, *columns, offsets))
    offsets = np.empty(n, np.int64)
    order = np.lexsort((-p.size * (p.upper - p.lower), p.lower)).astype(np.int64)
    yield offsets, int(in_time(order, *columns, offsets))


def _search_parts(v: _View, capacity: int, budget: int) -> tuple[int, Ints, int]:
    """Offsets by search, part by part: the verdict, the offsets, the steps."""
    offsets = np.zeros(len(v.problem), np.int64)
    steps = 0
    for boxes in parts(v.first, v.last, v.count):
        if len(boxes) > MOST_SEARCHED:
            return UNDECIDED, offsets, steps
        part = _Part(v, boxes)
        verdict, taken = part.run(capacity, budget - steps)
        steps += taken
        offsets[boxes] = part.offsets
        if verdict != SOLVED:
            return verdict, offsets, steps
    return SOLVED, offsets, steps


@dataclass
class _Part:
    """A part of a problem under search: what it is, and what its failures taught."""

    view: _View
    boxes: Ints
    offsets: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.offsets = np.zeros(len(self.boxes), np.int64)
        first = self.view.first[self.boxes]
        self._first = first - first.min()
        self._last = self.view.last[self.boxes] - first.min()
        p = self.view.problem
        self._columns = [c[self.boxes] for c in (p.q0, p.q1, p.size, p.align)]
        self._cells(int(self._columns[1].max()))
        self._key = random_words(0, 2 * len(self.boxes)).view(np.int64).reshape(2, -1)

    def _cells(self, quadrants: int) -> None:
        """The boxes of each section and quadrant, and the bytes they take there."""
        q0, q1, size, _ = self._columns
        counts = (self._last - self._first) * (q1 - q0)
        box = np.repeat(np.arange(len(counts)), counts)
        nth = np.arange(len(box)) - np.repeat(np.cumsum(counts) - counts, counts)
        section, quadrant = np.divmod(nth, (q1 - q0)[box])
        cell = (self._first[box] + section) * quadrants + q0[box] + quadrant
        shape = (int(self._last.max()), quadrants)
        live = np.bincount(cell, weights=size[box], minlength=shape[0] * shape[1])
        self._left = live.astype(np.int64).reshape(shape)  # exact: sums are far below 2^53
        self._within = box[np.argsort(cell, kind="stable")]
        ends = np.cumsum(np.bincount(cell, minlength=shape[0] * shape[1]))
        self._cell = np.concatenate([[0], ends]).astype(np.int64)

    def run(self, capacity: int, budget: int) -> tuple[int, int]:
        """Search, restarted until it is decided: the verdict and the steps."""
        n = len(self.boxes)
        blame, steps = np.zeros(n), 0
        failed = fingerprint_table()
        for order, lowest_first, cut_off in self._restarts(blame):
            given = min(max(cut_off, n + n // 4), budget - steps)
            if given <= 0:
                break
            fresh = np.zeros(n, np.int64)
            verdict, taken = self._once(order, capacity, given, lowest_first, failed, fresh)
            steps += taken
            if verdict in (SOLVED, NONE):
                return verdict, steps
            blame *= 0.7
            blame += fresh / max(1, int(fresh.sum()))
        return UNDECIDED, steps

    def _restarts(self, blame: np.ndarray) -> Iterator[tuple[Ints, bool, int]]:
        """Orders without end: the plain ones, then mixed ones, by the blame as it stands."""
        own = self.view.traits.of(self.boxes)
        for order in plain(own)[:2]:
            yield order, False, CUT_OFF
        nth = 0
        while True:
            nth += 1
            order, lowest_first = mixed(own, blame / max(1e-9, float(blame.sum())), nth)
            yield order, lowest_first, CUT_OFF * _luby(nth)

    def _once(
        self, order: Ints, capacity: int, budget: int, lowest: bool, failed: Ints, blame: Ints
    ) -> tuple[int, int]:
        q0, q1, size, align = (c[order] for c in self._columns)
        first, last = self._first[order], self._last[order]
        start, other = meetings(first, last, q0, q1)
        key = np.ascontiguousarray(self._key[:, order])
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        within = rank[self._within]
        boxes = Boxes(first, last, q0, q1, size, align, start, other, self._cell, within, key)
        found, fresh = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
        verdict, steps = search(
            boxes,
            work_for(boxes, self._left, budget),
            capacity,
            budget=budget,
            lowest_first=lowest,
            failed=failed,
            offsets=found,
            blame=fresh,
        )
        blame[order] = fresh
        if verdict == SOLVED:
            self.offsets[order] = found
        return verdict, steps


def _luby(i: int) -> int:
    """1 1 2 1 1 2 4 1 1 2 1 1 2 4 8 ..., from i = 1."""
    while i & (i + 1):
        i -= (1 << (i.bit_length() - 1)) - 1
    return (i + 1) // 2
