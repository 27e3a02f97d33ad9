"""A view is read as numpy reads the array: an image of element numbers, looked at through it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compiler.lowering.context import packed
from compiler.tiles.iterate import Mismatch, tiles
from compiler.tiles.view import Factor, View, common_atoms
from isa.dtypes import DType
from isa.kernel import Ap, Buffer
from isa.memory import SBUF
from isa.tiles import offsets_of

Ints = NDArray[np.int64]
PARTITIONS = 128
shapes = st.lists(st.sampled_from([1, 2, 3, 4, 6, 7, 8, 12, 32, 64, 130]), min_size=1, max_size=4)


def positions(view: View) -> Ints:
    """[*shape]: partition * 2**32 + element of each logical element, by the factors' own words."""
    total: Ints = np.full((), (view.start << 32) + view.offset, np.int64)
    for d, extent in enumerate(view.shape):
        left, place = np.arange(extent), np.zeros(extent, np.int64)
        for f in reversed(view.factors[d]):
            place += left % f.extent * f.stride << (32 if f.part else 0)
            left = left // f.extent
        total = total[..., None] + place
    return total


@st.composite
def views(draw: st.DrawFn, limit: int = 2000) -> View:
    """A tensor with one dimension, or part of one, on partitions; perhaps ragged, perhaps moved."""
    shape = tuple(draw(shapes.filter(lambda s: math.prod(s) <= limit)))
    dim = draw(st.integers(0, len(shape) - 1))
    block = min(shape[dim], draw(st.sampled_from([4, 32, 100, PARTITIONS])))
    stride = 1
    factors: list[tuple[Factor, ...]] = [()] * len(shape)
    for d in reversed(range(len(shape))):
        if d != dim:
            factors[d] = (Factor(shape[d], stride),)
            stride *= shape[d]
    blocks = -(-shape[dim] // block)
    factors[dim] = (Factor(blocks, stride), Factor(block, 1, True))
    buffer = Buffer(0, SBUF, PARTITIONS, stride * blocks * 4, "t")
    view = View(buffer, DType.FP32, shape, tuple(factors))
    return view.permute(tuple(draw(st.permutations(range(len(shape))))))


@given(views(), st.data())
def test_permuting_a_view_is_transposing(view: View, data: st.DataObject) -> None:
    perm = tuple(data.draw(st.permutations(range(len(view.shape)))))
    assert np.array_equal(positions(view.permute(perm)), positions(view).transpose(perm))


@given(views(), st.integers(0, 2), st.integers(2, 5))
def test_broadcasting_a_view_repeats_it(view: View, lead: int, times: int) -> None:
    shape = (*([2] * lead), *(times if e == 1 else e for e in view.shape))
    assert np.array_equal(positions(view.broadcast(shape)), np.broadcast_to(positions(view), shape))


@given(views(), st.data())
def test_a_slice_of_a_view_is_the_slice_or_none(view: View, data: st.DataObject) -> None:
    dim = data.draw(st.integers(0, len(view.shape) - 1))
    extent = view.shape[dim]
    step = data.draw(st.sampled_from([1, 1, 1, 2, 3, -1, -2]))
    size = data.draw(st.integers(1, max(1, -(-extent // abs(step)))))
    reach = (size - 1) * abs(step)
    first = data.draw(st.integers(0, extent - 1 - reach)) + (reach if step < 0 else 0)
    made = view.slice(dim, first, size, step)
    index = first + step * np.arange(size)
    if made is not None:
        assert np.array_equal(positions(made), positions(view).take(index, dim))
    else:  # only where partitions would be cut, reversed, or skipped across blocks
        assert any(f.part for f in view.factors[dim])


@given(views(), st.data())
def test_two_slices_in_a_row_are_one(view: View, data: st.DataObject) -> None:
    dim = data.draw(st.integers(0, len(view.shape) - 1))
    a = data.draw(st.integers(0, view.shape[dim] - 1))
    outer = view.slice(dim, a, view.shape[dim] - a)
    if outer is None:
        return
    b = data.draw(st.integers(0, outer.shape[dim] - 1))
    inner = outer.slice(dim, b, outer.shape[dim] - b)
    if inner is not None:
        wanted = positions(view).take(range(a + b, view.shape[dim]), dim)
        assert np.array_equal(positions(inner), wanted)


def _factorings(n: int) -> list[tuple[int, ...]]:
    pairs = [(a, n // a) for a in range(1, n + 1) if n % a == 0]
    return [(n,), *pairs, *((a, b, c) for a, m in pairs for b, c in _pairs(m))]


def _pairs(n: int) -> list[tuple[int, int]]:
    return [(a, n // a) for a in range(1, n + 1) if n % a == 0]


@given(views(limit=300), st.data())
def test_reshaping_a_view_is_reshaping_or_none(view: View, data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from(_factorings(math.prod(view.shape))))
    made = view.reshape(shape)
    if made is not None:
        assert np.array_equal(positions(made), positions(view).reshape(shape))


def test_a_dense_tensor_can_be_reshaped_to_anything() -> None:
    buffer = Buffer(0, SBUF, 1, 96 * 4, "t")
    view = View(buffer, DType.FP32, (96,), ((Factor(96, 1),),))
    for shape in _factorings(96):
        assert view.reshape(shape) is not None


@given(views(), views())
def test_common_atoms_multiply_to_the_shape(a: View, b: View) -> None:
    b = replace(b, shape=a.shape, factors=a.factors)
    atoms = common_atoms([a, b])
    assert atoms is not None
    for d, dim in enumerate(atoms):
        assert math.prod(x.extent for x in dim) == math.prod(f.extent for f in a.factors[d])


def touched(ap: Ap) -> Ints:
    """[partitions, free]: the place of every element of an operand, in order."""
    element = ap.offset // ap.dtype.size_bytes + offsets_of(ap.dims)
    return ((np.arange(ap.partitions) + ap.start) << 32)[:, None] + element


@settings(max_examples=300)
@given(views(), st.integers(1, 300), st.integers(1, 4), st.data())
def test_tiles_cover_every_element_once_and_alike(
    view: View, limit: int, free_dims: int, data: st.DataObject
) -> None:
    """Two views of one shape: each element of one meets the same logical element of the other."""
    stretch = data.draw(st.integers(1, 3))
    other = replace(
        view,
        offset=5,
        factors=tuple(
            tuple(f if f.part else Factor(f.extent, f.stride * stretch) for f in fs)
            for fs in view.factors
        ),
    )
    try:
        pairs = list(tiles([view, other], limit, free_dims))
    except Mismatch:  # blocks that may not start where they do
        assert not all(f.extent in (1, 32, 64, 128) for fs in view.factors for f in fs if f.part)
        return
    met = []
    for nums, (a, b) in pairs:
        assert math.prod(nums) == a.free == b.free
        assert a.free <= limit
        assert len(nums) <= free_dims
        met.append(np.stack([touched(a).reshape(-1), touched(b).reshape(-1)]))
    found = np.concatenate(met, axis=1)
    wanted = np.stack([positions(view).reshape(-1), positions(other).reshape(-1)])
    order = [np.lexsort(pair) for pair in (found, wanted)]
    assert np.array_equal(found[:, order[0]], wanted[:, order[1]])


@given(views(limit=500))
def test_packing_puts_each_element_where_the_view_reads_it(view: View) -> None:
    array = np.arange(1, math.prod(view.shape) + 1).reshape(view.shape)
    row = view.buffer.size_bytes // 4
    image = packed(array, list(view.factors), 0, PARTITIONS, row)
    place = positions(view)
    read = image[place >> 32, place & 0xFFFFFFFF]
    varies = any(f.part for fs in view.factors for f in fs)
    assert not varies or np.array_equal(read, array)
