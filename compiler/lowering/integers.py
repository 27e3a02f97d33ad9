"""Integers on engines that compute in FP32: bits exactly, division where 22 bits are enough.

    and, or, xor, bit_not, shl   on the stored patterns
    shr                          of unsigned as it is; of signed ((x ^ m) >> s) ^ m, m = -(x < 0)
    div                          sign * q, where q = round(|a| * (1 / |b|)), less 1 if |a| < q |b|
    rem                          a - b * div(a, b): the sign of a
    mod                          rem, plus b where rem and b have unlike signs

|a| and |b| below 2**22 keep every product and difference exact. Dividing by zero gives any number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isa.alu import AluOp
from isa.dtypes import DType
from isa.kernel import Ap
from isa.tiles import Immediate

if TYPE_CHECKING:
    from compiler.lowering.emission import Input
    from compiler.lowering.expression import Emitter

BITS = {"and": AluOp.AND, "or": AluOp.OR, "xor": AluOp.XOR, "shl": AluOp.LEFT_SHIFT,
        "shr": AluOp.RIGHT_SHIFT, "bit_not": AluOp.INVERT}  # fmt: skip
DIVISIONS = ("div", "mod", "rem")
DIVISION_LIMIT = 2**22
SIGNED = (DType.INT8, DType.INT16, DType.INT32)


def division_refusal(largest: float) -> str:
    """Why a division with remainder cannot be lowered, or an empty string."""
    if largest >= DIVISION_LIMIT:
        return "it divides integers that may pass 2**22, beyond which FP32 quotients are not exact"
    return ""


def emit_integer(e: Emitter, op: str, xs: list[Input], dtype: DType, out: Ap) -> Ap:
    """out := op of integers."""
    if op in DIVISIONS:
        return _divide(e, op, e.settled(xs[0]), e.settled(xs[1]), out)
    if op == "bit_not":
        e.k.tensor_scalar(out, _whole(e, xs[0], dtype), AluOp.INVERT, Immediate(0))
        return out
    if op == "shr" and dtype in SIGNED:
        return _arithmetic_shift(e, _whole(e, xs[0], dtype), xs[1], dtype, out)
    return _bits(e, BITS[op], xs[0], xs[1], dtype, out)


def _whole(e: Emitter, x: Input, dtype: DType) -> Ap:
    """The operand as a tile of the integer type."""
    tile = e.settled(x)
    if tile.dtype == dtype:
        return tile
    made = e.scratch(dtype)
    e.k.tensor_copy(made, tile)
    return made


def _bits(e: Emitter, op: AluOp, a: Input, b: Input, dtype: DType, out: Ap) -> Ap:
    if isinstance(b, float):
        e.k.tensor_scalar(out, _whole(e, a, dtype), op, _pattern(b))
    elif isinstance(a, float):
        e.k.tensor_scalar(out, _whole(e, b, dtype), op, _pattern(a), reverse0=True)
    else:
        e.k.tensor_tensor(out, _whole(e, a, dtype), _whole(e, b, dtype), op)
    return out


def _pattern(value: float) -> Immediate:
    return Immediate(int(value) & 0xFFFFFFFF)


def _arithmetic_shift(e: Emitter, x: Ap, amount: Input, dtype: DType, out: Ap) -> Ap:
    mask, folded, moved = e.scratch(dtype), e.scratch(dtype), e.scratch(dtype)
    e.k.tensor_scalar(mask, x, AluOp.LESS, 0.0, AluOp.MULTIPLY, -1.0)
    e.k.tensor_tensor(folded, x, mask, AluOp.XOR)
    _bits(e, AluOp.RIGHT_SHIFT, folded, amount, dtype, moved)
    e.k.tensor_tensor(out, moved, mask, AluOp.XOR)
    return out


def _divide(e: Emitter, op: str, a: Ap, b: Ap, out: Ap) -> Ap:
    size_a, size_b, inverse, q, rest, sign = (e.scratch(DType.FP32) for _ in range(6))
    e.k.tensor_scalar(size_a, a, AluOp.ABS_MAX, 0.0)
    e.k.tensor_scalar(size_b, b, AluOp.ABS_MAX, 0.0)
    e.k.reciprocal(inverse, size_b)
    e.k.tensor_tensor(q, size_a, inverse, AluOp.MULTIPLY)
    near = e.rounded(q)
    e.k.tensor_tensor(rest, near, size_b, AluOp.MULTIPLY)
    e.k.tensor_tensor(rest, size_a, rest, AluOp.LESS)  # one too many
    e.k.tensor_tensor(q, near, rest, AluOp.SUBTRACT)
    e.k.tensor_scalar(sign, a, AluOp.LESS, 0.0)
    e.k.scalar_tensor_tensor(sign, b, AluOp.LESS, 0.0, AluOp.NOT_EQUAL, sign)
    e.k.tensor_scalar(sign, sign, AluOp.MULTIPLY, -2.0, AluOp.ADD, 1.0)
    if op == "div":
        e.k.tensor_tensor(out, q, sign, AluOp.MULTIPLY)
        return out
    e.k.tensor_tensor(q, q, sign, AluOp.MULTIPLY)
    e.k.tensor_tensor(q, q, b, AluOp.MULTIPLY)
    e.k.tensor_tensor(out if op == "rem" else rest, a, q, AluOp.SUBTRACT)
    if op == "mod":
        e.k.tensor_tensor(sign, rest, b, AluOp.MULTIPLY)
        e.k.scalar_tensor_tensor(sign, sign, AluOp.LESS, 0.0, AluOp.MULTIPLY, b)
        e.k.tensor_tensor(out, rest, sign, AluOp.ADD)
    return out
