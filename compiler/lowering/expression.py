"""Elementwise graphs to engine instructions: each instruction takes as many nodes as it can.

    activation             f(x * scale + bias)     scalar engine
    tensor_scalar          (x op a) op b           vector engine
    scalar_tensor_tensor   (x op a) op y           vector engine
    tensor_tensor          x op y                  vector engine

A node whose result is used once is held back as a *pending* `x op a`; the node that uses it takes
it into its own instruction where one of the forms above fits. What fits both engines goes to the
one that has less to do so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from compiler.lowering.integers import emit_integer
from isa.activation.functions import ActivationFunction as F
from isa.alu import AluOp
from isa.dtypes import BF16, DType
from isa.instructions.gpsimd import TensorPower
from isa.kernel import Ap, Kernel
from isa.memory import PSUM, SBUF, Engine
from isa.tiles import Tile


@dataclass(frozen=True, slots=True)
class Col:
    """One value a partition, the same for every element of the region."""

    ap: Ap


Scalar = Col | float
"""What stands beside a tile: a column or a constant."""


@dataclass(frozen=True, slots=True)
class Term:
    """An operand of a node: another node's result, an input tile, or a constant."""

    kind: str  # "node", "tile", "column", "constant"
    index: int = 0
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Op:
    """A node of an elementwise graph: a core op, its operands, its storage type and use count."""

    op: str
    terms: tuple[Term, ...]
    dtype: DType
    uses: int
    param: object = None


@dataclass
class Load:
    """Busy seconds of the engines so far: who gets the next instruction."""

    act: float = 0.0
    dve: float = 0.0
    pe: float = 0.0


