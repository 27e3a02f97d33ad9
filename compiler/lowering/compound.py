"""Elementwise operations that take several instructions: divisions, powers, roundings, angles."""

from __future__ import annotations

import math
from collections.abc import Callable

from compiler.lowering.emission import Col, Input, Pending
from compiler.lowering.quotient import Quotients
from isa.activation.functions import ActivationFunction as F
from isa.alu import AluOp
from isa.dtypes import DType
from isa.instructions.gpsimd import TensorPower
from isa.kernel import Ap
from isa.memory import PSUM, SBUF, Engine
from isa.tiles import Immediate, Tile


class Compound(Quotients):
    """Emits operations that no single instruction does."""

    def _divide(
        self,
        a: Input,
        b: Input,
        target: Callable[[], Ap],
        keep: bool,
    ) -> Ap | Pending:
        if isinstance(b, float):
            return self._binary(AluOp.MULTIPLY, a, 1.0 / b if b else math.inf, target, keep)
        if isinstance(b, Col):
            inverse = self._column_reciprocal(b.ap)
            return self._binary(AluOp.MULTIPLY, a, inverse, target, keep)
        y = self._divisor(b)
        if not isinstance(y, Ap):
            return self._divide(a, y, target, keep)
        inverted = self.scratch(DType.FP32)
        self._cost(True, 8)
        self.k.reciprocal(inverted, y)
        return self._binary(AluOp.MULTIPLY, a, inverted, target, keep)

    def _power(
        self,
        x: Input,
        y: Input,
        target: Callable[[], Ap],
        keep: bool,
    ) -> Ap | Pending:
        direct = {2.0: F.SQUARE, 0.5: F.SQRT, -0.5: F.RSQRT, -1.0: F.RECIPROCAL}
        if isinstance(y, float) and y in direct:
            out = target()
            self._activate(out, x, direct[y])
            return out
        if isinstance(y, float) and y == 1.0:
            return self._binary(AluOp.MULTIPLY, x, 1.0, target, keep)
        out = target()
        if not self._is_tile(y):
            assert isinstance(y, Col | float)
            self._scalar(out, self.settled(x), AluOp.POWER, y)
            return out
        if not self._is_tile(x):
            assert isinstance(x, Col | float)
            self._scalar(out, self.settled(y), AluOp.POWER, x, reverse0=True)
            return out
        a, b = self._in_sbuf(self.settled(x)), self._in_sbuf(self.settled(y))
        if self.k.hw.generation < 2:
            return self._tensor(AluOp.POWER, a, b, out)
        self._pool_power(out, a, b)
        return out

    def _pool_power(self, out: Ap, a: Ap, b: Ap) -> None:
        """From NeuronCore-v2 on, the gpsimd engine raises tensors to powers."""
        dst, x, y = (
            Tile(SBUF, ap.start, ap.partitions, ap.offset, ap.dtype, ap.dims) for ap in (out, a, b)
        )
        made = TensorPower(dst=dst, a=x, b=y)
        self.k.emit(Engine.GPSIMD, made, dst=out.buffer, a=a.buffer, b=b.buffer)

    def _isinf(self, x: Ap, out: Ap) -> Ap:
        self._scalar(out, x, AluOp.ABS_MAX, 0.0, AluOp.EQUAL, math.inf)
        return out

    def _select(self, xs: list[Input], out: Ap) -> Ap:
        cond, a, b = (self._whole_number(x, out.dtype) for x in xs)
        self._spread(out, b)
        predicate = self.settled(cond)
        if predicate.dtype is not DType.UINT8:
            narrow = self.scratch(DType.UINT8)
            self._scalar(narrow, predicate, AluOp.NOT_EQUAL, 0.0)
            predicate = narrow
        chosen = self.settled(a)
        if chosen.buffer.memory == PSUM and predicate.buffer.memory == PSUM:
            chosen = self._in_sbuf(chosen)
        self._cost(True, 2)
        self.k.select(out, chosen, predicate)
        return out

    def _whole_number(self, x: Input, dtype: DType) -> Input:
        """A constant beyond 2**24 as a tile of its bits: an FP32 immediate would be rounded."""
        if not isinstance(x, float) or dtype.is_float or abs(x) <= 2**24:
            return x
        out = self.scratch(dtype)
        self.k.memset(out, 0.0)
        self.k.tensor_scalar(out, out, AluOp.OR, Immediate(int(x) & 0xFFFFFFFF))
        return out

    def _spread(self, out: Ap, x: Input) -> None:
        if isinstance(x, float):
            self.k.memset(out, x)
        elif isinstance(x, Pending):
            self._affine_or_scalar(out, x)
        elif isinstance(x, Ap):
            self._copy(out, x)
        else:
            self.k.memset(out, 0.0)
            self._scalar(out, out, AluOp.ADD, x)

    def rounded(self, x: Ap) -> Ap:
        """Nearest integer, ties to even, in FP32: adding and taking away 1.5 * 2**23 rounds every
        |x| < 2**22; larger ones keep their value by the select behind it."""
        out = self.scratch(DType.FP32)
        magic = 12582912.0
        self._scalar(out, x, AluOp.ADD, magic, AluOp.SUBTRACT, magic)
        large = self.scratch(DType.UINT8)
        self._scalar(large, x, AluOp.ABS_MAX, 0.0, AluOp.GREATER_EQUAL, 4194304.0)
        self.k.select(out, x, large)
        return out

    def _rounding(self, kind: str, x: Ap, out: Ap) -> Ap:
        x = self._in_sbuf(x)
        near = self.rounded(x)
        if kind == "round":
            self._copy(out, near)
            return out
        off = self.scratch(DType.FP32)
        compare = AluOp.GREATER if kind == "floor" else AluOp.LESS
        self._tensor(compare, near, x, off)
        return self._tensor(AluOp.SUBTRACT if kind == "floor" else AluOp.ADD, near, off, out)

    def _truncate(self, x: Ap) -> Ap:
        """Towards zero: sign(x) * floor(|x|)."""
        x = self._in_sbuf(x)
        size, sign = self.scratch(DType.FP32), self.scratch(DType.FP32)
        self._activate(size, x, F.ABS)
        self._activate(sign, x, F.SIGN)
        whole = self._rounding("floor", size, self.scratch(DType.FP32))
        return self._tensor(AluOp.MULTIPLY, whole, sign, self.scratch(DType.FP32))

    def _arctangent(self, x: Input, out: Ap) -> Ap:
        """sign(x) * atan(t), or its complement where |x| > 1; t = min(|x|, 1 / |x|).

        The table serves [-pi/2, pi/2].
        """
        tile = self._in_sbuf(self.settled(x))
        size, inverse, angle = (self.scratch(DType.FP32) for _ in range(3))
        self._scalar(size, tile, AluOp.ABS_MAX, 0.0)
        self._cost(True, 8)
        self.k.reciprocal(inverse, size)
        self._tensor(AluOp.MIN, size, inverse, inverse)
        self._activate(angle, inverse, F.ARCTAN)
        self._scalar(inverse, size, AluOp.GREATER, 1.0)  # 1 where the angle is the complement
        self._scalar(size, inverse, AluOp.MULTIPLY, -2.0, AluOp.ADD, 1.0)
        self._tensor(AluOp.MULTIPLY, angle, size, angle)
        self._cost(True, 2)
        self.k.scalar_tensor_tensor(angle, inverse, AluOp.MULTIPLY, math.pi / 2, AluOp.ADD, angle)
        self._activate(size, tile, F.SIGN)
        return self._tensor(AluOp.MULTIPLY, angle, size, out)

    def _sine(self, x: Input, cosine: bool, out: Ap) -> Ap:
        """sin over the reals: the table serves [-pi, pi], so whole turns go first."""
        tile = self._in_sbuf(self.settled(x))
        turns = self.scratch(DType.FP32)
        shift = 0.25 if cosine else 0.0
        self._scalar(turns, tile, AluOp.MULTIPLY, 1 / (2 * math.pi), AluOp.ADD, shift)
        whole = self.rounded(turns)
        part = self._tensor(AluOp.SUBTRACT, turns, whole, self.scratch(DType.FP32))
        self._cost(False)
        self.k.activation(out, part, F.SIN, 2 * math.pi)
        return out
