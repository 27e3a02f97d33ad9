"""Constant operands of contractions: packed to the partitions of the other operand, in transfers
that are long enough for the full DRAM rate and short enough to start early; and what stands behind
a product (`Behind`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compiler.graph.graph import Array
from compiler.lowering.context import Lowering, Spec
from compiler.lowering.contract import Box
from compiler.lowering.elementwise import Plan
from compiler.tiles.view import Factor, View
from isa.dtypes import DType

WEIGHT_BYTES = 256 * 1024
"""A weight transfer is about this large."""


@dataclass
class Behind:
    """The epilogue: the elementwise nodes fused behind a product, on each tile."""

    lo: Lowering
    ready: Plan

    def __call__(self, tile: View, box: Box) -> None:
        self.ready.emit(self.lo, box, tile, self.lo.hw.pe_moving_max)


@dataclass
class Shifted:
    """An epilogue whose boxes start further on in one dimension."""

    inner: Behind
    dim: int
    first: int

    def __call__(self, tile: View, box: Box) -> None:
        moved = list(box)
        moved[self.dim] = (box[self.dim][0] + self.first, box[self.dim][1])
        self.inner(tile, moved)


def transfer_span(row_bytes: int, columns: int, spec: Spec, stationary: bool) -> int:
    """Columns of one weight transfer: whole blocks of the product where they are stationary."""
    unit = spec.block if stationary else 512
    blocks = max(1, round(WEIGHT_BYTES / max(1, row_bytes * unit)))
    return min(columns, blocks * unit)


def packed_weights(lo: Lowering, array: Array, other: View, dtype: DType, name: str) -> View:
    """array [.., columns, k] with k on the partitions that `other` has it on."""
    lead, columns, extent = array.shape[:-2], array.shape[-2], array.shape[-1]
    k = len(other.shape) - 1
    factors = [f for f in other.factors[k] if f.extent > 1]
    free = [f for f in factors if not f.part]
    parts = [f for f in factors if f.part]
    padded = math.prod(f.extent for f in factors)
    if padded != extent:
        fill = [(0, 0)] * (array.ndim - 1) + [(0, padded - extent)]
        array = np.pad(array, fill)
    split = array.reshape(*lead, columns, *(f.extent for f in factors))
    base = len(lead) + 1
    order_parts = [base + i for i, f in enumerate(factors) if f.part]
    order_free = [base + i for i, f in enumerate(factors) if not f.part]
    image = split.transpose(*order_parts, *range(len(lead)), *order_free, len(lead))
    rows = math.prod(f.extent for f in parts)
    flat = image.reshape(rows, -1)
    dense = _dense_parts(parts)
    if other.start or not dense:
        flat = _placed_rows(flat, parts, other.start)
    buffer = lo.constant_image(flat, dtype, name)
    made: list[Factor] = []
    stride = columns
    for f in reversed(factors):
        if f.part:
            made.insert(0, f)
        else:
            made.insert(0, Factor(f.extent, stride))
            stride *= f.extent
    outer: list[tuple[Factor, ...]] = []
    for e in reversed(lead):
        outer.insert(0, (Factor(e, stride),))
        stride *= e
    assert len(free) + len(parts) == len(factors)
    shape = (*lead, columns, extent)
    return View(buffer, dtype, shape, (*outer, (Factor(columns, 1),), tuple(made)), other.start)


def _dense_parts(parts: list[Factor]) -> bool:
    count = 1
    for f in reversed(parts):
        if f.stride != count:
            return False
        count *= f.extent
    return True


def _placed_rows(flat: Array, parts: list[Factor], start: int) -> Array:
    """Rows moved to the partitions that the factors name."""
    rows = np.zeros(1, np.int64)
    for f in parts:
        rows = (rows[:, None] + np.arange(f.extent) * f.stride).reshape(-1)
    image = np.zeros((int(rows.max()) + start + 1, flat.shape[1]), flat.dtype)
    image[rows + start] = flat
    return image
