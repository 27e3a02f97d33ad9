"""Copies between arrays of different order, and rounding to BF16: what takes time on large weights.

Numpy copies element by element in the order of one side, so that the other side of a transposed
copy misses the cache at every step. Here the two fast dimensions are walked in blocks.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
from numba import njit

from compiler.graph.graph import Array

BLOCK = 64
"""Elements of a block's side: two such blocks are a quarter of a first-level cache."""


LARGE_BYTES = 1 << 20
"""Size from which on a transposed array is not worth a copy."""


def copy_into(target: Array, first: int, strides: tuple[int, ...], source: Array) -> None:
    """target[first + sum of index * strides] := source[index], in elements of a flat target."""
    if not source.size:
        return
    size = source.dtype.itemsize
    if any(s < 0 or s % size for s in source.strides):
        source = np.ascontiguousarray(source)
    dims = _joined(
        [
            (n, d, s // size)
            for n, d, s in zip(source.shape, strides, source.strides, strict=True)
            if n > 1
        ]
    )
    word = np.dtype(f"u{size}")
    extent = 1 + sum((n - 1) * s for n, _, s in dims)
    flat = np.lib.stride_tricks.as_strided(source, (extent,), (size,), writeable=False).view(word)
    _copy(target.view(word)[first:], flat, np.array(_inner_last(dims), np.int64))


def contiguous(array: Array) -> Array:
    """The array in row-major order."""
    if array.flags.c_contiguous:
        return array
    if array.dtype.itemsize not in (1, 2, 4, 8) or array.size < BLOCK * BLOCK:
        return np.ascontiguousarray(array).reshape(array.shape)
    made = np.empty(array.shape, array.dtype)
    copy_into(made.reshape(-1), 0, tuple(s // made.itemsize for s in made.strides), array)
    return made


def dense(array: Array) -> Array:
    """The array itself where its elements fill a span of memory in some order and it is large;
    else its elements in row-major order."""
    if array.nbytes >= LARGE_BYTES and in_memory_order(array)[0].flags.c_contiguous:
        return array
    return contiguous(array)


def in_memory_order(array: Array) -> tuple[Array, list[int]]:
    """The array's dimensions by falling stride, and where each of its own is among them."""
    order = sorted(range(array.ndim), key=lambda d: (-abs(array.strides[d]), d))
    return array.transpose(order), [order.index(d) for d in range(array.ndim)]


def elements(array: Array) -> Array:
    """All elements, flat, in whatever order takes no copy."""
    return contiguous(in_memory_order(array)[0]).reshape(-1)


def to_bfloat16(array: Array) -> Array:
    """An FP32 array rounded to nearest even, as `astype` does it; the order in memory is kept."""
    ordered, places = in_memory_order(array)
    bits = contiguous(ordered).reshape(-1).view(np.uint32)
    made = np.empty(bits.shape, np.uint16)
    _round(bits, made)
    rounded: Array = made.view(ml_dtypes.bfloat16)
    return rounded.reshape(ordered.shape).transpose(places)


def _joined(dims: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """(extent, target stride, source stride), neighbours that walk on in both joined."""
    out: list[tuple[int, int, int]] = []
    for n, d, s in sorted(dims, key=lambda dim: (-dim[2], -dim[1])):
        if out and out[-1][1] == n * d and out[-1][2] == n * s:
            out[-1] = (out[-1][0] * n, d, s)
        else:
            out.append((n, d, s))
    return out


def _inner_last(dims: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The dimension of the source's smallest stride last but one, that of the target's last."""
    dims = dims or [(1, 0, 0)]
    across = dims[-1]
    along = min(dims, key=lambda dim: dim[1])
    outer = [dim for dim in dims if dim is not across and dim is not along]
    return [*outer, (1, 0, 0) if across is along else across, along]


@njit(cache=True)
def _copy(target, source, dims):  # type: ignore[no-untyped-def]
    """Copy over `dims` (extent, target stride, source stride), the last two in blocks."""
    outer = len(dims) - 2
    rows, row_to, row_from = dims[outer, 0], dims[outer, 1], dims[outer, 2]
    columns, to, away = dims[outer + 1, 0], dims[outer + 1, 1], dims[outer + 1, 2]
    index = np.zeros(outer + 1, np.int64)
    d, s = 0, 0
    while True:
        for i0 in range(0, rows, BLOCK):
            for j0 in range(0, columns, BLOCK):
                for i in range(i0, min(rows, i0 + BLOCK)):
                    a, b = d + i * row_to, s + i * row_from
                    for j in range(j0, min(columns, j0 + BLOCK)):
                        target[a + j * to] = source[b + j * away]
        k = outer - 1
        while k >= 0:
            index[k] += 1
            d += dims[k, 1]
            s += dims[k, 2]
            if index[k] < dims[k, 0]:
                break
            d -= dims[k, 0] * dims[k, 1]
            s -= dims[k, 0] * dims[k, 2]
            index[k] = 0
            k -= 1
        if k < 0:
            return


@njit(cache=True)
def _round(bits, made):  # type: ignore[no-untyped-def]
    for i in range(len(bits)):
        x = bits[i]
        rounded = (x + np.uint32(0x7FFF) + ((x >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        if (x & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):  # NaN keeps its sign alone
            rounded = ((x >> np.uint32(16)) & np.uint32(0x8000)) | np.uint32(0x7FC0)
        made[i] = rounded
