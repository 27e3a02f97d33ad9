"""Windows along the partitions: a sum over neighbours is a product with a banded matrix of ones.

    out[.., c, ..] = sum over c' of band[c, c'] * x[.., c', ..],  band[c, c'] = 1 within the window

This is local response normalisation across channels, for one, in an array pass a tile.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.graph.attrs import integers, pairs, text
from compiler.graph.graph import Array, Node
from compiler.lowering.context import Lowering, Spec
from compiler.lowering.contract import contract
from compiler.lowering.terms import Term
from compiler.lowering.weights import Stored, packed_weights
from isa.instructions.tensor import MATMUL_DTYPES


def banded_dim(node: Node) -> int | None:
    """The one dimension that a sum's window spans, if the channels leave the partitions free."""
    window, shape = integers(node, "window"), node.inputs[0].shape
    wide = [d for d, n in enumerate(window) if n > 1]
    if text(node, "kind") != "sum" or len(wide) != 1 or shape[1] != 1:
        return None
    strides, pads = integers(node, "strides"), pairs(node, "pads")
    plain = all(strides[d] == 1 and pads[d] == (0, 0) for d in range(len(window)) if d != wide[0])
    return wide[0] + 2 if plain else None


def lower_banded(lo: Lowering, node: Node, dim: int) -> bool:
    """The windowed sum as a contraction; False where the operand's type is none of the array's."""
    value, out = node.inputs[0], node.output
    view = lo.view(value, Spec.of(value.shape, dim))
    if view.dtype not in MATMUL_DTYPES:
        return False
    spec = Spec.of(out.shape, dim)
    made = lo.produce(out, spec)
    moving = replace(
        view,
        shape=(*view.shape[:dim], 1, *view.shape[dim + 1 :], view.shape[dim]),
        factors=(*view.factors[:dim], (), *view.factors[dim + 1 :], view.factors[dim]),
    )
    band = packed_weights(lo, _band(node, dim), moving, view.dtype, f"{out.name}/band")
    rank = len(out.shape)
    stationary = replace(
        band,
        shape=(*(out.shape[dim] if d == dim else 1 for d in range(rank)), band.shape[-1]),
        factors=(*(band.factors[0] if d == dim else () for d in range(rank)), band.factors[-1]),
    )
    contract(lo, out.shape, dim, spec.block, [Term(stationary, moving)], Stored(lo, made))
    return True


def _band(node: Node, dim: int) -> Array:
    """[outputs, inputs]: 1 where the input lies in the output's window."""
    d = dim - 2
    window, stride = integers(node, "window")[d], integers(node, "strides")[d]
    dilation, low = integers(node, "dilations")[d], pairs(node, "pads")[d][0]
    first = np.arange(node.output.shape[dim]) * stride - low
    band = np.zeros((node.output.shape[dim], node.inputs[0].shape[dim]), np.float32)
    for j in range(window):
        at = first + j * dilation
        inside = (at >= 0) & (at < band.shape[1])
        band[np.flatnonzero(inside), at[inside]] = 1.0
    return band
