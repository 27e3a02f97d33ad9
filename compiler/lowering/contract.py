"""Contractions on the tensor engine.

    out[.., p, .., n..] = sum over terms t, k of S_t[.., p, .., k] * V_t[.., n.., k]

S holds the dimension that the product has on partitions (it is stationary), V the dimensions that
run along the free axis (it is moving); a dimension of both is looped. k lies on partitions in both.
A matrix product is one term; a convolution has one term a kernel tap, whose V is the input shifted:
no patch matrix is ever written. What is fused behind the product reads each tile from PSUM while
the array works on the next (`Epilogue`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Protocol

from compiler.lowering.context import Lowering
from compiler.lowering.terms import Step, Term, only, steps_of, strides_of
from compiler.tiles.iterate import NUM_LIMIT, STEP_LIMIT, Mismatch
from compiler.tiles.view import Factor, View, common_atoms, joined_dims
from isa.dtypes import DType
from isa.kernel import Ap
from isa.kernel.builder import LoadRow, load_row, moving_words
from isa.tiles import Dim

Box = list[tuple[int, int]]
"""(first, size) for each logical dimension of the product."""


class Epilogue(Protocol):
    """What becomes of a finished tile."""

    def __call__(self, tile: View, box: Box) -> None:
        """`tile` is in PSUM and has the shape of `box`."""


def contract(
    lo: Lowering,
    shape: tuple[int, ...],
    dim: int,
    block: int,
    terms: list[Term],
    epilogue: Epilogue,
    offset: int = 0,
) -> None:
    """Emit a contraction tile by tile.

    Args:
        shape: the product's logical shape (of the part computed here).
        dim: the dimension on partitions, in blocks of `block`.
        offset: added to the box's first position in `dim`.
    Raises:
        Mismatch: 0 if a stationary operand lies wrong, 1 if a moving one does.
    """
    first = terms[0]
    moved = [d for d in range(len(shape)) if d != dim and first.stationary.shape[d] == 1]
    looped = [d for d in range(len(shape)) if d != dim and d not in moved and shape[d] > 1]
    product = _Product(lo, shape, dim, block, moved, epilogue, offset)
    for at in itertools.product(*(range(shape[d]) for d in looped)):
        box: Box = [(0, e) for e in shape]
        for d, i in zip(looped, at, strict=True):
            box[d] = (i, 1)
        position = dict(zip(looped, at, strict=True))
        product.emit([s for t in terms for s in steps_of(t, position)], box)


_Piece = tuple[int, int, list[LoadRow | None]]
"""First partition of a tile, partitions, and the weights of each step; None where all are zero."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """A factor of a moved dimension: where it stands in the product, and its place value there."""

    dim: int
    extent: int
    unit: int


def _axes(steps: list[Step], moved: list[int]) -> tuple[list[_Axis], list[list[int]]]:
    """The factors of the moved dimensions that all steps share, and each step's strides there.

    Raises:
        Mismatch: 1 where a moved dimension lies on partitions, or has no factors to share.
    """
    axes: list[_Axis] = []
    strides: list[list[int]] = [[] for _ in steps]
    for d in moved:
        factors = [strides_of(s.moving, d, 1) for s in steps]
        extents = [f.extent for f in factors[0]]
        if any([f.extent for f in other] != extents for other in factors):
            shared = common_atoms([only(s.moving, d) for s in steps])
            if shared is None:
                raise Mismatch(1, f"its terms walk dimension {d} in factors that do not divide")
            extents = [a.extent for a in shared[0]]
            rows = [[a.strides[i] for a in shared[0]] for i in range(len(steps))]
        else:
            rows = [[f.stride for f in other] for other in factors]
        unit = math.prod(extents)
        for extent in extents:
            unit //= extent
            axes.append(_Axis(d, extent, unit))
        for mine, row in zip(strides, rows, strict=True):
            mine += row
    return axes, strides


def _chunks(axes: list[_Axis], limit: int) -> tuple[int, int]:
    """How many innermost axes a tile takes whole, and its share of the next one."""
    taken, size = 0, 1
    while taken < len(axes) and size * axes[len(axes) - 1 - taken].extent <= limit:
        size *= axes[len(axes) - 1 - taken].extent
        taken += 1
    if taken == len(axes):
        return taken, 1
    extent = axes[len(axes) - 1 - taken].extent
    return taken, -(-extent // -(-extent // max(1, limit // size)))


@dataclass(frozen=True, slots=True)
class _Product:
    """A contraction at one position of the looped dimensions after another."""

    lo: Lowering
    shape: tuple[int, ...]
    dim: int
    block: int
    moved: list[int]
    epilogue: Epilogue
    offset: int

    def emit(self, steps: list[Step], box: Box) -> None:
        """Accumulate the steps tile by tile, and hand each tile to the epilogue."""
        lo, dim, extent = self.lo, self.dim, self.shape[self.dim]
        axes, strides = _axes(steps, self.moved)
        columns = math.prod(a.extent for a in axes)
        most = _most(lo, len(steps) * -(-extent // lo.hw.pe_columns), columns)
        taken, chunk = _chunks(axes if lo.tensorize else axes[-1:], most)
        loads = _weights(lo, extent, dim, self.block, steps)
        tiles = list(itertools.product(loads, _places(axes, taken, chunk)))
        if lo.knobs.fine(lo.hw.pe_moving_max):
            tiles.sort(key=lambda tile: tile[1])
        for first, at in tiles:
            size = min(self.block, extent - first)
            starts, sizes = _part(axes, at, chunk)
            tile = _psum_tile(lo, len(self.shape), size, dim, axes, sizes)
            _matmuls(lo, tile, loads[first], steps, strides, starts, sizes)
            where = list(box)
            where[dim] = (first + self.offset, size)
            for d in self.moved:
                where[d] = _span(d, axes, starts, sizes, self.shape[d])
            self.epilogue(tile, where)


def _places(axes: list[_Axis], taken: int, chunk: int) -> list[tuple[int, ...]]:
    """Where tiles begin in the axes that they do not take whole, the last of them in chunks."""
    outer = axes[: len(axes) - taken]
    ranges = [range(a.extent) for a in outer]
    if outer:
        ranges[-1] = range(0, outer[-1].extent, chunk)
    return list(itertools.product(*ranges))


def _part(axes: list[_Axis], at: tuple[int, ...], chunk: int) -> tuple[list[int], list[int]]:
    """First positions and sizes of a tile along each axis."""
    starts = [*at, *([0] * (len(axes) - len(at)))]
    sizes = [1 if i < len(at) else a.extent for i, a in enumerate(axes)]
    if at:
        last = len(at) - 1
        sizes[last] = min(chunk, axes[last].extent - at[-1])
    return starts, sizes


def _weights(
    lo: Lowering, extent: int, dim: int, block: int, steps: list[Step]
) -> dict[int, list[_Piece]]:
    """For each block of the product's partitions, by its first, its pieces."""
    found = {}
    for first in range(0, extent, block):
        size = min(block, extent - first)
        pieces = [(at, min(lo.hw.pe_columns, size - at)) for at in range(0, size, lo.hw.pe_columns)]
        found[first] = [
            (
                at,
                n,
                [
                    None
                    if s.live is not None and first + at not in s.live
                    else load_row(_stationary(s, dim, first + at, n))
                    for s in steps
                ],
            )
            for at, n in pieces
        ]
    return found


