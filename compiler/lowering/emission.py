"""Instructions of the elementwise engines over one region, each on the engine with less to do.

    activation             f(x * scale + bias)     scalar engine
    tensor_scalar          (x op a) op b           vector engine
    scalar_tensor_tensor   (x op a) op y           vector engine
    tensor_tensor          x op y                  vector engine

A node whose result is used once is held back as a *pending* `x op a`; the node that uses it takes
it into its own instruction where one of the forms above fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from isa.activation.functions import ActivationFunction as F
from isa.alu import AluOp
from isa.dtypes import BF16, DType
from isa.kernel import Ap, Kernel
from isa.memory import PSUM, SBUF


@dataclass(frozen=True, slots=True)
class Col:
    """One value a partition, the same for every element of the region."""

    ap: Ap


Scalar = Col | float
"""What stands beside a tile: a column or a constant."""


@dataclass
class Load:
    """Busy seconds of the engines so far, with what they idled: who gets the next instruction."""

    act: float = 0.0
    dve: float = 0.0
    pe: float = 0.0
    lead: float = 0.0
    """How much more the vector engine idled than the array: in a long run it has this to spare."""

    def catch_up(self, seconds: float) -> None:
        """An engine far behind the busiest has idled: it will never have that time again."""
        floor = max(self.act, self.dve, self.pe) - seconds
        self.lead += max(floor - self.dve, 0.0) - max(floor - self.pe, 0.0)
        self.act, self.dve, self.pe = (max(x, floor) for x in (self.act, self.dve, self.pe))

    def since(self, before: Load) -> Load:
        """What has been added."""
        return Load(self.act - before.act, self.dve - before.dve, self.pe - before.pe)


@dataclass(frozen=True, slots=True)
class Pending:
    """x op value, not yet computed: `value` is a constant or a column; reversed: value op x."""

    x: Ap
    op: AluOp
    value: Scalar
    reverse: bool = False


Input = Ap | Pending | Col | float
"""An operand of a node while it is lowered."""


PSUM_MARGIN = 2.0
"""How much busier than the vector engine the scalar engine may be and still read PSUM: where the
engines share its port, two readers gain nothing on one."""


class Instructions:
    """Emits the instructions of one region."""

    def __init__(
        self, kernel: Kernel, load: Load, nums: tuple[int, ...], partitions: int, start: int
    ) -> None:
        self.k, self.load = kernel, load
        self.nums, self.partitions, self.start = nums, partitions, start
        self.n = math.prod(nums)

    def scratch(self, dtype: DType) -> Ap:
        """A fresh tile of the region's shape in SBUF."""
        buffer = self.k.sbuf(self.partitions, self.n * dtype.size_bytes, "scratch", self.start)
        return Ap(buffer, 0, self.partitions, 0, dtype, contiguous(self.nums))

    def _in_fp32(self, column: Ap) -> Ap:
        """A column as the engines take it: FP32."""
        if column.dtype is DType.FP32:
            return column
        buffer = self.k.sbuf(self.partitions, 4, "column", self.start)
        out = Ap(buffer, 0, self.partitions, 0, DType.FP32, ONE)
        self.k.tensor_copy(out, replace(column, partitions=self.partitions, dims=ONE))
        return out

    def _is_tile(self, x: object) -> bool:
        return isinstance(x, Ap | Pending)

    def settled(self, x: Input, dtype: DType = BF16) -> Ap:
        """A tile: what was pending is computed, a constant or column is spread."""
        if isinstance(x, Pending):
            out = self.scratch(DType.FP32)
            self._affine_or_scalar(out, x)
            return out
        if isinstance(x, Ap):
            return x
        if isinstance(x, Col) and self.n == 1:
            return replace(x.ap, partitions=self.partitions, dims=contiguous(self.nums))
        out = self.scratch(DType.FP32)
        self.k.memset(out, 0.0)
        self._scalar(out, out, AluOp.ADD, x)
        return out

    def _in_sbuf(self, x: Ap) -> Ap:
        if x.buffer.memory == SBUF:
            return x
        out = self.scratch(DType.FP32)
        self._copy(out, x)
        return out

    def _binary(
        self,
        alu: AluOp,
        a: Input,
        b: Input,
        target: Callable[[], Ap],
        keep: bool,
    ) -> Ap | Pending:
        a_tile, b_tile = self._is_tile(a), self._is_tile(b)
        if a_tile and b_tile:
            return self._two_tiles(alu, a, b, target())
        if not a_tile and not b_tile:
            a, a_tile = self.settled(a), True
        x, value, reverse = (a, b, False) if a_tile else (b, a, True)
        assert isinstance(value, Col | float)
        if alu in COMMUTES:
            reverse = False
        if isinstance(x, Pending):
            out = target()
            self._scalar(out, x.x, x.op, x.value, alu, value, x.reverse, reverse)
            return out
        assert isinstance(x, Ap)
        if keep:
            return Pending(x, alu, value, reverse)
        out = target()
        self._affine_or_scalar(out, Pending(x, alu, value, reverse))
        return out

    def _two_tiles(self, alu: AluOp, a: Input, b: Input, out: Ap) -> Ap:
        if isinstance(b, Pending) and not isinstance(a, Pending):
            a, b, swapped = b, a, True
        else:
            swapped = False
        if isinstance(a, Pending):
            other = self.settled(b)
            if a.x.buffer.memory == PSUM and other.buffer.memory == PSUM:
                other = self._in_sbuf(other)
            self._scalar_tensor(out, a, alu, other, swapped)
            return out
        x, y = self.settled(a), self.settled(b)
        if x is y and alu is AluOp.MULTIPLY:
            self._activate(out, x, F.SQUARE)
            return out
        if x.buffer.memory == PSUM and y.buffer.memory == PSUM:
            y = self._in_sbuf(y)
        return self._tensor(alu, y if swapped else x, x if swapped else y, out)

    def _cost(self, dve: bool, factor: float = 1.0) -> None:
        hw = self.k.hw
        cycles = max(hw.engine_min_interval, self.n * factor) / (
            hw.dve_clock_hz if dve else hw.act_clock_hz
        )
        if dve:
            self.load.dve += cycles
        else:
            self.load.act += cycles

    def _prefers_act(self, x: Ap) -> bool:
        """Whether the scalar engine should take what reads `x`."""
        margin = PSUM_MARGIN if x.buffer.memory == PSUM and self.k.hw.psum_port_shared else 1.0
        return self.load.act <= margin * self.load.dve

    def _copy(self, out: Ap, x: Ap) -> None:
        if self._prefers_act(x) and out.dtype.is_float and x.dtype.is_float:
            self._cost(False)
            self.k.activation(out, x, F.COPY)
        else:
            self._cost(True)
            self.k.tensor_copy(out, x)

    def _affine_or_scalar(self, out: Ap, p: Pending) -> None:
        affine = _as_affine(p)
        if affine is not None and self._prefers_act(p.x):
            scale, bias = affine
            self._cost(False)
            self.k.activation(out, p.x, F.COPY, _raw(scale), _raw(bias))
        else:
            self._scalar(out, p.x, p.op, p.value, reverse0=p.reverse)

    def _scalar(
        self,
        out: Ap,
        x: Ap,
        op0: AluOp,
        v0: Scalar,
        op1: AluOp = AluOp.BYPASS,
        v1: Scalar | None = None,
        reverse0: bool = False,
        reverse1: bool = False,
    ) -> None:
        self._cost(True)
        self.k.tensor_scalar(
            out, x, op0, _raw(v0), op1, _raw(v1), reverse0=reverse0, reverse1=reverse1
        )

    def _tensor(self, alu: AluOp, a: Ap, b: Ap, out: Ap) -> Ap:
        mixed = (a.buffer.memory is PSUM) != (b.buffer.memory is PSUM)
        self._cost(True, 1 if mixed else 2)
        self.k.tensor_tensor(out, a, b, alu)
        return out

    def _scalar_tensor(self, out: Ap, p: Pending, alu: AluOp, other: Ap, swapped: bool) -> None:
        self._cost(True, 2)
        self.k.scalar_tensor_tensor(
            out, p.x, p.op, _raw(p.value), alu, other, reverse0=p.reverse, reverse1=swapped
        )

    def _activate(self, out: Ap, x: Input, function: F) -> None:
        scale: Scalar = 1.0
        bias: Scalar | None = None
        if isinstance(x, Pending):
            affine = _as_affine(x)
            if affine is not None:
                scale, bias = affine
                tile = x.x
            else:
                tile = self.settled(x)
        else:
            tile = self.settled(x)
        idle = self.load.act <= self.load.dve
        if function is F.RELU and bias is None and scale == 1.0 and not idle:
            self._scalar(out, tile, AluOp.MAX, 0.0)
            return
        self._cost(False)
        self.k.activation(out, tile, function, _raw(scale), _raw(bias))


COMMUTES = (AluOp.ADD, AluOp.MULTIPLY, AluOp.MAX, AluOp.MIN, AluOp.EQUAL, AluOp.NOT_EQUAL,
            AluOp.LOGICAL_AND, AluOp.LOGICAL_OR, AluOp.LOGICAL_XOR)  # fmt: skip
ONE = ((0, 1),)


def contiguous(nums: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Row-major dimensions of a region, as one where possible."""
    return ((1, math.prod(nums)),)


def _as_affine(p: Pending) -> tuple[Scalar, Col | None] | None:
    """`x op value` as x * scale + bias of the activation instruction, or None."""
    if p.op is AluOp.MULTIPLY:
        return p.value, None
    if p.op is AluOp.ADD and isinstance(p.value, Col):
        return 1.0, p.value
    return None


def _raw(value: Scalar | None) -> Ap | float | None:
    return value.ap if isinstance(value, Col) else value
