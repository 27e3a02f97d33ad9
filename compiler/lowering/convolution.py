"""Convolution as a contraction: the input shifted by each kernel tap, no patch matrix in memory."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

from compiler.graph.attrs import integer, integers
from compiler.graph.graph import Array, Node
from compiler.lowering.classes import Classes
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.contract import Epilogue, contract
from compiler.lowering.depthwise import depthwise
from compiler.lowering.folded import (
    block_diagonal,
    fetch_borders,
    folds,
    into_blocks,
    out_of_blocks,
    repeated,
    rows_in_all,
)
from compiler.lowering.grouped import grouped
from compiler.lowering.halos import fill_of
from compiler.lowering.image import packed_terms
from compiler.lowering.image_load import Ahead, PackedImage
from compiler.lowering.row_bands import Bands
from compiler.lowering.row_bands_chip import bands_on_chip, convolve_on_chip
from compiler.lowering.row_bands_conv import convolve_bands
from compiler.lowering.tap_packing import NONE, Packing, choose, cost_of, flat, pack
from compiler.lowering.tap_pairs import paired, pays
from compiler.lowering.terms import Term
from compiler.lowering.weights import (
    Behind,
    Shifted,
    packed_weights,
    placed_weights,
    transfer_span,
)
from compiler.lowering.window import padded_input
from compiler.tiles.view import Factor, View
from isa.dtypes import DType


def conv(lo: Lowering, node: Node, spec: Spec, behind: Behind) -> None:
    """y = conv(x, w): one term a kernel tap, or a group of taps where channels are few."""
    if node.inputs[1].id not in lo.graph.constants:
        _computed_weights(lo, node, spec, behind)
        return
    weights = lo.graph.constants[node.inputs[1].id]
    groups = integer(node, "groups")
    blocks, blocks_out = folds(node)
    if node.inputs[0].id in lo.images:
        _of_image(lo, node, spec, behind, weights)
        return
    if blocks > blocks_out:
        out_of_blocks(lo, node, spec, behind, weights)
        return
    view = padded_input(lo, node, fill_of(node))
    if blocks > 1 and groups > 1:
        fetch_borders(lo, node, view)
        depthwise(lo, node, spec, behind, view, repeated(weights, blocks))
        return
    if blocks > 1:
        weights = block_diagonal(repeated(weights, blocks), blocks)
    kernel = weights.shape[2:]
    if groups == weights.shape[0] and weights.shape[1] == 1:
        depthwise(lo, node, spec, behind, view, weights)
        return
    classes = None
    if blocks == 1:
        classes = Classes.of_groups(weights, groups) if groups > 1 else Classes.find(weights)
    if classes is not None:
        view = padded_input(lo, node, fill_of(node), from_first=True)
        moving = [_tap(view, node, tap) for tap in itertools.product(*map(range, kernel))]
        grouped(lo, node, spec, behind, moving, classes)
        return
    _by_taps(lo, node, spec, behind, view, weights)


def _of_image(lo: Lowering, node: Node, spec: Spec, behind: Behind, weights: Array) -> None:
    """A convolution of an image that a model begins with, loaded as it reads it."""
    source, blocks_out = lo.images[node.inputs[0].id], folds(node)[1]
    if isinstance(source.block, Bands):
        convolve_bands(lo, node, spec, behind, source, source.block)
        return
    image = PackedImage(lo, node, source, source.block, blocks_out)
    moving, stacked = packed_terms(source.block, image.view, weights)
    if blocks_out > 1:
        dtype, name = device_dtype(node.inputs[1].dtype), node.inputs[1].name
        terms = weight_terms(lo, stacked, moving, dtype, name, 2)
        into_blocks(lo, node, behind, terms, image.need_part)
    else:
        _product(lo, node, spec, Ahead(behind, image), moving, stacked, 2)


def _by_taps(
    lo: Lowering, node: Node, spec: Spec, behind: Behind, view: View, weights: Array
) -> None:
    """A dense convolution: taps packed, in pairs, or one by one, whichever is cheapest."""
    kernel, rank, blocks_out = weights.shape[2:], len(weights.shape) - 2, folds(node)[1]
    packing = NONE
    filled = node.inputs[0].id in lo.haloed or lo.views[node.inputs[0].id] is not view
    if rank == 2 and node.inputs[0].id not in lo.joined and flat(view, filled):
        packing = choose(
            lo,
            weights.shape[1],
            kernel,
            _tap_cycles(lo, node),
            view.buffer.size_bytes,
            view.dtype.size_bytes,
        )
    if rank == 2 and lo.tensorize:
        plane, size = view.buffer.size_bytes, view.dtype.size_bytes
        other = cost_of(
            lo.hw, packing, weights.shape[1], kernel, _tap_cycles(lo, node), plane, size
        )
        bands = bands_on_chip(lo, node, view, other)
        if bands is not None:
            convolve_on_chip(lo, node, spec, behind, view, bands)
            return
    if packing != NONE:
        _packed(lo, node, spec, behind, view, weights, packing)
        return
    if blocks_out == 1 and pays(lo, node, weights):
        paired(lo, node, behind, view, weights)
        return
    taps = list(itertools.product(*(range(n) for n in kernel)))
    moving = [_tap(view, node, tap) for tap in taps]
    stacked = weights.reshape(*weights.shape[:2], -1).transpose(2, 0, 1)  # [steps, O, k]
    _product(lo, node, spec, behind, moving, stacked, rank)


def _tap_cycles(lo: Lowering, node: Node) -> int:
    """PE cycles that one kernel tap takes over the whole layer."""
    n, spatial = node.output.shape[0], rows_in_all(node)
    passes = -(-node.inputs[1].shape[0] // lo.hw.pe_columns)
    factor = lo.hw.pe_fp32_passes if node.inputs[0].dtype.name == "float32" else 1
    return n * math.prod(spatial) * passes * factor


def _packed(
    lo: Lowering,
    node: Node,
    spec: Spec,
    behind: Behind,
    view: View,
    weights: Array,
    packing: Packing,
) -> None:
    """A convolution over packed taps."""
    outputs, channels, *kernel = weights.shape
    shape, taps = (kernel[0], kernel[1]), (outputs, channels, -1)
    first, down, across = (_tap(view, node, t) for t in ((0, 0), (1, 0), (0, 1)))
    steps = (down.offset - first.offset, across.offset - first.offset)
    extents = [(f.extent - 1) * f.stride for fs in first.factors[:-1] for f in fs]
    moving, pieces = [], []
    for part, (r0, c0), size in packing.parts(shape):
        shift = r0 * steps[0] + c0 * steps[1]
        cut = replace(view, offset=view.offset + shift)
        wide = pack(lo, cut, part, size, steps, sum(extents) + 1, node.inputs[0].name)
        for r, c, held in part.blocks(size):
            there = weights[:, :, r0 + r : r0 + min(r + part.rows, size[0])]
            there = there[:, :, :, c0 + c : c0 + min(c + part.columns, size[1])].reshape(taps)
            pieces.append(dict(zip(held, there.transpose(2, 0, 1), strict=True)))
            at = replace(wide, offset=r * steps[0] + c * steps[1])
            k = held[-1] * packing.grain + channels
            moving.append(_channels(_tap(at, node, (0, 0)), 0, k))
    dtype = device_dtype(node.inputs[1].dtype)
    span = transfer_span(lo, len(pieces) * PARTITIONS * dtype.size_bytes, outputs, spec, True)
    span = outputs if folds(node)[1] > 1 else span
    for start in range(0, outputs, span):
        size = min(span, outputs - start)
        here = [{t: w[start : start + size] for t, w in piece.items()} for piece in pieces]
        sides = placed_weights(lo, here, packing.grain, dtype, node.inputs[1].name)
        terms = [
            Term(
                replace(
                    side,
                    shape=(1, size, 1, 1, side.shape[1]),
                    factors=((), side.factors[0], (), (), side.factors[1]),
                ),
                move,
            )
            for side, move in zip(sides, moving, strict=True)
        ]
        if folds(node)[1] > 1:
            into_blocks(lo, node, behind, terms)
            return
        out = (node.output.shape[0], size, *node.output.shape[2:])
        contract(lo, out, 1, spec.block, terms, Shifted(behind, 1, start))


def _product(
    lo: Lowering,
    node: Node,
    spec: Spec,
    behind: Epilogue,
    moving: list[View],
    stacked: Array,
    rank: int,
) -> None:
    shape, outputs = node.output.shape, stacked.shape[1]
    dtype = device_dtype(node.inputs[1].dtype)
    if outputs < shape[1]:
        terms = weight_terms(lo, stacked, moving, dtype, node.inputs[1].name, rank)
        into_blocks(lo, node, behind, terms)
        return
    row_bytes = stacked.shape[0] * stacked.shape[2] * dtype.size_bytes
    span = transfer_span(lo, row_bytes, outputs, spec, True)
    for first in range(0, outputs, span):
        size = min(span, outputs - first)
        part = stacked[:, first : first + size]
        terms = weight_terms(lo, part, moving, dtype, node.inputs[1].name, rank)
        out = (shape[0], size, *shape[2:])
        contract(lo, out, 1, spec.block, terms, Shifted(behind, 1, first))


def _computed_weights(lo: Lowering, node: Node, spec: Spec, behind: Behind) -> None:
    """Weights [O, C, *K] in SBUF, their channels on the input's partitions; one group."""
    view = padded_input(lo, node, fill_of(node), from_first=True)
    value = node.inputs[1]
    weights = lo.from_first(value, Spec.of(value.shape, 1))
    ones: list[tuple[Factor, ...]] = [()] * (len(value.shape) - 2)
    terms = []
    for tap in itertools.product(*(range(n) for n in value.shape[2:])):
        side = weights
        for d, at in enumerate(tap):
            cut = side.slice(d + 2, at, 1)
            assert cut is not None, "the kernel's dimensions are free"
            side = cut
        shape = (1, value.shape[0], *([1] * len(ones)), value.shape[1])
        factors = ((), side.factors[0], *ones, side.factors[1])
        terms.append(Term(replace(side, shape=shape, factors=factors), _tap(view, node, tap)))
    contract(lo, node.output.shape, 1, spec.block, terms, behind)


