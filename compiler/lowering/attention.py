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
import math
from dataclasses import dataclass, replace

from compiler.graph.attrs import flag
from compiler.graph.graph import Node, Value
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.contract import Box, Term, contract
from compiler.lowering.elementwise import Plan, plan
from compiler.lowering.homes import home_for_reader
from compiler.lowering.products import computed_term
from compiler.lowering.softmax_nest import Nest
from compiler.tiles.iterate import Mismatch, sliced, tiles
from compiler.tiles.view import Factor, View, joined_dims
from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.kernel import Ap, Buffer
from isa.memory import DRAM

BANKS_OF_SCORES = 2
"""Banks of PSUM that a block of scores may fill while it is read; longer rows go to SBUF."""


STREAMED_BYTES = 16384
"""Bytes a partition from which on a constant beside the scores (a mask) stays in DRAM, and each
block of its rows is loaded for all heads when it is used."""


def lower_attention(lo: Lowering, nest: Nest) -> None:
    """Emit a nest; its result is a value like any other."""
    _Attention(lo, nest).emit()


@dataclass(frozen=True)
class _Piece:
    """Columns of a block of scores: where they are, and the first one."""

    tile: View
    first: int


class _Attention:
    def __init__(self, lo: Lowering, nest: Nest) -> None:
        self.lo, self.nest = lo, nest
        self.shape = nest.scores.output.shape
        self.rank = len(self.shape)
        self.rows, self.keys = self.shape[-2:]
        self.dtype = device_dtype(nest.weights.dtype)
        self.term = computed_term(lo, nest.scores, self.rank - 2)
        self.values = _values(lo, nest.values, self.keys)
        self.scale, self.plan = self._in_between()
        self.far = [v for v in self.plan.tiles if v.buffer.memory is DRAM] if self.plan else []
        self.loaded: dict[tuple[int, int], View] = {}  # of each, the block at hand
        out = nest.values.output
        self.columns = out.shape[-1]
        self.out = home_for_reader(lo, out) or lo.produce(out, Spec.of(out.shape, self.rank - 1))
        lo.views[out.id] = self.out

    def _in_between(self) -> tuple[float, Plan | None]:
        """A positive factor alone is taken into the exponential; all else needs a pass."""
        lo, nest = self.lo, self.nest
        if not nest.between:
            return 1.0, None
        only = nest.between[0]
        if len(nest.between) == 1 and only.op in ("mul", "div"):
            array = lo.graph.constants.get(only.inputs[1].id)
            if array is not None and array.size == 1 and float(array.reshape(-1)[0]) > 0:
                number = float(array.reshape(-1)[0])
                return (number if only.op == "mul" else 1.0 / number), None
        for value in (v for node in nest.between for v in node.inputs):
            self._leave_in_dram(value)
        spec = Spec.of(self.shape, self.rank - 2)
        return 1.0, plan(lo, list(nest.between), [nest.x], spec, nest.scores.output)

    def _leave_in_dram(self, value: Value) -> None:
        lo, array = self.lo, self.lo.graph.constants.get(value.id)
        if array is None or value.id in lo.streamed or array.shape[-2:] != self.shape[-2:]:
            return
        size = math.prod(array.shape) * device_dtype(value.dtype).size_bytes
        if size // min(self.rows, PARTITIONS) >= STREAMED_BYTES:
            home = lo.constant_in_dram(value, device_dtype(value.dtype))
            lo.streamed[value.id] = home.broadcast(self.shape)

    # --- loops -----------------------------------------------------------------------------------

    def emit(self) -> None:
        """Batch by batch, as many heads as share partitions, block of rows by block of rows; the
        heads inside of the blocks where what they share is loaded block by block."""
        lead = self.shape[:-2]
        together = self._together()
        heads = range(0, lead[-1], together) if lead else range(1)
        blocks = range(0, self.rows, PARTITIONS)
        order = (blocks, heads) if self.far else (heads, blocks)
        for outer in itertools.product(*(range(e) for e in lead[:-1])):
            for pair in itertools.product(*order):
                first, head = pair if self.far else pair[::-1]
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
        turned = [self._turned(self._weights(at, first, rows), rows) for at in batch]
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
        target = _cut(self.out, box)
        factors: list[tuple[Factor, ...]] = [()] * self.rank
        factors[-1], factors[-2] = (Factor(self.columns, 1, True),), (Factor(rows, 1),)
        if len(batch) > 1:
            factors[-3] = (Factor(len(batch), self.columns, True),)
        made = View(tile, DType.FP32, target.shape, tuple(factors))
        for _, (out, ap) in tiles([target, made], self.lo.hw.pe_moving_max):
            self.lo.engine_copy(out, ap)

    # --- one block of rows -----------------------------------------------------------------------

    def _scores(self, at: tuple[int, ...], first: int, rows: int) -> list[_Piece]:
        """a b^T of a block, in PSUM, or in SBUF where more happens to it or it is long."""
        lo, rank = self.lo, self.rank
        lead: Box = [(i, 1) for i in at]
        term = Term(
            _cut(self.term.stationary, [*lead, (first, rows), (0, 1)]),
            _cut(self.term.moving, [*lead, (0, 1), (0, self.keys)]),
        )
        pieces: list[_Piece] = []
        waits = self.plan is None and self.keys <= BANKS_OF_SCORES * lo.hw.pe_moving_max
        line = None if waits else self._line(rows)

        def keep(tile: View, box: Box) -> None:
            if line is None:
                pieces.append(_Piece(tile, box[-1][0]))
                return
            whole: Box = [*lead, (first, rows), box[-1]]
            target = _cut(line, [(0, e) for e in line.shape[:-1]] + [box[-1]])
            if self.plan is not None and self.far:
                here: Box = [*((0, 1) for _ in at), (0, rows), box[-1]]
                self._beside(lead, first, rows).emit(lo, here, tile, lo.hw.pe_moving_max, target)
                return
            if self.plan is not None:
                self.plan.emit(lo, whole, tile, lo.hw.pe_moving_max, target)
                return
            for _, (out, ap) in tiles([target, tile], lo.hw.pe_moving_max):
                lo.engine_copy(out, ap)

        shape = (*(1 for _ in at), rows, self.keys)
        contract(lo, shape, rank - 2, PARTITIONS, [term], keep)
        return pieces if line is None else [_Piece(line, 0)]

    def _beside(self, lead: Box, first: int, rows: int) -> Plan:
        """The plan of a head's block of rows alone, what lies in DRAM loaded for it."""
        assert self.plan is not None, "something is between the products"
        box: Box = [*lead, (first, rows), (0, self.keys)]
        outs = {i: _cut(v, box) for i, v in self.plan.outs.items()}
        like = next(iter(outs.values()))
        tiles = []
        for i, whole in enumerate(self.plan.tiles):
            part = sliced(whole, box)
            if part.buffer.memory is DRAM:
                key = (i, part.offset)
                if key not in self.loaded:
                    self.loaded = {k: v for k, v in self.loaded.items() if k[0] != i}
                    self.loaded[key] = self.lo.staged(part, like)
                part = self.loaded[key]
            tiles.append(part)
        columns = [sliced(v, box) for v in self.plan.columns]
        return replace(self.plan, tiles=tiles, columns=columns, outs=outs, shape=like.shape)

    def _line(self, rows: int) -> View:
        """Scores of a block of rows in SBUF."""
        buffer = self.lo.kernel.sbuf(rows, self.keys * 4, "scores")
        shape = (*(1 for _ in self.shape[:-2]), rows, self.keys)
        factors = [
            *(() for _ in self.shape[:-2]),
            (Factor(rows, 1, True),),
            (Factor(self.keys, 1),),
        ]
        return View(buffer, DType.FP32, shape, tuple(factors))

    def _weights(self, at: tuple[int, ...], first: int, rows: int) -> Ap:
        """The softmax of a block. [rows, keys]"""
        lo = self.lo
        pieces = [
            (_flat(p.tile, rows), p.first, p.tile.shape[-1]) for p in self._scores(at, first, rows)
        ]
        low = self._reduced([ap for ap, _, _ in pieces], rows, AluOp.MAX, negate=True)
        if self.scale != 1.0:
            lo.kernel.tensor_scalar(low, low, AluOp.MULTIPLY, self.scale)
        buffer = lo.kernel.sbuf(rows, self.keys * self.dtype.size_bytes, "weights")
        sums = self._column(rows, len(pieces))
        for i, (ap, start, n) in enumerate(pieces):
            offset = start * self.dtype.size_bytes
            part = Ap(buffer, 0, rows, offset, self.dtype, ((1, n),))
            total = replace(sums, offset=4 * i, dims=((0, 1),))
            lo.load.act += (n + lo.hw.engine_min_interval) / lo.hw.act_clock_hz
            exp = ActivationFunction.EXP
            lo.kernel.activation_reduce(part, ap, exp, total, self.scale, low)
        if len(pieces) > 1:
            sums = self._reduced([sums], rows, AluOp.ADD)
        inverse = self._column(rows, 1)
        lo.kernel.reciprocal(inverse, sums)
        whole = Ap(buffer, 0, rows, 0, self.dtype, ((1, self.keys),))
        self._times(whole, inverse)
        return whole

    def _times(self, whole: Ap, column: Ap) -> None:
        lo, hw = self.lo, self.lo.hw
        cycles = max(hw.engine_min_interval, whole.free)
        if lo.load.act <= lo.load.dve:
            lo.load.act += cycles / hw.act_clock_hz
            lo.kernel.activation(whole, whole, ActivationFunction.COPY, column)
        else:
            lo.load.dve += cycles / hw.dve_clock_hz
            lo.kernel.tensor_scalar(whole, whole, AluOp.MULTIPLY, column)

    def _reduced(self, parts: list[Ap], rows: int, op: AluOp, negate: bool = False) -> Ap:
        """A value a row over all columns of the parts."""
        lo = self.lo
        made = self._column(rows, len(parts))
        for i, ap in enumerate(parts):
            out = replace(made, offset=4 * i, dims=((0, 1),))
            lo.load.dve += max(lo.hw.engine_min_interval, ap.free) / lo.hw.dve_clock_hz
            lo.kernel.tensor_reduce(out, ap, op, 1, negate=negate and len(parts) == 1)
        if len(parts) == 1:
            return made
        last = self._column(rows, 1)
        lo.kernel.tensor_reduce(last, made, op, 1, negate=negate)
        return last

    def _column(self, rows: int, n: int) -> Ap:
        buffer = self.lo.kernel.sbuf(rows, 4 * n, "column")
        return Ap(buffer, 0, rows, 0, DType.FP32, ((1, n),) if n > 1 else ((0, 1),))

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
        view = _cut(self.values, [*((i, 1) for i in at), (first, count), (low, n)])
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


def _cut(view: View, box: Box) -> View:
    """Part of a view; a dimension of extent 1 is broadcast."""
    for d, (first, size) in enumerate(box):
        if view.shape[d] == 1:
            continue
        made = view.slice(d, first, size)
        if made is None:
            raise Mismatch(-1, f"cannot cut dimension {d}")
        view = made
    return view


def _flat(tile: View, rows: int) -> Ap:
    """A tile of scores as an operand. [rows, columns]"""
    ((_, (ap,)),) = tiles([tile], math.prod(tile.shape))
    assert ap.partitions == rows, "rows lie on partitions"
    return ap
