"""Constant operands of contractions: packed to the partitions of the other operand, in transfers
that are long enough for the full DRAM rate and short enough to start early; and what stands behind
a product (`Behind`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compiler.graph.graph import Array
from compiler.lowering.context import Lowering, Spec
from compiler.lowering.contract import Box, Epilogue
from compiler.lowering.elementwise import Plan
from compiler.lowering.packing import Image, Placement
from compiler.tiles.iterate import sliced, tiles
from compiler.tiles.view import Factor, View
from isa.dtypes import DType
from isa.kernel import Ap, Buffer

QUADRANT = 32
"""Partitions between two at which any engine may start."""


@dataclass
class Behind:
    """The epilogue: the elementwise nodes fused behind a product, on each tile."""

    lo: Lowering
    ready: Plan

    def __call__(self, tile: View, box: Box) -> None:
        self.ready.emit(self.lo, box, tile, self.lo.hw.pe_moving_max)


@dataclass
class Stored:
    """The epilogue of a product that nothing is fused behind."""

    lo: Lowering
    out: View

    def __call__(self, tile: View, box: Box) -> None:
        for _, (out, ap) in tiles([sliced(self.out, box), tile], self.lo.hw.pe_moving_max):
            self.lo.engine_copy(out, ap)


@dataclass
class Shifted:
    """An epilogue whose boxes start further on in one dimension."""

    inner: Epilogue
    dim: int
    first: int

    def __call__(self, tile: View, box: Box) -> None:
        moved = list(box)
        moved[self.dim] = (box[self.dim][0] + self.first, box[self.dim][1])
        self.inner(tile, moved)


def transfer_span(lo: Lowering, row_bytes: int, columns: int, spec: Spec, stationary: bool) -> int:
    """Columns of one weight transfer: whole blocks of the product where they are stationary."""
    unit = spec.block if stationary else 512
    blocks = max(1, round(lo.knobs.weight_kib * 1024 / max(1, row_bytes * unit)))
    return min(columns, blocks * unit)


def depth_pieces(lo: Lowering, other: View, row_bytes: int) -> list[tuple[int, int]]:
    """(first, extent) of the pieces of k that one transfer each brings.

    Deep products come in pieces: a piece is given back, and the next on its way, before the last
    one is used.

    Args:
        other: the operand beside the weights; k is its last dimension.
        row_bytes: of the weights, for one position of k.
    """
    extent, k = other.shape[-1], len(other.shape) - 1
    factors = [f for f in other.factors[k] if f.extent > 1]
    count = round(extent * row_bytes / (1024 * lo.knobs.weight_kib))
    if count < 2 or len(factors) < 2 or factors[0].part or other.ragged(k):
        return [(0, extent)]
    step = -(-factors[0].extent // count) * (extent // factors[0].extent)
    return [(low, min(step, extent - low)) for low in range(0, extent, step)]


def packed_weights(lo: Lowering, array: Array, other: View, dtype: DType, name: str) -> View:
    """array [.., columns, k] with k on the partitions that `other` has it on."""
    lead, columns, extent = array.shape[:-2], array.shape[-2], array.shape[-1]
    factors = [f for f in other.factors[-1] if f.extent > 1]
    read = _read(array, columns * math.prod(lead) * dtype.size_bytes)
    blocked = other.start == 0 and [f.part for f in factors] in ([True], [False, True])
    if read is not None and blocked and factors[-1].stride == 1:
        return _with_gaps(lo, array, factors, read, dtype, name)
    if [f.part for f in factors] == [False, True] and other.ragged(-1) and other.start == 0:
        return _in_two_transfers(lo, array, factors[1], dtype, name)
    made: list[Factor] = []
    stride = columns
    for f in reversed(factors):
        if f.part:
            made.insert(0, f)
        else:
            made.insert(0, Factor(f.extent, stride))
            stride *= f.extent
    outer: list[int] = []
    for e in reversed(lead):
        outer.insert(0, stride)
        stride *= e
    last = other.start + sum((f.extent - 1) * f.stride for f in factors if f.part)
    steps = tuple(f.stride * stride if f.part else f.stride for f in made)
    placed = Placement((*outer, 1), tuple(f.extent for f in factors), steps, other.start * stride)
    buffer = lo.load_image(Image((last + 1, stride), dtype, array, placed), name)
    blocks = tuple((Factor(e, s),) for e, s in zip(lead, outer, strict=True))
    columns_too = (*blocks, (Factor(columns, 1),), tuple(made))
    return View(buffer, dtype, (*lead, columns, extent), columns_too, other.start)


def _in_two_transfers(lo: Lowering, array: Array, part: Factor, dtype: DType, name: str) -> View:
    """`packed_weights` whose last block of k is not full: that block behind the others, so that
    DRAM holds no rows of zeros."""
    lead, columns, extent = array.shape[:-2], array.shape[-2], array.shape[-1]
    block, full = part.extent, extent // part.extent
    inner, outer = columns, list[int]()
    for e in reversed(lead):
        outer.insert(0, inner)
        inner *= e
    buffer = lo.kernel.sbuf(block, (full + 1) * inner * dtype.size_bytes, name)
    whole = Placement((*outer, 1), (full, block), (inner, full * inner))
    shape = (block, full * inner)
    lo.load_into(Image(shape, dtype, array[..., : full * block], whole), buffer, 0, 0, name)
    rest = Placement((*outer, 1), (extent - full * block,), (inner,))
    image = Image((extent - full * block, inner), dtype, array[..., full * block :], rest)
    lo.load_into(image, buffer, 0, full * inner * dtype.size_bytes, name)
    blocks = tuple((Factor(e, s),) for e, s in zip(lead, outer, strict=True))
    k = (Factor(full + 1, inner), part)
    return View(buffer, dtype, (*lead, columns, extent), (*blocks, (Factor(columns, 1),), k))


GAP_BYTES = 32768
"""Of rows of zeros from which on they are filled in on chip."""


def _read(array: Array, row_bytes: int) -> NDArray[np.bool_] | None:
    """Which k are not all zero, where the zeros of the others are worth leaving out."""
    flat = array.reshape(-1, array.shape[-1])
    zero = np.flatnonzero(flat[0] == 0)  # most arrays are told by their first row
    if len(zero) * row_bytes < GAP_BYTES:
        return None
    zero = zero[~(flat[:, zero] != 0).any(axis=0)]
    if len(zero) * row_bytes < GAP_BYTES:
        return None
    read = np.ones(array.shape[-1], np.bool_)
    read[zero] = False
    return read


def _with_gaps(
    lo: Lowering,
    array: Array,
    factors: list[Factor],
    read: NDArray[np.bool_],
    dtype: DType,
    name: str,
) -> View:
    """`packed_weights` of which some k are zero: those are filled in, the others loaded."""
    lead, columns, extent = array.shape[:-2], array.shape[-2], array.shape[-1]
    block, inner = factors[-1].extent, columns * math.prod(lead)
    blocks = -(-extent // block)
    rows = np.moveaxis(array.reshape(-1, extent), -1, 0)
    buffer = lo.kernel.sbuf(block, blocks * inner * dtype.size_bytes, name)
    for b in range(blocks):
        here = read[b * block : (b + 1) * block]
        for first in range(0, len(here), QUADRANT):
            lanes = min(QUADRANT, len(here) - first)
            if not here[first : first + lanes].all():
                at = b * inner * dtype.size_bytes
                lo.kernel.memset(Ap(buffer, first, lanes, at, dtype, ((1, inner),)), 0.0)
    load_rows(lo, rows, read, buffer, dtype)
    outer, step = list[int](), columns
    for e in reversed(lead):
        outer.insert(0, step)
        step *= e
    head = tuple((Factor(e, s),) for e, s in zip(lead, outer, strict=True))
    k = (Factor(blocks, inner), factors[-1]) if blocks > 1 else (factors[-1],)
    return View(buffer, dtype, (*lead, columns, extent), (*head, (Factor(columns, 1),), k))


def load_rows(
    lo: Lowering, rows: Array, read: NDArray[np.bool_], buffer: Buffer, dtype: DType
) -> None:
    """Load rows [k, elements] that are read, in blocks of as many as the buffer has partitions.

    Whole blocks one after another come in one transfer.
    """
    block, width = buffer.partitions, rows.shape[1]
    at = 0
    while at < len(read):
        if not read[at]:
            at += 1
            continue
        end = at + int(np.argmin(np.append(read[at:], False)))
        count = (end - at) // block if at % block == 0 else 0
        end = at + count * block if count else min(end, at - at % block + block)
        part, lanes = rows[at:end], block if count else end - at
        stacked = part.reshape(count, block, width) if count else part
        strides = (width, count * width) if count else (width,)
        placed = Placement(strides, (width,), (1,))
        image = Image((lanes, max(1, count) * width), dtype, stacked, placed)
        byte = at // block * width * dtype.size_bytes
        lo.load_into(image, buffer, at % block, byte, buffer.name)
        at = end


PLACES_BYTES = 8192
"""Of rows of zeros behind a place, from which on filling them in is no later than loading them."""


def placed_weights(
    lo: Lowering, steps: list[dict[int, Array]], grain: int, dtype: DType, name: str
) -> list[View]:
    """The weights of each step, [outputs, k]: those of place t from partition t * grain on.

    For places that a step lacks zeros are filled in; so they are between places, unless they are
    so few that they come from DRAM sooner.

    Args:
        steps: for each, weights [outputs, channels] by place.
    """
    outputs, channels = next(iter(steps[0].values())).shape
    rows = max(max(step) for step in steps) * grain + channels
    size = dtype.size_bytes
    buffer = lo.kernel.sbuf(rows, len(steps) * outputs * size, name)
    whole = ((1, len(steps) * outputs),)
    last_place = max(max(step) for step in steps)
    between = (grain - channels) * len(steps) * outputs * size
    lacking = any(len(step) <= max(step) for step in steps)
    if lacking:
        lo.kernel.memset(Ap(buffer, 0, rows, 0, dtype, whole), 0.0)
    elif last_place and between >= PLACES_BYTES:
        for place, quadrant in itertools.product(
            range(last_place), range(channels // QUADRANT * QUADRANT, grain, QUADRANT)
        ):
            gap = Ap(buffer, place * grain + quadrant, QUADRANT, 0, dtype, whole)
            lo.kernel.memset(gap, 0.0)
    come = not lacking and between < PLACES_BYTES
    for place in range(last_place + 1):
        for first, last in _runs([place in step for step in steps]):
            array = np.stack([steps[i][place] for i in range(first, last)])
            elements = (last - first) * outputs
            placed = Placement((outputs, 1), (channels,), (elements,))
            filled = grain if come and place != last_place else channels
            image = Image((filled, elements), dtype, array, placed)
            at = first * outputs * size
            lo.load_into(image, buffer, place * grain, at, name)
    views = []
    for i, step in enumerate(steps):
        k = max(step) * grain + channels
        factors = ((Factor(outputs, 1),), (Factor(k, 1, True),))
        views.append(View(buffer, dtype, (outputs, k), factors, 0, i * outputs))
    return views


def _runs(present: list[bool]) -> Iterator[tuple[int, int]]:
    """Spans [first, last) of what is present."""
    first = 0
    for there, members in itertools.groupby(present):
        last = first + len(list(members))
        if there:
            yield first, last
        first = last
