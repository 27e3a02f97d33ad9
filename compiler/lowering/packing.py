"""Images of weights: the bytes that SBUF will hold, made when they are asked for.

Lowering needs an image's size, not its bytes, and the pipeline lowers a model more often than once.
So an image is described while lowering and made once, behind the last choice: one pass from the
model's array to the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compiler.graph.graph import Array
from compiler.graph.strided import copy_into
from isa.dtypes import DType


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
        copy_into(image, first, (*strides, *steps), source.reshape(shape))
        return
    inner = math.prod(extents[1:])
    whole = k // inner
    if whole:
        full = (whole, *extents[1:])
        _place(image, source[..., : whole * inner], first, strides, full, steps)
    if k > whole * inner:
        rest = source[..., whole * inner :]
        _place(image, rest, first + whole * steps[0], strides, extents[1:], steps[1:])
