"""What the search reads and keeps, as arrays.

In    boxes in order of preference
Out   `Boxes`, `Work`, and the names of their columns
Read  `search.py`, which works on them
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from compiler.memory.problem import Ints

FAR = 1 << 60

SOLVED, NONE, UNDECIDED = 1, 0, -1


class Boxes(NamedTuple):
    """What is to be placed, in order of preference. int64 [n], unless said otherwise.

    first, last: sections, half open.
    start: int64 [n + 1], other: the boxes that box b meets are other[start[b] : start[b + 1]].
    cell: int64 [sections * quadrants + 1], within: the boxes of section s, quadrant q are
        within[cell[c] : cell[c + 1]] with c = s * quadrants + q.
    key: int64 [2, n], random words, the same for a box in every order: a fingerprint is the sum of
        a word times the box's state, modulo 2^64, for either row.
    """

    first: Ints
    last: Ints
    q0: Ints
    q1: Ints
    size: Ints
    align: Ints
    start: Ints
    other: Ints
    cell: Ints
    within: Ints
    key: Ints


class Work(NamedTuple):
    """What the search changes.

    floor, asleep, placed: int64 [n].
    left: int64 [sections, quadrants], bytes not yet placed; witness: the same shape, a box that
        shows that there is room.
    trail: int64 [:, 3], box, floor and asleep before a change.
    members: int64, boxes of the open parts.  part: int64 [:, 6], see below.
    frame: int64 [:, 6], one for each placed box, see below.
    label: int64 [sections + 1], group: int64 [sections + 2], scratch.
    tops: int64 [4], how much of trail, members and part is in use; the pending part.
    """

    floor: Ints
    asleep: Ints
    placed: Ints
    left: Ints
    witness: Ints
    trail: Ints
    members: Ints
    part: Ints
    frame: Ints
    label: Ints
    group: Ints
    tops: Ints


BEGIN, END, HASH, HASH_2, NEXT, PARENT = range(6)
"""A part: its members, its fingerprint, the part after it, the frame whose placement made it."""

PART, MARK, MARK_0, MEMBERS, PARTS, BOX = range(6)
"""A frame: its part, the trail now and at first, members and parts in use, the box placed."""

TRAIL_TOP, MEMBER_TOP, PART_TOP, PENDING = range(4)


@njit(cache=True)
def meetings(first, last, q0, q1):  # type: ignore[no-untyped-def]
    """`start` and `other` of Boxes: who shares a section and a quadrant with whom."""
    n = len(first)
    begins, ends = np.sort(first), np.sort(last)
    pairs = 0  # of boxes that share a section, each with itself among them
    for b in range(n):
        pairs += np.searchsorted(begins, last[b], side="left")
        pairs -= np.searchsorted(ends, first[b], side="right")
    start, other = np.zeros(n + 1, np.int64), np.empty(pairs + 1, np.int64)
    count = 0
    for a in range(n):
        begin, end, low, high = first[a], last[a], q0[a], q1[a]
        for b in range(n):  # written in any case, kept if it counts: no branch to mispredict
            other[count] = b
            apart = (end <= first[b]) | (last[b] <= begin) | (q1[b] <= low) | (high <= q0[b])
            count += not (apart | (a == b))
        start[a + 1] = count
    return start, other[:count]


def work_for(boxes: Boxes, left: Ints, budget: int) -> Work:
    """Room for a search of at most `budget` steps, with `left` bytes to place in each cell."""
    n, sections = len(boxes.size), len(left)
    trail = min(n * n, budget) + len(boxes.other) + n + 4

    def zeros(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    return Work(
        floor=zeros(n),
        asleep=zeros(n),
        placed=zeros(n),
        left=left.copy(),
        witness=boxes.within[np.minimum(boxes.cell[:-1], len(boxes.within) - 1)].reshape(
            left.shape
        ),
        trail=np.empty((trail, 3), np.int64),
        members=np.empty(n * (n + 3) // 2 + n + 4, np.int64),
        part=np.empty((2 * n + 4, 6), np.int64),
        frame=np.empty((n + 2, 6), np.int64),
        label=zeros(sections + 1),
        group=zeros(sections + 2),
        tops=zeros(4),
    )


def fingerprint_table(entries: int = 1 << 16) -> Ints:
    """An empty `failed`; pages of it exist as far as they are written."""
    return np.zeros((entries, 2), np.int64)
