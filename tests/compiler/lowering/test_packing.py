"""Images of weights against their definition, element by element."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.lowering.packing import Constants, Image, Placement
from isa.dtypes import DType


@st.composite
def images(draw: st.DrawFn) -> Image:
    """An array [lead, columns, k], transposed in memory or not, k in up to three factors."""
    lead, columns = draw(st.integers(1, 3)), draw(st.integers(1, 70))
    extents = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    padded = int(np.prod(extents))
    k = draw(st.integers(padded - padded // extents[0] + 1, padded))
    order = draw(st.permutations(range(3)))
    dtype = draw(st.sampled_from([DType.FP32, DType.BF16, DType.UINT8]))
    shape = (lead, columns, k)
    values = np.random.default_rng(k).integers(0, 200, [shape[d] for d in order])
    array = values.astype(dtype.numpy).transpose(np.argsort(order))
    first = draw(st.integers(0, 5))
    row = columns * lead
    steps: list[int] = []
    partitions = 1
    for e in reversed(extents):  # every factor on partitions, or on a partition's elements
        if draw(st.booleans()):
            steps.insert(0, -partitions)
            partitions *= e
        else:
            steps.insert(0, row)
            row *= e
    partitions += first
    strides = tuple(-s * row if s < 0 else s for s in steps)
    placed = Placement((columns, 1), extents, strides, first * row)
    return Image((partitions, row), dtype, array, placed)


@settings(deadline=None)  # the first calls compile
@given(images())
def test_every_element_is_where_its_placement_says(image: Image) -> None:
    p = image.placement
    expected = np.zeros(image.shape[0] * image.shape[1], image.dtype.numpy)
    digits = list(itertools.product(*(range(e) for e in p.extents)))[: image.array.shape[-1]]
    for i, j in np.ndindex(image.array.shape[:-1]):
        for k, digit in enumerate(digits):
            at = p.first + i * p.strides[0] + j * p.strides[1] + int(np.dot(digit, p.steps))
            expected[at] = image.array[i, j, k]
    constants = Constants()
    constants[3] = image
    np.testing.assert_array_equal(constants[3], expected.view(np.uint8))
    assert image.nbytes == expected.nbytes
