"""Parts of what is left: boxes that share no section are searched apart.

In    a frame that has just placed a box
Out   its unplaced boxes in parts, each with its fingerprint, or word that one is known to fail
Read  `search.py`, whose step this is
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

from __future__ import annotations

from numba import njit

from compiler.memory.state import (
    BEGIN,
    END,
    FAR,
    HASH,
    HASH_2,
    MEMBER_TOP,
    NEXT,
    PARENT,
    PART,
    PART_TOP,
    PENDING,
)


@njit(cache=True)
def split(boxes, work, f, failed):
    """Make what frame f leaves unplaced into pending parts. False if one is known to fail."""
    tops, label, group = work.tops, work.label, work.group
    old = work.part[work.frame[f, PART]]
    groups = _label(boxes, work, old)
    begin, made = tops[MEMBER_TOP], tops[PART_TOP]
    for g in range(groups):
        if group[g] > 0:
            part = work.part[tops[PART_TOP]]
            part[BEGIN], part[END], part[HASH], part[HASH_2] = begin, begin, 0, 0
            part[NEXT], part[PARENT] = -1, f
            begin += group[g]
            group[g] = tops[PART_TOP]
            tops[PART_TOP] += 1
    for i in range(old[BEGIN], old[END]):
        b = work.members[i]
        if not work.placed[b]:
            part = work.part[group[label[boxes.first[b]]]]
            work.members[part[END]] = b
            part[END] += 1
            state = 2 * work.floor[b] + work.asleep[b] + 1
            part[HASH] += boxes.key[0, b] * state
            part[HASH_2] += boxes.key[1, b] * state
    for c in range(made, tops[PART_TOP]):
        if _known(failed, work.part[c]):
            tops[PART_TOP] = made
            return False
    tops[MEMBER_TOP] = begin
    for c in range(made, tops[PART_TOP]):
        work.part[c, NEXT] = tops[PENDING]
        tops[PENDING] = c
    return True


@njit(cache=True)
def _label(boxes, work, part):
    """Number the groups of unplaced boxes that share no section, and count their boxes."""
    label, group = work.label, work.group
    first, last = FAR, 0
    for i in range(part[BEGIN], part[END]):
        b = work.members[i]
        first, last = min(first, boxes.first[b]), max(last, boxes.last[b])
    for s in range(first, last + 1):
        label[s] = 0
    for i in range(part[BEGIN], part[END]):
        b = work.members[i]
        if not work.placed[b]:
            label[boxes.first[b] + 1] += 1
            label[boxes.last[b]] -= 1
    groups, across = 0, 0
    label[first] = 0
    for s in range(first + 1, last):
        across += label[s]
        if across == 0:
            groups += 1
        label[s] = groups
    for g in range(groups + 1):
        group[g] = 0
    for i in range(part[BEGIN], part[END]):
        b = work.members[i]
        if not work.placed[b]:
            group[label[boxes.first[b]]] += 1
    return groups + 1


@njit(cache=True)
def remember(failed, part):
    row = failed[_row(failed, part)]
    row[0], row[1] = part[HASH], part[HASH_2] | 1  # an empty row is no part's


@njit(cache=True)
def _known(failed, part):
    row = failed[_row(failed, part)]
    return row[0] == part[HASH] and row[1] == part[HASH_2] | 1


@njit(cache=True)
def _row(failed, part):
    """A place in the table, by the upper half: a product's lower bits vary least."""
    return (part[HASH] >> 32) & (len(failed) - 1)
