"""Gather: constant indices are copies of slices; run-time ones a product with a one-hot matrix.

    out[.., j.., ..] = sum over v of table[.., v, ..] * (indices[j] == v)

The machine has no run-time addressing on NeuronCore-v1, so a table is worth this only while it is
small (`MAX_ROWS`). A product with zeros is exact where the table is finite: a constant table is
checked, of one computed at run time it is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from compiler.graph.attrs import integer
from compiler.graph.graph import Array, Node, Value, is_float
from compiler.lowering.context import PARTITIONS, Lowering, Spec, dense, device_dtype
from compiler.lowering.contract import contract
from compiler.lowering.elementwise import plan
from compiler.lowering.rows import empty_along, free_along
from compiler.lowering.select import select_on_array
from compiler.lowering.terms import Term
from compiler.lowering.weights import Behind, packed_weights
from compiler.tiles.iterate import tiles
from compiler.tiles.view import Factor, View
from isa.alu import AluOp
from isa.dtypes import DType
from isa.kernel import Ap
from isa.program import BufferKind

MAX_ROWS = 8192
EXACT = 2**24
FEW = 4
"""Runs of partitions that are worth moving one by one."""


def gather_refusal(node: Node, constants: Mapping[int, Array]) -> str:
    """Why a gather cannot be lowered, or an empty string."""
    table, indices = node.inputs
    if indices.id in constants:
        return ""
    if table.shape[integer(node, "axis")] > MAX_ROWS:
        return f"the table has more than {MAX_ROWS} rows and the target no run-time addressing"
    if table.id not in constants:
        return "" if is_float(table.dtype) else "an integer table computed at run time is not exact"
    array = constants[table.id]
    if not np.isfinite(array).all():
        return "the table holds infinities or NaNs, which a product with zeros would spread"
    if (
        not is_float(table.dtype)
        and np.abs(constants[table.id].astype(float)).max(initial=0) > EXACT
    ):
        return "the table holds integers beyond 2**24, which FP32 does not"
    return ""


def lower_gather(lo: Lowering, node: Node, spec: Spec) -> None:
    """out = take(table, indices, axis)."""
    if node.inputs[1].id in lo.graph.constants:
        _constant_indices(lo, node)
    elif node.inputs[0].id in lo.graph.constants:
        _one_hot(lo, node, spec)
    else:
        _computed_table(lo, node, spec)


def _constant_indices(lo: Lowering, node: Node) -> None:
    value, out = node.inputs[0], node.output
    axis = integer(node, "axis")
    indices = lo.graph.constants[node.inputs[1].id]
    extent = value.shape[axis]
    flat = [int(i) % extent for i in indices.reshape(-1)]
    shape = (*value.shape[:axis], len(flat), *value.shape[axis + 1 :])
    runs = _runs(flat)
    src = lo.views[value.id]
    if axis in src.part_dims() and len(runs) > FEW and select_on_array(lo, node, flat):
        return
    cut = [src.slice(axis, first, size, step) for _, first, size, step in runs]
    if None in cut or (axis in src.part_dims() and len(runs) > FEW):
        src = free_along(lo, value, axis)
    made = empty_along(lo, shape, axis, device_dtype(out.dtype), out.name)
    for at, first, size, step in runs:
        target, source = made.slice(axis, at, size), src.slice(axis, first, size, step)
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


def _one_hot(lo: Lowering, node: Node, spec: Spec) -> None:
    """A constant table: its columns are stationary, so that they lie on the result's partitions."""
    table, indices, out = node.inputs[0], node.inputs[1], node.output
    axis = integer(node, "axis")
    array = lo.graph.constants[table.id]
    rows = array.shape[axis]
    array = np.moveaxis(array, axis, 0).reshape(rows, -1)
    dtype = device_dtype(table.dtype) if is_float(table.dtype) else DType.FP32
    count = math.prod(indices.shape)
    hot = _hot_rows(lo, indices, rows, count, dtype)
    flat_shape = (1, array.shape[1], count)
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
    columns = Spec.of(flat_shape, 1)
    ready = plan(lo, [], [flat], columns, flat)
    contract(lo, flat_shape, 1, columns.block, [Term(side, other)], Behind(lo, ready))
    split = (*np.delete(table.shape, axis).tolist(), *indices.shape)
    rest, many = len(table.shape) - 1, len(indices.shape)
    perm = (*range(axis), *range(rest, rest + many), *range(axis, rest))
    lo.views[out.id] = _rearranged(lo, lo.views.pop(flat.id), split, perm, out, spec)


def _computed_table(lo: Lowering, node: Node, spec: Spec) -> None:
    """A table in SBUF moves through the array; the one-hot matrix is stationary."""
    table, indices, out = node.inputs[0], node.inputs[1], node.output
    axis = integer(node, "axis")
    rows, count = table.shape[axis], math.prod(indices.shape)
    view = lo.from_first(table, Spec.of(table.shape, axis))
    hot = _hot_rows(lo, indices, rows, count, view.dtype)
    rest = [d for d in range(len(table.shape)) if d != axis]
    extents = tuple(table.shape[d] for d in rest)
    moving = View(
        view.buffer,
        view.dtype,
        (1, *extents, rows),
        ((), *(view.factors[d] for d in rest), view.factors[axis]),
        view.start,
        view.offset,
    )
    ones: list[tuple[Factor, ...]] = [()] * len(rest)
    side = replace(
        hot,
        shape=(count, *([1] * len(rest)), rows),
        factors=(hot.factors[1], *ones, hot.factors[0]),
    )
    shape = (count, *extents)
    flat = Value(-out.id - 1, out.name, shape, out.dtype)
    ready = plan(lo, [], [flat], Spec.of(shape, 0), flat)
    block = Spec.of(shape, 0).block
    contract(lo, shape, 0, block, [Term(side, moving)], Behind(lo, ready))
    many = len(indices.shape)
    perm = (*range(many, many + axis), *range(many), *range(many + axis, many + len(rest)))
    lo.views[out.id] = _rearranged(
        lo, lo.views.pop(flat.id), (*indices.shape, *extents), perm, out, spec
    )


def _rearranged(
    lo: Lowering, view: View, split: tuple[int, ...], perm: tuple[int, ...], out: Value, spec: Spec
) -> View:
    """The view with its dimensions split and permuted, through DRAM where it cannot say that."""
    made = view.reshape(split)
    if made is not None:
        shaped = made.permute(perm).reshape(out.shape)
        assert shaped is not None, "the permuted dimensions are the result's own"
        return shaped
    size = math.prod(view.shape) * view.dtype.size_bytes
    home = lo.kernel.dram("gathered", size, BufferKind.SCRATCH, view.dtype, view.shape)
    lo.dma(dense(home, view.dtype, view.shape), view)
    target = lo.produce(out, spec)
    lo.dma(target, dense(home, view.dtype, split).permute(perm))
    return target


def _hot_rows(lo: Lowering, indices: Value, rows: int, count: int, dtype: DType) -> View:
    """[rows, count]: 1 where the index of column j is the row, rows on partitions."""
    wide = lo.replicated_numbers(indices).reshape((1, count))
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
