"""Depthwise taps in pairs: half of the array's rows hold the channels one kernel row further down.

    twin[c, i] = x[c, i],   twin[h + c, i] = x[c, i + one row]
    y[c, i] = sum over pairs of rows r, columns t of
              w[c, r, t] * twin[c, i + at(r, t)] + w[c, r + 1, t] * twin[h + c, i + at(r, t)]

A diagonal matrix uses one row of the array in 128; stacked on another it uses two, and a large
kernel takes about half of the passes. The twin costs two copies of the channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from compiler.graph.attrs import integers
from compiler.graph.graph import Array, Node
from compiler.lowering.context import Lowering, dense
from compiler.lowering.contract import Box
from compiler.tiles.iterate import sliced, tiles
from compiler.tiles.view import Factor, View
from isa.dtypes import DType
from isa.kernel import Ap, Buffer

WORTH = 8
"""Passes saved that are worth the two copies: these hold up the other engines, too."""
COPIED = 2048
"""Elements a partition of one copy."""


def passes(kernel: tuple[int, ...], size: int) -> int:
    """Array passes of a piece of `size` channels: in pairs where that is worth it."""
    taps = int(np.prod(kernel))
    if len(kernel) != 2 or size not in (32, 64):
        return taps
    paired = -(-kernel[0] // 2) * kernel[1]
    return paired if taps - paired >= WORTH else taps


class Twin:
    """One piece of channels, twice on chip, and its stacked diagonals."""

    def __init__(
        self,
        lo: Lowering,
        node: Node,
        view: View,
        weights: Array,
        tap: Callable[[View, Node, tuple[int, ...]], View],
    ) -> None:
        """`view`: the padded input [N, size, H, W] of the piece; `weights`: [size, kh, kw]."""
        self.lo, self.node, self.tap = lo, node, tap
        self.size, self.rows, self.columns = weights.shape
        self.name = node.inputs[1].name
        self.twin = self._twin(view)
        self.diagonal = self._diagonal(weights)

    def _twin(self, view: View) -> View:
        lo, (n, size, height, width) = self.lo, view.shape
        down = integers(self.node, "dilations")[0]
        plane = (n, height, width)
        item = view.dtype.size_bytes
        buffer = lo.kernel.sbuf(2 * size, n * height * width * item, "twin")
        free = dense(buffer, view.dtype, plane).factors
        made = View(
            buffer,
            view.dtype,
            (n, 2 * size, height, width),
            (free[0], (Factor(2 * size, 1, True),), free[1], free[2]),
        )
        everything = [(0, n), (0, size), (0, height), (0, width)]
        lower = [(0, n), (size, size), (0, height - down), (0, width)]
        source = [(0, n), (0, size), (down, height - down), (0, width)]
        for to, box in ((everything, everything), (lower, source)):
            for _, (out, ap) in tiles([sliced(made, to), sliced(view, box)], COPIED):
                lo.engine_copy(out, ap)
        return made

    def _diagonal(self, weights: Array) -> Buffer:
        """[2 * size, (pair, column, output)]: two diagonals, one on the other."""
        lo, size, dtype = self.lo, self.size, self.twin.dtype
        pairs = -(-self.rows // 2)
        stacked = np.zeros((2, size, pairs * self.columns), np.float32)
        for r in range(self.rows):
            at = r // 2 * self.columns
            stacked[r % 2, :, at : at + self.columns] = weights[:, r]
        image = stacked.reshape(2 * size, -1)
        stored = lo.constant_image(image, dtype, self.name)
        run = ((1, image.shape[1]),)
        column = lo.kernel.sbuf(2 * size, 4 * image.shape[1], "columns")
        lo.engine_copy(
            Ap(column, 0, 2 * size, 0, DType.FP32, run), Ap(stored, 0, 2 * size, 0, dtype, run)
        )
        identity = lo.stacked_identity(dtype, size)
        made = lo.kernel.sbuf(2 * size, image.shape[1] * size * dtype.size_bytes, "diagonals")
        source = Ap(identity, 0, 2 * size, 0, dtype, ((1, size),))
        for t in range(image.shape[1]):
            out = Ap(made, 0, 2 * size, t * size * dtype.size_bytes, dtype, ((1, size),))
            lo.engine_scale(out, source, Ap(column, 0, 2 * size, 4 * t, DType.FP32, ((0, 1),)))
        return made

    def emit(self, target: Ap, box: Box) -> None:
        """target [size, n] := the piece's tile over `box` of the output."""
        lo, item = self.lo, self.twin.dtype.size_bytes
        where = [box[0], (0, 2 * self.size), *box[2:]]
        steps = [(r, c) for r in range(0, self.rows, 2) for c in range(self.columns)]
        for i, (r, c) in enumerate(steps):
            seen = self.tap(self.twin, self.node, (r, c))
            seen = replace(seen, shape=(*seen.shape[:1], 2 * self.size, *seen.shape[2:]))
            ((_, (ap,)),) = tiles([sliced(seen, where)], lo.hw.pe_moving_max)
            held = 2 * self.size if r + 1 < self.rows else self.size
            offset = (r // 2 * self.columns + c) * self.size * item
            diagonal = Ap(self.diagonal, 0, held, offset, ap.dtype, ((1, self.size),))
            moving = replace(ap, partitions=held)
            lo.kernel.matmul(target, diagonal, moving, start=i == 0, stop=i == len(steps) - 1)
