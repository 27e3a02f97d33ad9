"""The exact tier: depth-first search over canonical solutions.

In    boxes in order of preference, a capacity, a budget of steps
Out   offsets, or the proof that there are none, or neither within the budget
Read  `solver.py` for how the orders are restarted

A solution is *canonical* if every box lies on the bottom or on another box; if there is a solution,
there is a canonical one. The search keeps a *floor* for each box, the least offset it can still
have, and decides one box after the other:

    either  box b lies at its floor, and all unplaced boxes that meet it lie above it
    or      some unplaced box that meets b lies below b

The second raises b's floor to the lowest top that such a box can have, and puts b to *sleep* until
one of them is placed, so that no two orders of the same placements are both searched.

Taken from Moffitt, "MiniMalloc" (ASPLOS 2023): canonical solutions, the bound of a section (lowest
floor in it plus all that is unplaced in it), only boxes whose floor is under the lowest possible
top, splitting what is left into parts that share no section. From Maas et al., "TelaMalloc:
Efficient On-Chip Memory Allocation for Production Machine Learning Accelerators" (ASPLOS 2023):
learning from failures which boxes are contended (here: weights for the next restart, as in
Boussemart et al., "Boosting Systematic Search by Weighting Constraints", ECAI 2004). Sleep sets
are Godefroid's ("Partial-Order Methods for the Verification of Concurrent Systems", 1996). Of each
failed part a fingerprint (its boxes' floors, and who sleeps) is kept: another way there fails at
once. That a section has room is witnessed by one box, looked for anew only when it no longer serves
(watched literals: Moskewicz et al., "Chaff: Engineering an Efficient SAT Solver", DAC 2001).
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

from __future__ import annotations

from numba import njit

from compiler.memory.problem import Ints
from compiler.memory.splitting import remember, split
from compiler.memory.state import (
    BEGIN,
    BOX,
    END,
    FAR,
    MARK,
    MARK_0,
    MEMBER_TOP,
    MEMBERS,
    NEXT,
    NONE,
    PARENT,
    PART,
    PART_TOP,
    PARTS,
    PENDING,
    SOLVED,
    TRAIL_TOP,
    UNDECIDED,
    Boxes,
    Work,
)


def search(
    boxes: Boxes,
    work: Work,
    capacity: int,
    *,
    budget: int,
    lowest_first: bool,
    failed: Ints,
    offsets: Ints,
    blame: Ints,
) -> tuple[int, int]:
    """SOLVED, NONE or UNDECIDED, and the steps taken.

    Args:
        lowest_first: prefer the lowest floor, then the order; else the order alone.
        failed: int64 [2^k, 2], fingerprints of parts known to fail at this capacity, 0 at first.
        offsets: written; the solution, where there is one.
        blame: added to; how often a box was in a section that had no room.
    """
    if (work.left > capacity).any():
        return NONE, 0
    n = len(boxes.size)
    work.part[0] = (0, n, 0, 0, -1, -1)
    work.tops[:] = (0, n, 1, 0)
    verdict, steps = _search(boxes, work, capacity, budget, lowest_first, failed, offsets, blame)
    return int(verdict), int(steps)


@njit(cache=True)
def _search(boxes, work, capacity, budget, lowest_first, failed, offsets, blame):
    n = len(boxes.size)
    for b in range(n):
        work.members[b] = b
    frame, f = work.frame, -1
    steps = 0
    while work.tops[PENDING] >= 0:
        f += 1
        _open(work, f)
        while True:
            steps += 1
            if steps > budget:
                return UNDECIDED, steps
            part = work.part[frame[f, PART]]
            b = -1
            if frame[f, BOX] < 0 or _refute(boxes, work, f, capacity):
                b = _choose(boxes, work, part, capacity, lowest_first)
            if b < 0:
                remember(failed, part)
                if part[PARENT] < 0:
                    return NONE, steps
                while f > part[PARENT]:
                    _take_back(boxes, work, f, MARK_0)
                    f -= 1
                continue
            offsets[b] = work.floor[b]
            full = _place(boxes, work, f, b, capacity)
            if full >= 0:
                _blame(boxes, work, part, full, blame)
            elif split(boxes, work, f, failed):
                break
    return SOLVED, steps


@njit(cache=True)
def _open(work, f):
    """A frame for the pending part."""
    tops = work.tops
    c = tops[PENDING]
    tops[PENDING] = work.part[c, NEXT]
    frame = work.frame[f]
    frame[PART], frame[MARK], frame[MARK_0] = c, tops[TRAIL_TOP], tops[TRAIL_TOP]
    frame[MEMBERS], frame[PARTS], frame[BOX] = tops[MEMBER_TOP], tops[PART_TOP], -1


@njit(cache=True)
def _take_back(boxes, work, f, mark):
    """Undo frame f's placement, and the trail down to its `mark`."""
    frame, tops = work.frame[f], work.tops
    b = frame[BOX]
    if b >= 0:
        work.placed[b] = 0
        for s in range(boxes.first[b], boxes.last[b]):
            for q in range(boxes.q0[b], boxes.q1[b]):
                work.left[s, q] += boxes.size[b]
        frame[BOX] = -1
    while tops[TRAIL_TOP] > frame[mark]:
        tops[TRAIL_TOP] -= 1
        change = work.trail[tops[TRAIL_TOP]]
        work.floor[change[0]], work.asleep[change[0]] = change[1], change[2]
    tops[MEMBER_TOP], tops[PART_TOP] = frame[MEMBERS], frame[PARTS]
    tops[PENDING] = work.part[frame[PART], NEXT]


