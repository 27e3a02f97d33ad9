"""The reference fused multiply-add against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.fma import CANONICAL_NAN_BITS, Float32Array, fma32, systolic_matmul

FRACTION_BITS = 23
LOWEST_EXPONENT = -149  # of the last bit of a denormal
LARGEST = Fraction((1 << 24) - 1) * Fraction(2) ** 104

any_bits = st.one_of(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 0x7FFFFF, 0x800000, 0x3F800000, 0x3F800001, 0x3F7FFFFF, 0x7F7FFFFF]),
    st.integers(0, 2**32 - 1).map(lambda bits: bits & 0xFFFFF000),  # short mantissas meet ties
    st.integers(0, 2**32 - 1).map(lambda bits: bits & 0x81FFFFFF),  # tiny numbers
)


def from_bits(bits: int) -> np.float32:
    return np.uint32(bits).view(np.float32)


def rounded(exact: Fraction) -> float:
    """A non-zero `exact` in float32, to nearest even, computed with integers alone."""
    magnitude = abs(exact)
    exponent = LOWEST_EXPONENT
    while magnitude / Fraction(2) ** exponent >= 1 << (FRACTION_BITS + 1):
        exponent += 1
    units = round(magnitude / Fraction(2) ** exponent)  # Fraction rounds halves to even
    value = units * Fraction(2) ** exponent
    return float(np.copysign(np.inf if value > LARGEST else float(value), float(exact > 0) - 0.5))


@settings(max_examples=1500, deadline=None)
@given(any_bits, any_bits, any_bits)
def test_a_fused_multiply_add_rounds_the_exact_result_once(x: int, y: int, z: int) -> None:
    a, b, c = from_bits(x), from_bits(y), from_bits(z)
    if not np.isfinite([a, b, c]).all():
        return
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if exact != 0:
        expected = np.float32(rounded(exact))
        assert fma32(a, b, c).view(np.uint32) == expected.view(np.uint32)


@settings(max_examples=600, deadline=None)
@given(st.integers(0x00800000, 0x3F800000), any_bits, st.integers(-3, 3), st.booleans())
def test_a_sum_next_to_a_tie_is_not_rounded_twice(x: int, y: int, nudge: int, flip: bool) -> None:
    """c lies beside -a * b, or 24 bits above it, where rounding twice can go wrong."""
    a, b = from_bits(x), from_bits(y)
    if not np.isfinite(b):
        return
    near = np.float32(np.float64(a) * np.float64(b)) if abs(float(a) * float(b)) < 3e38 else a
    c = from_bits((int((-near).view(np.uint32)) + nudge) & 0xFFFFFFFF)
    c = np.float32(np.ldexp(c, 24)) if flip and abs(float(c)) < 1e30 else c
    if not np.isfinite(c):
        return
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if exact != 0:
        expected = np.float32(rounded(exact))
        assert fma32(a, b, c).view(np.uint32) == expected.view(np.uint32)


def test_rounding_twice_would_be_wrong_here() -> None:
    a, c = np.float32(1 + 2**-12), np.float32(2**-80)  # a * a = 1 + 2**-11 + 2**-24, a tie
    assert np.float32(np.float64(a) * np.float64(a) + np.float64(c)) == 1 + 2**-11
    assert fma32(a, a, c) == 1 + 2**-11 + 2**-23
    assert fma32(a, a, -c) == 1 + 2**-11


def test_multiplying_by_one_changes_nothing() -> None:
    bits = np.random.default_rng(7).integers(0, 2**32, 200_000, dtype=np.uint32)
    numbers = bits.view(np.float32)[~np.isnan(bits.view(np.float32))]
    assert np.array_equal(fma32(numbers, 1, -0.0).view(np.uint32), numbers.view(np.uint32))


@pytest.mark.parametrize(
    ("a", "b", "c", "bits"),
    [
        (0.0, np.inf, 1.0, CANONICAL_NAN_BITS),
        (np.inf, 1.0, -np.inf, CANONICAL_NAN_BITS),
        (np.nan, 1.0, 1.0, CANONICAL_NAN_BITS),
        (-np.nan, 0.0, 0.0, CANONICAL_NAN_BITS),
        (np.inf, -2.0, 1.0, 0xFF800000),
        (3e38, 2.0, 0.0, 0x7F800000),  # overflows
        (3e38, 2.0, -3e38, 0x7F61B1E6),  # the product overflows, the fused sum does not
        (3e38, 2.0, -np.inf, 0xFF800000),
        (1.0, -1.0, 1.0, 0x00000000),  # exact cancellation is +0
        (-0.0, 1.0, 0.0, 0x00000000),
        (-0.0, 1.0, -0.0, 0x80000000),
        (-1e-45, 1e-45, 0.0, 0x80000000),  # underflows to -0
        (1e-45, 1.0, 1e-45, 0x00000002),
        (1e-45, 0.5, 0.0, 0x00000000),  # half of the least denormal ties to even
        (1e-45, 0.75, 0.0, 0x00000001),
    ],
)
def test_special_values(a: float, b: float, c: float, bits: int) -> None:
    result = fma32(np.float32(a), np.float32(b), np.float32(c))
    assert result.view(np.uint32) == bits


def test_a_product_adds_its_rows_in_order() -> None:
    stationary = np.array([[1e8], [-1e8], [1]], dtype=np.float32)
    moving = np.array([[1], [1], [1]], dtype=np.float32)
    assert systolic_matmul(stationary, moving) == 1.0  # (1e8 - 1e8) + 1
    assert systolic_matmul(stationary[::-1], moving) == 0.0  # (1 - 1e8) + 1e8


def test_a_product_of_integers_is_exact() -> None:
    rng = np.random.default_rng(1)
    stationary, moving = rng.integers(-99, 99, (16, 5)), rng.integers(-99, 99, (16, 9))
    product: Float32Array = systolic_matmul(stationary, moving)
    assert np.array_equal(product, stationary.T @ moving)
