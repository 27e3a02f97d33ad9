"""The ALU's operators at their corners, with written-out results."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from isa.alu import ARITHMETIC, AluOp
from isa.alu_reference import apply, apply_bits, power

INF, NAN = math.inf, math.nan
floats32 = st.integers(0, (1 << 32) - 1).map(lambda b: np.uint32(b).view(np.float32))


def one(op: AluOp, a: float, b: float = 0.0) -> float:
    return float(apply(op, np.array([a], np.float32), np.array([b], np.float32))[0])


def same(found: float, expected: float) -> bool:
    """Equal, the sign of zero and NaN included."""
    if math.isnan(expected):
        return math.isnan(found)
    return found == expected and math.copysign(1, found) == math.copysign(1, expected)


# fmt: off
CORNERS = [
    (AluOp.BYPASS, 3.0, NAN, 3.0),
    (AluOp.ADD, INF, -INF, NAN), (AluOp.ADD, -0.0, -0.0, -0.0), (AluOp.ADD, 0.0, -0.0, 0.0),
    (AluOp.ADD, 2.0**24, 1.0, 2.0**24), (AluOp.ADD, 2.0**24, 3.0, 2.0**24 + 4),
    (AluOp.SUBTRACT, 1.0, 1.0, 0.0), (AluOp.SUBTRACT, INF, INF, NAN),
    (AluOp.MULTIPLY, 0.0, INF, NAN), (AluOp.MULTIPLY, 2.0**-149, 0.5, 0.0),
    (AluOp.MULTIPLY, 2.0**-126, 0.5, 2.0**-127), (AluOp.MULTIPLY, -1.0, 0.0, -0.0),
    (AluOp.MAX, -0.0, 0.0, 0.0), (AluOp.MAX, 0.0, -0.0, 0.0), (AluOp.MAX, -0.0, -0.0, -0.0),
    (AluOp.MAX, NAN, 1.0, NAN), (AluOp.MAX, 1.0, NAN, NAN), (AluOp.MAX, -INF, 1.0, 1.0),
    (AluOp.MIN, -0.0, 0.0, -0.0), (AluOp.MIN, 0.0, -0.0, -0.0), (AluOp.MIN, 0.0, 0.0, 0.0),
    (AluOp.MIN, NAN, 1.0, NAN), (AluOp.MIN, 1.0, NAN, NAN), (AluOp.MIN, INF, 1.0, 1.0),
    (AluOp.EQUAL, -0.0, 0.0, 1.0), (AluOp.EQUAL, NAN, NAN, 0.0), (AluOp.EQUAL, 1.0, 2.0, 0.0),
    (AluOp.NOT_EQUAL, NAN, NAN, 1.0), (AluOp.NOT_EQUAL, 1.0, 1.0, 0.0),
    (AluOp.GREATER_EQUAL, NAN, 1.0, 0.0), (AluOp.GREATER_EQUAL, 1.0, 1.0, 1.0),
    (AluOp.GREATER, 1.0, NAN, 0.0), (AluOp.GREATER, 2.0, 1.0, 1.0), (AluOp.GREATER, 1.0, 1.0, 0.0),
    (AluOp.LESS_EQUAL, NAN, 1.0, 0.0), (AluOp.LESS_EQUAL, 1.0, 1.0, 1.0),
    (AluOp.LESS, NAN, 1.0, 0.0), (AluOp.LESS, -0.0, 0.0, 0.0), (AluOp.LESS, -1.0, 0.0, 1.0),
    (AluOp.LOGICAL_AND, NAN, 2.0, 1.0), (AluOp.LOGICAL_AND, -0.0, 2.0, 0.0),
    (AluOp.LOGICAL_OR, 0.0, -0.0, 0.0), (AluOp.LOGICAL_OR, 2.0**-149, 0.0, 1.0),
    (AluOp.LOGICAL_XOR, 3.0, 4.0, 0.0), (AluOp.LOGICAL_XOR, 3.0, 0.0, 1.0),
    (AluOp.ABS_MAX, -3.0, 2.0, 3.0), (AluOp.ABS_MAX, NAN, 2.0, NAN),
    (AluOp.ABS_MAX, -0.0, 0.0, 0.0),
    (AluOp.ABS_MIN, -3.0, 2.0, 2.0), (AluOp.ABS_MIN, -0.0, -0.0, 0.0),
    (AluOp.ABS, -INF, NAN, INF), (AluOp.ABS, -0.0, 0.0, 0.0),
    (AluOp.SQUARE, -3.0, NAN, 9.0), (AluOp.SQUARE, 2.0**100, 0.0, INF),
    (AluOp.RELU, -0.0, 0.0, 0.0), (AluOp.RELU, -INF, 0.0, 0.0), (AluOp.RELU, NAN, 0.0, NAN),
    (AluOp.RELU, 2.0**-149, 0.0, 2.0**-149),
    (AluOp.RSQRT, 4.0, 0.0, 0.5), (AluOp.RSQRT, 0.0, 0.0, INF), (AluOp.RSQRT, -0.0, 0.0, -INF),
    (AluOp.RSQRT, -1.0, 0.0, NAN), (AluOp.RSQRT, INF, 0.0, 0.0),
    (AluOp.RSQRT, 2.0**-148, 0.0, 2.0**74),
    (AluOp.RECIPROCAL, -0.0, 0.0, -INF), (AluOp.RECIPROCAL, -INF, 0.0, -0.0),
    (AluOp.RECIPROCAL, 2.0**127, 0.0, 2.0**-127),
]
# fmt: on


@pytest.mark.parametrize(("op", "a", "b", "expected"), CORNERS)
def test_a_corner_has_its_stated_result(op: AluOp, a: float, b: float, expected: float) -> None:
    assert same(one(op, a, b), expected)


@pytest.mark.parametrize("op", ARITHMETIC)
def test_a_nan_result_is_canonical(op: AluOp) -> None:
    nans = np.array([0xFFC00001, 0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    found = apply(op, nans, nans)
    assert (found.view(np.uint32)[np.isnan(found)] == 0x7FC00000).all()


@given(floats32, floats32)
@pytest.mark.parametrize("op", [AluOp.ADD, AluOp.MULTIPLY, AluOp.MAX, AluOp.MIN, AluOp.ABS_MAX])
def test_commuting_operators_commute_to_the_bit(op: AluOp, a: np.float32, b: np.float32) -> None:
    x, y = np.array([a]), np.array([b])
    assert apply(op, x, y).view(np.uint32) == apply(op, y, x).view(np.uint32)


# fmt: off
POWER_CORNERS = [
    (NAN, 0.0, 1.0), (1.0, NAN, 1.0), (NAN, 1.0, NAN), (2.0, NAN, NAN), (0.0, 0.0, 1.0),
    (0.0, 3.0, 0.0), (-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0), (-0.0, -3.0, -INF), (0.0, -2.0, INF),
    (-0.0, 101.0, -0.0), (-0.0, -101.0, -INF), (-0.0, 0.5, 0.0), (-0.0, -0.5, INF),
    (INF, 2.0, INF), (INF, -2.0, 0.0), (-INF, 3.0, -INF), (-INF, -3.0, -0.0), (-INF, 2.5, INF),
    (-INF, 101.0, -INF), (-2.0, 3.0, -8.0), (-2.0, -1.0, -0.5), (-2.0, 2.5, NAN),
    (-2.0, 101.0, -2.0**101),
    (-1.0, INF, 1.0), (0.5, INF, 0.0), (0.5, -INF, INF), (2.0, INF, INF), (-3.0, -INF, 0.0),
    (9.0, 0.5, 3.0), (4.0, -0.5, 0.5), (2.0, -149.0, 2.0**-149), (2.0, 128.0, INF), (8.0, 1/3, 2.0),
    (-1.0, 2.0**24 + 2, 1.0), (10.0, 3.0, 1000.0), (3.0, 20.0, 3486784512.0),
    (2.0**-149, 64.0, 0.0),
]
# fmt: on


@pytest.mark.parametrize(("x", "y", "expected"), POWER_CORNERS)
def test_power_at_its_corners(x: float, y: float, expected: float) -> None:
    assert same(one(AluOp.POWER, x, y), expected)


def ulps(x: np.ndarray, y: np.ndarray) -> float:
    """Worst error of power against 120-bit arithmetic, in units of the last place."""
    worst = 0.0
    with mpmath.workprec(120):
        for a, b, found in zip(x.tolist(), y.tolist(), power(x, y).tolist(), strict=True):
            exact = mpmath.power(mpmath.mpf(a), mpmath.mpf(b))
            if math.isinf(found):
                assert exact > 3.4028235e38
                continue
            ulp = max(2.0 ** (int(mpmath.floor(mpmath.log(exact, 2))) - 23), 2.0**-149)
            worst = max(worst, float(abs(mpmath.mpf(found) - exact) / ulp))
    return worst


def test_power_is_within_its_bound() -> None:
    """0.5001 ulp: all but correctly rounded, over the whole range, near 1, and from denormals."""
    rng = np.random.default_rng(7)
    n = 300
    wide = np.exp2(rng.uniform(-126, 127, n)).astype(np.float32)
    reach = (rng.uniform(-120, 120, n) / np.maximum(np.abs(np.log2(wide)), 1)).astype(np.float32)
    near = (1 + rng.uniform(-1e-3, 1e-3, n)).astype(np.float32)
    denormal = np.exp2(rng.uniform(-148, -127, n)).astype(np.float32)
    assert ulps(wide, reach) <= 0.5001
    assert ulps(near, rng.uniform(-80000, 80000, n).astype(np.float32)) <= 0.5001
    assert ulps(denormal, rng.uniform(-0.8, 0.8, n).astype(np.float32)) <= 0.5001
    assert ulps(wide[:100], rng.integers(-3, 4, 100).astype(np.float32)) <= 0.5001


@given(st.integers(1, 1 << 12), st.integers(1, 5))
@settings(max_examples=50)
def test_whole_powers_of_whole_numbers_are_correctly_rounded(x: int, n: int) -> None:
    exact = Fraction(x) ** n
    found = one(AluOp.POWER, float(x), float(n))
    below = np.nextafter(np.float32(found), np.float32(0))
    above = np.nextafter(np.float32(found), np.float32(INF))
    assert abs(Fraction(found) - exact) <= abs(Fraction(float(below)) - exact)
    assert abs(Fraction(found) - exact) <= abs(Fraction(float(above)) - exact)


# fmt: off
PATTERNS = [
    (AluOp.INVERT, 0x0F, 0, 0xF0), (AluOp.AND, 0x3C, 0x0F, 0x0C), (AluOp.OR, 0x30, 0x03, 0x33),
    (AluOp.XOR, 0xFF, 0x0F, 0xF0), (AluOp.LEFT_SHIFT, 0x81, 1, 0x02),
    (AluOp.LEFT_SHIFT, 0xFF, 8, 0),
    (AluOp.LEFT_SHIFT, 0xFF, 255, 0), (AluOp.RIGHT_SHIFT, 0x81, 1, 0x40),
    (AluOp.RIGHT_SHIFT, 0x80, 7, 1),
    (AluOp.RIGHT_SHIFT, 0x80, 8, 0), (AluOp.BYPASS, 0x5A, 0xFF, 0x5A),
]
# fmt: on


@pytest.mark.parametrize(("op", "a", "b", "expected"), PATTERNS)
def test_bit_vectors_work_on_patterns(op: AluOp, a: int, b: int, expected: int) -> None:
    found = apply_bits(op, np.array([a], np.uint8), np.array([b], np.uint8))
    assert found.tolist() == [expected]
    assert found.dtype == np.uint8


@pytest.mark.parametrize(("unsigned", "width"), [(np.uint8, 8), (np.uint16, 16), (np.uint32, 32)])
def test_a_shift_by_the_width_or_more_gives_zero(unsigned: DTypeLike, width: int) -> None:
    ones = np.array([(1 << width) - 1], unsigned)
    for op in (AluOp.LEFT_SHIFT, AluOp.RIGHT_SHIFT):
        assert apply_bits(op, ones, np.array([width - 1], unsigned)) != 0
        assert apply_bits(op, ones, np.array([width], unsigned)) == 0
        assert apply_bits(op, ones, ones) == 0
