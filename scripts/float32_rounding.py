"""Rounding an mpmath number to FP32 once: nearest even, denormals kept, overflow to infinity."""

import math

from mpmath import mp, mpf

LARGEST = (2.0 - 2.0**-23) * 2.0**127


def nearest_float32(value: mpf) -> float:
    """The FP32 number nearest to `value`, as a Python float (a zero result keeps no sign)."""
    if mp.isinf(value):
        return math.copysign(math.inf, float(mp.sign(value)))
    if value == 0:
        return 0.0
    unit = ulp_exponent(value)
    result = math.ldexp(int(mp.nint(mp.ldexp(value, -unit))), unit)
    return result if abs(result) <= LARGEST else math.copysign(math.inf, result)


def ulp_exponent(value: mpf) -> int:
    """e such that 2^e is the distance between FP32 numbers in the binade of `value`, not 0."""
    return max(int(mp.frexp(value)[1]) - 1, -126) - 23
