"""Terms of a contraction, and the accumulations that each of them is.

In    two operands as views over the product's dimensions, then k
Out   `Step`: what one pass of the array sums, k on the same partitions in both
Read  `contract.py` for the tiles that these are accumulated in
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from compiler.tiles.iterate import Mismatch, legal_start
from compiler.tiles.view import Atom, Factor, View, common_atoms


@dataclass(frozen=True, slots=True)
class Term:
    """Views over the product's dimensions, then k; extent 1 where an operand is constant.

    `live`: where not all of the stationary operand's pieces of as many columns as the array has
    are to be multiplied, the positions where those begin; the others are zero.
    """

    stationary: View
    moving: View
    live: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One accumulation: both operands at one position of the loops and of k's free factors."""

    stationary: View
    moving: View
    count: int
    live: frozenset[int] | None


def check_meeting(shape: tuple[int, ...], dim: int, term: Term) -> None:
    """Raise Mismatch where a contraction of two computed operands would find them apart."""
    lead = term.stationary
    moved = [d for d in range(len(shape)) if d != dim and lead.shape[d] == 1]
    for d in moved:
        strides_of(term.moving, d, 1)
    looped = [d for d in range(len(shape)) if d != dim and d not in moved and shape[d] > 1]
    for at in itertools.product(*(range(shape[d]) for d in looped)):
        for step in steps_of(term, dict(zip(looped, at, strict=True))):
            strides_of(step.stationary, dim, 0)


def _at(view: View, position: dict[int, int], operand: int) -> View:
    for d, i in position.items():
        if view.shape[d] > 1:
            made = view.slice(d, i, 1)
            if made is None:
                raise Mismatch(operand, f"cannot take position {i} of dimension {d}")
            view = made
    return view


def steps_of(term: Term, position: dict[int, int]) -> Iterator[Step]:
    """The accumulations of one term: one a position of k's factors that are not partitions."""
    s, v = _at(term.stationary, position, 0), _at(term.moving, position, 1)
    k = len(s.shape) - 1
    extent = s.shape[k]
    if s.ragged(k) or v.ragged(k):
        lead = v if v.ragged(k) else s
        block = [f for f in lead.factors[k] if f.part][-1].extent
        pieces = [(i, min(block, extent - i)) for i in range(0, extent, block)]
    else:
        pieces = [(0, extent)]
    for start, size in pieces:
        sides = []
        for operand, view in enumerate((s, v)):
            made = view.slice(k, start, size)
            if made is None:
                raise Mismatch(operand, "the contraction cannot be cut in blocks")
            sides.append(made)
        yield from _unrolled(sides[0], sides[1], k, term.live)


def _unrolled(s: View, v: View, k: int, live: frozenset[int] | None) -> Iterator[Step]:
    by_dim = common_atoms([only(s, k), only(v, k)])
    if by_dim is None:
        raise Mismatch(1, "the operands' contractions have different factors")
    parts = [a for a in by_dim[0] if any(a.parts)]
    free = [a for a in by_dim[0] if not any(a.parts)]
    for a in parts:
        if not all(a.parts) or a.strides[0] != a.strides[1]:
            raise Mismatch(0 if a.parts[1] else 1, "its contraction is not on the same partitions")
    count, looped = 1, list[Atom]()
    for a in sorted(parts, key=lambda a: a.strides[0]):
        if a.strides[0] == count and not looped:
            count *= a.extent
        else:
            looped.append(a)
    for at in itertools.product(*(range(a.extent) for a in (*free, *looped))):
        pairs = list(zip(at, (*free, *looped), strict=True))
        sides = []
        for i, view in enumerate((s, v)):
            offset = view.offset + sum(x * a.strides[i] for x, a in pairs if not a.parts[i])
            start = view.start + sum(x * a.strides[i] for x, a in pairs if a.parts[i])
            if not legal_start(start + view.buffer.start, count):
                raise Mismatch(i, f"partitions {start}..{start + count} break the start rule")
            sides.append(
                View(view.buffer, view.dtype, view.shape[:k], view.factors[:k], start, offset)
            )
        if sides[0].start != sides[1].start:
            raise Mismatch(0, "its contraction starts on another partition")
        yield Step(sides[0], sides[1], count, live)


def only(view: View, dim: int) -> View:
    """The view along one dimension."""
    return View(view.buffer, view.dtype, (view.shape[dim],), (view.factors[dim],))


def strides_of(view: View, dim: int, operand: int) -> list[Factor]:
    """The factors of a dimension that lies along the free axis. Raises Mismatch if it does not."""
    factors = [f for f in view.factors[dim] if f.extent > 1]
    if any(f.part for f in factors) or view.ragged(dim):
        raise Mismatch(operand, f"dimension {dim} lies on partitions")
    return factors
