"""The softmax of a block of rows between two products: scores, what is in between, weights.

PE    scores[rows, keys] = a b^T             in PSUM
DVE   -max of each row                       (behind a mask, if there is one)
ACT   exp(scores - max), and its row sums    to SBUF
either  times 1 / sum                        a value a row
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from compiler.graph.graph import Value
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.contract import Box, contract
from compiler.lowering.elementwise import Plan, plan
from compiler.lowering.products import computed_term
from compiler.lowering.softmax_nest import Nest
from compiler.lowering.terms import Term
from compiler.tiles.iterate import Mismatch, sliced, tiles
from compiler.tiles.view import Factor, View
from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.kernel import Ap
from isa.memory import DRAM

BANKS_OF_SCORES = 2
"""Banks of PSUM that a block of scores may fill while it is read; longer rows go to SBUF."""


STREAMED_BYTES = 16384
"""Bytes a partition from which on a constant beside the scores (a mask) stays in DRAM, and each
block of its rows is loaded for all heads when it is used."""


@dataclass(frozen=True)
class _Piece:
    """Columns of a block of scores: where they are, and the first one."""

    tile: View
    first: int


class SoftmaxRows:
    """The weights of a nest, a block of rows at a time.

    Attributes:
        shared: whether a block of rows loads what all heads read.
    """

    def __init__(self, lo: Lowering, nest: Nest) -> None:
        self.lo, self.nest = lo, nest
        self.shape = nest.scores.output.shape
        self.rank, self.keys = len(self.shape), self.shape[-1]
        self.dtype = device_dtype(nest.weights.dtype)
        self.term = computed_term(lo, nest.scores, self.rank - 2)
        self.scale, self.shared = 1.0, False
        self.plan: Plan | None = None
        self.loaded: dict[tuple[int, int], View] = {}  # of each, the block at hand

    def prepare(self) -> None:
        """Make what is between the products ready."""
        self.scale, self.plan = self._in_between()
        beside = self.plan.tiles if self.plan else []
        self.shared = any(v.buffer.memory is DRAM for v in beside)

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
        large = [v for node in nest.between for v in node.inputs if self._is_large(v)]
        for v in large:
            lo.streamed[v.id] = self._home(v).broadcast(self.shape)
        spec = Spec.of(self.shape, self.rank - 2)
        ready = plan(lo, list(nest.between), [nest.x], spec, nest.scores.output)
        for v in large:
            lo.streamed.pop(v.id, None)  # who else reads it may be of another shape
        return 1.0, ready

    def _is_large(self, value: Value) -> bool:
        """Whether a constant varies over rows and keys, and is better left in DRAM."""
        if value.id not in self.lo.graph.constants or value.shape[-2:] != self.shape[-2:]:
            return False
        size = math.prod(value.shape) * device_dtype(value.dtype).size_bytes
        return size // min(self.shape[-2], PARTITIONS) >= STREAMED_BYTES

    def _home(self, value: Value) -> View:
        """A constant in DRAM, one for all nests."""
        lo = self.lo
        if value.id not in lo.far:
            lo.far[value.id] = lo.constant_in_dram(value, device_dtype(value.dtype))
        return lo.far[value.id]

    def _scores(self, at: tuple[int, ...], first: int, rows: int) -> list[_Piece]:
        """a b^T of a block, in PSUM, or in SBUF where more happens to it or it is long."""
        lo, rank = self.lo, self.rank
        lead: Box = [(i, 1) for i in at]
        term = Term(
            cut(self.term.stationary, [*lead, (first, rows), (0, 1)]),
            cut(self.term.moving, [*lead, (0, 1), (0, self.keys)]),
        )
        pieces: list[_Piece] = []
        waits = self.plan is None and self.keys <= BANKS_OF_SCORES * lo.hw.pe_moving_max
        line = None if waits else self._line(rows)

        def keep(tile: View, box: Box) -> None:
            if line is None:
                pieces.append(_Piece(tile, box[-1][0]))
                return
            whole: Box = [*lead, (first, rows), box[-1]]
            target = cut(line, [(0, e) for e in line.shape[:-1]] + [box[-1]])
            if self.plan is not None and self.shared:
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
        outs = {i: cut(v, box) for i, v in self.plan.outs.items()}
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

    def weights(self, at: tuple[int, ...], first: int, rows: int) -> Ap:
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
        lo.engine_scale(whole, whole, inverse)
        return whole

    def _reduced(self, parts: list[Ap], rows: int, op: AluOp, negate: bool = False) -> Ap:
        """A value a row over all columns of the parts."""
        lo = self.lo
        made = self._column(rows, len(parts))
        for i, ap in enumerate(parts):
            out = replace(made, offset=4 * i, dims=((0, 1),))
            lo.vector_busy(ap.free)
            lo.kernel.tensor_reduce(out, ap, op, 1, negate=negate and len(parts) == 1)
        if len(parts) == 1:
            return made
        last = self._column(rows, 1)
        lo.kernel.tensor_reduce(last, made, op, 1, negate=negate)
        return last

    def _column(self, rows: int, n: int) -> Ap:
        buffer = self.lo.kernel.sbuf(rows, 4 * n, "column")
        return Ap(buffer, 0, rows, 0, DType.FP32, ((1, n),) if n > 1 else ((0, 1),))


def cut(view: View, box: Box) -> View:
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
