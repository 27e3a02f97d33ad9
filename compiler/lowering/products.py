"""Matmul as a contraction, and the choice between the kinds of product."""

from __future__ import annotations

import math
from dataclasses import replace

from compiler.graph.attrs import flag
from compiler.graph.graph import Node, Value
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.contract import contract
from compiler.lowering.convolution import conv
from compiler.lowering.elementwise import plan
from compiler.lowering.terms import Term, check_meeting
from compiler.lowering.transposed_conv import conv_transpose
from compiler.lowering.weights import (
    Behind,
    Shifted,
    depth_pieces,
    packed_weights,
    transfer_span,
)
from compiler.tiles.iterate import Mismatch, legal_start
from compiler.tiles.view import Factor, View

MOVE_CYCLES = 6000
"""About what moving an operand to other partitions costs, in PE cycles."""


def lower_product(lo: Lowering, nodes: list[Node], results: list[Value], wanted: Spec) -> None:
    """A matmul, convolution or gather and the elementwise nodes fused behind it."""
    node = nodes[0]
    ready = plan(lo, nodes[1:], results, wanted, node.output)
    behind = Behind(lo, ready)
    if node.op == "matmul":
        _matmul(lo, node, wanted, behind)
    elif node.op == "conv":
        conv(lo, node, wanted, behind)
    elif node.op == "conv_transpose":
        conv_transpose(lo, node, wanted, behind)
    else:
        raise AssertionError(node.op)


def _sides(node: Node) -> list[tuple[Value, int, int]]:
    """Each operand with its summed and its free dimension."""
    sides = []
    for i, value in enumerate(node.inputs):
        swap = flag(node, "transpose_b" if i else "transpose_a")
        k = len(value.shape) - (1 if (i == 0) != swap else 2)
        sides.append((value, k, 2 * len(value.shape) - 3 - k))
    return sides


def computed_term(lo: Lowering, node: Node, dim: int) -> Term:
    """The term of a product of two computed operands, where `dim` lies on partitions."""
    shape, rank, sides = node.output.shape, len(node.output.shape), _sides(node)
    stationary = 0 if dim == rank - 2 else 1
    views = []
    for i, (value, k, free) in enumerate(sides):
        view = _contracted(lo, value, k, free, math.prod(shape) / lo.hw.pe_columns)
        views.append(_operand(view, k, free, rank, 1 - i))
    term = Term(views[stationary], views[1 - stationary])
    try:
        check_meeting(shape, dim, term)
    except Mismatch:  # they lie in layouts of their own
        views = [
            _operand(lo.from_first(value, Spec.of(value.shape, k)), k, free, rank, 1 - i)
            for i, (value, k, free) in enumerate(sides)
        ]
        term = Term(views[stationary], views[1 - stationary])
    return term


def _matmul(lo: Lowering, node: Node, spec: Spec, behind: Behind) -> None:
    shape = node.output.shape
    rank = len(shape)
    if spec.dim < rank - 2:
        raise AssertionError("a product has a row or column dimension on partitions")
    constant = [v.id in lo.graph.constants and v.id not in lo.views for v in node.inputs]
    if not any(constant):
        contract(lo, shape, spec.dim, spec.block, [computed_term(lo, node, spec.dim)], behind)
        return
    sides = _sides(node)
    w = constant.index(True)
    value, k, free = sides[1 - w]
    view = _contracted(lo, value, k, free, math.prod(shape) / lo.hw.pe_columns)
    if math.prod(node.inputs[w].shape[:-2]) > 1 and view.part_dims() != [k]:
        view = lo.from_first(value, Spec.of(value.shape, k))  # where each matrix of weights begins
    other = _operand(view, k, free, rank, w)
    extent = node.inputs[0].shape[sides[0][1]]
    stationary = (0 if spec.dim == rank - 2 else 1) == w
    _with_weights(lo, node, spec, behind, w, stationary, other, extent, sides[w][1:])


def _contracted(lo: Lowering, value: Value, k: int, free: int, products: float) -> View:
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
    if dense_in_blocks(view, k, free):
        steps = value.shape[k] // parts[0].extent - -(-value.shape[k] // PARTITIONS)
        if steps * products < MOVE_CYCLES:
            return view
    return lo.view(value, Spec.of(value.shape, k))


def dense_in_blocks(view: View, k: int, free: int) -> bool:
    """Whether k has one dense partition factor from a legal start, and no other dimension any."""
    parts = [f for f in view.factors[k] if f.part and f.extent > 1]
    if len(parts) != 1 or parts[0].stride != 1 or view.replicated or view.ragged(k):
        return False
    alone = view.part_dims() == [k]
    return alone and legal_start(view.start + view.buffer.start, parts[0].extent)


def _operand(view: View, k: int, free: int, rank: int, missing: int) -> View:
    """Dimensions [batch.., rows, columns, k]; `missing` 0: it has no rows, 1: no columns."""
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
    """One operand is constant: packed to the other's partitions, loaded in pieces as used."""
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
    span = transfer_span(
        lo,
        extent * dtype.size_bytes * math.prod(array.shape[:-2]),
        columns,
        spec,
        weights_stationary,
    )
    for first in range(0, columns, span):
        size = min(span, columns - first)
        terms = []
        for low, depth in depth_pieces(lo, other, size * dtype.size_bytes):
            shallow = other.slice(rank, low, depth)
            assert shallow is not None, "pieces end at blocks"
            part = array[..., first : first + size, low : low + depth]
            view = packed_weights(lo, part, shallow, dtype, value.name)
            side = _operand_of_weights(view, lead, 1 - w)
            terms.append(Term(side, shallow) if weights_stationary else Term(shallow, side))
        out = list(shape)
        dim_w = rank - 1 if w == 1 else rank - 2
        out[dim_w] = size
        contract(lo, tuple(out), spec.dim, spec.block, terms, Shifted(behind, dim_w, first))


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
