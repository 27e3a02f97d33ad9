"""From views to operands: cut a nest over equal-shaped views into engine instructions.

`tiles(views, limit)` yields, for each instruction, one access pattern a view: a dense range of
partitions and up to four free dimensions of at most `limit` elements; what does not fit is looped.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from compiler.tiles.view import Atom, View, common_atoms
from isa.kernel import Ap

FREE_DIMS = 4
STEP_LIMIT = 32767
NUM_LIMIT = 65535


class Mismatch(Exception):
    """The views do not lie alike: some operand has to move first. Carries the operand's index."""

    def __init__(self, operand: int, reason: str) -> None:
        self.operand = operand
        super().__init__(f"operand {operand}: {reason}")


@dataclass(frozen=True, slots=True)
class Loop:
    """A free dimension of a nest: extent and, for each view, stride in elements."""

    extent: int
    strides: tuple[int, ...]


def legal_start(start: int, count: int) -> bool:
    """The start-partition rule (neuron-facts 3.1)."""
    if count > 64:
        return start == 0
    return start % (64 if count > 32 else 32) == 0


def engines_reach(view: View) -> bool:
    """Whether engines can read the partitions as they lie, from a legal start and dense."""
    count = 1
    parts = [f for fs in view.factors for f in fs if f.part and f.extent > 1]
    for f in sorted(parts, key=lambda f: f.stride):
        if f.stride != count:
            return False
        count *= f.extent
    return legal_start(view.start + view.buffer.start, count)


def ragged_regions(view: View) -> list[list[tuple[int, int]]]:
    """Logical boxes, (first, size) a dimension, in none of which the view is ragged."""
    choices: list[list[tuple[int, int]]] = []
    for d, extent in enumerate(view.shape):
        if view.ragged(d):
            block = [f for f in view.factors[d] if f.part][-1].extent
            full = extent // block * block
            choices.append([(0, full), (full, extent - full)] if full else [(0, extent)])
        else:
            choices.append([(0, extent)])
    return [list(box) for box in itertools.product(*choices)]


def sliced(view: View, box: list[tuple[int, int]]) -> View:
    """The view of a logical box; broadcast dimensions are sliced too. Raises Mismatch."""
    for d, (first, size) in enumerate(box):
        made = view.slice(d, first, size)
        if made is None:
            raise Mismatch(-1, f"cannot cut dimension {d} at {first}:{first + size}")
        view = made
    return view


def partition_atoms(atoms: list[Atom], views: list[View]) -> tuple[list[Atom], list[Atom]]:
    """Split atoms into those over partitions (in all views, or replicated) and free ones."""
    parts, free = [], []
    for atom in atoms:
        if not any(atom.parts):
            free.append(atom)
            continue
        lead = atom.parts.index(True)
        for i, (part, stride) in enumerate(zip(atom.parts, atom.strides, strict=True)):
            same = part and stride == atom.strides[lead]
            if not same and not (not part and stride == 0 and views[i].replicated):
                raise Mismatch(i, "its partitions hold another dimension")
        parts.append(atom)
    return parts, free


def _dense(parts: list[Atom]) -> tuple[int, list[Atom]]:
    """The partitions that one instruction covers, and the atoms that are looped instead."""
    count, looped = 1, list[Atom]()
    stride_of = {id(a): a.strides[a.parts.index(True)] for a in parts}
    for atom in sorted(parts, key=lambda a: stride_of[id(a)]):
        if stride_of[id(atom)] == count and not looped:
            count *= atom.extent
        else:
            looped.append(atom)
    return count, looped


def _merge(loops: list[Loop]) -> list[Loop]:
    """Join neighbours that are one dimension in every view."""
    merged: list[Loop] = []
    for loop in loops:
        if loop.extent == 1:
            continue
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.extent * loop.extent <= NUM_LIMIT
            and all(a == b * loop.extent for a, b in zip(last.strides, loop.strides, strict=True))
        ):
            merged[-1] = Loop(last.extent * loop.extent, loop.strides)
        else:
            merged.append(loop)
    return merged


def tiles(
    views: list[View], limit: int, free_dims: int = FREE_DIMS
) -> Iterator[tuple[tuple[int, ...], list[Ap]]]:
    """For each instruction: the sizes of its free dimensions, outermost first, and an Ap a view.

    The views have one shape; the first decides the order. Raises Mismatch when they lie unlike.
    """
    for box in ragged_regions(views[0]):
        if len(views[0].shape) and any(
            size != e for (_, size), e in zip(box, views[0].shape, strict=True)
        ):
            region = []
            for i, v in enumerate(views):
                try:
                    region.append(sliced(v, box))
                except Mismatch as error:
                    raise Mismatch(i, str(error)) from None
        else:
            region = views
        yield from _region_tiles(region, limit, free_dims)


