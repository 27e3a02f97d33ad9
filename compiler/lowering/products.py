"""Matmul, convolution and gather as contractions: terms, weights, and the group behind them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from compiler.graph.graph import Array, Node, Value
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.contract import Box, Term, contract
from compiler.lowering.elementwise import Plan, plan
from compiler.lowering.window import padded_input
from compiler.tiles.iterate import legal_start
from compiler.tiles.view import Factor, View
from isa.dtypes import DType

WEIGHT_BYTES = 256 * 1024
"""A weight transfer is about this large: long enough to run at full rate, short enough to start early."""


@dataclass
class Behind:
    """The epilogue: the elementwise nodes fused behind a product, on each tile."""

    lo: Lowering
    ready: Plan

    def __call__(self, tile: View, box: Box) -> None:
        self.ready.emit(self.lo, box, tile, self.lo.hw.pe_moving_max)


def lower_product(lo: Lowering, nodes: list[Node], results: list[Value], wanted: Spec) -> None:
    """A matmul, convolution or gather and the elementwise nodes fused behind it."""
    node = nodes[0]
    ready = plan(lo, nodes[1:], results, wanted, node.output)
    behind = Behind(lo, ready)
    if node.op == "matmul":
        _matmul(lo, node, wanted, behind)
    elif node.op == "conv":
        _conv(lo, node, wanted, behind)
    else:
        raise AssertionError(node.op)


# --- matmul ----------------------------------------------------------------------------------------


def _matmul(lo: Lowering, node: Node, spec: Spec, behind: Behind) -> None:
    shape = node.output.shape
    rank = len(shape)
    sides = []
    for i, value in enumerate(node.inputs):
        swap = bool(node.attrs.get("transpose_b" if i else "transpose_a", False))
        k = len(value.shape) - (1 if (i == 0) != swap else 2)
        free = 2 * len(value.shape) - 3 - k
        sides.append((value, k, free))
    stationary = 0 if spec.dim == rank - 2 else 1
    if spec.dim < rank - 2:
        raise AssertionError("a product has a row or column dimension on partitions")
    constant = [v.id in lo.graph.constants for v, _, _ in sides]
    extent = node.inputs[0].shape[sides[0][1]]
    k_spec: dict[int, View] = {}
    for i, (value, k, free) in enumerate(sides):
        if not constant[i]:
            view = _contracted(lo, value, k, free)
            k_spec[i] = _operand(view, k, free, rank, 1 - i)
    if all(constant):
        raise AssertionError("a product of constants is folded")
    if not any(constant):
        terms = [Term(k_spec[stationary], k_spec[1 - stationary])]
        contract(lo, shape, spec.dim, spec.block, terms, behind)
        return
    w = constant.index(True)
    other = k_spec[1 - w]
    _with_weights(lo, node, spec, behind, w, stationary == w, other, extent, sides[w][1:])


def _contracted(lo: Lowering, value: Value, k: int, free: int) -> View:
    """A value with dimension k on partitions; other partition factors may stand in the batch."""
    view = lo.views[value.id]
    parts = [f for f in view.factors[k] if f.part and f.extent > 1]
    inner = [f for f in view.factors[k] if f.extent > 1]
    dense = len(parts) == 1 and inner[-1] is parts[0] and parts[0].stride == 1
    clear = not any(f.part and f.extent > 1 for f in view.factors[free])
    if dense and clear and not view.replicated and len(view.part_dims()) > 1:
        starts = {view.start + view.buffer.start}
        for d, fs in enumerate(view.factors):
            for f in fs:
                if d != k and f.part:
                    starts = {s + i * f.stride for s in starts for i in range(f.extent)}
        if all(legal_start(s, parts[0].extent) for s in starts):
            return view
    return lo.view(value, Spec.of(value.shape, k))


def _operand(view: View, k: int, free: int, rank: int, missing: int) -> View:
    """Dimensions [batch.., rows, columns, k]; `missing` 0 if the operand has no rows, 1 no columns."""
    batch = [d for d in range(len(view.shape)) if d not in (k, free)]
    lead = rank - 2 - len(batch)
    shape = [1] * lead + [view.shape[d] for d in batch]
    factors: list[tuple[Factor, ...]] = [()] * lead + [view.factors[d] for d in batch]
    pair = [(view.shape[free], view.factors[free]), (1, ())]
    if missing == 0:
        pair.reverse()
    for e, f in pair:
        shape.append(e)
        factors.append(f)
    shape.append(view.shape[k])
    factors.append(view.factors[k])
    return replace(view, shape=tuple(shape), factors=tuple(factors))


def _with_weights(
    lo: Lowering,
    node: Node,
    spec: Spec,
    behind: Behind,
    w: int,
    weights_stationary: bool,
    other: View,
    extent: int,
    where: tuple[int, int],
) -> None:
    """One operand is constant: packed to the other's partitions, loaded in pieces as they are used."""
    value = node.inputs[w]
    array = lo.graph.constants[value.id]
    k, free = where
    batch = [d for d in range(array.ndim) if d not in (k, free)]
    lead = len(node.output.shape) - 2 - len(batch)
    array = array.transpose(*batch, free, k)
    rank = len(node.output.shape)
    shape = node.output.shape
    dtype = device_dtype(value.dtype)
    columns = array.shape[-2]
    span = _span(
        extent * dtype.size_bytes * math.prod(array.shape[:-2]), columns, spec, weights_stationary
    )
    for first in range(0, columns, span):
        size = min(span, columns - first)
        part = array[..., first : first + size, :]
        view = packed_weights(lo, part, other, dtype, value.name)
        side = _operand_of_weights(view, lead, 1 - w)
        out = list(shape)
        dim_w = rank - 1 if w == 1 else rank - 2
        out[dim_w] = size
        terms = [Term(side, other) if weights_stationary else Term(other, side)]
        contract(lo, tuple(out), spec.dim, spec.block, terms, _Shifted(behind, dim_w, first))


