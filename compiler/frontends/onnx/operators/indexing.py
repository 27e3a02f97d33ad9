"""Operators that look up: gathers, all along one flattened axis.

The machine looks up by a product with a one-hot matrix, so what is looked up at run time is a
floating-point table: integers go in halves, each of which FP32 holds.
"""

from __future__ import annotations

import math

import numpy as np

from compiler.errors import ShapeError
from compiler.frontends.onnx.operators.movement import part
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import BOOL, FP32, INT32, INT64, Value, is_float

HALF = 16
EXACT = 2**24  # whole numbers up to this are exact in FP32


@imports("Gather")
def gather(n: OnnxNode) -> Value:
    axis, known = n.axis(n.attr("axis", 0), n[0].rank), n.b.array(n[1])
    extent = n[0].shape[axis]
    if known is not None and known.size and not -extent <= known.min() <= known.max() < extent:
        raise ShapeError(
            "SYS-F119",
            "indices stay inside the indexed tensor",
            found=f"indices {known.min()} to {known.max()} of {n[0]}, axis {axis}",
        )
    return looked_up(n, n[0], n[1], axis)


def looked_up(n: OnnxNode, table: Value, indices: Value, axis: int) -> Value:
    """The entries of a table along an axis; integers exactly, whatever they are."""
    wide = table.dtype.itemsize == 8 and table.dtype != INT64
    if is_float(table.dtype) or n.b.array(indices) is not None or wide or _is_small(n, table):
        return n.emit("gather", table, indices, axis=axis)
    if table.dtype == BOOL or table.dtype.itemsize < 4:
        found = n.emit("gather", n.cast(table, FP32), indices, axis=axis)
        return n.cast(found, table.dtype)
    whole = n.cast(table, INT32) if table.dtype == INT64 else table  # all that the device keeps
    bits = n.like(HALF, whole)
    halves = [n.emit("shr", whole, bits), n.emit("and", whole, n.like(2**HALF - 1, whole))]
    columns = [n.reshape(n.cast(half, FP32), (*table.shape, 1)) for half in halves]
    both = n.emit("gather", n.emit("concat", *columns, axis=table.rank), indices, axis=axis)
    shape = both.shape[:-1]
    high, low = (
        n.cast(n.reshape(part(n, both, len(shape), i, 1), shape), whole.dtype) for i in range(2)
    )
    return n.cast(n.emit("or", n.emit("shl", high, bits), low), table.dtype)


def _is_small(n: OnnxNode, table: Value) -> bool:
    known = n.b.array(table)
    return known is not None and bool(np.abs(known.astype(float)).max(initial=0) <= EXACT)


def wrapped(n: OnnxNode, indices: Value, extent: int) -> Value:
    """Indices in [-extent, extent) counted from the start, by looking them up in 0, 1, 2, ..."""
    return n.emit("gather", n.b.constant(np.arange(extent, dtype=np.int64)), indices, axis=0)


def flat_index(n: OnnxNode, indices: Value, extents: tuple[int, ...]) -> Value:
    """indices [..., R] into extents [R] as one row-major index [...]; negative ones wrap."""
    strides = [math.prod(extents[i + 1 :]) for i in range(len(extents))]
    if not extents:
        raise ShapeError("SYS-F113", "an index has at least one coordinate", found=str(indices))
    total = None
    for i, (extent, stride) in enumerate(zip(extents, strides, strict=True)):
        column = part(n, indices, indices.rank - 1, i, 1)
        weighted = n.emit(
            "mul", wrapped(n, column, extent), n.b.constant(np.asarray(stride, INT64))
        )
        total = weighted if total is None else n.emit("add", total, weighted)
    assert total is not None
    return n.reshape(total, indices.shape[:-1])


@imports("GatherND")
def gather_nd(n: OnnxNode) -> Value:
    """y[b, i] = x[b, indices[b, i]]: batch dimensions become an offset of the flat index."""
    x, indices, batch = n[0], n[1], n.attr("batch_dims", 0)
    depth = indices.shape[-1]
    flat = flat_index(n, indices, x.shape[batch : batch + depth])
    inner = math.prod(x.shape[batch : batch + depth])
    outer = math.prod(x.shape[:batch])
    if batch:
        offsets = np.arange(outer, dtype=np.int64).reshape(x.shape[:batch]) * inner
        offsets = offsets.reshape(*x.shape[:batch], *(1,) * (flat.rank - batch))
        flat = n.emit("add", flat, n.b.constant(offsets))
    rows = n.reshape(x, (outer * inner, *x.shape[batch + depth :]))
    return looked_up(n, rows, flat, 0)


def element_index(n: OnnxNode, indices: Value, extents: tuple[int, ...], axis: int) -> Value:
    """The flat index in a tensor of `extents` of each element that `indices` names along axis."""
    strides = [math.prod(extents[i + 1 :]) for i in range(len(extents))]
    offsets = np.zeros(indices.shape, np.int64)
    for i, extent in enumerate(indices.shape):
        if i != axis:
            line = np.arange(extent, dtype=np.int64) * strides[i]
            offsets += line.reshape([-1 if j == i else 1 for j in range(indices.rank)])
    position = wrapped(n, indices, extents[axis])
    along = n.emit("mul", position, n.b.constant(np.asarray(strides[axis], INT64)))
    return n.emit("add", along, n.b.constant(offsets))


@imports("GatherElements")
def gather_elements(n: OnnxNode) -> Value:
    x, indices = n[0], n[1]
    flat = element_index(n, indices, x.shape, n.axis(n.attr("axis", 0), x.rank))
    return looked_up(n, n.reshape(x, (x.size,)), flat, 0)


@imports("Compress")
def compress(n: OnnxNode) -> Value:
    """The rows along axis (of the flat tensor without one) whose condition is true."""
    x = n[0]
    kept = np.flatnonzero(n.array(1, "condition")).astype(INT64)
    if "axis" not in n.attributes:
        return n.emit("gather", n.reshape(x, (x.size,)), n.b.constant(kept), axis=0)
    axis = n.axis(n.attr("axis"), x.rank)
    return n.emit("gather", x, n.b.constant(kept), axis=axis)
