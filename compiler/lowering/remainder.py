"""Remainders of floating-point numbers, exactly: what is left of |a| by steps of 2**10.

    r := |a|;  for k = K, K - 10, .., 0:  t := |b| 2**k;  q := round(r / t);  r := r - q t
    rem := r (+ |b| where below zero), with the sign of a;   mod := rem, + b where signs differ

Every product and difference is exact. |r| < 2**10 t in front of a step, so q has 11 bits and t two
parts of 12; what is left is below t (1/2 + 2**-11), so it and q times the lower part stay below
2**24 units of t's last bit. Where |r| < t nothing is taken away: what r has below that bit stays
below 2**24 of its own units. K is such that the largest quotient of the type is below 2**10 2**K.
Infinities and zeros give NaN as they have to; b = infinity leaves a.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from isa.alu import AluOp
from isa.dtypes import DType
from isa.kernel import Ap
from isa.tiles import Immediate

if TYPE_CHECKING:
    from compiler.lowering.emission import Input
    from compiler.lowering.expression import Emitter

BITS = 10  # of the quotient a step
SIGN, UPPER = 0x80000000, 0xFFFFF000  # the sign; all but the lower 12 bits of a mantissa
MAGIC = 1.5 * 2.0**23  # added and taken away it rounds to whole numbers
TINY, BLOWN_UP = 2.0**-100, 2.0**48
"""Steps below are multiplied for their reciprocal: that of 2**-149 would be infinite."""
_RANGE = {DType.FP32: (128, -149), DType.BF16: (128, -133), DType.FP16: (16, -24)}
"""The largest number is below 2**first, the least is 2**second."""


def emit_remainder(e: Emitter, op: str, xs: list[Input], out: Ap) -> Ap:
    """out := a rem b, or a mod b."""
    a, b = (_in_fp32(e, x) for x in xs)
    rest, size = _bits_of(e, a, ~SIGN), _bits_of(e, b, ~SIGN)
    for k in range(_first_step(xs), -1, -BITS):
        rest = _step(e, rest, size, k)
    whole = e.scratch(DType.FP32)
    e.k.tensor_tensor(whole, rest, size, AluOp.ADD)
    e.k.select(rest, whole, _where(e, rest, AluOp.LESS, 0.0))
    sign = _bits_of(e, a, SIGN)
    e.k.tensor_tensor(_bits(rest), _bits(rest), _bits(sign), AluOp.OR)
    if op == "mod":
        _towards(e, rest, b)
    e.k.tensor_copy(out, rest)
    return out


def _first_step(xs: list[Input]) -> int:
    """The least multiple of BITS whose step is above every quotient."""
    kinds = [_RANGE.get(getattr(x, "dtype", DType.FP32), _RANGE[DType.FP32]) for x in xs]
    most, least = kinds[0][0], kinds[1][1]
    divisor = xs[1]
    if isinstance(divisor, float) and divisor and math.isfinite(divisor):
        least = math.frexp(divisor)[1] - 1
    return max(0, -(-(most - least - BITS) // BITS) * BITS)


def _step(e: Emitter, rest: Ap, size: Ap, k: int) -> Ap:
    """What is left of `rest` when as many `size` 2**k as come nearest are taken away."""
    step, low, q, part, left = (e.scratch(DType.FP32) for _ in range(5))
    first = min(k, 127)
    e.k.tensor_scalar(
        step, size, AluOp.MULTIPLY, 2.0**first, AluOp.MULTIPLY, 2.0 ** min(k - first, 127)
    )
    if k > 254:
        e.k.tensor_scalar(step, step, AluOp.MULTIPLY, 2.0 ** (k - 254))
    high = _bits_of(e, step, UPPER)
    e.k.tensor_tensor(low, step, high, AluOp.SUBTRACT)
    _quotient(e, rest, step, k, q)
    e.k.tensor_tensor(part, q, high, AluOp.MULTIPLY)
    e.k.tensor_tensor(left, rest, part, AluOp.SUBTRACT)
    e.k.tensor_tensor(part, q, low, AluOp.MULTIPLY)
    e.k.tensor_tensor(left, left, part, AluOp.SUBTRACT)
    shorter = e.scratch(DType.UINT8)
    e.k.scalar_tensor_tensor(shorter, rest, AluOp.ABS_MAX, 0.0, AluOp.LESS, step)
    e.k.select(left, rest, shorter)
    return left


def _quotient(e: Emitter, rest: Ap, step: Ap, k: int, q: Ap) -> None:
    """q := round(rest / step)"""
    inverse = e.scratch(DType.FP32)
    if k + _RANGE[DType.FP32][1] < math.log2(TINY):
        scale, wide = e.scratch(DType.FP32), e.scratch(DType.FP32)
        e.k.tensor_scalar(scale, step, AluOp.LESS, TINY, AluOp.MULTIPLY, BLOWN_UP - 1)
        e.k.tensor_scalar(scale, scale, AluOp.ADD, 1.0)
        e.k.tensor_tensor(wide, step, scale, AluOp.MULTIPLY)
        e.k.reciprocal(inverse, wide)
        e.k.tensor_tensor(wide, rest, scale, AluOp.MULTIPLY)
        e.k.tensor_tensor(q, wide, inverse, AluOp.MULTIPLY)
    else:
        e.k.reciprocal(inverse, step)
        e.k.tensor_tensor(q, rest, inverse, AluOp.MULTIPLY)
    e.k.tensor_scalar(q, q, AluOp.ADD, MAGIC, AluOp.SUBTRACT, MAGIC)


def _towards(e: Emitter, rest: Ap, b: Ap) -> None:
    """rest := rest + b where it is not zero and its sign is not that of b."""
    below, unlike, whole = e.scratch(DType.FP32), e.scratch(DType.FP32), e.scratch(DType.FP32)
    e.k.tensor_scalar(below, b, AluOp.LESS, 0.0)
    e.k.scalar_tensor_tensor(unlike, rest, AluOp.LESS, 0.0, AluOp.NOT_EQUAL, below)
    chosen = e.scratch(DType.UINT8)
    e.k.scalar_tensor_tensor(chosen, rest, AluOp.NOT_EQUAL, 0.0, AluOp.MULTIPLY, unlike)
    e.k.tensor_tensor(whole, rest, b, AluOp.ADD)
    e.k.select(rest, whole, chosen)


def _where(e: Emitter, x: Ap, op: AluOp, number: float) -> Ap:
    out = e.scratch(DType.UINT8)
    e.k.tensor_scalar(out, x, op, number)
    return out


def _in_fp32(e: Emitter, x: Input) -> Ap:
    out = e.scratch(DType.FP32)
    e.k.tensor_copy(out, e.settled(x))
    return out


def _bits(x: Ap) -> Ap:
    return replace(x, dtype=DType.UINT32)


def _bits_of(e: Emitter, x: Ap, mask: int) -> Ap:
    out = e.scratch(DType.FP32)
    e.k.tensor_scalar(_bits(out), _bits(x), AluOp.AND, Immediate(mask & 0xFFFFFFFF))
    return out