def _most(lo: Lowering, passes: int, columns: int) -> int:
    """Columns of one tile. Where tiles are fine, a short layer is cut in two, so that its reader
    begins with the first half: a second load of the weights may cost what handing on takes."""
    hw = lo.hw
    most = min(hw.pe_moving_max, lo.knobs.tile_columns)
    loading = passes * hw.pe_columns // hw.pe_load_speedup
    short = columns <= 2 * most and loading <= hw.pe_latency + hw.dve_latency
    if not lo.knobs.fine(hw.pe_moving_max) or not short:
        return most
    return max(hw.pe_min_interval, min(most, -(-columns // 2)))


def _span(
    d: int, axes: list[_Axis], starts: list[int], sizes: list[int], extent: int
) -> tuple[int, int]:
    """The logical range of a dimension that a tile covers."""
    mine = [(a, s, n) for a, s, n in zip(axes, starts, sizes, strict=True) if a.dim == d]
    first = sum(a.unit * s for a, s, _ in mine)
    count = math.prod(n for _, _, n in mine) if mine else extent
    return first, count


def _psum_tile(
    lo: Lowering, rank: int, size: int, dim: int, axes: list[_Axis], sizes: list[int]
) -> View:
    """A PSUM tile whose free dimensions lie in the order of the axes."""
    buffer = lo.kernel.psum(size, "product")
    factors: list[tuple[Factor, ...]] = [()] * rank
    extents = [1] * rank
    factors[dim], extents[dim] = (Factor(size, 1, True),), size
    stride = 1
    for axis, n in zip(reversed(axes), reversed(sizes), strict=True):
        factors[axis.dim] = (Factor(n, stride), *factors[axis.dim])
        extents[axis.dim] *= n
        stride *= n
    return View(buffer, DType.FP32, tuple(extents), tuple(factors))


def _stationary(step: Step, dim: int, first: int, size: int) -> Ap:
    view = step.stationary
    factors = view.factors[dim]
    if len(factors) == 1 and not factors[0].part and factors[0].extent == view.shape[dim]:
        stride = factors[0].stride
        offset, dims = view.offset + first * stride, joined_dims([(stride, size)])
    else:
        cut = view.slice(dim, first, size)
        if cut is None:
            raise Mismatch(0, "its columns cannot be cut")
        view, offset = cut, cut.offset
        dims = joined_dims([(f.stride, f.extent) for f in strides_of(view, dim, 0)])
    if len(dims) > 4 or any(abs(s) > STEP_LIMIT or n > NUM_LIMIT for s, n in dims):
        raise Mismatch(0, "its columns need more than four dimensions")
    size_bytes = view.dtype.size_bytes
    return Ap(view.buffer, view.start, step.count, offset * size_bytes, view.dtype, dims)


def _matmuls(
    lo: Lowering,
    tile: View,
    pieces: list[_Piece],
    steps: list[Step],
    strides: list[list[int]],
    starts: list[int],
    sizes: list[int],
) -> None:
    columns = math.prod(sizes)
    moving = []
    seen: list[int] | None = None
    dims: tuple[Dim, ...] = ()
    for step, mine in zip(steps, strides, strict=True):
        v = step.moving
        offset = v.offset + sum(x * s for x, s in zip(starts, mine, strict=True))
        if mine != seen:  # taps and blocks of channels walk alike
            seen, dims = mine, joined_dims([(s, n) for s, n in zip(mine, sizes, strict=True)])
            if len(dims) > 4 or any(abs(s) > STEP_LIMIT for s, _ in dims):
                raise Mismatch(1, "its columns need more than four dimensions or too large a step")
        ap = Ap(v.buffer, v.start, step.count, offset * v.dtype.size_bytes, v.dtype, dims)
        moving.append(moving_words(ap))
    for at, n, stationary in pieces:
        out = Ap(tile.buffer, at, n, 0, DType.FP32, ((1, columns),))
        pairs = [(s, m) for s, m in zip(stationary, moving, strict=True) if s is not None]
        lo.load.pe += len(pairs) * max(lo.hw.pe_min_interval, columns) / lo.hw.pe_clock_hz
        lo.kernel.matmuls(out, [s for s, _ in pairs], [m for _, m in pairs])
