"""Constant gathers and joins across partitions, on the array: products with 0/1 matrices.

    out[.., o, ..] = sum over k of (k == index[o]) * x[.., k, ..]

A channel shuffle reads its matrix from one wide identity with a stride, so that no matrix is
loaded: index[i * g + j] = j * (C / g) + i is columns C / g apart, as often as i moves on by one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.graph.attrs import integer
from compiler.graph.graph import Node, Value
from compiler.lowering.context import PARTITIONS, Lowering, Spec, lies_so
from compiler.lowering.contract import contract
from compiler.lowering.elementwise import plan
from compiler.lowering.terms import Term
from compiler.lowering.weights import Behind, Stored, packed_weights
from compiler.tiles.view import Factor, View, common_atoms
from isa.instructions.tensor import MATMUL_DTYPES


def select_on_array(lo: Lowering, node: Node, indices: list[int]) -> bool:
    """Lower a gather whose axis lies on partitions; False where the array cannot do it."""
    value, out, axis = node.inputs[0], node.output, integer(node, "axis")
    view, rank = lo.views[value.id], len(value.shape)
    finite = value.id not in lo.infinite and view.buffer.id not in lo.spoiling
    if not finite or view.dtype not in MATMUL_DTYPES or len(out.shape) != rank:
        return False
    if view.replicated or view.part_dims() != [axis]:
        return False
    view = lo.view(value, Spec.of(value.shape, axis))
    moving = replace(
        view,
        shape=(*view.shape[:axis], 1, *view.shape[axis + 1 :], view.shape[axis]),
        factors=(*view.factors[:axis], (), *view.factors[axis + 1 :], view.factors[axis]),
    )
    spec = Spec.of(out.shape, axis)
    shuffled = _groups(indices) if len(indices) == value.shape[axis] else 0
    if shuffled and lo.hw.pe_columns % shuffled == 0:
        matrix = _strided_identity(lo, view, len(indices), shuffled)
    else:
        hot = np.zeros((len(indices), value.shape[axis]), np.float32)
        hot[np.arange(len(indices)), indices] = 1.0
        matrix = packed_weights(lo, hot, moving, view.dtype, f"{out.name}/selection")
    stationary = replace(
        matrix,
        shape=(*(len(indices) if d == axis else 1 for d in range(rank)), matrix.shape[-1]),
        factors=(*(matrix.factors[0] if d == axis else () for d in range(rank)), matrix.factors[1]),
    )
    behind = Behind(lo, plan(lo, [], [out], spec, out))
    contract(lo, out.shape, axis, spec.block, [Term(stationary, moving)], behind)
    return True


def join_on_array(lo: Lowering, made: View, parts: list[tuple[Value, int]], axis: int) -> bool:
    """made[.., at + k, ..] := part[.., k, ..] of every part, though parts begin inside a quadrant.

    A sum of products with shifted identities: each partition of the result has one term that is
    not zero. Parts may be in their place already. False where the array cannot do it.
    """
    if not lies_so(made, Spec.of(made.shape, axis)) or made.dtype not in MATMUL_DTYPES:
        return False
    terms = []
    first = max(at + v.shape[axis] for v, at in parts)
    width = first + made.shape[axis] + PARTITIONS
    if 2 * width * made.dtype.size_bytes > lo.hw.sbuf_partition_bytes:
        return False
    wide = lo.wide_identity(made.dtype, first, width)
    for value, at in parts:
        view = lo.views.get(value.id)
        finite = view is not None and value.id not in lo.infinite
        if view is None or not finite or view.buffer.id in lo.spoiling or view.dtype != made.dtype:
            return False
        if not lies_so(view, Spec.of(view.shape, axis)):
            return False
        moving = replace(
            view,
            shape=(*view.shape[:axis], 1, *view.shape[axis + 1 :], view.shape[axis]),
            factors=(*view.factors[:axis], (), *view.factors[axis + 1 :], view.factors[axis]),
        )
        for low in range(0, view.shape[axis], PARTITIONS):
            size = min(PARTITIONS, view.shape[axis] - low)
            seen = moving.slice(len(moving.shape) - 1, low, size)
            assert seen is not None, "blocks of channels can be cut"
            begin = at + low
            stationary = View(
                wide,
                made.dtype,
                (*(e if d == axis else 1 for d, e in enumerate(made.shape)), size),
                (
                    *((Factor(e, 1),) if d == axis else () for d, e in enumerate(made.shape)),
                    (Factor(size, 1, True),),
                ),
                seen.start,
                first - begin + seen.start,
            )
            pieces = range(begin - begin % lo.hw.pe_columns, begin + size, lo.hw.pe_columns)
            terms.append(Term(stationary, seen, frozenset(pieces)))
    if common_atoms([_without(t.moving, axis) for t in terms]) is None:
        return False
    contract(lo, made.shape, axis, Spec.of(made.shape, axis).block, terms, Stored(lo, made))
    return True


def _without(view: View, axis: int) -> View:
    """The dimensions that a product of the view walks: not the axis, nor the contracted last."""
    kept = [d for d in range(len(view.shape) - 1) if d != axis]
    return replace(
        view,
        shape=tuple(view.shape[d] for d in kept),
        factors=tuple(view.factors[d] for d in kept),
    )


def _groups(indices: list[int]) -> int:
    """g, where the indices are those of a shuffle of g groups: i * g + j <- j * (C / g) + i."""
    each = indices[1] if len(indices) > 1 else 0
    if each <= 0 or len(indices) % each:
        return 0
    groups = len(indices) // each
    made = np.arange(len(indices)).reshape(groups, each).T.reshape(-1)
    return groups if made.tolist() == indices else 0


def _strided_identity(lo: Lowering, view: View, channels: int, groups: int) -> View:
    """[o, k] of the shuffle's matrix, in a wide identity: row p has its 1 in column first + p."""
    blocks = -(-channels // PARTITIONS)
    first, width = PARTITIONS * (blocks - 1), channels + PARTITIONS * blocks
    wide = lo.wide_identity(view.dtype, first, width)
    each = channels // groups
    columns = (Factor(each, 1), Factor(groups, each))
    rows = (Factor(blocks, -PARTITIONS), Factor(min(PARTITIONS, channels), 1, True))
    return View(wide, view.dtype, (channels, channels), (columns, rows), 0, first)
