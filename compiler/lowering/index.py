"""Gather: constant indices are copies of slices; run-time ones a product with a one-hot matrix.

    out[.., j.., ..] = sum over v of table[.., v, ..] * (indices[j] == v)

The machine has no run-time addressing on NeuronCore-v1, so a table is worth this only while it is
small; larger ones go to the host (`MAX_ROWS`).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from compiler.graph.attrs import integer
from compiler.graph.graph import Node, Value
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.contract import Term, contract
from compiler.lowering.elementwise import plan
from compiler.lowering.weights import Behind, packed_weights
from compiler.tiles.iterate import tiles
from compiler.tiles.view import Factor, View
from isa.alu import AluOp
from isa.dtypes import DType
from isa.kernel import Ap

MAX_ROWS = 8192


def gather_refusal(node: Node, constants: set[int]) -> str:
    """Why a gather cannot be lowered, or an empty string."""
    table, indices = node.inputs
    if indices.id in constants:
        return ""
    if table.id not in constants:
        return "both the table and the indices are computed at run time"
    if table.shape[integer(node, "axis")] > MAX_ROWS:
        return f"the table has more than {MAX_ROWS} rows and the target no run-time addressing"
    return ""


def lower_gather(lo: Lowering, node: Node, spec: Spec) -> None:
    """out = take(table, indices, axis)."""
    if node.inputs[1].id in lo.graph.constants:
        _constant_indices(lo, node, spec)
    else:
        _one_hot(lo, node)


def _constant_indices(lo: Lowering, node: Node, spec: Spec) -> None:
    value, out = node.inputs[0], node.output
    axis = integer(node, "axis")
    indices = lo.graph.constants[node.inputs[1].id]
    extent = value.shape[axis]
    flat = [int(i) % extent for i in indices.reshape(-1)]
    shape = (*value.shape[:axis], len(flat), *value.shape[axis + 1 :])
    src = lo.views[value.id]
    dims = [d for d in range(len(shape)) if d != axis and shape[d] > 1]
    dim = max(dims, key=lambda d: min(shape[d], PARTITIONS), default=axis)
    made = lo.allocate(shape, device_dtype(out.dtype), Spec.of(shape, dim), out.name)
    for at, first, size, step in _runs(flat):
        target, source = made.slice(axis, at, size), src.slice(axis, first, size, step)
        if source is None:
            source = lo.view(value, Spec.of(value.shape, dim)).slice(axis, first, size, step)
        assert target is not None, "a free dimension can be cut"
        assert source is not None, "a free dimension can be cut"
        lo.copy(target, source)
    view = made.reshape(out.shape)
    assert view is not None, "the gathered dimension is free"
    lo.views[out.id] = view


def _runs(flat: list[int]) -> list[tuple[int, int, int, int]]:
    """(position, first, size, step) of the longest arithmetic runs of the indices."""
    runs, at = [], 0
    while at < len(flat):
        step = flat[at + 1] - flat[at] if at + 1 < len(flat) else 1
        size = 1
        while at + size < len(flat) and step > 0 and flat[at + size] - flat[at + size - 1] == step:
            size += 1
        runs.append((at, flat[at], size, step if size > 1 else 1))
        at += size
    return runs


def _one_hot(lo: Lowering, node: Node) -> None:
    table, indices, out = node.inputs[0], node.inputs[1], node.output
    axis = integer(node, "axis")
    array = lo.graph.constants[table.id]
    rows = array.shape[axis]
    array = np.moveaxis(array, axis, 0).reshape(rows, -1)
    dtype = device_dtype(table.dtype)
    count = math.prod(indices.shape)
    hot = _hot_rows(lo, indices, rows, count, dtype)
    flat_shape = (1, array.shape[1], count)
    spec = Spec.of(flat_shape, 1)
    flat = Value(-out.id - 1, out.name, flat_shape, out.dtype)
    other = replace(
        hot, shape=(1, 1, count, rows), factors=((), (), hot.factors[1], hot.factors[0])
    )
    weights = packed_weights(lo, np.ascontiguousarray(array.T), other, dtype, table.name)
    side = replace(
        weights,
        shape=(1, array.shape[1], 1, rows),
        factors=((), weights.factors[0], (), weights.factors[1]),
    )
    ready = plan(lo, [], [flat], spec, flat)
    contract(lo, flat_shape, 1, spec.block, [Term(side, other)], Behind(lo, ready))
    view = lo.views.pop(flat.id)
    split = view.reshape((1, *np.delete(table.shape, axis).tolist(), *indices.shape))
    assert split is not None or axis == 0, "a table gathered along an inner axis keeps its factors"
    lo.views[out.id] = _ordered(split if split is not None else view, axis, node)


def _ordered(view: View, axis: int, node: Node) -> View:
    """Dimensions [1, rest.., indices..] to the gather's own order."""
    out = node.output
    rest = len(node.inputs[0].shape) - 1
    many = len(node.inputs[1].shape)
    perm = [
        *range(1, 1 + axis),
        *range(1 + rest, 1 + rest + many),
        *range(1 + axis, 1 + rest),
    ]
    shaped = view.permute((0, *perm)).reshape(out.shape)
    assert shaped is not None, "dropping a dimension of extent 1 is always possible"
    return shaped


def _hot_rows(lo: Lowering, indices: Value, rows: int, count: int, dtype: DType) -> View:
    """[rows, count]: 1 where the index of column j is the row, rows on partitions."""
    wide = lo.replicated(indices, PARTITIONS).reshape((1, count))
    assert wide is not None, "a replicated value has one factor a dimension"
    wrapped = lo.kernel.sbuf(PARTITIONS, count * 4, "indices")
    spread = View(wrapped, DType.FP32, (1, count), ((), (Factor(count, 1),)), replicated=True)
    hot = lo.allocate((rows, count), dtype, Spec.of((rows, count), 0), f"{indices.name}/one_hot")
    block = min(PARTITIONS, rows)
    blocks = -(-rows // block)
    numbers = np.arange(block)[:, None] + block * np.arange(blocks)[None, :]
    column = lo.constant_image(numbers.astype(np.float32), DType.FP32, "row numbers")
    for nums, (out, ap) in tiles([spread, wide], 2048):
        full = replace(out, partitions=PARTITIONS)
        negative = lo.kernel.sbuf(PARTITIONS, math.prod(nums) * 4, "negative")
        shift = Ap(negative, 0, PARTITIONS, 0, DType.FP32, ((1, math.prod(nums)),))
        lo.kernel.tensor_scalar(
            shift, replace(ap, partitions=PARTITIONS), AluOp.LESS, 0.0, AluOp.MULTIPLY, float(rows)
        )
        lo.kernel.tensor_tensor(full, shift, replace(ap, partitions=PARTITIONS), AluOp.ADD)
    for b in range(blocks):
        size = min(block, rows - b * block)
        target, source = hot.slice(0, b * block, size), spread
        assert target is not None, "a block is a view"
        for _, (out, ap) in tiles([target, source.broadcast((size, count))], 2048):
            value = Ap(column, 0, size, 4 * b, DType.FP32, ((0, 1),))
            lo.kernel.tensor_scalar(out, replace(ap, partitions=size), AluOp.EQUAL, value)
    return hot
