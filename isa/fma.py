"""Fused multiply-add and the systolic product: the reference, in plain NumPy.

In    float32 arrays
Out   float32 arrays, every value rounded once, to nearest even, with IEEE denormals
Read  `simulator/kernels/matmul.py` for the fast product, held equal to this one bit for bit.

A product of two float32 numbers has at most 48 significant bits and fits float64 exactly. The sum
with the addend need not fit, so it is rounded to *odd* in float64 (cut towards zero, lowest bit set
when anything was cut). That keeps 53 bits, at least two more than float32 has, so the second
rounding, to nearest even in float32, gives what one rounding of the exact sum would give; denormal
results included.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

CANONICAL_NAN_BITS = 0x7FC00000
"""The one NaN that arithmetic writes: sign 0, only the top mantissa bit set."""

CANONICAL_NAN = np.uint32(CANONICAL_NAN_BITS).view(np.float32)


def canonical(values: npt.NDArray[Any]) -> Float32Array:
    """`values` as float32, with every NaN replaced by the canonical quiet NaN."""
    rounded = np.asarray(values, dtype=np.float32)
    return np.where(np.isnan(rounded), CANONICAL_NAN, rounded)


def fma32(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Float32Array:
    """a * b + c with one rounding; float32 operands that broadcast against each other.

    Infinities and signed zeros follow IEEE 754 (0 * inf and inf - inf are NaN); every NaN result is
    the canonical one.
    """
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        a64, b64, c64 = (np.asarray(x, dtype=np.float32).astype(np.float64) for x in (a, b, c))
        return canonical(_add_to_odd(a64 * b64, c64).astype(np.float32))


def systolic_matmul(stationary: npt.ArrayLike, moving: npt.ArrayLike) -> Float32Array:
    """out[m, n] := +0, then fma(stationary[k, m], moving[k, n], out[m, n]) for k = 0, 1, ...

    stationary is float32 [K, M], moving float32 [K, N], the result float32 [M, N].
    """
    weights, values = (np.asarray(x, dtype=np.float32) for x in (stationary, moving))
    acc = np.zeros((weights.shape[1], values.shape[1]), dtype=np.float32)
    for weight_row, moving_row in zip(weights, values, strict=True):
        acc = fma32(weight_row[:, None], moving_row[None, :], acc)
    return acc


def _add_to_odd(a: Float64Array, b: Float64Array) -> Float64Array:
    """a + b rounded to odd; exact sums, infinities and NaN as float64 addition gives them."""
    total = a + b
    a_part = total - b
    error = (a - a_part) + (b - (total - a_part))  # TwoSum: a + b == total + error
    bits = total.view(np.int64)
    inexact_even = np.isfinite(total) & (error != 0) & (bits & 1 == 0)
    away_from_zero = (error > 0) == (total > 0)
    return np.where(inexact_even, bits + np.where(away_from_zero, 1, -1), bits).view(np.float64)
