"""From operands to bytes: which bytes an access pattern names, and casts between stored types."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.dtypes import DType, from_fp32, to_fp32
from isa.tiles import Column, DmaTile, Tile, offsets_of

Raw = NDArray[np.generic]


def recast(values: Raw, source: DType, target: DType) -> Raw:
    """Stored elements in another type: bit exact to the same type, else through FP32."""
    return values if source is target else from_fp32(to_fp32(values, source), target)


def column_tile(column: Column, partitions: int) -> Tile:
    """A column as a tile of one element a partition."""
    return Tile(column.memory, column.start, partitions, column.address, column.dtype, ((0, 1),))


def bytes_of(tile: Tile | DmaTile) -> NDArray[np.int64]:
    """Every byte of every element in order, counted from the start of the partition or window."""
    size = tile.dtype.size_bytes
    offsets = tile.address + offsets_of(tile.dims) * size
    return (offsets[:, None] + np.arange(size, dtype=np.int64)).reshape(-1)


Index = NDArray[np.int64] | slice


def run_of(index: NDArray[np.int64]) -> Index:
    """The index as a slice where it counts up by one: the same bytes, copied at once."""
    if len(index) == index[-1] + 1 - index[0] and (np.diff(index) == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def last_of_each(index: NDArray[np.int64]) -> tuple[Index, NDArray[np.intp] | slice]:
    """The distinct entries of an index, and where each stands last."""
    if (np.diff(index) > 0).all():
        return run_of(index), slice(None)
    kept, from_the_end = np.unique(index[::-1], return_index=True)
    return kept, len(index) - 1 - from_the_end
