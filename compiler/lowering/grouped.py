"""Grouped convolution: block-diagonal weights, made on chip, so that DRAM holds no zeros.

    full[c, (t, o)] = w[o, c of its group, t] if o is of the group of c, else 0

DRAM has for each channel the weights of its own group's outputs. A group's rows end anywhere, and
engines begin at every 32nd partition only: so a group is copied with all rows of its block of
channels, times a column that is 1 in the group's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compiler.graph.graph import Array, Node
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.contract import Term, contract
from compiler.lowering.weights import Behind, Shifted
from compiler.tiles.iterate import legal_start
from compiler.tiles.view import Factor, View
from isa.dtypes import DType
from isa.kernel import Ap, Buffer


def grouped(
    lo: Lowering,
    node: Node,
    spec: Spec,
    behind: Behind,
    moving: list[View],
    weights: Array,
    groups: int,
) -> None:
    """y = conv(x, w) with several groups: each block of outputs reads its channels.

    Args:
        moving: for each tap the input [N, 1, *spatial, C], from partition 0.
        weights: [O, C / groups, *kernel].
    """
    made = _Weights.load(lo, node, weights, groups)
    shape, outputs = node.output.shape, weights.shape[0]
    for first in range(0, outputs, spec.block):
        size = min(spec.block, outputs - first)
        low, high = made.blocks_of(first, size)
        full = made.full(first, size, low, high)
        channels = min(high * made.block, made.channels) - low * made.block
        terms = []
        for t, view in enumerate(moving):
            seen = view.slice(len(view.shape) - 1, low * made.block, channels)
            assert seen is not None, "blocks of channels can be cut"
            block = min(made.block, channels)  # the last block may have fewer
            rows = (Factor(high - low, made.taps * size), Factor(block, 1, True))
            ones: list[tuple[Factor, ...]] = [()] * (len(shape) - 2)
            factors = ((), (Factor(size, 1),), *ones, rows)
            extents = (1, size, *([1] * len(ones)), channels)
            terms.append(Term(View(full, made.dtype, extents, factors, 0, t * size), seen))
        here = (shape[0], size, *shape[2:])
        contract(lo, here, 1, spec.block, terms, Shifted(behind, 1, first))


@dataclass(frozen=True)
class _Weights:
    """The weights on chip: `compact` [rows of a block, (block, tap, output of the group)]."""

    lo: Lowering
    dtype: DType
    compact: Buffer
    marks: Buffer
    groups: int
    channels: int
    outputs: int
    taps: int
    block: int
    name: str

    @staticmethod
    def load(lo: Lowering, node: Node, weights: Array, groups: int) -> _Weights:
        outputs, each = weights.shape[0], weights.shape[1]
        per, channels = outputs // groups, each * groups
        block = min(PARTITIONS, channels)
        blocks = -(-channels // block)
        taps = math.prod(weights.shape[2:])
        split = weights.reshape(groups, per, each, taps).transpose(0, 2, 3, 1)
        rows = split.reshape(channels, taps * per)
        dtype, name = device_dtype(node.inputs[1].dtype), node.inputs[1].name
        key = (channels, groups)
        if key not in lo.marks:
            own = np.arange(blocks * block) // each  # the group of each channel
            marks = own.reshape(blocks, block, 1) == np.arange(groups)
            columns = [marks[b, :, j] for b, j in _meetings(channels, groups, block)]
            picture = np.stack(columns, axis=1).astype(np.float32)
            lo.marks[key] = lo.constant_image(picture, DType.FP32, "groups")
        row_bytes, whole = taps * per * dtype.size_bytes, channels // block
        compact = lo.kernel.sbuf(block, blocks * row_bytes, name)
        image = rows[: whole * block].reshape(whole, block, -1).transpose(1, 0, 2)
        lo.constant_into(image.reshape(block, -1), dtype, compact, 0, name)
        if whole < blocks:  # the last block has fewer channels
            lo.constant_into(rows[whole * block :], dtype, compact, whole * row_bytes, name)
        return _Weights(
            lo, dtype, compact, lo.marks[key], groups, channels, outputs, taps, block, name
        )

    def blocks_of(self, first: int, size: int) -> tuple[int, int]:
        """The blocks of channels [low, high) that outputs [first, first + size) read."""
        per, each = self.outputs // self.groups, self.channels // self.groups
        low = first // per * each // self.block
        high = -(-((first + size - 1) // per + 1) * each // self.block)
        return low, high

    def full(self, first: int, size: int, low: int, high: int) -> Buffer:
        """[rows, (block, tap, output)] of outputs [first, first + size), with their zeros."""
        item, width = self.dtype.size_bytes, self.taps * size
        per = self.outputs // self.groups
        buffer = self.lo.kernel.sbuf(
            self.block, (high - low) * width * item, f"{self.name}/diagonal"
        )
        whole = Ap(buffer, 0, self.block, 0, self.dtype, ((1, (high - low) * width),))
        self.lo.kernel.memset(whole, 0.0)
        for i, (b, j) in enumerate(_meetings(self.channels, self.groups, self.block)):
            begin, end = max(first, j * per), min(first + size, (j + 1) * per)
            if low <= b < high and begin < end:
                at = ((b - low) * width + begin - first) * item
                source = (b * self.taps * per + begin - j * per) * item
                self._place(i, b, j, buffer, (at, size), (source, per), end - begin)
        return buffer

    def _place(
        self,
        mark: int,
        b: int,
        j: int,
        buffer: Buffer,
        to: tuple[int, int],
        source: tuple[int, int],
        count: int,
    ) -> None:
        """Copy one group's columns of one block; (bytes, step of a tap) at both ends."""
        each = self.channels // self.groups
        start = max(0, j * each - b * self.block)
        here = min(self.block, self.channels - b * self.block)
        rows = min(here, (j + 1) * each - b * self.block) - start
        alone = legal_start(start, rows)
        if not alone:
            start, rows = 0, here
        out, ap = (
            Ap(home, start, rows, at, self.dtype, ((step, self.taps), (1, count)))
            for home, (at, step) in ((buffer, to), (self.compact, source))
        )
        if alone:
            self.lo.engine_copy(out, ap)
        else:
            column = Ap(self.marks, 0, rows, 4 * mark, DType.FP32, ((0, 1),))
            self.lo.engine_scale(out, ap, column)


def _meetings(channels: int, groups: int, block: int) -> Iterator[tuple[int, int]]:
    """(block of channels, group) wherever the two share channels."""
    each = channels // groups
    for b in range(-(-channels // block)):
        last = min(channels, (b + 1) * block) - 1
        for j in range(b * block // each, last // each + 1):
            yield b, j
