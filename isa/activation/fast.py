"""The activation functions in Numba: the same bits as `reference.py`, quickly.

`activate` is for other kernels: one dispatch, then a plain loop over a contiguous buffer.
`evaluate_fast` is its door from Python. Nothing here is a definition; where the two differ, this
file is wrong.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from isa.activation.functions import (
    CANONICAL_NAN_BITS,
    LN2_HIGH_BITS,
    LN2_LOW_BITS,
    LOG_CUT_BITS,
    ActivationFunction,
)
from isa.activation.tables import Tables, load_tables

Floats = NDArray[np.float32]

_COPY = int(ActivationFunction.COPY)
_RELU = int(ActivationFunction.RELU)
_PRELU = int(ActivationFunction.PRELU)
_ABS = int(ActivationFunction.ABS)
_SIGN = int(ActivationFunction.SIGN)
_SQUARE = int(ActivationFunction.SQUARE)
_LOG = int(ActivationFunction.LOG)
_SQRT = int(ActivationFunction.SQRT)
_RSQRT = int(ActivationFunction.RSQRT)
_RECIPROCAL = int(ActivationFunction.RECIPROCAL)

_NAN = np.uint32(CANONICAL_NAN_BITS).view(np.float32)
_ZERO, _ONE = np.float32(0), np.float32(1)
_LN2_HIGH = np.uint32(LN2_HIGH_BITS).view(np.float32)
_LN2_LOW = np.uint32(LN2_LOW_BITS).view(np.float32)
_TWO_24 = np.float32(2.0**24)


def evaluate_fast(function: ActivationFunction | int, x: ArrayLike, alpha: float = 0.0) -> Floats:
    """f(x), elementwise in FP32, by the fast kernel; `alpha` is the slope of prelu."""
    values = np.ascontiguousarray(x, np.float32)
    out = np.empty_like(values)
    activate(int(function), values.ravel(), np.float32(alpha), out.ravel(), load_tables())
    return out


@njit(cache=True, nogil=True)
def activate(function: int, x: Floats, alpha: np.float32, out: Floats, tables: Tables) -> None:
    """out[i] = f(x[i]); x and out are contiguous 1-D float32 of one length and may be the same."""
    if function <= _SQUARE:
        _arithmetic(function, x, alpha, out)
    elif function == _LOG:
        _logarithm(x, out, tables)
    elif function in (_SQRT, _RSQRT, _RECIPROCAL):
        _power(function, x, out, tables)
    else:
        _polynomials(function, x, out, tables)


@njit(cache=True, nogil=True)
def _arithmetic(function: int, x: Floats, alpha: np.float32, out: Floats) -> None:
    if function == _COPY:
        for i in range(x.size):
            out[i] = x[i] if x[i] == x[i] else _NAN
    elif function == _RELU:
        for i in range(x.size):
            v = x[i] if x[i] > _ZERO else _ZERO
            out[i] = v if x[i] == x[i] else _NAN
    elif function == _PRELU:
        for i in range(x.size):
            v = alpha * x[i] if x[i] < _ZERO else x[i]
            out[i] = v if v == v else _NAN
    elif function == _ABS:
        for i in range(x.size):
            out[i] = abs(x[i]) if x[i] == x[i] else _NAN
    elif function == _SIGN:
        for i in range(x.size):
            v = _ONE if x[i] > _ZERO else (-_ONE if x[i] < _ZERO else _ZERO)
            out[i] = v if x[i] == x[i] else _NAN
    else:
        for i in range(x.size):
            v = x[i] * x[i]
            out[i] = v if v == v else _NAN


@njit(cache=True, nogil=True, inline="always")
def _polynomial(first_row, bits, x, rows, segments):  # type: ignore[no-untyped-def]  # numba scalars
    entry = rows[first_row + (bits >> np.uint32(23))]
    s = (entry >> np.uint32(5)) + ((bits & np.uint32(0x7FFFFF)) >> (entry & np.uint32(31)))
    s = np.uint64(s)
    t = x - segments[s, 0]
    return ((segments[s, 4] * t + segments[s, 3]) * t + segments[s, 2]) * t + segments[s, 1]


@njit(cache=True, nogil=True)
def _polynomials(function: int, x: Floats, out: Floats, tables: Tables) -> None:
    rows, segments, special = tables
    first = np.uint32(512 * function)
    above, below = special[function, 0], special[function, 1]
    words = x.view(np.uint32)
    for i in range(x.size):
        bits = words[i]
        magnitude = bits & np.uint32(0x7FFFFFFF)
        if magnitude < np.uint32(0x7F800000):
            out[i] = _polynomial(first, bits, x[i], rows, segments)
        elif magnitude > np.uint32(0x7F800000):
            out[i] = _NAN
        else:
            v = above if bits == magnitude else below
            out[i] = v if v == v else _NAN


@njit(cache=True, nogil=True, inline="always")
def _from_bits(bits):  # type: ignore[no-untyped-def]  # numba scalars
    return np.uint32(bits).view(np.float32)


@njit(cache=True, nogil=True, inline="always")
def _special(special, function, bits, magnitude):  # type: ignore[no-untyped-def]  # numba scalars
    """Result at a zero, an infinity, a NaN, or a negative number that has no result."""
    negative = np.int64(bits != magnitude)
    if magnitude == np.uint32(0):
        v = special[function, 2 + negative]
    elif magnitude == np.uint32(0x7F800000):
        v = special[function, negative]
    else:
        v = _NAN
    return v if v == v else _NAN


@njit(cache=True, nogil=True)
def _power(function: int, x: Floats, out: Floats, tables: Tables) -> None:
    """Scaling by a power of two adds to the exponent bits, while the result is a normal number."""
    rows, segments, _ = tables
    first = np.uint32(512 * function)
    reciprocal = function == _RECIPROCAL
    no_result = np.uint32(0 if reciprocal else 0x80000000)  # this sign bit makes a NaN
    halve = 0 if reciprocal else 1
    direction = 1 if function == _SQRT else -1
    words, results = x.view(np.uint32), out.view(np.uint32)
    for i in range(x.size):
        bits = words[i]
        magnitude = np.int64(bits & np.uint32(0x7FFFFFFF))
        if 0x00800000 <= magnitude < 0x7F800000 and not bits & no_result:
            k = ((magnitude >> 23) - 127) >> halve
            m_bits = np.uint32(magnitude - (k << (23 + halve)))
            p = np.float32(_polynomial(first, m_bits, _from_bits(m_bits), rows, segments))
            scaled = np.int64(p.view(np.uint32)) + ((direction * k) << 23)
            if 0x00800000 <= scaled < 0x7F800000:
                results[i] = np.uint32(scaled) | (bits & np.uint32(0x80000000))
                continue
        out[i] = _power_at_edges(function, bits, halve, direction, tables)


@njit(cache=True, nogil=True)
def _power_at_edges(function, bits, halve, direction, tables):  # type: ignore[no-untyped-def]
    """The same for any x: zeros, infinities, NaN, denormal x, a result that is denormal."""
    magnitude = bits & np.uint32(0x7FFFFFFF)
    nothing = magnitude == np.uint32(0) or magnitude >= np.uint32(0x7F800000)
    if nothing or (bits != magnitude and function != _RECIPROCAL):
        return _special(tables.special, function, bits, magnitude)
    bias = 127
    if magnitude < np.uint32(0x00800000):
        raised = np.float32(_from_bits(magnitude) * _TWO_24)
        magnitude = raised.view(np.uint32)
        bias = 151
    exponent = np.int64(magnitude >> np.uint32(23)) - bias
    k = exponent >> halve
    m_field = np.uint32((127 + exponent - (k << halve)) << 23)
    m_bits = np.uint32((magnitude & np.uint32(0x7FFFFF)) | m_field)
    first = np.uint32(512 * function)
    p = _polynomial(first, m_bits, _from_bits(m_bits), tables.rows, tables.segments)
    j = direction * k
    scaled = (p * _from_bits((127 + (j >> 1)) << 23)) * _from_bits((127 + j - (j >> 1)) << 23)
    return _from_bits(np.float32(scaled).view(np.uint32) | (bits & np.uint32(0x80000000)))


@njit(cache=True, nogil=True)
def _logarithm(x: Floats, out: Floats, tables: Tables) -> None:
    rows, segments, special = tables
    first = np.uint32(512 * _LOG)
    words = x.view(np.uint32)
    for i in range(x.size):
        bits = words[i]
        if bits == np.uint32(0) or bits >= np.uint32(0x7F800000):  # negative ones too
            out[i] = _special(special, _LOG, bits, bits & np.uint32(0x7FFFFFFF))
            continue
        shift = 0
        if bits < np.uint32(0x00800000):
            raised = np.float32(x[i] * _TWO_24)
            bits = raised.view(np.uint32)
            shift = -24
        local = (np.int64(bits) - LOG_CUT_BITS) >> 23
        m_bits = np.uint32(np.int64(bits) - (local << 23))
        k = np.float32(local + shift)
        p = _polynomial(first, m_bits, _from_bits(m_bits), rows, segments)
        out[i] = k * _LN2_HIGH + (p + k * _LN2_LOW)
