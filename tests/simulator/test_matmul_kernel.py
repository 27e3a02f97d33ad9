"""The fast matmul kernels, held to the reference bit for bit."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config, njit
from numba.core.errors import TypingError

from isa.fma import CANONICAL_NAN_BITS, Float32Array, canonical, systolic_matmul
from simulator.kernels.blocks import block_product, block_shape, cpu_features
from simulator.kernels.matmul import (
    matmul_tile,
    matmul_tile_accumulate,
    matmul_tile_int8,
    matmul_tile_int8_accumulate,
    matmul_tile_into,
)

needs_compiler = pytest.mark.skipif(
    bool(getattr(config, "DISABLE_JIT", False)), reason="Numba is switched off"
)
sizes = st.one_of(st.integers(1, 9), st.sampled_from([15, 16, 17, 31, 33, 40, 63, 65, 70, 129]))
KINDS = ("ordinary", "cancelling", "tiny", "any bits")


def sample(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> Float32Array:
    """Values that meet one difficulty: rounding, cancellation, denormals, or NaN and infinities."""
    values = rng.standard_normal(shape).astype(np.float32)
    if kind == "cancelling":
        return values * np.float32(10) ** rng.integers(-8, 8, shape).astype(np.float32)
    if kind == "tiny":
        return values * np.float32(2) ** rng.integers(-80, -60, shape).astype(np.float32)
    if kind == "any bits":
        odd = rng.integers(0, 2**32, shape, dtype=np.uint32).view(np.float32)
        return np.where(rng.random(shape) < 0.05, odd, values)
    return values


def bits(values: Float32Array) -> npt.NDArray[np.uint32]:
    return values.view(np.uint32)


@pytest.mark.filterwarnings("ignore:invalid value")  # Python, not Numba, warns of NaN
@settings(max_examples=150, deadline=None)
@given(sizes, sizes, sizes, st.sampled_from(KINDS), st.integers(0, 2**32))
def test_the_kernel_equals_the_reference_bit_for_bit(
    k: int, m: int, n: int, kind: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stationary, moving = sample(rng, kind, (k, m)), sample(rng, kind, (k, n))
    product = systolic_matmul(stationary, moving)
    out = sample(rng, "any bits", (m, n))
    held = out.copy()
    matmul_tile_accumulate(stationary, moving, out)
    with np.errstate(all="ignore"):
        assert np.array_equal(bits(out), bits(canonical(held + product)))
    matmul_tile(stationary, moving, out)
    assert np.array_equal(bits(out), bits(product))


@pytest.mark.parametrize("shape", [(128, 128, 512), (128, 64, 512), (128, 64, 1), (100, 60, 300)])
def test_a_whole_tile_equals_the_reference(shape: tuple[int, int, int]) -> None:
    k, m, n = shape
    rng = np.random.default_rng(k + m + n)
    stationary, moving = sample(rng, "cancelling", (k, m)), sample(rng, "cancelling", (k, n))
    out = np.empty((m, n), dtype=np.float32)
    matmul_tile(stationary, moving, out)
    assert np.array_equal(bits(out), bits(systolic_matmul(stationary, moving)))


def test_the_rows_are_added_in_order() -> None:
    stationary = np.array([[1e8], [-1e8], [1]], dtype=np.float32)
    moving = np.ones((3, 1), dtype=np.float32)
    out = np.empty((1, 1), dtype=np.float32)
    matmul_tile(stationary, moving, out)
    assert out[0, 0] == 1.0
    matmul_tile(stationary[::-1].copy(), moving, out)
    assert out[0, 0] == 0.0


def test_the_product_is_summed_before_it_is_added() -> None:
    """1e8 + (1 + ... + 1) keeps what 1e8 + 1 + ... + 1 would lose."""
    ones = np.ones((128, 1), dtype=np.float32)
    out = np.full((1, 1), 1e8, dtype=np.float32)
    matmul_tile_accumulate(ones, ones, out)
    assert out[0, 0] == np.float32(1e8 + 128)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_every_nan_result_is_the_canonical_one() -> None:
    odd_nan = np.array([[0xFF812345]], dtype=np.uint32).view(np.float32)
    one = np.ones((1, 1), dtype=np.float32)
    infinity = np.full((1, 1), np.inf, dtype=np.float32)
    out = np.zeros((1, 1), dtype=np.float32)
    for stationary, moving in ((odd_nan, one), (one, odd_nan), (infinity, one * 0)):
        matmul_tile(stationary, moving, out)
        assert bits(out)[0, 0] == CANONICAL_NAN_BITS
    out = odd_nan.copy()
    matmul_tile_accumulate(one, one, out)
    assert bits(out)[0, 0] == CANONICAL_NAN_BITS
    out = infinity.copy()
    matmul_tile_accumulate(-infinity, one, out)
    assert bits(out)[0, 0] == CANONICAL_NAN_BITS


def test_a_product_over_no_rows_is_zero() -> None:
    out = np.ones((3, 4), dtype=np.float32)
    matmul_tile(np.empty((0, 3), np.float32), np.empty((0, 4), np.float32), out)
    assert not out.any()


def test_nothing_outside_the_result_is_written() -> None:
    rng = np.random.default_rng(5)
    for m, n in ((1, 1), (3, 5), (7, 33), (9, 2), (13, 70), (70, 13)):
        memory = np.full(m * n + 128, 7, dtype=np.float32)
        out = memory[64 : 64 + m * n].reshape(m, n)
        matmul_tile(sample(rng, "ordinary", (4, m)), sample(rng, "ordinary", (4, n)), out)
        assert (memory[:64] == 7).all()
        assert (memory[64 + m * n :] == 7).all()


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, sizes, st.booleans(), st.integers(0, 2**32))
def test_a_product_lies_in_its_corner_of_a_larger_array(
    k: int, m: int, n: int, accumulate: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stationary, moving = sample(rng, "ordinary", (k, m)), sample(rng, "ordinary", (k, n))
    out = sample(rng, "ordinary", (m + 3, n + 20))
    expected, corner = out.copy(), np.s_[2 : 2 + m, 7 : 7 + n]
    product = systolic_matmul(stationary, moving)
    expected[corner] = expected[corner] + product if accumulate else product
    matmul_tile_into(stationary, moving, out, (2, 7), accumulate)
    assert np.array_equal(bits(out), bits(expected))


@needs_compiler
def test_strided_operands_are_refused() -> None:
    wide = np.ones((4, 8), dtype=np.float32)
    with pytest.raises(TypingError, match="C-contiguous"):
        matmul_tile(wide[:, ::2], wide, np.empty((4, 8), dtype=np.float32))


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, sizes, st.integers(0, 2**32))
def test_integer_products_are_exact(k: int, m: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stationary = rng.integers(-128, 128, (k, m), dtype=np.int8)
    moving = rng.integers(-128, 128, (k, n), dtype=np.int8)
    out = np.empty((m, n), dtype=np.int32)
    matmul_tile_int8(stationary, moving, out)
    assert np.array_equal(out, stationary.T.astype(np.int64) @ moving.astype(np.int64))


@pytest.mark.filterwarnings("ignore:overflow")
def test_an_integer_sum_wraps() -> None:
    row = np.full((1, 1), 127, dtype=np.int8)
    out = np.full((1, 1), 2**31 - 1, dtype=np.int32)
    matmul_tile_int8_accumulate(row, row, out)
    assert out[0, 0] == -(2**31) + 127 * 127 - 1


@needs_compiler
def test_a_block_is_fused_vector_instructions() -> None:
    """On a processor with AVX2 or AVX-512 and FMA; others have no such mnemonic."""
    features = cpu_features()
    if "fma" not in features or "avx2" not in features:
        pytest.skip("needs an x86 processor with FMA")
    rows, columns = block_shape(features)
    block = block_product(rows, columns)

    def one_block(a: Float32Array, b: Float32Array, out: Float32Array) -> None:
        block(a, 0, a.shape[1], b, 0, b.shape[1], a.shape[0], out, 0, out.shape[1], False)

    a, b = (np.ones((2, width), dtype=np.float32) for width in (rows, columns))
    compiled: Any = njit(one_block)
    compiled(a, b, np.empty((rows, columns), dtype=np.float32))
    (assembly,) = compiled.inspect_asm().values()
    fused = re.findall(r"vfmadd\d*ps\s.*%[yz]mm", assembly)
    assert len(fused) >= rows
    assert not re.search(r"vfmadd\d*ss|fmaf", assembly)
