"""Depthwise layers of few channels: a row of the kernel's taps shares a pass of the array.

    packed[(t, c), i] = x[c, i + offset(0, t)]
    y[c, i] = sum over rows r, taps t of a row of w[c, r, t] * packed[(t, c), i + offset(r, 0)]

The last block of 136 channels has 8: it takes the engines as long as one of 128. The array needs as
many passes as the kernel has rows, the copies are DMA's, and nothing is left for the engines but
what follows the layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from compiler.graph.attrs import integers, pairs
from compiler.graph.graph import Array, Node
from compiler.lowering.context import PARTITIONS, Lowering
from compiler.lowering.contract import Box
from compiler.lowering.tap_packing import Packing, flat, pack
from compiler.tiles.iterate import sliced, tiles
from compiler.tiles.view import View
from isa.dtypes import DType
from isa.kernel import Ap, Buffer

ENGINES_SHARE = 1.0
"""Cycles that three engines together take for a product of an element and its sum."""
Tap = Callable[[View, Node, tuple[int, ...]], View]


def packs(lo: Lowering, node: Node, view: View, kernel: tuple[int, ...], before: int) -> bool:
    """Whether a block of channels, padded in `view`, can be packed, and the copies are made while
    the engines have the blocks `before` it."""
    if not (lo.tensorize and lo.knobs.tap_packing) or len(kernel) != 2 or kernel[1] < 2:
        return False
    few = view.shape[0] == 1 and kernel[1] * view.shape[1] <= PARTITIONS
    padded = any(low or high for low, high in pairs(node, "pads"))
    if not few or integers(node, "folds") != (1, 1) or not flat(view, padded):
        return False
    moved = kernel[1] * math.prod(view.shape) * view.dtype.size_bytes
    seconds = 2 * lo.hw.dma_start_ns / 1e9 + moved / lo.hw.core_dram_bytes_per_s
    elements = before * math.prod(node.output.shape[2:]) * math.prod(kernel)
    return seconds * lo.hw.act_clock_hz <= elements * ENGINES_SHARE


class RowOfTaps:
    """One block of channels, packed when it is first needed."""

    def __init__(self, lo: Lowering, node: Node, view: View, weights: Array, tap: Tap) -> None:
        """`view`: the padded input [1, C, H, W] of the block; `weights`: [C, 1, kh, kw]."""
        self.lo, self.node, self.view, self.tap = lo, node, view, tap
        self.weights = weights.reshape(weights.shape[0], *weights.shape[2:])
        self.size: int = self.weights.shape[0]
        self.passes: int = self.weights.shape[1]
        self.columns: int = self.weights.shape[2]
        self.packed: View | None = None
        self.stationary: Buffer | None = None

    def emit(self, target: Ap, box: Box) -> None:
        """target [C, n] := the block's tile over `box` of the output."""
        packed, stationary = self._packed(), self._stationary()
        rows, lo = self.columns * self.size, self.lo
        where = [box[0], (0, rows), *box[2:]]
        for r in range(self.passes):
            seen = self.tap(packed, self.node, (r, 0))
            seen = replace(seen, shape=(seen.shape[0], rows, *seen.shape[2:]))
            ((_, (ap,)),) = tiles([sliced(seen, where)], lo.hw.pe_moving_max)
            at = r * self.size * ap.dtype.size_bytes
            side = Ap(stationary, 0, rows, at, ap.dtype, ((1, self.size),))
            lo.kernel.matmul(target, side, ap, start=r == 0, stop=r == self.passes - 1)

    def _packed(self) -> View:
        if self.packed is None:
            first, down, across = (
                self.tap(self.view, self.node, t) for t in ((0, 0), (1, 0), (0, 1))
            )
            steps = (down.offset - first.offset, across.offset - first.offset)
            free = [f for d, fs in enumerate(first.factors) if d != 1 for f in fs]
            reach = sum((f.extent - 1) * f.stride for f in free) + 1
            packing, kernel = Packing(1, self.columns, self.size), (self.passes, self.columns)
            name = self.node.inputs[0].name
            self.packed = pack(self.lo, self.view, packing, kernel, steps, reach, name)
        return self.packed

    def _stationary(self) -> Buffer:
        """[(tap, channel), (row of taps, channel)]: diagonals, one on the other."""
        if self.stationary is None:
            lo, rows, dtype = self.lo, self.columns * self.size, self.view.dtype
            turned = self.weights.transpose(2, 0, 1).reshape(rows, self.passes)
            stored = lo.constant_image(turned, dtype, self.node.inputs[1].name)
            run = ((1, self.passes),)
            columns = lo.kernel.sbuf(rows, 4 * self.passes, "columns")
            lo.engine_copy(
                Ap(columns, 0, rows, 0, DType.FP32, run), Ap(stored, 0, rows, 0, dtype, run)
            )
            identity = lo.stacked_identity(dtype, self.size, self.columns)
            width = self.size * dtype.size_bytes
            self.stationary = lo.kernel.sbuf(rows, self.passes * width, "diagonals")
            source = Ap(identity, 0, rows, 0, dtype, ((1, self.size),))
            for r in range(self.passes):
                out = Ap(self.stationary, 0, rows, r * width, dtype, ((1, self.size),))
                lo.engine_scale(out, source, Ap(columns, 0, rows, 4 * r, DType.FP32, ((0, 1),)))
        return self.stationary
