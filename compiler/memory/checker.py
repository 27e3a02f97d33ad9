"""What a correct allocation is, by two plain checks that share no code with the solver.

In    a problem, offsets, a capacity
Out   sentences, one a fault; none means correct
Read  this first: the solver may be wrong, this file may not

`faults` looks at every pair of boxes. `sweep_faults` walks through time with the live boxes sorted
by offset, for problems too large for pairs; a test holds the two to the same verdict.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from compiler.memory.problem import Ints, Problem


def faults(p: Problem, offsets: Ints, capacity: int) -> list[str]:
    """Every fault, by looking at all pairs."""
    return [*_strays(p, offsets, capacity), *_pairs(p, offsets)]


def _strays(p: Problem, offsets: Ints, capacity: int) -> Iterator[str]:
    for a, offset in enumerate(offsets.tolist()):
        if offset < 0 or offset + int(p.size[a]) > capacity:
            yield f"box {a} takes bytes {offset} to {offset + int(p.size[a])} of {capacity}"
        if offset % int(p.align[a]):
            yield f"box {a} stands at byte {offset}, not a multiple of {int(p.align[a])}"


def _pairs(p: Problem, offsets: Ints) -> Iterator[str]:
    top = offsets + p.size
    for a in range(len(p)):
        clash = (p.lower < p.upper[a]) & (p.lower[a] < p.upper)
        clash &= (p.q0 < p.q1[a]) & (p.q0[a] < p.q1)
        clash &= (offsets < top[a]) & (offsets[a] < top)
        for b in clash[:a].nonzero()[0].tolist():
            yield f"boxes {b} and {a} share bytes while both are live"


def sweep_faults(p: Problem, offsets: Ints, capacity: int) -> list[str]:
    """The strays, and for each quadrant the first box found to share bytes with a live one."""
    found = list(_strays(p, offsets, capacity))
    for q in range(int(p.q1.max(initial=0))):
        found += _sweep(p, offsets, q)
    return found


def _sweep(p: Problem, offsets: Ints, quadrant: int) -> Iterator[str]:
    """While the live boxes are apart, a new one can only meet its two neighbours by offset."""
    boxes = ((p.q0 <= quadrant) & (quadrant < p.q1)).nonzero()[0].tolist()
    events = [(int(p.upper[b]), 0, b) for b in boxes] + [(int(p.lower[b]), 1, b) for b in boxes]
    live: list[tuple[int, int, int]] = []
    for _, starts, b in sorted(events):
        box = (int(offsets[b]), int(offsets[b] + p.size[b]), b)
        at = bisect_left(live, box)
        if not starts:
            del live[at]
            continue
        below, above = live[at - 1 : at] if at else [], live[at : at + 1]
        for other in (*below, *above):
            if other[0] < box[1] and box[0] < other[1]:
                yield f"boxes {other[2]} and {b} share bytes while both are live"
                return
        insort(live, box)
