"""Data types of the machine and every conversion between them, exact to the bit.

A value enters an engine as FP32 (`to_fp32`) and leaves it rounded to the operand's type
(`from_fp32`). Codes are the runtime's public ones (nrt.h, neuron-facts 2.8); TF32 takes the code
of `fp32r`, which is our reading of that name.

Rules, for every input:
    float -> float   nearest even; overflow to infinity; NaN to the canonical NaN
    float -> int     nearest even, then saturated to the type's range; NaN to 0
    int -> FP32      nearest even
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Fp32Array = NDArray[np.float32]

CANONICAL_NAN_BITS = 0x7FC00000  # sign 0, quiet bit only: ours, the hardware's is not public


class DType(IntEnum):
    """An operand's data type. The value is its encoding."""

    INT8 = 0x2
    UINT8 = 0x3
    INT16 = 0x4
    UINT16 = 0x5
    BF16 = 0x6
    FP16 = 0x7
    INT32 = 0x8
    UINT32 = 0x9
    FP32 = 0xA
    TF32 = 0xB
    FP8_E4M3 = 0xE
    FP8_E5M2 = 0xF

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy type that stores it (TF32 is stored as FP32 with 13 zero bits)."""
        return _NUMPY[self]

    @property
    def size_bytes(self) -> int:
        """Bytes of one element in memory."""
        return _NUMPY[self].itemsize

    @property
    def is_float(self) -> bool:
        """True for the floating-point types."""
        return self in FLOATS

    @property
    def text(self) -> str:
        """The name in assembly: `bf16`, `fp8_e4m3`."""
        return self.name.lower()


_NUMPY: dict[DType, np.dtype[Any]] = {
    DType.INT8: np.dtype(np.int8),
    DType.UINT8: np.dtype(np.uint8),
    DType.INT16: np.dtype(np.int16),
    DType.UINT16: np.dtype(np.uint16),
    DType.BF16: np.dtype(ml_dtypes.bfloat16),
    DType.FP16: np.dtype(np.float16),
    DType.INT32: np.dtype(np.int32),
    DType.UINT32: np.dtype(np.uint32),
    DType.FP32: np.dtype(np.float32),
    DType.TF32: np.dtype(np.float32),
    DType.FP8_E4M3: np.dtype(ml_dtypes.float8_e4m3),
    DType.FP8_E5M2: np.dtype(ml_dtypes.float8_e5m2),
}

FP32, BF16, FP16, TF32 = DType.FP32, DType.BF16, DType.FP16, DType.TF32
INT32, UINT32 = DType.INT32, DType.UINT32
INT8, UINT8, INT16, UINT16 = DType.INT8, DType.UINT8, DType.INT16, DType.UINT16
FLOATS = frozenset({DType.FP32, DType.BF16, DType.FP16, DType.TF32, DType.FP8_E4M3, DType.FP8_E5M2})
INTEGERS = frozenset(DType) - FLOATS
EVERY_DTYPE = frozenset(DType)

# bytes of one element by code, for columnar code (0 where no type has the code)
SIZE_BY_CODE: NDArray[np.int64] = np.zeros(32, dtype=np.int64)
for _d in DType:
    SIZE_BY_CODE[_d] = _d.size_bytes


def canonical_nan(x: Fp32Array) -> Fp32Array:
    """FP32 with every NaN replaced by the canonical one."""
    bits = np.where(np.isnan(x), np.uint32(CANONICAL_NAN_BITS), x.view(np.uint32))
    return bits.astype(np.uint32).view(np.float32)


def to_fp32(raw: NDArray[np.generic], dtype: DType) -> Fp32Array:
    """Stored elements -> FP32. Integers beyond 2**24 round to nearest even; NaN stays NaN."""
    with np.errstate(all="ignore"):
        return np.asarray(raw).astype(np.float32)


def from_fp32(x: Fp32Array, dtype: DType) -> NDArray[np.generic]:
    """FP32 -> stored elements of `dtype`, by the rules in the module's docstring."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    if dtype is DType.FP32:
        return canonical_nan(x)
    if dtype is DType.TF32:
        return _to_tf32(x)
    if dtype.is_float:
        return _to_small_float(x, dtype)
    return _to_integer(x, dtype)


def _to_tf32(x: Fp32Array) -> Fp32Array:
    bits = canonical_nan(x).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0xFFF + ((bits >> np.uint64(13)) & np.uint64(1))) & np.uint64(0xFFFFE000)
    finite = (bits & np.uint64(0x7F800000)) != np.uint64(0x7F800000)
    return np.where(finite, rounded, bits).astype(np.uint32).view(np.float32)


_NAN_BITS: dict[DType, tuple[Any, int]] = {
    DType.BF16: (np.uint16, 0x7FC0),
    DType.FP16: (np.uint16, 0x7E00),
    DType.FP8_E4M3: (np.uint8, 0x7C),
    DType.FP8_E5M2: (np.uint8, 0x7E),
}


def _to_small_float(x: Fp32Array, dtype: DType) -> NDArray[np.generic]:
    unsigned, nan_bits = _NAN_BITS[dtype]
    with np.errstate(all="ignore"):
        bits = x.astype(dtype.numpy).view(unsigned)
    stored = np.where(np.isnan(x), unsigned(nan_bits), bits).astype(unsigned)
    rounded: NDArray[np.generic] = stored.view(dtype.numpy)
    return rounded


def _to_integer(x: Fp32Array, dtype: DType) -> NDArray[np.generic]:
    info = np.iinfo(dtype.numpy)
    with np.errstate(all="ignore"):
        wide = np.rint(x).astype(np.float64)
        wide = np.where(np.isnan(wide), 0.0, np.clip(wide, float(info.min), float(info.max)))
    return wide.astype(np.int64).astype(dtype.numpy)
