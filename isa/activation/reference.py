"""The arithmetic of the activation functions, in plain NumPy: the definition.

Every operation is one FP32 operation, rounded to nearest even, denormals kept, nothing fused. A NaN
result is always the canonical one. `fast.py` computes the same bits.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isa.activation.functions import (
    CANONICAL_NAN_BITS,
    FACTS,
    LN2_HIGH_BITS,
    LN2_LOW_BITS,
    LOG_CUT_BITS,
    POWER_SIGN,
    POWER_STEP,
    ActivationFunction,
    Method,
    function_named,
)
from isa.activation.tables import SHIFT_BITS, Tables, load_tables

Floats = NDArray[np.float32]
Words = NDArray[np.int64]

ONE_BITS, INF_BITS, SMALLEST_NORMAL_BITS = 0x3F800000, 0x7F800000, 0x00800000
MANTISSA_MASK, MAGNITUDE_MASK, SIGN_MASK = 0x7FFFFF, 0x7FFFFFFF, 0x80000000


def evaluate(
    function: ActivationFunction | int | str,
    x: ArrayLike,
    alpha: ArrayLike = 0.0,
    tables: Tables | None = None,
) -> Floats:
    """f(x), elementwise in FP32; `alpha` is the slope of prelu and may broadcast against x.

    Raises KeyError or ValueError for a function that does not exist.
    """
    f = function_named(function) if isinstance(function, str) else ActivationFunction(function)
    values = np.asarray(x, np.float32)
    held = load_tables() if tables is None else tables
    method = FACTS[f].method
    with np.errstate(all="ignore"):  # overflow, underflow and invalid are results here
        if method is Method.ARITHMETIC:
            result = _arithmetic(f, values, np.asarray(alpha, np.float32))
        elif method is Method.POLYNOMIAL:
            result = _at_infinities(f, values, _polynomial(f, values, held), held)
        elif method is Method.POWER:
            result = _power(f, values, held)
        else:
            result = _logarithm(f, values, held)
    return np.where(np.isnan(result), _float(CANONICAL_NAN_BITS), result)


def _arithmetic(f: ActivationFunction, x: Floats, alpha: Floats) -> Floats:
    zero, one = np.float32(0), np.float32(1)
    match f:
        case ActivationFunction.COPY:
            return x
        case ActivationFunction.RELU:
            return np.where(x > 0, x, np.where(np.isnan(x), x, zero))
        case ActivationFunction.PRELU:
            return np.where(x < 0, alpha * x, x)
        case ActivationFunction.ABS:
            return np.abs(x)
        case ActivationFunction.SIGN:
            return np.where(x > 0, one, np.where(x < 0, -one, np.where(x == 0, zero, x)))
        case _:
            return x * x


def _polynomial(f: ActivationFunction, x: Floats, tables: Tables) -> Floats:
    """The segment's polynomial at x, Horner's order; meaningless at infinities and NaN."""
    bits = _bits(x)
    entry = tables.rows[512 * f + (bits >> 23)].astype(np.int64)
    segment = (entry >> SHIFT_BITS) + ((bits & MANTISSA_MASK) >> (entry & 31))
    origin, c0, c1, c2, c3 = np.moveaxis(tables.segments[segment], -1, 0)
    t = x - origin
    result: Floats = ((c3 * t + c2) * t + c1) * t + c0
    return result


def _at_infinities(f: ActivationFunction, x: Floats, inside: Floats, tables: Tables) -> Floats:
    above, below = tables.special[f, 0], tables.special[f, 1]
    result = np.where(x == np.inf, above, np.where(x == -np.inf, below, inside))
    return np.where(np.isnan(x), x, result)


def _power(f: ActivationFunction, x: Floats, tables: Tables) -> Floats:
    """polynomial(m) * 2^(sign*k) in two exact steps of which only the last can round."""
    magnitude, shift = _normal_magnitude(x)
    exponent = (magnitude >> 23) - 127 + shift
    step = POWER_STEP[f]
    k = exponent >> 1 if step == 2 else exponent
    m = _float((magnitude & MANTISSA_MASK) + ((127 + exponent - step * k) << 23))
    j = POWER_SIGN[f] * k
    scaled = (_polynomial(f, m, tables) * _power_of_two(j >> 1)) * _power_of_two(j - (j >> 1))
    negative = np.copysign(scaled, x) if f is ActivationFunction.RECIPROCAL else np.float32(np.nan)
    return _at_zeros_and_infinities(f, x, np.where(x < 0, negative, scaled), tables)


def _logarithm(f: ActivationFunction, x: Floats, tables: Tables) -> Floats:
    """k*high + (polynomial(m) + k*low), where high + low is ln 2; k*high is exact."""
    magnitude, shift = _normal_magnitude(x)
    local = (magnitude - LOG_CUT_BITS) >> 23
    m = _float(magnitude - (local << 23))
    k = (local + shift).astype(np.float32)
    sum_ = k * _float(LN2_HIGH_BITS) + (_polynomial(f, m, tables) + k * _float(LN2_LOW_BITS))
    return _at_zeros_and_infinities(f, x, np.where(x < 0, np.float32(np.nan), sum_), tables)


def _at_zeros_and_infinities(
    f: ActivationFunction, x: Floats, inside: Floats, tables: Tables
) -> Floats:
    at_zero = np.where(np.signbit(x), tables.special[f, 3], tables.special[f, 2])
    return _at_infinities(f, x, np.where(x == 0, at_zero, inside), tables)


def _normal_magnitude(x: Floats) -> tuple[Words, Words]:
    """Bits of |x| as a normal number, and the power of two that it must be multiplied by.

    Denormals are multiplied by 2^24; zeros, infinities and NaN become 1, their results are set
    elsewhere.
    """
    magnitude = _bits(x) & MAGNITUDE_MASK
    magnitude = np.where((magnitude == 0) | (magnitude >= INF_BITS), ONE_BITS, magnitude)
    denormal = magnitude < SMALLEST_NORMAL_BITS
    raised = _bits(_float(magnitude) * np.float32(2.0**24))
    return np.where(denormal, raised, magnitude), np.where(denormal, -24, 0)


def _power_of_two(exponent: Words) -> Floats:
    """2^exponent for exponents of normal numbers."""
    return _float((exponent + 127) << 23)


def _bits(x: Floats) -> Words:
    return x.view(np.uint32).astype(np.int64)


def _float(bits: Words | int) -> Floats:
    return np.asarray(bits, np.uint32).view(np.float32)