@dataclass
class _Shifted:
    """An epilogue whose boxes start further on in one dimension."""

    inner: Behind
    dim: int
    first: int

    def __call__(self, tile: View, box: Box) -> None:
        moved = list(box)
        moved[self.dim] = (box[self.dim][0] + self.first, box[self.dim][1])
        self.inner(tile, moved)


def _span(row_bytes: int, columns: int, spec: Spec, stationary: bool) -> int:
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


def _operand_of_weights(view: View, lead: int, missing: int) -> View:
    shape = [1] * lead + list(view.shape[:-2])
    factors: list[tuple[Factor, ...]] = [()] * lead + list(view.factors[:-2])
    pair = [(view.shape[-2], view.factors[-2]), (1, ())]
    if missing == 0:
        pair.reverse()
    for e, f in pair:
        shape.append(e)
        factors.append(f)
    return replace(view, shape=(*shape, view.shape[-1]), factors=(*factors, view.factors[-1]))


# --- convolution -------------------------------------------------------------------------------------


def _conv(lo: Lowering, node: Node, spec: Spec, behind: Behind) -> None:
    weights = lo.graph.constants[node.inputs[1].id]
    groups = int(node.attrs["groups"])  # type: ignore[arg-type]
    per_group = weights.shape[0] // groups
    each = weights.shape[1]
    if groups > 1:
        weights = _block_diagonal(weights, groups)
    shape = node.output.shape
    view = padded_input(lo, node, 0.0)
    taps = list(itertools.product(*(range(n) for n in weights.shape[2:])))
    moving = [_tap(view, node, tap) for tap in taps]
    dtype = device_dtype(node.inputs[1].dtype)
    channels, outputs = weights.shape[1], weights.shape[0]
    view_block = min(PARTITIONS, channels)
    row_bytes = channels * len(taps) * dtype.size_bytes
    span = _span(row_bytes, outputs, spec, True) if groups == 1 else spec.block
    for first in range(0, outputs, span):
        size = min(span, outputs - first)
        out = (shape[0], size, *shape[2:])
        low, high = 0, channels
        if groups > 1:  # only the blocks of channels that these outputs read
            low = first // per_group * each // view_block * view_block
            high = min(
                channels,
                -(-((first + size - 1) // per_group + 1) * each // view_block) * view_block,
            )
        here = weights[first : first + size, low:high]
        seen = [_channels(m, low, high - low) for m in moving]
        terms = _conv_terms(lo, here, seen, dtype, node.inputs[1].name, len(taps[0]))
        contract(lo, out, 1, spec.block, terms, _Shifted(behind, 1, first))


def _channels(view: View, first: int, size: int) -> View:
    made = view.slice(len(view.shape) - 1, first, size)
    assert made is not None, "blocks of channels can be cut"
    return made


def _block_diagonal(weights: Array, groups: int) -> Array:
    """Grouped weights [O, C / groups, *K] as full ones [O, C, *K], zero across groups."""
    outputs, each = weights.shape[0] // groups, weights.shape[1]
    full = np.zeros((weights.shape[0], each * groups, *weights.shape[2:]), weights.dtype)
    for g in range(groups):
        rows = slice(g * outputs, (g + 1) * outputs)
        full[rows, g * each : (g + 1) * each] = weights[rows]
    return full


def _tap(view: View, node: Node, tap: tuple[int, ...]) -> View:
    """The input seen from one kernel tap: dimensions [N, 1, *spatial out, C]."""
    strides = [int(s) for s in node.attrs["strides"]]  # type: ignore[union-attr,arg-type]
    dilations = [int(s) for s in node.attrs["dilations"]]  # type: ignore[union-attr,arg-type]
    extents = node.output.shape[2:]
    offset = view.offset
    spatial: list[tuple[Factor, ...]] = []
    for d, (extent, at) in enumerate(zip(extents, tap, strict=True)):
        factors = [f for f in view.factors[d + 2] if f.extent > 1]
        step = factors[0].stride if factors else 1
        offset += at * dilations[d] * step
        spatial.append((Factor(extent, step * strides[d]),))
    return replace(
        view,
        shape=(view.shape[0], 1, *extents, view.shape[1]),
        factors=(view.factors[0], (), *spatial, view.factors[1]),
        offset=offset,
    )


def _conv_terms(
    lo: Lowering,
    weights: Array,
    moving: list[View],
    dtype: DType,
    name: str,
    spatial: int,
) -> list[Term]:
    """One term a tap: weights [1, O, 1.., C] beside the shifted input."""
    outputs, channels = weights.shape[:2]
    stacked = weights.reshape(outputs, channels, -1).transpose(2, 0, 1)  # [taps, O, C]
    view = packed_weights(lo, stacked, moving[0], dtype, name)
    terms = []
    for i, move in enumerate(moving):
        tap = view.slice(0, i, 1)
        assert tap is not None
        shape = (1, outputs, *([1] * spatial), channels)
        factors = ((), tap.factors[1], *([()] * spatial), tap.factors[2])
        terms.append(Term(replace(tap, shape=shape, factors=factors), move))
    return terms
