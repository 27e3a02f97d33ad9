"""Compiled loops over large arrays against numpy."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.graph.graph import Array
from compiler.graph.strided import BLOCK, contiguous, dense, elements, to_bfloat16
from compiler.lowering import finite


@given(st.lists(st.sampled_from([1, 2, 3, 64, 65, 130]), min_size=1, max_size=4), st.data())
@settings(deadline=None)
def test_contiguous_keeps_the_elements(shape: list[int], data: st.DataObject) -> None:
    shape = shape if np.prod(shape) < 1 << 18 else shape[:2]
    dtype = data.draw(st.sampled_from([np.uint8, ml_dtypes.bfloat16, np.float32, np.float64]))
    size = int(np.prod(shape))
    order = data.draw(st.permutations(range(len(shape))))
    array = np.arange(size).astype(dtype).reshape(shape).transpose(order)
    made = contiguous(array)
    assert made.flags.c_contiguous
    assert made.shape == array.shape
    np.testing.assert_array_equal(made.view(np.uint8), np.ascontiguousarray(array).view(np.uint8))
    assert size < BLOCK * BLOCK or array.flags.c_contiguous or made.base is not array


@given(st.permutations(range(3)))
@settings(deadline=None)
def test_large_arrays_keep_their_order_in_memory(order: list[int]) -> None:
    array = np.arange(1 << 18, dtype=np.float32).reshape(64, 32, 128).transpose(order)
    kept, flat, rounded = dense(array), elements(array), to_bfloat16(array)
    assert kept is array
    assert np.shares_memory(flat, array)
    assert sorted(flat.tolist()) == list(range(1 << 18))
    assert rounded.strides == tuple(s // 2 for s in array.strides)
    np.testing.assert_array_equal(rounded, array.astype(ml_dtypes.bfloat16))


def test_rounding_is_that_of_ml_dtypes() -> None:
    low = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    bits = (np.arange(1 << 16, dtype=np.uint32)[:, None] << np.uint32(16) | low).view(np.float32)
    with np.errstate(invalid="ignore"):
        expected = bits.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(to_bfloat16(bits).view(np.uint16), expected.view(np.uint16))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@given(
    st.lists(st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf, np.nan, -np.nan]), max_size=4)
)
@settings(deadline=None)
def test_what_is_known_of_large_arrays(dtype: type, special: list[float]) -> None:
    small: Array = np.array([2.0, *special]).astype(dtype)
    large = np.concatenate([np.full(finite.LARGE, 3.0).astype(dtype), small])
    assert finite._known(large) == finite._known(small)