FUNCTIONS: dict[str, F] = {
    "relu": F.RELU,
    "exp": F.EXP,
    "log": F.LOG,
    "sqrt": F.SQRT,
    "rsqrt": F.RSQRT,
    "erf": F.ERF,
    "tanh": F.TANH,
    "sigmoid": F.SIGMOID,
    "softplus": F.SOFTPLUS,
    "gelu": F.GELU,
    "gelu_tanh": F.GELU_APPRX_TANH,
    "silu": F.SILU,
    "mish": F.MISH,
    "abs": F.ABS,
    "sign": F.SIGN,
    "square": F.SQUARE,
    "reciprocal": F.RECIPROCAL,
}
BINARY: dict[str, AluOp] = {
    "add": AluOp.ADD,
    "sub": AluOp.SUBTRACT,
    "mul": AluOp.MULTIPLY,
    "max": AluOp.MAX,
    "min": AluOp.MIN,
    "eq": AluOp.EQUAL,
    "ne": AluOp.NOT_EQUAL,
    "lt": AluOp.LESS,
    "le": AluOp.LESS_EQUAL,
    "gt": AluOp.GREATER,
    "ge": AluOp.GREATER_EQUAL,
    "and": AluOp.LOGICAL_AND,
    "or": AluOp.LOGICAL_OR,
    "xor": AluOp.LOGICAL_XOR,
}
SUPPORTED = frozenset(FUNCTIONS) | frozenset(BINARY) | {
    "neg", "div", "pow", "select", "cast", "copy", "not", "isnan", "isinf",
    "floor", "ceil", "round", "sin", "cos", "atan", "mod", "rem", "shl", "shr", "bit_not",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pending:
    """x op value, not yet computed: `value` is a constant or a column; reversed: value op x."""

    x: Ap
    op: AluOp
    value: Scalar
    reverse: bool = False


Input = Ap | Pending | Col | float
"""An operand of a node while it is lowered."""


class Emitter:
    """Emits one region of an elementwise graph."""

    def __init__(
        self, kernel: Kernel, load: Load, nums: tuple[int, ...], partitions: int, start: int
    ) -> None:
        self.k, self.load = kernel, load
        self.nums, self.partitions, self.start = nums, partitions, start
        self.n = math.prod(nums)

    # --- operands --------------------------------------------------------------------------------

    def scratch(self, dtype: DType) -> Ap:
        """A fresh tile of the region's shape in SBUF."""
        buffer = self.k.sbuf(self.partitions, self.n * dtype.size_bytes, "scratch", self.start)
        return Ap(buffer, 0, self.partitions, 0, dtype, contiguous(self.nums))

    def run(
        self, ops: Sequence[Op], tiles: Sequence[Ap], columns: Sequence[Ap], outs: dict[int, Ap]
    ) -> None:
        """Emit all nodes. `outs` maps a node to the tile where its result belongs."""
        values: dict[int, Ap | Pending] = {}
        for i, op in enumerate(ops):
            operands = [self._operand(t, values, tiles, columns) for t in op.terms]
            keep = op.uses == 1 and i not in outs
            values[i] = self._node(op, operands, outs.get(i), keep)

    def _operand(
        self,
        term: Term,
        values: dict[int, Ap | Pending],
        tiles: Sequence[Ap],
        columns: Sequence[Ap],
    ) -> Input:
        if term.kind == "node":
            return values[term.index]
        if term.kind == "constant":
            return term.value
        if term.kind == "tile":
            return tiles[term.index]
        return Col(self._in_fp32(columns[term.index]))

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
        out = self.scratch(DType.FP32)
        self.k.memset(out, 0.0)
        self._scalar(out, out, AluOp.ADD, x)
        return out

    # --- one node --------------------------------------------------------------------------------

    def _node(self, op: Op, xs: list[Input], out: Ap | None, keep: bool) -> Ap | Pending:
        def target() -> Ap:
            return out if out is not None else self.scratch(op.dtype)

        if op.param == "integer":
            return emit_integer(self, op.op, xs, op.dtype, target())
        if op.op in BINARY:
            return self._binary(BINARY[op.op], xs[0], xs[1], target, keep)
        if op.op == "neg":
            return self._binary(AluOp.MULTIPLY, xs[0], -1.0, target, keep)
        if op.op == "not":
            return self._binary(AluOp.EQUAL, xs[0], 0.0, target, keep)
        if op.op == "div":
            return self._divide(xs[0], xs[1], target, keep)
        if op.op == "pow":
            return self._power(xs[0], xs[1], target, keep)
        if op.op == "isnan":
            x = self._in_sbuf(self.settled(xs[0]))
            return self._tensor(AluOp.NOT_EQUAL, x, x, target())
        if op.op == "isinf":
            return self._isinf(self.settled(xs[0]), target())
        if op.op == "select":
            return self._select(xs, target())
        if op.op in ("cast", "copy"):
            return self._cast(op, xs[0], target)
        if op.op in ("floor", "ceil", "round"):
            return self._rounding(op.op, self.settled(xs[0]), target())
        if op.op in ("sin", "cos"):
            return self._sine(xs[0], op.op == "cos", target())
        if op.op == "atan":
            return self._arctangent(xs[0], target())
        result = target()
        self._activate(result, xs[0], FUNCTIONS[op.op])
        return result

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

    def _in_sbuf(self, x: Ap) -> Ap:
        if x.buffer.memory == SBUF:
            return x
        out = self.scratch(DType.FP32)
        self._copy(out, x)
        return out

    # --- instructions, with the engine chosen ----------------------------------------------------

    def _cost(self, dve: bool, factor: float = 1.0) -> None:
        hw = self.k.hw
        cycles = max(hw.engine_min_interval, self.n * factor) / (
            hw.dve_clock_hz if dve else hw.act_clock_hz
        )
        if dve:
            self.load.dve += cycles
        else:
            self.load.act += cycles

    def _prefers_act(self) -> bool:
        return self.load.act <= self.load.dve

    def _copy(self, out: Ap, x: Ap) -> None:
        if self._prefers_act() and out.dtype.is_float and x.dtype.is_float:
            self._cost(False)
            self.k.activation(out, x, F.COPY)
        else:
            self._cost(True)
            self.k.tensor_copy(out, x)

    def _affine_or_scalar(self, out: Ap, p: Pending) -> None:
        affine = _as_affine(p)
        if affine is not None and self._prefers_act():
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
        self._cost(True, 2)
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
        if function is F.RELU and bias is None and scale == 1.0 and not self._prefers_act():
            self._scalar(out, tile, AluOp.MAX, 0.0)
            return
        self._cost(False)
        self.k.activation(out, tile, function, _raw(scale), _raw(bias))

    # --- compound operations ---------------------------------------------------------------------

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
        y = self.settled(b)
        inverted = self.scratch(DType.FP32)
        self._cost(True, 8)
        self.k.reciprocal(inverted, y)
        return self._binary(AluOp.MULTIPLY, a, inverted, target, keep)

    def _column_reciprocal(self, x: Ap) -> Col:
        buffer = self.k.sbuf(self.partitions, 4, "reciprocal", self.start)
        out = Ap(buffer, 0, self.partitions, 0, DType.FP32, ONE)
        self.k.reciprocal(out, replace(x, partitions=self.partitions, dims=ONE))
        return Col(out)

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
        cond, a, b = xs
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

    def _cast(self, op: Op, x: Input, target: Callable[[], Ap]) -> Ap | Pending:
        tile = self.settled(x)
        if op.param == "bool":
            out = target()
            self._scalar(out, tile, AluOp.NOT_EQUAL, 0.0)
            return out
        if tile.dtype.is_float and not op.dtype.is_float:
            whole = self._truncate(tile)
            out = target()
            self.k.tensor_copy(out, whole)
            return out
        out = target()
        self._copy(out, tile)
        return out

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
