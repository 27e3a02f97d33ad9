"""Places: a machine's type for a graph's, and which dimension of a tensor lies on partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compiler.graph.graph import Array, Value
from compiler.tiles.iterate import legal_start
from compiler.tiles.view import Factor, View
from isa.dtypes import DType
from isa.kernel import Buffer

if TYPE_CHECKING:
    pass

PARTITIONS = 128
QUADRANT = 32
"""Partitions between two places where an operand may begin."""
TRANSPOSED_LANES = 32
"""Lanes of the vector engine that a 32 x 32 transpose keeps busy."""

Halo = dict[int, tuple[int, int]]
"""Dimension -> elements of padding before and behind it in the buffer."""

_DTYPES = {
    "float32": DType.FP32,
    "float64": DType.FP32,
    "bfloat16": DType.BF16,
    "float16": DType.FP16,
    "bool": DType.UINT8,
    "int64": DType.INT32,
    "uint64": DType.INT32,
    "float8_e5m2": DType.FP8_E5M2,
}


def device_dtype(dtype: np.dtype[np.generic]) -> DType:
    """The machine's type for a graph's: booleans are bytes, 64-bit integers are narrowed."""
    name = dtype.name
    return _DTYPES[name] if name in _DTYPES else DType[name.upper()]


def has_device_dtype(dtype: np.dtype[np.generic]) -> bool:
    """Whether `device_dtype` knows the type."""
    return dtype.name in _DTYPES or dtype.name.upper() in DType.__members__


@dataclass(frozen=True, slots=True)
class Spec:
    """A layout: dimension `dim` lies on partitions, in blocks of `block`."""

    dim: int
    block: int

    @staticmethod
    def of(shape: tuple[int, ...], dim: int) -> Spec:
        """The dimension in blocks as large as the machine allows."""
        return Spec(dim, min(PARTITIONS, shape[dim]))


def whole_spec(whole: Value, part: Spec, axis: int) -> Spec:
    """The layout of a concatenation whose part has layout `part`."""
    if part.dim == axis:
        return Spec.of(whole.shape, axis)
    return Spec(part.dim, part.block)


def lies_so(view: View, spec: Spec) -> bool:
    """Whether a view has just the dimension of `spec` on partitions, in its blocks."""
    if view.replicated:
        return False
    want = min(spec.block, view.shape[spec.dim])
    parts = [(d, f) for d, fs in enumerate(view.factors) for f in fs if f.part and f.extent > 1]
    if not legal_start(view.start + view.buffer.start, want):
        return False
    if want == 1:
        return not parts
    return len(parts) == 1 and parts[0][0] == spec.dim and parts[0][1].extent == want


def dense(buffer: Buffer, dtype: DType, shape: tuple[int, ...]) -> View:
    """A row-major tensor over a whole buffer."""
    factors: list[tuple[Factor, ...]] = []
    stride = 1
    for extent in reversed(shape):
        factors.insert(0, (Factor(extent, stride),))
        stride *= extent
    return View(buffer, dtype, shape, tuple(factors))


def dense_by_runs(
    buffer: Buffer, dtype: DType, shape: tuple[int, ...], views: Sequence[View]
) -> View:
    """A tensor over a whole buffer in DRAM, between views of it on chip.

    The dimension that is dense in every partition of all views comes last, so that runs are long;
    the others, or all where there is none, in row-major order.
    """
    dims = list(range(len(shape)))
    runs = {_run_dim(view) for view in views}
    last = runs.pop() if len(runs) == 1 else None
    if last is not None:
        dims.append(dims.pop(last))
    made = dense(buffer, dtype, tuple(shape[d] for d in dims))
    return made.permute(tuple(dims.index(d) for d in range(len(dims))))


def _run_dim(view: View) -> int | None:
    """The dimension whose elements are neighbours in a partition."""
    for d, factors in enumerate(view.factors):
        if any(not f.part and f.stride == 1 and f.extent > 1 for f in factors):
            return d
    return None


def packed(
    array: Array, factors: Sequence[tuple[Factor, ...]], start: int, partitions: int, row: int
) -> Array:
    """The image [partitions, row] of an array whose dimensions lie by `factors`.

    Without a partition factor every partition gets the same row.
    """
    part: NDArray[np.int64] = np.zeros((), np.int64)
    free: NDArray[np.int64] = np.zeros((), np.int64)
    for d, extent in enumerate(array.shape):
        p, f, left = np.zeros(extent, np.int64), np.zeros(extent, np.int64), np.arange(extent)
        for factor in reversed(factors[d]):
            digit = left % factor.extent
            left = left // factor.extent
            if factor.part:
                p += digit * factor.stride
            else:
                f += digit * factor.stride
        shape = [1] * array.ndim
        shape[d] = extent
        part = part + p.reshape(shape)
        free = free + f.reshape(shape)
    part, free = np.broadcast_to(part, array.shape), np.broadcast_to(free, array.shape)
    image = np.zeros((partitions, row), array.dtype)
    if any(f.part for fs in factors for f in fs):
        image[part + start, free] = array
    else:
        image[:, free.reshape(-1)] = array.reshape(-1)
    return image