def _channels(view: View, first: int, size: int) -> View:
    made = view.slice(len(view.shape) - 1, first, size)
    assert made is not None, "blocks of channels can be cut"
    return made


def _tap(view: View, node: Node, tap: tuple[int, ...]) -> View:
    """The input seen from one kernel tap: dimensions [N, 1, *spatial out, C]."""
    strides = integers(node, "strides")
    dilations = integers(node, "dilations")
    extents = rows_in_all(node)
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


def weight_terms(
    lo: Lowering, stacked: Array, moving: list[View], dtype: DType, name: str, spatial: int
) -> list[Term]:
    """One term a step: weights [1, O, 1.., k] beside the moving view, which may use fewer rows."""
    _, outputs, rows = stacked.shape
    widest = max(moving, key=lambda v: v.shape[-1])
    view = packed_weights(lo, stacked, widest, dtype, name)
    terms = []
    for i, move in enumerate(moving):
        tap = view.slice(0, i, 1)
        tap = tap.slice(2, 0, move.shape[-1]) if tap is not None and move.shape[-1] < rows else tap
        assert tap is not None, "one step of the weights is a view"
        shape = (1, outputs, *([1] * spatial), move.shape[-1])
        factors = ((), tap.factors[1], *([()] * spatial), tap.factors[2])
        terms.append(Term(replace(tap, shape=shape, factors=factors), move))
    return terms
