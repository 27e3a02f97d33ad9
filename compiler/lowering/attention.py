"""A softmax between two products as one nest: block of rows by block of rows, nothing ever whole.

    PE    scores[rows, keys] = a b^T             in PSUM
    DVE   -max of each row                       (behind a mask, if there is one)
    ACT   exp(scores - max), and its row sums    to SBUF
    either  times 1 / sum                        a value a row
    PE    transposed                             keys on partitions, as the values lie
    PE    out[columns, rows] = v^T weights^T     as the reader of `out` wants it

The result is laid as its reader, through transposes and reshapes, wants it: a head's columns on
partitions, heads side by side.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from compiler.graph.attrs import flag
from compiler.graph.graph import Node
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.contract import Box
from compiler.lowering.homes import home_for_reader
from compiler.lowering.softmax_nest import Nest
from compiler.lowering.softmax_rows import SoftmaxRows, cut
from compiler.tiles.iterate import tiles
from compiler.tiles.view import Factor, View, joined_dims
from isa.dtypes import DType
from isa.kernel import Ap, Buffer


def lower_attention(lo: Lowering, nest: Nest) -> None:
    """Emit a nest; its result is a value like any other."""
    _Attention(lo, nest).emit()


class _Attention:
    def __init__(self, lo: Lowering, nest: Nest) -> None:
        self.lo, self.nest = lo, nest
        self.shape = nest.scores.output.shape
        self.rank = len(self.shape)
        self.rows, self.keys = self.shape[-2:]
        self.dtype = device_dtype(nest.weights.dtype)
        self.softmax = SoftmaxRows(lo, nest)
        self.values = _values(lo, nest.values, self.keys)
        self.softmax.prepare()
        out = nest.values.output
        self.columns = out.shape[-1]
        self.out = home_for_reader(lo, out) or lo.produce(out, Spec.of(out.shape, self.rank - 1))
        lo.views[out.id] = self.out

    # --- loops -----------------------------------------------------------------------------------

    def emit(self) -> None:
        """Batch by batch, as many heads as share partitions, block of rows by block of rows; the
        heads inside of the blocks where what they share is loaded block by block."""
        lead = self.shape[:-2]
        together = self._together()
        heads = range(0, lead[-1], together) if lead else range(1)
        blocks = range(0, self.rows, PARTITIONS)
        order = (blocks, heads) if self.softmax.shared else (heads, blocks)
        for outer in itertools.product(*(range(e) for e in lead[:-1])):
            for pair in itertools.product(*order):
                first, head = pair if self.softmax.shared else pair[::-1]
                batch = [(*outer, head + i) if lead else () for i in range(together)]
                self._block(batch, first, min(PARTITIONS, self.rows - first))

    def _together(self) -> int:
        """Heads whose columns lie side by side on partitions."""
        if self.rank < 3:
            return 1
        factors = [f for f in self.out.factors[self.rank - 3] if f.extent > 1]
        if factors and factors[-1].part and factors[-1].stride == self.columns:
            return factors[-1].extent
        return 1

    def _block(self, batch: list[tuple[int, ...]], first: int, rows: int) -> None:
        lo, d = self.lo, self.columns
        turned = [self._turned(self.softmax.weights(at, first, rows), rows) for at in batch]
        tile = lo.kernel.psum(d * len(batch), "attention")
        for i, (at, moving) in enumerate(zip(batch, turned, strict=True)):
            for low in range(0, d, lo.hw.pe_columns):
                n = min(lo.hw.pe_columns, d - low)
                out = Ap(tile, i * d + low, n, 0, DType.FP32, ((1, rows),))
                for j, ap in enumerate(moving):
                    stationary = self._value_block(at, j, low, n)
                    lo.kernel.matmul(out, stationary, ap, start=j == 0, stop=j == len(moving) - 1)
        self._store(tile, batch, first, rows)

    def _store(self, tile: Buffer, batch: list[tuple[int, ...]], first: int, rows: int) -> None:
        box: Box = [*((i, 1) for i in batch[0]), (first, rows), (0, self.columns)]
        if batch[0]:
            box[self.rank - 3] = (batch[0][-1], len(batch))
        target = cut(self.out, box)
        factors: list[tuple[Factor, ...]] = [()] * self.rank
        factors[-1], factors[-2] = (Factor(self.columns, 1, True),), (Factor(rows, 1),)
        if len(batch) > 1:
            factors[-3] = (Factor(len(batch), self.columns, True),)
        made = View(tile, DType.FP32, target.shape, tuple(factors))
        for _, (out, ap) in tiles([target, made], self.lo.hw.pe_moving_max):
            self.lo.engine_copy(out, ap)

    # --- against the values ----------------------------------------------------------------------

    def _turned(self, weights: Ap, rows: int) -> list[Ap]:
        """The weights with keys on partitions, a block of keys after the other. [keys, rows]"""
        lo, size = self.lo, self.dtype.size_bytes
        identity = lo.identity(self.dtype)
        eye = Ap(identity.buffer, 0, rows, 0, self.dtype, ((1, rows),))
        blocks = [(k, min(PARTITIONS, self.keys - k)) for k in range(0, self.keys, PARTITIONS)]
        at_once = max(1, lo.hw.pe_moving_max // rows)
        buffer = lo.kernel.sbuf(PARTITIONS, len(blocks) * rows * size, "weights turned")
        for start in range(0, len(blocks), at_once):
            group = blocks[start : start + at_once]
            tile = lo.kernel.psum(PARTITIONS, "turned")
            for i, (key, count) in enumerate(group):
                for low in range(0, count, lo.hw.pe_columns):
                    n = min(lo.hw.pe_columns, count - low)
                    part = replace(weights, offset=(key + low) * size, dims=((1, n),))
                    out = Ap(tile, low, n, i * rows * 4, DType.FP32, ((1, rows),))
                    lo.kernel.matmul(out, part, eye, start=True, stop=True)
            full = sum(count == group[0][1] for _, count in group)
            self._evacuate(tile, buffer, group[0][1], rows, start, 0, full)
            self._evacuate(tile, buffer, group[-1][1], rows, start, full, len(group) - full)
        return [
            Ap(buffer, 0, count, i * rows * size, self.dtype, ((1, rows),))
            for i, (_, count) in enumerate(blocks)
        ]

    def _evacuate(
        self, tile: Buffer, to: Buffer, count: int, rows: int, start: int, first: int, n: int
    ) -> None:
        """`n` blocks of a PSUM tile from its `first` on, the tile's own begin at block `start`."""
        if n:
            size, dims = self.dtype.size_bytes, ((1, n * rows),)
            self.lo.engine_copy(
                Ap(to, 0, count, (start + first) * rows * size, self.dtype, dims),
                Ap(tile, 0, count, first * rows * 4, DType.FP32, dims),
            )

    def _value_block(self, at: tuple[int, ...], block: int, low: int, n: int) -> Ap:
        """The values of a block of keys, some columns. [keys, n]"""
        first = block * PARTITIONS
        count = min(PARTITIONS, self.keys - first)
        view = cut(self.values, [*((i, 1) for i in at), (first, count), (low, n)])
        dims = joined_dims([(f.stride, f.extent) for f in view.factors[-1] if f.extent > 1])
        offset = view.offset * view.dtype.size_bytes
        return Ap(view.buffer, view.start, count, offset, view.dtype, dims)


def _values(lo: Lowering, node: Node, keys: int) -> View:
    """The second product's right operand: keys on partitions from the first on, then columns."""
    value = node.inputs[1]
    rank = len(value.shape)
    k = rank - 1 if flag(node, "transpose_b") else rank - 2
    spec = Spec(k, min(PARTITIONS, keys))
    view = lo.from_first(value, spec)
    order = (*range(rank - 2), k, 2 * rank - 3 - k)
    view = view.permute(order)
    lead = len(node.output.shape) - rank
    return replace(view, shape=(1,) * lead + view.shape, factors=((),) * lead + view.factors)
