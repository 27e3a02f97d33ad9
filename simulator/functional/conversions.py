"""Data types, fast: stored bit patterns <-> FP32, in place on a run of 32-bit words.

In    words[:n], each a stored element zero-extended (or, on the way back, the bits of an FP32)
Out   the same words: FP32 bits, or stored elements in their low bits
Read  `isa/dtypes.py` for what each conversion is; a test holds these to it for every bit pattern

An array is read and written through one pointer only, so that loops vectorise without a check.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isa.dtypes import CANONICAL_NAN_BITS, DType

Words = NDArray[np.uint32]

_INT8, _UINT8, _INT16, _UINT16 = (
    int(d) for d in (DType.INT8, DType.UINT8, DType.INT16, DType.UINT16)
)
_INT32, _UINT32 = int(DType.INT32), int(DType.UINT32)
_FP32, _TF32, _BF16, _FP16 = (int(d) for d in (DType.FP32, DType.TF32, DType.BF16, DType.FP16))
_E4M3, _E5M2 = int(DType.FP8_E4M3), int(DType.FP8_E5M2)

_NAN = np.uint32(CANONICAL_NAN_BITS)
_MAGNITUDE, _INFINITY = np.uint32(0x7FFFFFFF), np.uint32(0x7F800000)
_ONE, _BITS_13, _BITS_16 = np.uint32(1), np.uint32(13), np.uint32(16)
_HALF_BF16, _HALF_TF32 = np.uint32(0x7FFF), np.uint32(0xFFF)
_BITS_15, _BITS_31 = np.uint32(15), np.uint32(31)
_TWO_112, _HALF_INFINITY = np.float32(2.0**112), np.uint32(0x7C00 << 13)
_NAN_BF16, _KEPT_TF32 = np.uint32(0x7FC0), np.uint32(0xFFFFE000)


def _small_values(dtype: DType) -> Words:
    every = np.arange(256, dtype=np.uint8).view(dtype.numpy)
    values: Words = every.astype(np.float32).view(np.uint32)
    return values


_E4M3_VALUES, _E5M2_VALUES = _small_values(DType.FP8_E4M3), _small_values(DType.FP8_E5M2)


@njit(cache=True, error_model="numpy")
def widen(dtype, words, n):  # type: ignore[no-untyped-def]  # numba: int, uint32 [>= n], int
    """Stored elements -> FP32 bits. BF16 is expected shifted up by 16 already."""
    if dtype in (_FP32, _TF32, _BF16):
        return
    if dtype == _FP16:
        for i in range(n):
            words[i] = half_value(words[i])
    elif dtype == _E4M3:
        for i in range(n):
            words[i] = _E4M3_VALUES[words[i]]
    elif dtype == _E5M2:
        for i in range(n):
            words[i] = _E5M2_VALUES[words[i]]
    elif dtype == _INT32:
        for i in range(n):
            words[i] = np.float32(np.uint32(words[i]).view(np.int32)).view(np.uint32)
    elif dtype in (_INT8, _INT16):
        sign = np.int64(0x80) if dtype == _INT8 else np.int64(0x8000)
        for i in range(n):
            words[i] = np.float32((np.int64(words[i]) ^ sign) - sign).view(np.uint32)
    else:
        for i in range(n):
            words[i] = np.float32(words[i]).view(np.uint32)


@njit(cache=True, error_model="numpy")
def narrow(dtype, words, n):  # type: ignore[no-untyped-def]  # as `widen`
    """FP32 bits -> stored elements, by the rules of isa.dtypes; every NaN the canonical one."""
    if dtype == _FP32:
        for i in range(n):
            w = words[i]
            words[i] = _NAN if (w & _MAGNITUDE) > _INFINITY else w
    elif dtype == _BF16:
        for i in range(n):
            w = words[i]
            r = np.uint32(np.uint32(w + _HALF_BF16) + ((w >> _BITS_16) & _ONE)) >> _BITS_16
            words[i] = _NAN_BF16 if (w & _MAGNITUDE) > _INFINITY else r
    elif dtype == _TF32:
        for i in range(n):
            w = words[i]
            r = np.uint32(np.uint32(w + _HALF_TF32) + ((w >> _BITS_13) & _ONE)) & _KEPT_TF32
            words[i] = _NAN if (w & _MAGNITUDE) > _INFINITY else r
    elif dtype == _FP16:
        for i in range(n):
            words[i] = small_float(words[i], 10, 15, 0x7E00)
    elif dtype == _E4M3:
        for i in range(n):
            words[i] = small_float(words[i], 3, 7, 0x7C)
    elif dtype == _E5M2:
        for i in range(n):
            words[i] = small_float(words[i], 2, 15, 0x7E)
    else:
        _to_integers(dtype, words, n)


@njit(cache=True, error_model="numpy", inline="always")
def _to_integers(dtype, words, n):  # type: ignore[no-untyped-def]
    width = 32
    if dtype in (_INT8, _UINT8):
        width = 8
    elif dtype in (_INT16, _UINT16):
        width = 16
    signed = dtype in (_INT8, _INT16, _INT32)
    high = 2.0 ** (width - 1) - 1.0 if signed else 2.0**width - 1.0
    low = -(2.0 ** (width - 1)) if signed else 0.0
    mask = (np.int64(1) << np.int64(width)) - 1
    for i in range(n):
        x = np.rint(np.float64(np.uint32(words[i]).view(np.float32)))
        x = x if x == x else 0.0
        x = min(max(x, low), high)
        words[i] = np.uint32(np.int64(x) & mask)


@njit(cache=True, error_model="numpy", inline="always")
def half_value(h):  # type: ignore[no-untyped-def]  # numba: uint32 -> uint32
    """The FP32 bits of an FP16 pattern. A NaN stays one, whichever.

    Read as FP32, a shifted FP16 is 2**112 times too small, denormals too; the product is exact.
    """
    magnitude = np.uint32((h & _HALF_BF16) << _BITS_13)
    scaled = np.float32(magnitude.view(np.float32) * _TWO_112).view(np.uint32)
    found = np.uint32(magnitude | _INFINITY) if magnitude >= _HALF_INFINITY else scaled
    return np.uint32(found | np.uint32((h >> _BITS_15) << _BITS_31))


@njit(cache=True, error_model="numpy")
def small_float(w, mantissa_bits, bias, nan):  # type: ignore[no-untyped-def]
    """FP32 bits -> an IEEE-like float of 8 or 16 bits: nearest even, denormals, infinities."""
    bits = np.int64(w)
    magnitude = bits & 0x7FFFFFFF
    if magnitude > 0x7F800000:
        return np.uint32(nan)
    total = 7 if bias == 7 or mantissa_bits == 2 else 15
    infinity = ((np.int64(1) << (total - mantissa_bits)) - 1) << mantissa_bits
    shift = 23 - mantissa_bits
    if magnitude >= (128 - bias) << 23:
        r = (magnitude + (np.int64(1) << (shift - 1)) - 1 + ((magnitude >> shift) & 1)) >> shift
        r = min(r - ((np.int64(127) - bias) << mantissa_bits), infinity)
    else:
        x = np.float64(np.uint32(magnitude).view(np.float32))
        r = np.int64(np.rint(x * 2.0 ** (bias - 1 + mantissa_bits)))
    return np.uint32(r | ((bits >> 31) << total))
