"""What every ALU operator means, for every input, in plain NumPy: the definition.

In    FP32 arrays that broadcast against each other; or unsigned bit patterns of one width
Out   FP32, each operation rounded once to nearest even with denormals, every NaN the canonical one;
      or bit patterns of the same width
Read  `alu.py` for the codes

Corners, ours where the hardware's are not public (neuron-facts 2.8):
    max, min        NaN if either is NaN; -0 is below +0
    comparisons     1.0 or 0.0; with a NaN all are 0.0 but not_equal, which is 1.0
    logical         a value is true when it is not zero; NaN is true
    abs_max/min     max and min of the two magnitudes
    relu            x if x > 0, NaN if NaN, else +0
    rsqrt           1 / sqrt(x) in float64, rounded to FP32
    power           see `power`
    shifts          logical; the amount is unsigned, and one of the width or more gives 0
Unary operators (abs, square, relu, rsqrt, reciprocal, invert, bypass) do not look at their second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.alu import AluOp
from isa.dtypes import canonical_nan

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
BitPatterns = NDArray[np.unsignedinteger[Any]]
Binary = Callable[[Floats, Floats], Any]

_ZERO, _ONE, _NAN = np.float32(0), np.float32(1), np.float32(np.nan)


def apply(op: int, a: Floats, b: Floats) -> Floats:
    """a op b in FP32, for the arithmetic operators. Raises KeyError for a bit-vector operator."""
    x, y = np.broadcast_arrays(np.asarray(a, np.float32), np.asarray(b, np.float32))
    with np.errstate(all="ignore"):
        return canonical_nan(np.ascontiguousarray(_ARITHMETIC[AluOp(op)](x, y), np.float32))


def apply_bits(op: int, a: BitPatterns, b: BitPatterns) -> BitPatterns:
    """a op b on unsigned patterns of one width. Raises KeyError for an arithmetic operator."""
    width = np.asarray(a).dtype.itemsize * 8
    x, y = np.broadcast_arrays(a, b)
    wide = _BITWISE[AluOp(op)](x.astype(np.uint64), y.astype(np.uint64), width)
    result: BitPatterns = (wide & np.uint64((1 << width) - 1)).astype(np.asarray(a).dtype)
    return result


def maximum(a: Floats, b: Floats) -> Floats:
    """The greater; NaN wins over all, +0 over -0."""
    greater = (a > b) | ((a == b) & np.signbit(b))
    return np.where(np.isnan(a) | np.isnan(b), _NAN, np.where(greater, a, b))


def minimum(a: Floats, b: Floats) -> Floats:
    """The lesser; NaN wins over all, -0 over +0."""
    lesser = (a < b) | ((a == b) & np.signbit(a))
    return np.where(np.isnan(a) | np.isnan(b), _NAN, np.where(lesser, a, b))


def relu(x: Floats) -> Floats:
    """x if x > 0, NaN if NaN, else +0."""
    return np.where((x > 0) | np.isnan(x), x, _ZERO)


def rsqrt(x: Floats) -> Floats:
    """1 / sqrt(x) by one float64 root and one float64 division, then rounded."""
    return (1.0 / np.sqrt(x.astype(np.float64))).astype(np.float32)


# --- power ---------------------------------------------------------------------------------------

SMALL_EXPONENT = 64
INVERSE_LN2 = 1.4426950408889634
LN2 = 0.6931471805599453
SQRT_HALF = 0.7071067811865476
LOG_COEFFICIENTS = tuple(1.0 / (2 * k + 1) for k in range(11))
_FACTORIALS = (
    1, 1, 2, 6, 24, 120, 720, 5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800,
)  # fmt: skip
EXP_COEFFICIENTS = tuple(1.0 / f for f in _FACTORIALS)
EXPONENT_LIMIT = 300.0  # beyond 2**(+-300) every FP32 result is infinity or zero


def power(x: Floats, y: Floats) -> Floats:
    """x ** y, in float64 with + - * / only, then rounded to FP32; special cases as IEEE 754 `pow`.

    A whole y with |y| <= 64 multiplies x by itself (binary powering from the lowest bit; 1 over it
    for a negative y). Any other y gives 2 ** (y * log2|x|), with the sign of x when y is odd:

        log2    |x| = m 2^e, sqrt(1/2) <= m < sqrt(2); s = (m-1)/(m+1);
                e + 2 s (1 + s^2/3 + s^4/5 + ... + s^20/21) / ln 2, Horner in s^2
        2**t    k = t to the nearest even whole number; r = (t-k) ln 2;
                (1 + r + r^2/2! + ... + r^13/13!) 2^k, Horner in r

    x < 0 with a y that is not whole is NaN. x ** 0 and 1 ** y are 1, for NaN too.
    """
    with np.errstate(all="ignore"):  # overflow, underflow and invalid are results here
        return _power(x.astype(np.float64), y.astype(np.float64))


def _power(base: Doubles, exponent: Doubles) -> Floats:
    whole = np.isfinite(exponent) & (np.floor(exponent) == exponent)
    odd = whole & (np.abs(exponent) < 2.0**53) & (np.mod(exponent, 2.0) == 1.0)
    small = whole & (np.abs(exponent) <= SMALL_EXPONENT)
    general = _exp2(exponent * _log2(np.abs(base)))
    general = np.where(odd & np.signbit(base), -general, general)
    general = np.where(
        (base < 0) & np.isfinite(base) & np.isfinite(exponent) & ~whole, np.nan, general
    )
    result = np.where(small, _small_power(base, np.where(small, exponent, 0.0)), general)
    result = np.where(np.isinf(exponent) & (np.abs(base) == 1.0), 1.0, result)
    result = np.where(np.isnan(base) | np.isnan(exponent), np.nan, result)
    return np.where((exponent == 0.0) | (base == 1.0), 1.0, result).astype(np.float32)


def _small_power(x: Doubles, n: Doubles) -> Doubles:
    count = np.abs(n).astype(np.int64)
    product, square = np.ones_like(x), x
    for bit in range(SMALL_EXPONENT.bit_length()):
        product = np.where(count >> bit & 1 == 1, product * square, product)
        square = square * square
    return np.where(n < 0, 1.0 / product, product)


def _log2(x: Doubles) -> Doubles:
    """log2 of x >= 0; -inf at 0, inf at inf."""
    m, e = np.frexp(np.where((x > 0) & np.isfinite(x), x, 1.0))  # 1/2 <= m < 1, exact
    low = m < SQRT_HALF
    m, e = np.where(low, m + m, m), np.where(low, e - 1, e)
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    series = np.full_like(s, LOG_COEFFICIENTS[-1])
    for coefficient in LOG_COEFFICIENTS[-2::-1]:
        series = series * square + coefficient
    inside = e.astype(np.float64) + (s + s) * series * INVERSE_LN2
    return np.where(x == 0, -np.inf, np.where(np.isinf(x), np.inf, inside))


def _exp2(t: Doubles) -> Doubles:
    """2 ** t for t clipped to what FP32 can tell apart."""
    t = np.where(np.isnan(t), 0.0, np.clip(t, -EXPONENT_LIMIT, EXPONENT_LIMIT))
    k = np.rint(t)
    r = (t - k) * LN2
    series = np.full_like(r, EXP_COEFFICIENTS[-1])
    for coefficient in EXP_COEFFICIENTS[-2::-1]:
        series = series * r + coefficient
    scale = ((k.astype(np.int64) + 1023) << 52).view(np.float64)
    return series * scale


# --- the table -----------------------------------------------------------------------------------


def _true(x: Floats) -> NDArray[np.bool_]:
    truth: NDArray[np.bool_] = x != 0
    return truth


_ARITHMETIC: dict[AluOp, Binary] = {
    AluOp.BYPASS: lambda a, b: a,
    AluOp.ADD: lambda a, b: a + b,
    AluOp.SUBTRACT: lambda a, b: a - b,
    AluOp.MULTIPLY: lambda a, b: a * b,
    AluOp.MAX: maximum,
    AluOp.MIN: minimum,
    AluOp.EQUAL: lambda a, b: a == b,
    AluOp.NOT_EQUAL: lambda a, b: a != b,
    AluOp.GREATER_EQUAL: lambda a, b: a >= b,
    AluOp.GREATER: lambda a, b: a > b,
    AluOp.LESS_EQUAL: lambda a, b: a <= b,
    AluOp.LESS: lambda a, b: a < b,
    AluOp.LOGICAL_AND: lambda a, b: _true(a) & _true(b),
    AluOp.LOGICAL_OR: lambda a, b: _true(a) | _true(b),
    AluOp.LOGICAL_XOR: lambda a, b: _true(a) ^ _true(b),
    AluOp.POWER: power,
    AluOp.ABS_MAX: lambda a, b: maximum(np.abs(a), np.abs(b)),
    AluOp.ABS_MIN: lambda a, b: minimum(np.abs(a), np.abs(b)),
    AluOp.ABS: lambda a, b: np.abs(a),
    AluOp.SQUARE: lambda a, b: a * a,
    AluOp.RELU: lambda a, b: relu(a),
    AluOp.RSQRT: lambda a, b: rsqrt(a),
    AluOp.RECIPROCAL: lambda a, b: _ONE / a,
}


def _shifted(x: Any, amount: Any, width: int, left: bool) -> Any:
    safe = np.minimum(amount, np.uint64(63))
    moved = x << safe if left else x >> safe
    return np.where(amount >= np.uint64(width), np.uint64(0), moved)


_BITWISE: dict[AluOp, Callable[[Any, Any, int], Any]] = {
    AluOp.BYPASS: lambda a, b, w: a,
    AluOp.INVERT: lambda a, b, w: ~a,
    AluOp.AND: lambda a, b, w: a & b,
    AluOp.OR: lambda a, b, w: a | b,
    AluOp.XOR: lambda a, b, w: a ^ b,
    AluOp.LEFT_SHIFT: lambda a, b, w: _shifted(a, b, w, True),
    AluOp.RIGHT_SHIFT: lambda a, b, w: _shifted(a, b, w, False),
}


def is_bitwise(*ops: Any) -> Any:
    """Whether any of the operators works on bit patterns. Columnar."""
    found: Any = False
    for op in ops:
        found = found | (op >= AluOp.INVERT)
    return found


def fold(op: int, start: Floats, values: Floats) -> Floats:
    """start op values[:, 0] op values[:, 1] ..., in order. Shapes [P], [P, N] -> [P]."""
    acc = start
    for j in range(values.shape[1]):
        acc = apply(op, acc, values[:, j])
    return acc