@njit(cache=True)
def _change(work, b, floor, asleep):
    top = work.tops[TRAIL_TOP]
    work.trail[top, 0], work.trail[top, 1], work.trail[top, 2] = b, work.floor[b], work.asleep[b]
    work.tops[TRAIL_TOP] = top + 1
    work.floor[b] = floor
    work.asleep[b] = asleep


@njit(cache=True)
def _refute(boxes, work, f, capacity):
    """Frame f's box does not lie at its floor, so another lies below it. False if none can."""
    b = work.frame[f, BOX]
    _take_back(boxes, work, f, MARK)
    low = FAR
    for i in range(boxes.start[b], boxes.start[b + 1]):
        u = boxes.other[i]
        if not work.placed[u]:
            low = min(low, work.floor[u] + boxes.size[u])
    low = max(work.floor[b], -(-low // boxes.align[b]) * boxes.align[b])
    if low + boxes.size[b] > capacity:
        return False
    _change(work, b, low, 1)
    work.frame[f, MARK] = work.tops[TRAIL_TOP]
    return _full(boxes, work, boxes.first[b], boxes.last[b], capacity) < 0


@njit(cache=True)
def _choose(boxes, work, part, capacity, lowest_first):
    """The box to decide next, or -1: none can lie at its floor.

    A floor at or above the lowest possible top cannot come next: the box of that top would move
    down. Nor can one that leaves a section without room for what is unplaced in it.
    """
    limit, first, last = FAR, FAR, 0
    for i in range(part[BEGIN], part[END]):
        b = work.members[i]
        limit = min(limit, work.floor[b] + boxes.size[b])
        first, last = min(first, boxes.first[b]), max(last, boxes.last[b])
    for s in range(first, last):
        for q in range(work.left.shape[1]):
            limit = min(limit, capacity - work.left[s, q] + 1)
    chosen = -1
    for i in range(part[BEGIN], part[END]):
        b = work.members[i]
        if not work.asleep[b] and work.floor[b] < limit:
            chosen = b
            if not lowest_first:
                return b
            limit = work.floor[b]
    return chosen


@njit(cache=True)
def _place(boxes, work, f, b, capacity):
    """Put box b at its floor under all that meets it. -1, or a section without room."""
    work.frame[f, BOX] = b
    work.placed[b] = 1
    top = work.floor[b] + boxes.size[b]
    first, last = boxes.first[b], boxes.last[b]
    for s in range(first, last):
        for q in range(boxes.q0[b], boxes.q1[b]):
            work.left[s, q] -= boxes.size[b]
    for s in range(first, last):
        for q in range(boxes.q0[b], boxes.q1[b]):
            if top + work.left[s, q] > capacity:
                return s
    for i in range(boxes.start[b], boxes.start[b + 1]):
        u = boxes.other[i]
        if not work.placed[u] and (work.floor[u] < top or work.asleep[u]):
            floor = work.floor[u]
            if floor < top:
                floor = -(-top // boxes.align[u]) * boxes.align[u]
                first, last = min(first, boxes.first[u]), max(last, boxes.last[u])
            _change(work, u, floor, 0)
            if floor + boxes.size[u] > capacity:
                return boxes.first[u]
    return _full(boxes, work, first, last, capacity)


@njit(cache=True)
def _full(boxes, work, first, last, capacity):
    """A section of [first, last) whose lowest floor and unplaced bytes exceed capacity, or -1."""
    for s in range(first, last):
        for q in range(work.left.shape[1]):
            if work.left[s, q] > 0:
                room = capacity - work.left[s, q]
                w = work.witness[s, q]
                if work.placed[w] or work.floor[w] > room:
                    w = _witness(boxes, work, s * work.left.shape[1] + q, room)
                    if w < 0:
                        return s
                    work.witness[s, q] = w
    return -1


@njit(cache=True)
def _witness(boxes, work, cell, room):
    """An unplaced box of a cell whose floor is at most `room`, or -1."""
    for i in range(boxes.cell[cell], boxes.cell[cell + 1]):
        b = boxes.within[i]
        if not work.placed[b] and work.floor[b] <= room:
            return b
    return -1


@njit(cache=True)
def _blame(boxes, work, part, section, blame):
    for i in range(part[BEGIN], part[END]):
        b = work.members[i]
        if boxes.first[b] <= section < boxes.last[b]:
            blame[b] += 1
