"""The ALU operators, fast: out[i] := a[i] op b[i] over consecutive FP32 values or bit patterns.

Read  `isa/alu_reference.py` for what each operator is; a test holds these to it bit for bit

NaN results are left as they come: whoever stores them makes them canonical (`narrow`), and between
two operators no NaN can be told from another.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from isa.alu import AluOp
from isa.alu_reference import (
    EXP_COEFFICIENTS,
    EXPONENT_LIMIT,
    INVERSE_LN2,
    LN2,
    LOG_COEFFICIENTS,
    SMALL_EXPONENT,
    SQRT_HALF,
)

_BYPASS, _ADD, _SUBTRACT, _MULTIPLY = (
    int(op) for op in (AluOp.BYPASS, AluOp.ADD, AluOp.SUBTRACT, AluOp.MULTIPLY)
)
_MAX, _MIN, _ABS_MAX, _ABS_MIN = (
    int(op) for op in (AluOp.MAX, AluOp.MIN, AluOp.ABS_MAX, AluOp.ABS_MIN)
)
_EQUAL, _NOT_EQUAL, _GREATER_EQUAL = (
    int(op) for op in (AluOp.EQUAL, AluOp.NOT_EQUAL, AluOp.GREATER_EQUAL)
)
_GREATER, _LESS_EQUAL, _LESS = (int(op) for op in (AluOp.GREATER, AluOp.LESS_EQUAL, AluOp.LESS))
_LOGICAL_AND, _LOGICAL_OR, _LOGICAL_XOR = (
    int(op) for op in (AluOp.LOGICAL_AND, AluOp.LOGICAL_OR, AluOp.LOGICAL_XOR)
)
_ABS, _SQUARE, _RELU = (int(op) for op in (AluOp.ABS, AluOp.SQUARE, AluOp.RELU))
_RSQRT, _RECIPROCAL, _POWER = (int(op) for op in (AluOp.RSQRT, AluOp.RECIPROCAL, AluOp.POWER))
_INVERT, _AND, _OR, _XOR = (int(op) for op in (AluOp.INVERT, AluOp.AND, AluOp.OR, AluOp.XOR))
_LEFT_SHIFT, _RIGHT_SHIFT = int(AluOp.LEFT_SHIFT), int(AluOp.RIGHT_SHIFT)

_ZERO, _ONE, _NAN = np.float32(0), np.float32(1), np.float32(np.nan)
_LOG_TOP, _EXP_TOP = len(LOG_COEFFICIENTS) - 1, len(EXP_COEFFICIENTS) - 1
_POWER_BITS = SMALL_EXPONENT.bit_length()


@njit(cache=True, error_model="numpy", inline="always")
def greater_of(a, b):  # type: ignore[no-untyped-def]  # numba: float32s
    """The greater; NaN wins over all, +0 over -0."""
    tie = (a == b) & (np.float32(b).view(np.int32) < 0)
    chosen = a if (a > b) | tie else b
    return chosen if (a == a) & (b == b) else _NAN


@njit(cache=True, error_model="numpy", inline="always")
def lesser_of(a, b):  # type: ignore[no-untyped-def]
    """The lesser; NaN wins over all, -0 over +0."""
    tie = (a == b) & (np.float32(a).view(np.int32) < 0)
    chosen = a if (a < b) | tie else b
    return chosen if (a == a) & (b == b) else _NAN


@njit(cache=True, error_model="numpy")
def combine(op, a, b, out, n):  # type: ignore[no-untyped-def]  # numba: int, float32 [>= n] x 3, int
    """out[i] := a[i] op b[i], arithmetic operators; `out` may be `a` or `b`."""
    if op == _ADD:
        for i in range(n):
            out[i] = a[i] + b[i]
    elif op == _MULTIPLY:
        for i in range(n):
            out[i] = a[i] * b[i]
    elif op == _SUBTRACT:
        for i in range(n):
            out[i] = a[i] - b[i]
    elif op == _MAX:
        for i in range(n):
            out[i] = greater_of(a[i], b[i])
    elif op == _MIN:
        for i in range(n):
            out[i] = lesser_of(a[i], b[i])
    elif op == _POWER:
        for i in range(n):
            out[i] = power(np.float64(a[i]), np.float64(b[i]))
    elif op == _ABS_MAX:
        for i in range(n):
            out[i] = greater_of(abs(a[i]), abs(b[i]))
    elif op == _ABS_MIN:
        for i in range(n):
            out[i] = lesser_of(abs(a[i]), abs(b[i]))
    elif _EQUAL <= op <= _LESS:
        _compare(op, a, b, out, n)
    elif _LOGICAL_AND <= op <= _LOGICAL_XOR:
        _logical(op, a, b, out, n)
    else:
        _unary(op, a, out, n)


@njit(cache=True, error_model="numpy")
def combine_lanes(op, a, lanes, out, free, n):  # type: ignore[no-untyped-def]  # float32 arrays
    """out[i] := a[i] op lanes[i // free] for the operators met most. Returns whether it is one."""
    if not (_ADD <= op <= _MIN):
        return False
    count, at = np.uint64(free), np.uint64(0)
    for p in range(n // free):
        b = lanes[p]
        if op == _ADD:
            for i in range(count):
                out[at + i] = a[at + i] + b
        elif op == _MULTIPLY:
            for i in range(count):
                out[at + i] = a[at + i] * b
        elif op == _SUBTRACT:
            for i in range(count):
                out[at + i] = a[at + i] - b
        elif op == _MAX:
            for i in range(count):
                out[at + i] = greater_of(a[at + i], b)
        else:
            for i in range(count):
                out[at + i] = lesser_of(a[at + i], b)
        at += count
    return True


@njit(cache=True, error_model="numpy", inline="always")
def _compare(op, a, b, out, n):  # type: ignore[no-untyped-def]
    if op == _EQUAL:
        for i in range(n):
            out[i] = _ONE if a[i] == b[i] else _ZERO
    elif op == _NOT_EQUAL:
        for i in range(n):
            out[i] = _ONE if a[i] != b[i] else _ZERO
    elif op == _GREATER_EQUAL:
        for i in range(n):
            out[i] = _ONE if a[i] >= b[i] else _ZERO
    elif op == _GREATER:
        for i in range(n):
            out[i] = _ONE if a[i] > b[i] else _ZERO
    elif op == _LESS_EQUAL:
        for i in range(n):
            out[i] = _ONE if a[i] <= b[i] else _ZERO
    else:
        for i in range(n):
            out[i] = _ONE if a[i] < b[i] else _ZERO


@njit(cache=True, error_model="numpy", inline="always")
def _logical(op, a, b, out, n):  # type: ignore[no-untyped-def]
    for i in range(n):
        x, y = a[i] != _ZERO, b[i] != _ZERO
        if op == _LOGICAL_AND:
            held = x & y
        elif op == _LOGICAL_OR:
            held = x | y
        else:
            held = x != y
        out[i] = _ONE if held else _ZERO


@njit(cache=True, error_model="numpy", inline="always")
def _unary(op, a, out, n):  # type: ignore[no-untyped-def]
    if op == _BYPASS:
        for i in range(n):
            out[i] = a[i]
    elif op == _ABS:
        for i in range(n):
            out[i] = abs(a[i])
    elif op == _SQUARE:
        for i in range(n):
            out[i] = a[i] * a[i]
    elif op == _RELU:
        for i in range(n):
            v = a[i] if a[i] > _ZERO else _ZERO
            out[i] = v if a[i] == a[i] else _NAN
    elif op == _RSQRT:
        for i in range(n):
            out[i] = 1.0 / np.sqrt(np.float64(a[i]))
    elif op == _RECIPROCAL:
        for i in range(n):
            out[i] = _ONE / a[i]


@njit(cache=True)
def combine_bits(op, a, b, out, n, width):  # type: ignore[no-untyped-def]  # uint32 arrays
    """out[i] := a[i] op b[i] on patterns of `width` bits, bit-vector operators and bypass."""
    mask = np.uint32(0xFFFFFFFF) if width == 32 else np.uint32((1 << width) - 1)
    for i in range(n):
        x, y = np.int64(a[i]), np.int64(b[i])
        if op == _INVERT:
            x = ~x
        elif op == _AND:
            x = x & y
        elif op == _OR:
            x = x | y
        elif op == _XOR:
            x = x ^ y
        elif op == _LEFT_SHIFT:
            x = x << y if y < width else np.int64(0)
        elif op == _RIGHT_SHIFT:
            x = x >> y if y < width else np.int64(0)
        out[i] = np.uint32(x & np.int64(mask))


@njit(cache=True, error_model="numpy")
def fold(op, start, values, first, step, n):  # type: ignore[no-untyped-def]
    """start op values[first] op values[first + step] ..., n of them, in order."""
    total, at, by = np.float32(start), np.uint64(first), np.uint64(step)
    if op == _ADD:
        for i in range(np.uint64(n)):
            total = np.float32(total + values[at + i * by])
    elif op == _MULTIPLY:
        for i in range(np.uint64(n)):
            total = np.float32(total * values[at + i * by])
    elif op == _MAX:
        for i in range(np.uint64(n)):
            total = greater_of(total, values[at + i * by])
    else:
        for i in range(np.uint64(n)):
            total = lesser_of(total, values[at + i * by])
    return total


# --- power ---------------------------------------------------------------------------------------


@njit(cache=True, error_model="numpy")
def power(x, y):  # type: ignore[no-untyped-def]  # numba: float64s -> float32
    """x ** y by the steps of `isa.alu_reference.power`."""
    if y == 0.0 or x == 1.0:
        return _ONE
    if x != x or y != y:
        return _NAN
    finite = abs(y) < np.inf
    if not finite and abs(x) == 1.0:
        return _ONE
    whole = finite and np.floor(y) == y
    if whole and abs(y) <= SMALL_EXPONENT:
        return np.float32(_small_power(x, y))
    if x < 0.0 and x > -np.inf and finite and not whole:
        return _NAN
    found = _exp2(y * _log2(abs(x)))
    odd = whole and abs(y) < 2.0**53 and np.floor(y / 2.0) * 2.0 != y
    negative = np.float64(x).view(np.int64) < 0
    return np.float32(-found if odd and negative else found)


@njit(cache=True, error_model="numpy", inline="always")
def _small_power(x, y):  # type: ignore[no-untyped-def]
    count, product, square = np.int64(abs(y)), 1.0, x
    for bit in range(_POWER_BITS):
        if count >> bit & 1:
            product = product * square
        square = square * square
    return 1.0 / product if y < 0.0 else product


@njit(cache=True, error_model="numpy", inline="always")
def _log2(x):  # type: ignore[no-untyped-def]
    """log2 of an FP32 number x >= 0, which is never denormal in float64; -inf at 0, inf at inf."""
    if x == 0.0:
        return -np.inf
    if x == np.inf:
        return np.inf
    bits = np.float64(x).view(np.int64)
    e = (bits >> 52) - 1022
    m = np.int64((bits & ((1 << 52) - 1)) | (1022 << 52)).view(np.float64)  # 1/2 <= m < 1
    if m < SQRT_HALF:
        m, e = m + m, e - 1
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    series = LOG_COEFFICIENTS[_LOG_TOP]
    for k in range(_LOG_TOP - 1, -1, -1):
        series = series * square + LOG_COEFFICIENTS[k]
    return np.float64(e) + (s + s) * series * INVERSE_LN2


@njit(cache=True, error_model="numpy", inline="always")
def _exp2(t):  # type: ignore[no-untyped-def]
    """2 ** t for t clipped to what FP32 can tell apart."""
    t = 0.0 if t != t else min(max(t, -EXPONENT_LIMIT), EXPONENT_LIMIT)
    k = np.rint(t)
    r = (t - k) * LN2
    series = EXP_COEFFICIENTS[_EXP_TOP]
    for j in range(_EXP_TOP - 1, -1, -1):
        series = series * r + EXP_COEFFICIENTS[j]
    return series * np.int64((np.int64(k) + 1023) << 52).view(np.float64)
