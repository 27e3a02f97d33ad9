"""Constant gathers across partitions, on the array: a product with a 0/1 matrix.

    out[.., o, ..] = sum over k of (k == index[o]) * x[.., k, ..]

A channel shuffle reads its matrix from one wide identity with a stride, so that no matrix is
loaded: index[i * g + j] = j * (C / g) + i is columns C / g apart, as often as i moves on by one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.graph.attrs import integer
from compiler.graph.graph import Node
from compiler.lowering.context import PARTITIONS, Lowering, Spec
from compiler.lowering.contract import Term, contract
from compiler.lowering.elementwise import plan
from compiler.lowering.weights import Behind, packed_weights
from compiler.tiles.view import Factor, View
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
