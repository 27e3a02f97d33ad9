"""Pooling: a reduction over a view in which the windows are two more dimensions, and overlap."""

from __future__ import annotations

import math
from dataclasses import replace

from compiler.graph.attrs import integers, pairs, text
from compiler.graph.graph import Node
from compiler.lowering.band import banded_dim, lower_banded
from compiler.lowering.context import Lowering, Spec
from compiler.lowering.halos import Fill
from compiler.lowering.reduce import OPS
from compiler.lowering.reduce_free import reduce_views
from compiler.tiles.view import Factor, View

PIECE = 1024
"""Elements a partition that an instruction of pooling reads: readers need not wait for the rest."""


def padded_input(lo: Lowering, node: Node, fill: Fill, from_first: bool = False) -> View:
    """The input [N, C, *S] with its padding in the buffer, shifted to the padded origin.

    The view's spatial extents are the padded ones. Uses the halo that the producer left where it
    is wide enough and has the right value, else copies.
    """
    value = node.inputs[0]
    pads = pairs(node, "pads")
    spec = Spec.of(value.shape, 1)
    view = lo.from_first(value, spec) if from_first else lo.view(value, spec)
    halo = lo.haloed.get(value.id, {})
    wide = all(
        lo_ <= halo.get(d + 2, (0, 0))[0] and hi <= halo.get(d + 2, (0, 0))[1]
        for d, (lo_, hi) in enumerate(pads)
    )
    own = (
        value.id in lo.haloed and lo.views[value.id] is view and lo.fills.get(value.id, 0.0) == fill
    )
    if any(a or b for a, b in pads) and not (wide and own):
        need = {d + 2: p for d, p in enumerate(pads)}
        name = f"{value.name}/padded"
        copy = lo.allocate(value.shape, view.dtype, Spec.of(value.shape, 1), name, need, fill)
        lo.copy(copy, view)
        view = copy
    shape, factors, offset = list(view.shape), list(view.factors), view.offset
    for d, (low, high) in enumerate(pads):
        if low or high:
            stride = view.factors[d + 2][0].stride
            shape[d + 2] += low + high
            factors[d + 2] = (Factor(shape[d + 2], stride),)
            offset -= low * stride
    return replace(view, shape=tuple(shape), factors=tuple(factors), offset=offset)


def lower_window(lo: Lowering, node: Node) -> None:
    """y = kind over windows of x."""
    across = banded_dim(node)
    if across is not None and lower_banded(lo, node, across):
        return
    out = node.output
    kind = text(node, "kind")
    window, strides, dilations = (integers(node, k) for k in ("window", "strides", "dilations"))
    fill = -math.inf if kind == "max" else 0.0
    view = padded_input(lo, node, fill)
    rank = len(window)
    outer, inner = [], []
    for d in range(rank):
        step = _single(view, d + 2)
        outer.append((Factor(out.shape[d + 2], step * strides[d]),))
        inner.append((Factor(window[d], step * dilations[d]),))
    shape = (*out.shape, *window)
    wide = replace(view, shape=shape, factors=(*view.factors[:2], *outer, *inner))
    made = lo.produce(out, Spec.of(out.shape, 1))
    kept = replace(made, shape=(*out.shape, *([1] * rank)), factors=(*made.factors, *([()] * rank)))
    reduce_views(lo, kept, wide, [2 + rank + d for d in range(rank)], OPS[kind], PIECE)


def _single(view: View, dim: int) -> int:
    factors = [f for f in view.factors[dim] if f.extent > 1]
    return factors[0].stride if factors else 1
