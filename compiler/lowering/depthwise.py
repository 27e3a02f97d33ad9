"""Depthwise convolution: one channel a group, so the array has nothing to sum but the taps.

    y[c, i] = sum over taps t of w[c, t] * x[c, i + offset(t)]

Two ways, and each tile goes the way that leaves the engines evenly loaded, by the specification's
costs for n elements a partition and T taps:

    array      T passes with a diagonal matrix of weights            PE T * n a 64 channels
    elements   the T products side by side, then the sum of each row  ACT T * n, DVE T * n / 2, BF16

The array is wasted (one row in 128 works for each column), yet it is there; the other way rounds
each product to the storage type of the result, and sums in FP32.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np

from compiler.graph.attrs import integers
from compiler.graph.graph import Array, Node
from compiler.lowering.bias import without_bias
from compiler.lowering.context import Lowering, Spec, device_dtype
from compiler.lowering.contract import Box
from compiler.lowering.row_of_taps import RowOfTaps, packs
from compiler.lowering.sharing import Rates, Shares, neighbours, on_array, on_either, rates
from compiler.lowering.twins import Twin, passes
from compiler.lowering.weights import Behind
from compiler.tiles.iterate import sliced, tiles
from compiler.tiles.view import Factor, View
from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.kernel import Ap, Buffer

PRODUCTS_BYTES = 12 * 1024
"""Bytes a partition of the products of one tile."""
UNITS = 8
"""A layer is cut into about so many tiles at least, so that the ways can share it."""


def depthwise(
    lo: Lowering, node: Node, spec: Spec, behind: Behind, view: View, weights: Array
) -> None:
    """y = conv(x, w) with one channel a group. `view` is the padded input [N, C, *S]."""
    kernel = weights.shape[2:]
    taps = [_tap(view, node, tap) for tap in itertools.product(*(range(n) for n in kernel))]
    steps = [tap.offset - taps[0].offset for tap in taps]  # else they are alike
    shape, block_of, work = node.output.shape, list[_Block](), list[tuple[_Block, Box]]()
    for first in range(0, weights.shape[0], spec.block):
        size = min(spec.block, weights.shape[0] - first)
        seen = view.slice(1, first, size)
        assert seen is not None, "blocks of channels can be cut"
        block_of.append(_Block(lo, node, behind, weights[first : first + size], seen))
        if first and packs(lo, node, seen, kernel, len(block_of) - 1):
            block_of[-1].row_of_taps = RowOfTaps(lo, node, seen, weights[first:], _tap)
        for box in boxes((shape[0], *shape[2:]), block_of[-1].elements(shape)):
            work.append((block_of[-1], [box[0], (first, size), *box[1:]]))
    if lo.knobs.fine(lo.hw.pe_moving_max):  # all channels of the first rows, then the next
        work.sort(key=lambda one: (one[1][0], *one[1][2:]))
    lead = block_of[0]
    nodes = len(behind.ready.ops), len(lead.plain.ops)
    either = on_either(op.op for op in behind.ready.ops)
    rate = rates(lo.hw, (lead.taps, lead.row), lead.kept.size_bytes, nodes, either)
    sizes = [(block.size_of(box), block.passes) for block, box in work]
    shares = neighbours(lo, node)
    for (block, box), array in zip(work, on_array(sizes, rate, shares), strict=True):
        here = sliced(taps[0], box)
        if array:
            block.on_array(here, steps, box)
        else:
            block.on_elements(here, steps, box, rate, shares)


def _tap(view: View, node: Node, tap: tuple[int, ...]) -> View:
    """The input seen from one kernel tap: dimensions [N, C, *spatial out]."""
    strides, dilations = integers(node, "strides"), integers(node, "dilations")
    shape, factors, offset = list(node.output.shape), list(view.factors), view.offset
    for d, at in enumerate(tap):
        step = next((f.stride for f in view.factors[d + 2] if f.extent > 1), 1)
        offset += at * dilations[d] * step
        factors[d + 2] = (Factor(shape[d + 2], step * strides[d]),)
    return replace(view, shape=tuple(shape), factors=tuple(factors), offset=offset)


def boxes(extents: tuple[int, ...], limit: int) -> Iterator[Box]:
    """Boxes of at most `limit` elements, cut in the outermost dimensions, in even shares."""
    inner = math.prod(extents[1:])
    if len(extents) == 1 or inner <= limit:
        most = max(1, limit // inner)
        share = -(-extents[0] // -(-extents[0] // most))
        for at in range(0, extents[0], share):
            yield [(at, min(share, extents[0] - at)), *((0, e) for e in extents[1:])]
        return
    for at in range(extents[0]):
        for rest in boxes(extents[1:], limit):
            yield [(at, 1), *rest]


class _Block:
    """One block of channels: its weights on chip, made when first needed, and its tiles."""

    def __init__(
        self,
        lo: Lowering,
        node: Node,
        behind: Behind,
        weights: Array,
        seen: View,
    ) -> None:
        """`seen`: the block's part of the padded input; `weights`: [C, 1, *kernel]."""
        self.lo, self.node, self.behind, self.seen = lo, node, behind, seen
        self.kernel = weights.shape[2:]
        self.pairs: dict[int, Twin] = {}
        self.row_of_taps: RowOfTaps | None = None
        self.weights = weights.reshape(weights.shape[0], -1).astype(np.float32)  # [C, T]
        self.channels, self.taps = self.weights.shape
        self.row = weights.shape[-1]  # taps of a row of the kernel
        self.dtype, self.name = device_dtype(node.inputs[1].dtype), node.inputs[1].name
        self.kept = device_dtype(node.output.dtype)  # what products and sums are stored in
        self.plain, self.bias = without_bias(behind.ready)
        self.diagonal: Buffer | None = None
        columns = lo.hw.pe_columns
        self.pieces = [
            (at, min(columns, self.channels - at)) for at in range(0, self.channels, columns)
        ]

    @cached_property
    def columns(self) -> Buffer:
        """The weights [C, T] as engines take columns: in FP32, though stored as the model's are."""
        lo = self.lo
        stored = lo.constant_image(self.weights, self.dtype, self.name)
        if self.dtype is DType.FP32:
            return stored
        run = ((1, self.taps),)
        made = lo.kernel.sbuf(self.channels, 4 * self.taps, f"{self.name}/columns")
        source = Ap(stored, 0, self.channels, 0, self.dtype, run)
        lo.engine_copy(Ap(made, 0, self.channels, 0, DType.FP32, run), source)
        return made

    def elements(self, shape: tuple[int, ...]) -> int:
        """How many elements a partition a tile has at most."""
        total = shape[0] * math.prod(shape[2:])
        fits = PRODUCTS_BYTES // (self.taps * self.kept.size_bytes)
        least = self.lo.hw.engine_min_interval
        return max(1, min(self.lo.hw.pe_moving_max, fits, max(2 * least, -(-total // UNITS))))

    @property
    def passes(self) -> int:
        """Array passes of a tile."""
        if self.row_of_taps is not None:
            return self.row_of_taps.passes
        return sum(passes(self.kernel, size) for _, size in self.pieces)

    def size_of(self, box: Box) -> int:
        """Elements a partition of a tile."""
        return math.prod(size for _, size in box) // self.channels

    # --- the array -------------------------------------------------------------------------------

    def on_array(self, first: View, steps: list[int], box: Box) -> None:
        """A tile as products with diagonal matrices; `first` tap, and elements on to each."""
        lo, hw, n = self.lo, self.lo.hw, self.size_of(box)
        buffer = lo.kernel.psum(self.channels, "product")
        out = dense_tile(buffer, DType.FP32, box)
        ((_, (_, lead)),) = tiles([out, first], hw.pe_moving_max)
        moving = [_further(lead, step) for step in steps]
        if self.row_of_taps is not None:
            self.row_of_taps.emit(Ap(buffer, 0, self.channels, 0, DType.FP32, ((1, n),)), box)
        for at, size in self.pieces if self.row_of_taps is None else ():
            target = Ap(buffer, at, size, 0, DType.FP32, ((1, n),))
            if passes(self.kernel, size) < self.taps:
                self._pairs_of(at, size).emit(target, box)
                continue
            self.diagonal = self.diagonal or self._diagonals()
            for t, ap in enumerate(moving):
                offset = t * hw.pe_columns * self.dtype.size_bytes
                diagonal = Ap(self.diagonal, at, size, offset, self.dtype, ((1, size),))
                part = replace(ap, start=ap.start + at, partitions=size)
                last = t == self.taps - 1
                lo.kernel.matmul(target, diagonal, part, start=t == 0, stop=last)
        lo.load.pe += self.passes * n / hw.pe_clock_hz
        self.behind(out, box)

    def _pairs_of(self, at: int, size: int) -> Twin:
        if at not in self.pairs:
            part = self.seen.slice(1, at, size)
            assert part is not None, "a piece of the channels can be cut"
            weights = self.weights[at : at + size].reshape(size, *self.kernel)
            self.pairs[at] = Twin(self.lo, self.node, part, weights, _tap)
        return self.pairs[at]

    def _diagonals(self) -> Buffer:
        """diagonal[c, (t, o)] = identity[c, o] * w[c, t], so that DRAM holds no zeros."""
        lo, columns = self.lo, self.lo.hw.pe_columns
        identity = lo.identity(self.dtype)
        size_bytes = self.dtype.size_bytes
        made = lo.kernel.sbuf(
            self.channels, self.taps * columns * size_bytes, f"{self.name}/diagonal"
        )
        for at, size in self.pieces:
            source = Ap(identity.buffer, at, size, at * size_bytes, self.dtype, ((1, size),))
            for t in range(self.taps):
                out = Ap(made, at, size, t * columns * size_bytes, self.dtype, ((1, size),))
                lo.engine_scale(
                    out, source, Ap(self.columns, at, size, 4 * t, DType.FP32, ((0, 1),))
                )
        return made

    # --- the scalar and the vector engine --------------------------------------------------------

    def on_elements(
        self, first: View, steps: list[int], box: Box, rate: Rates, shares: Shares
    ) -> None:
        """A tile as products of elements and their sums; `shares` says who takes a product."""
        lo, size_bytes, n = self.lo, self.kept.size_bytes, self.size_of(box)
        products = lo.kernel.sbuf(self.channels, n * self.taps * size_bytes, "products")
        frame = dense_tile(products, self.kept, box, self.row)
        shares.dve += (rate.sums + rate.behind[1]) * n
        places = list(tiles([frame, first], n))
        for t, step in enumerate(steps):
            column = Ap(self.columns, 0, self.channels, 4 * t, DType.FP32, ((0, 1),))
            bias = self._bias_column(box) if t == 0 else None
            act = bias is not None or shares.act + n <= shares.dve + rate.moved * n
            of_tap = t // self.row * n * self.row + t % self.row
            for _, (frames, taps) in places:
                out, ap = _further(frames, of_tap), _further(taps, step)
                if act:
                    lo.kernel.activation(out, ap, ActivationFunction.COPY, column, bias)
                else:
                    lo.kernel.tensor_scalar(out, ap, AluOp.MULTIPLY, column)
            self._count(shares, n if act else 0, 0 if act else rate.moved * n)
        sums = lo.kernel.sbuf(self.channels, n * size_bytes, "sums")
        lo.kernel.tensor_reduce(
            Ap(sums, 0, self.channels, 0, self.kept, ((1, n),)),
            Ap(products, 0, self.channels, 0, self.kept, self._of_each(n)),
            AluOp.ADD,
            2,
        )
        lo.load.dve += rate.sums * n / lo.hw.dve_clock_hz
        self.plain.emit(lo, box, dense_tile(sums, self.kept, box), n)

    def _of_each(self, n: int) -> tuple[tuple[int, int], ...]:
        """The products of each element; a row of taps lies together, so that steps are short."""
        return ((self.row, n), (n * self.row, self.taps // self.row), (1, self.row))

    def _count(self, shares: Shares, act: float, dve: float) -> None:
        shares.act += act
        shares.dve += dve
        self.lo.load.act += act / self.lo.hw.act_clock_hz
        self.lo.load.dve += dve / self.lo.hw.dve_clock_hz

    def _bias_column(self, box: Box) -> Ap | None:
        """The bias of these channels, which the first product takes with it."""
        if self.bias is None:
            return None
        here = sliced(self.bias, [(0, 1) if d != 1 else b for d, b in enumerate(box)])
        offset = here.offset * here.dtype.size_bytes
        return Ap(here.buffer, here.start, self.channels, offset, here.dtype, ((0, 1),))


def _further(ap: Ap, elements: int) -> Ap:
    """The operand so many elements further on."""
    offset = ap.offset + elements * ap.dtype.size_bytes
    return Ap(ap.buffer, ap.start, ap.partitions, offset, ap.dtype, ap.dims)


def dense_tile(buffer: Buffer, dtype: DType, box: Box, step: int = 1) -> View:
    """The tile of a box, row-major, its elements `step` apart; dimension 1 lies on partitions."""
    factors: list[tuple[Factor, ...]] = [()] * len(box)
    stride = step
    for d in range(len(box) - 1, -1, -1):
        size = box[d][1]
        if d == 1:
            factors[d] = (Factor(size, 1, True),)
        else:
            factors[d] = (Factor(size, stride),)
            stride *= size
    return View(buffer, dtype, tuple(size for _, size in box), tuple(factors))
