"""What no solution can go below, and when problems fall apart in time.

In    a `Problem`
Out   the largest live sum; the sections of its time axis; its independent parts

A *section* is a span of time in which the set of live boxes is a largest one: something starts
where it begins and something ends where it ends. Two boxes meet in time exactly if they share a
section, so offsets need only be right in the sections.
"""

from __future__ import annotations

import numpy as np

from compiler.memory.problem import Ints, Problem


def lower_bound(p: Problem) -> int:
    """The most bytes that are live at once in any quadrant."""
    return most_live(p.lower, p.upper, p.size, p.q0, p.q1)


def most_live(lower: Ints, upper: Ints, size: Ints, q0: Ints, q1: Ints) -> int:
    """The same of boxes with life spans [lower, upper) and quadrants [q0, q1)."""
    most = 0
    for q in range(int(q1.max(initial=0))):
        here = (q0 <= q) & (q < q1)
        most = max(most, _live_sum(lower[here], upper[here], size[here]))
    return most


def _live_sum(lower: Ints, upper: Ints, size: Ints) -> int:
    times = np.concatenate([lower, upper])
    change = np.concatenate([size, -size])
    order = np.lexsort((change, times))  # what ends makes room before what starts
    return int(np.cumsum(change[order]).max(initial=0))


def sections(p: Problem) -> tuple[Ints, Ints, int]:
    """First and one past the last section of each box, int64 [n] each, and how many there are."""
    if not len(p):
        return p.lower, p.upper, 0
    times = np.unique(np.concatenate([p.lower, p.upper]))
    whole = np.isin(times[:-1], p.lower) & np.isin(times[1:], p.upper)
    before = np.concatenate([[0], np.cumsum(whole)]).astype(np.int64)
    first = before[np.searchsorted(times, p.lower)]
    return first, before[np.searchsorted(times, p.upper)], int(before[-1])


def parts(first: Ints, last: Ints, count: int) -> list[Ints]:
    """Boxes grouped so that no two of different groups share a section, in order of time."""
    if not len(first):
        return []
    across = np.zeros(count + 1, np.int64)
    np.add.at(across, first + 1, 1)
    np.add.at(across, last, -1)
    label = np.cumsum(np.cumsum(across)[:count] == 0)[first]
    order = np.argsort(label, kind="stable")
    where = np.flatnonzero(np.diff(label[order])) + 1
    return list(np.split(order, where))


def fullness(p: Problem, first: Ints, last: Ints, count: int) -> Ints:
    """Live bytes of the fullest section that each box is in, over all quadrants, int64 [n]."""
    change = np.zeros(count + 1, np.int64)
    area = p.size * (p.q1 - p.q0)
    np.add.at(change, first, area)
    np.subtract.at(change, last, area)
    live = np.cumsum(change)[:count]
    return _largest_of_ranges(live, first, last)


def _largest_of_ranges(values: Ints, first: Ints, last: Ints) -> Ints:
    """max of values[first : last] each, by doubling: two overlapping spans of a power of two."""
    span = last - first
    level = np.zeros(len(first), np.int64)
    while (grow := (2 << level) <= span).any():
        level[grow] += 1
    found = np.empty(len(first), np.int64)
    row, width = values, 1
    for k in range(int(level.max(initial=-1)) + 1):
        at = level == k
        found[at] = np.maximum(row[first[at]], row[last[at] - width])
        row = np.maximum(row[:-width], row[width:])
        width *= 2
    return found