def check_alike(views: list[View]) -> None:
    """Raise Mismatch where `tiles` would."""
    for box in ragged_regions(views[0]):
        region = [sliced(v, box) for v in views]
        by_dim = common_atoms(region)
        if by_dim is None:
            raise Mismatch(_odd_one(region), "its factors do not divide the others'")
        parts, _ = partition_atoms([a for atoms in by_dim for a in atoms], region)
        count, looped = _dense(parts)
        for steps in itertools.product(*(range(a.extent) for a in looped)):
            for i, v in enumerate(region):
                start = v.start + v.buffer.start
                start += sum(
                    s * a.strides[i] for s, a in zip(steps, looped, strict=True) if a.parts[i]
                )
                if not legal_start(start, count):
                    raise Mismatch(i, f"partitions {start}.. break the start rule")


def _region_tiles(
    views: list[View], limit: int, free_dims: int
) -> Iterator[tuple[tuple[int, ...], list[Ap]]]:
    by_dim = common_atoms(views)
    if by_dim is None:
        raise Mismatch(_odd_one(views), "its factors do not divide the others'")
    parts, free = partition_atoms([a for atoms in by_dim for a in atoms], views)
    count, looped = _dense(parts)
    loops = [Loop(a.extent, a.strides) for a in free]
    loops.sort(key=lambda a: -abs(a.strides[0]))
    for steps in itertools.product(*(range(a.extent) for a in looped)):
        starts = [
            v.start
            + sum(s * a.strides[i] for s, a in zip(steps, looped, strict=True) if a.parts[i])
            for i, v in enumerate(views)
        ]
        for i, start in enumerate(starts):
            if not legal_start(start + views[i].buffer.start, count):
                raise Mismatch(i, f"partitions {start}..{start + count} break the start rule")
        yield from _free_tiles(views, starts, count, _merge(loops), limit, free_dims)


def _odd_one(views: list[View]) -> int:
    for i in range(1, len(views)):
        if common_atoms([views[0], views[i]]) is None:
            return i
    return len(views) - 1


def choose_inner(loops: list[Loop], limit: int, free_dims: int) -> tuple[int, int]:
    """How many innermost loops one instruction takes whole, and its share of the next one out."""
    taken, size = 0, 1
    while taken < min(free_dims, len(loops)):
        loop = loops[len(loops) - 1 - taken]
        if size * loop.extent > limit or not _steps_fit(loop) or loop.extent > NUM_LIMIT:
            break
        size *= loop.extent
        taken += 1
    chunk = 1
    if taken < min(free_dims, len(loops)):
        loop = loops[len(loops) - 1 - taken]
        if _steps_fit(loop):
            most = max(1, min(limit // size, NUM_LIMIT))
            chunk = -(-loop.extent // -(-loop.extent // most))  # even shares
    return taken, chunk


def _steps_fit(loop: Loop) -> bool:
    return all(abs(s) <= STEP_LIMIT for s in loop.strides)


def _free_tiles(
    views: list[View],
    starts: list[int],
    count: int,
    loops: list[Loop],
    limit: int,
    free_dims: int,
) -> Iterator[tuple[tuple[int, ...], list[Ap]]]:
    taken, chunk = choose_inner(loops, limit, free_dims)
    cut = len(loops) - taken
    inner, outer = loops[cut:], loops[:cut]
    ranges = [range(0, a.extent, chunk if i == cut - 1 else 1) for i, a in enumerate(outer)]
    for at in itertools.product(*ranges):
        dims = list(inner)
        if outer and chunk > 1:
            dims.insert(0, Loop(min(chunk, outer[-1].extent - at[-1]), outer[-1].strides))
        nums = tuple(a.extent for a in dims) or (1,)
        aps = []
        for i, v in enumerate(views):
            offset = v.offset + sum(s * a.strides[i] for s, a in zip(at, outer, strict=True))
            ap_dims = tuple((a.strides[i], a.extent) for a in dims) or ((0, 1),)
            aps.append(
                Ap(v.buffer, starts[i], count, offset * v.dtype.size_bytes, v.dtype, ap_dims)
            )
        yield nums, aps


def column(ap: Ap) -> bool:
    """Whether the operand is one value a partition."""
    return (
        all(step == 0 or num == 1 for step, num in ap.dims)
        and math.prod(n for s, n in ap.dims if s) == 1
    )
