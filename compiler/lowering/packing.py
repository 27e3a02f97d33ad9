"""Images of weights: the bytes that SBUF will hold, made when they are asked for.

Lowering needs an image's size, not its bytes, and the pipeline lowers a model more often than once.
So an image is described while lowering and made once, behind the last choice: one pass from the
model's array to the image, blocked so that neither side leaves the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from compiler.graph.graph import Array
from isa.dtypes import DType

BLOCK = 64
"""Elements of a block's side: two such blocks are a quarter of a first-level cache."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Placement:
    """Where the elements of an array [.., k] go in an image.

    Attributes:
        strides: of each dimension but k, in elements of the image.
        extents, steps: the factors of k, outermost first, with their strides; more than k together
            where its last block is not full.
        first: the place of element 0.
    """

    strides: tuple[int, ...]
    extents: tuple[int, ...]
    steps: tuple[int, ...]
    first: int = 0


@dataclass(frozen=True)
class Image:
    """An image [partitions, elements] still to be made; zero where nothing is placed."""

    shape: tuple[int, int]
    dtype: DType
    array: Array
    placement: Placement

    @property
    def nbytes(self) -> int:
        """Bytes of the whole image."""
        return math.prod(self.shape) * self.dtype.size_bytes

    def bytes(self) -> NDArray[np.uint8]:
        """The image, row after row."""
        image = np.zeros(math.prod(self.shape), self.dtype.numpy)
        source = self.array
        if source.dtype != image.dtype:
            source = source.astype(image.dtype)
        p = self.placement
        _place(image, source, p.first, p.strides, p.extents, p.steps)
        return image.view(np.uint8)


@dataclass
class Constants(Mapping[int, NDArray[np.uint8]]):
    """The bytes of constant buffers by buffer id, images made when they are read."""

    held: dict[int, NDArray[np.uint8] | Image] = field(default_factory=dict)

    def __getitem__(self, buffer: int) -> NDArray[np.uint8]:
        data = self.held[buffer]
        return data.bytes() if isinstance(data, Image) else data

    def __setitem__(self, buffer: int, data: NDArray[np.uint8] | Image) -> None:
        self.held[buffer] = data

    def __iter__(self) -> Iterator[int]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


def _place(
    image: Array,
    source: Array,
    first: int,
    strides: tuple[int, ...],
    extents: tuple[int, ...],
    steps: tuple[int, ...],
) -> None:
    """Place whole outer steps of k; of the last, which may not be full, what there is."""
    k = source.shape[-1]
    if math.prod(extents) == k:
        shape = (*source.shape[:-1], *extents)
        _copy(image, first, (*strides, *steps), source.reshape(shape))
        return
    inner = math.prod(extents[1:])
    whole = k // inner
    if whole:
        full = (whole, *extents[1:])
        _place(image, source[..., : whole * inner], first, strides, full, steps)
    if k > whole * inner:
        rest = source[..., whole * inner :]
        _place(image, rest, first + whole * steps[0], strides, extents[1:], steps[1:])


def _copy(image: Array, first: int, strides: tuple[int, ...], source: Array) -> None:
    """image[first + sum of index * strides] := source[index]."""
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
    table = np.array(_inner_last(dims), np.int64)
    _scatter(image.view(word)[first:], flat, table)


def _joined(dims: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """(extent, image stride, source stride), neighbours that walk on in both joined."""
    out: list[tuple[int, int, int]] = []
    for n, d, s in sorted(dims, key=lambda dim: (-dim[2], -dim[1])):
        if out and out[-1][1] == n * d and out[-1][2] == n * s:
            out[-1] = (out[-1][0] * n, d, s)
        else:
            out.append((n, d, s))
    return out


def _inner_last(dims: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The dimension of the source's smallest stride last but one, that of the image's last."""
    dims = dims or [(1, 0, 0)]
    across = dims[-1]
    along = min(dims, key=lambda dim: dim[1])
    outer = [dim for dim in dims if dim is not across and dim is not along]
    return [*outer, (1, 0, 0) if across is along else across, along]


@njit(cache=True)
def _scatter(image, source, dims):  # type: ignore[no-untyped-def]
    """Copy over `dims` (extent, image stride, source stride), the last two in blocks."""
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
                        image[a + j * to] = source[b + j * away]
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
