"""Every conversion between data types, against ml_dtypes, NumPy and written-out values."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.dtypes import DType, from_fp32, to_fp32

SMALL_FLOATS = [DType.BF16, DType.FP16, DType.FP8_E4M3, DType.FP8_E5M2]
CANONICAL = {
    DType.FP32: 0x7FC00000,
    DType.TF32: 0x7FC00000,
    DType.BF16: 0x7FC0,
    DType.FP16: 0x7E00,
    DType.FP8_E4M3: 0x7C,
    DType.FP8_E5M2: 0x7E,
}
bits32 = st.integers(0, (1 << 32) - 1)


def every_pattern(dtype: DType) -> np.ndarray:
    unsigned = np.dtype(f"u{dtype.size_bytes}")
    return np.arange(1 << 8 * dtype.size_bytes, dtype=np.uint32).astype(unsigned)


def fp32(*patterns: int) -> np.ndarray:
    return np.array(patterns, np.uint32).view(np.float32)


def stored(dtype: DType, *values: float) -> list[float]:
    kept: list[float] = from_fp32(np.array(values, np.float32), dtype).astype(np.float64).tolist()
    return kept


@pytest.mark.parametrize("dtype", SMALL_FLOATS)
def test_every_pattern_survives_the_way_through_fp32(dtype: DType) -> None:
    patterns = every_pattern(dtype)
    values = to_fp32(patterns.view(dtype.numpy), dtype)
    back = from_fp32(values, dtype).view(patterns.dtype)
    expected = np.where(np.isnan(values), CANONICAL[dtype], patterns)
    assert np.array_equal(back, expected.astype(patterns.dtype))


@pytest.mark.parametrize("dtype", SMALL_FLOATS)
def test_rounding_is_to_the_nearest_with_ties_to_even(dtype: DType) -> None:
    """Every value between two neighbours: their exact middle, and one FP32 step to either side."""
    patterns = every_pattern(dtype)
    patterns = patterns[: len(patterns) // 2]  # the positive ones, ascending
    values = to_fp32(patterns.view(dtype.numpy), dtype)
    finite = np.isfinite(values)
    low, high = values[finite][:-1], values[finite][1:]
    middle = ((low.astype(np.float64) + high) / 2).astype(np.float32)
    even = patterns[finite][:-1] + (patterns[finite][:-1] & 1)
    for sign in (np.float32(1), np.float32(-1)):
        flip = np.array(0 if sign > 0 else 1 << 8 * dtype.size_bytes - 1, patterns.dtype)

        def as_bits(x: np.ndarray, s: np.float32 = sign) -> np.ndarray:
            return from_fp32(s * x, dtype).view(patterns.dtype)

        assert np.array_equal(as_bits(middle), even | flip)
        assert np.array_equal(as_bits(np.nextafter(middle, low)), patterns[finite][:-1] | flip)
        assert np.array_equal(as_bits(np.nextafter(middle, high)), patterns[finite][1:] | flip)


@given(st.lists(bits32, min_size=1, max_size=64))
def test_small_floats_agree_with_ml_dtypes(patterns: list[int]) -> None:
    x = fp32(*patterns)
    for dtype, other in (
        (DType.BF16, ml_dtypes.bfloat16),
        (DType.FP16, np.float16),
        (DType.FP8_E4M3, ml_dtypes.float8_e4m3),
        (DType.FP8_E5M2, ml_dtypes.float8_e5m2),
    ):
        with np.errstate(all="ignore"):
            expected = x.astype(other)
        numbers = ~np.isnan(x)
        assert from_fp32(x, dtype)[numbers].tobytes() == expected[numbers].tobytes()


@pytest.mark.parametrize("dtype", CANONICAL)
def test_a_nan_is_stored_as_the_canonical_one(dtype: DType) -> None:
    nans = fp32(0x7F800001, 0x7FC00000, 0xFFC00000, 0xFFFFFFFF, 0x7FFFFFFF)
    found = from_fp32(nans, dtype).view(f"u{dtype.size_bytes}")
    assert found.tolist() == [CANONICAL[dtype]] * 5


@pytest.mark.parametrize(
    ("dtype", "largest", "overflows"),
    [
        (DType.BF16, 3.3895313892515355e38, 3.4e38),
        (DType.FP16, 65504.0, 65520.0),
        (DType.FP8_E4M3, 240.0, 248.0),
        (DType.FP8_E5M2, 57344.0, 61440.0),
    ],
)
def test_overflow_goes_to_infinity(dtype: DType, largest: float, overflows: float) -> None:
    inf = float("inf")
    assert stored(dtype, largest, -largest) == [largest, -largest]
    assert stored(dtype, overflows, -overflows, inf, -inf) == [inf, -inf, inf, -inf]


def test_fp32_keeps_denormals_and_signed_zeros() -> None:
    x = fp32(0x00000001, 0x80000001, 0x007FFFFF, 0x80000000)
    assert from_fp32(x, DType.FP32).view(np.uint32).tolist() == x.view(np.uint32).tolist()


def test_tf32_keeps_ten_mantissa_bits() -> None:
    x = fp32(0x3F801000, 0x3F801001, 0x3F803000, 0x7F7FFFFF, 0x00001000, 0x00001001, 0xFF800000)
    expected = [0x3F800000, 0x3F802000, 0x3F804000, 0x7F800000, 0x00000000, 0x00002000, 0xFF800000]
    assert from_fp32(x, DType.TF32).view(np.uint32).tolist() == expected


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (DType.INT8, -128, 127),
        (DType.UINT8, 0, 255),
        (DType.INT16, -32768, 32767),
        (DType.UINT16, 0, 65535),
        (DType.INT32, -(2**31), 2**31 - 1),
        (DType.UINT32, 0, 2**32 - 1),
    ],
)
def test_integers_saturate_and_nan_is_zero(dtype: DType, low: int, high: int) -> None:
    inf = float("inf")
    assert stored(dtype, inf, 3e38, -inf, -3e38, float("nan"), -0.0) == [high, high, low, low, 0, 0]


def test_integers_round_to_nearest_even() -> None:
    values = (0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, 126.5, 127.5)
    assert stored(DType.INT8, *values) == [0, 2, 2, 0, -2, 0, 126, 127]


def test_integers_beyond_the_mantissa_round_on_the_way_in() -> None:
    x = np.array([2**24 + 1, 2**24 + 3, 2**31 - 1, -(2**31)], np.int32)
    assert to_fp32(x, DType.INT32).tolist() == [2.0**24, 2.0**24 + 4, 2.0**31, -(2.0**31)]
    y = np.array([2**32 - 1], np.uint32)
    assert to_fp32(y, DType.UINT32).tolist() == [2.0**32]


@pytest.mark.parametrize("dtype", [DType.INT8, DType.UINT8, DType.INT16, DType.UINT16])
def test_narrow_integers_survive_the_way_through_fp32(dtype: DType) -> None:
    patterns = every_pattern(dtype).view(dtype.numpy)
    assert np.array_equal(from_fp32(to_fp32(patterns, dtype), dtype), patterns)
