"""Two kernel taps a pass where outputs fill half of the array's columns: side by side in them.

    low[o, n]  = sum over r, first taps t of w[o, :, r, t] * x[:, n + (r, t)]
    high[o, n] = sum over r, the taps t + 1,  of what streams for t: x[:, n + (r, t)]
    out[o, n]  = low[o, n] + high[o, n + 1]

Both halves see the same columns stream by, so that a pass serves two taps; what the second half
sums belongs one column to the left. Tiles are one column wider than the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compiler.graph.attrs import integers
from compiler.graph.graph import Array, Node
from compiler.lowering.context import Lowering, device_dtype
from compiler.lowering.contract import Box, contract
from compiler.lowering.elementwise import Plan
from compiler.lowering.terms import Term
from compiler.lowering.weights import Behind, packed_weights
from compiler.tiles.iterate import tiles
from compiler.tiles.view import Factor, View
from isa.dtypes import DType


def pays(lo: Lowering, node: Node, weights: Array) -> bool:
    """Whether a convolution of one group has the form, and wide enough rows."""
    outputs, _, *kernel = weights.shape
    plain = len(kernel) == 2 and kernel[1] > 1 and integers(node, "strides")[1] == 1
    plain = plain and all(d == 1 for d in integers(node, "dilations"))
    width = node.output.shape[-1] + 1
    if not (lo.tensorize and plain and 2 * outputs == lo.hw.pe_columns):
        return False
    hw, maps = lo.hw, node.output.shape[0] * node.output.shape[2]
    saved = kernel[1] * (width - 1) - -(-kernel[1] // 2) * width  # columns a row of each map
    late = (hw.act_latency + hw.dve_latency) * hw.pe_clock_hz / hw.act_clock_hz
    return width <= hw.pe_moving_max and saved * kernel[0] * maps > 2 * late


def paired(lo: Lowering, node: Node, behind: Behind, view: View, weights: Array) -> None:
    """The convolution of a padded input [N, C, H, W]."""
    outputs, channels, rows, columns = weights.shape
    dtype = device_dtype(node.inputs[1].dtype)
    taps = weights.transpose(2, 3, 0, 1).reshape(rows * columns, outputs, channels)
    alone = columns % 2  # the first tap of each row: zeros stand beside it
    if alone:
        taps = np.concatenate([taps, np.zeros_like(taps[:1])])
    starts = [(r, c) for r in range(rows) for c in (*([0] * alone), *range(alone, columns, 2))]
    moving = [_wide(view, node, r, c) for r, c in starts]
    side = packed_weights(lo, taps, moving[0], dtype, node.inputs[1].name)
    step = side.factors[0][0].stride
    terms = []
    for (r, c), move in zip(starts, moving, strict=True):
        first = r * columns + c
        second = len(taps) - 1 if alone and c == 0 else first + 1
        halves = (Factor(2, (second - first) * step), Factor(outputs, 1))
        stationary = replace(
            side,
            shape=(1, 2 * outputs, 1, 1, channels),
            factors=((), halves, (), (), side.factors[2]),
            offset=side.offset + first * step,
        )
        terms.append(Term(stationary, move))
    n, _, height, width = node.output.shape
    shape = (n, 2 * outputs, height, width + 1)
    contract(lo, shape, 1, 2 * outputs, terms, _Sum(lo, behind.ready.with_sum()))


def _wide(view: View, node: Node, row: int, column: int) -> View:
    """The input seen from one tap, a column wider than the result: [N, 1, H, W + 1, C]."""
    n, _, height, width = node.output.shape
    down, across = (view.factors[d][0].stride if view.factors[d] else 1 for d in (2, 3))
    factors = (
        view.factors[0],
        (),
        (Factor(height, down * integers(node, "strides")[0]),),
        (Factor(width + 1, across),),
        view.factors[1],
    )
    shape = (n, 1, height, width + 1, view.shape[1])
    at = view.offset + row * down + column * across
    return replace(view, shape=shape, factors=factors, offset=at)


@dataclass
class _Sum:
    """The epilogue: the second half to SBUF, then both together through what is behind."""

    lo: Lowering
    ready: Plan

    def __call__(self, tile: View, box: Box) -> None:
        (first, size), (column, width) = box[1], box[3]
        outputs = size // 2
        low, high = (_half(tile, h * outputs, outputs, h, width - 1) for h in (0, 1))
        elements = low.shape[0] * low.shape[2] * low.shape[3]
        buffer = self.lo.kernel.sbuf(outputs, elements * DType.FP32.size_bytes, "second taps")
        n, _, rows, columns = low.shape
        factors = (
            (Factor(n, rows * columns),),
            (Factor(outputs, 1, True),),
            (Factor(rows, columns),),
            (Factor(columns, 1),),
        )
        beside = View(buffer, DType.FP32, low.shape, factors)
        for _, (out, ap) in tiles([beside, high], self.lo.hw.pe_moving_max):
            self.lo.engine_copy(out, ap)
        here = [box[0], (first, outputs), box[2], (column, width - 1)]
        self.ready.emit(self.lo, here, low, self.lo.hw.pe_moving_max, beside=beside)


def _half(tile: View, channel: int, channels: int, column: int, columns: int) -> View:
    part = tile.slice(1, channel, channels)
    part = part.slice(3, column, columns) if part is not None else None
    assert part is not None, "a tile of PSUM can be cut anywhere"
    return part
