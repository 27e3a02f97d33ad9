"""Operators whose addresses are data: gathers and scatters, all along one flattened axis."""

from __future__ import annotations

import math

import numpy as np

from compiler.errors import ShapeError
from compiler.frontends.onnx.operators.movement import part
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import INT64, Value


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
    return n.emit("gather", n[0], n[1], axis=axis)


def wrapped(n: OnnxNode, indices: Value, extent: int) -> Value:
    """Indices in [-extent, extent) counted from the start, by looking them up in 0, 1, 2, ..."""
    return n.emit("gather", n.b.constant(np.arange(extent, dtype=np.int64)), indices, axis=0)


def _flat_index(n: OnnxNode, indices: Value, extents: tuple[int, ...]) -> Value:
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
    flat = _flat_index(n, indices, x.shape[batch : batch + depth])
    inner = math.prod(x.shape[batch : batch + depth])
    outer = math.prod(x.shape[:batch])
    if batch:
        offsets = np.arange(outer, dtype=np.int64).reshape(x.shape[:batch]) * inner
        offsets = offsets.reshape(*x.shape[:batch], *(1,) * (flat.rank - batch))
        flat = n.emit("add", flat, n.b.constant(offsets))
    rows = n.reshape(x, (outer * inner, *x.shape[batch + depth :]))
    return n.emit("gather", rows, flat, axis=0)


def _element_index(n: OnnxNode, indices: Value, extents: tuple[int, ...], axis: int) -> Value:
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
    flat = _element_index(n, indices, x.shape, n.axis(n.attr("axis", 0), x.rank))
    return n.emit("gather", n.reshape(x, (x.size,)), flat, axis=0)


_REDUCTIONS = {"none": "none", "add": "sum", "mul": "prod", "max": "max", "min": "min"}


@imports("ScatterElements", "Scatter")
def scatter_elements(n: OnnxNode) -> Value:
    x, indices, updates = n[0], n[1], n[2]
    flat = _element_index(n, indices, x.shape, n.axis(n.attr("axis", 0), x.rank))
    y = n.emit(
        "scatter",
        n.reshape(x, (x.size,)),
        n.reshape(flat, (flat.size,)),
        n.reshape(updates, (updates.size,)),
        kind=_REDUCTIONS[n.attr("reduction", "none")],
    )
    return n.reshape(y, x.shape)


@imports("ScatterND")
def scatter_nd(n: OnnxNode) -> Value:
    x, indices, updates = n[0], n[1], n[2]
    depth = indices.shape[-1]
    flat = _flat_index(n, indices, x.shape[:depth])
    rest = x.shape[depth:]
    y = n.emit(
        "scatter",
        n.reshape(x, (math.prod(x.shape[:depth]), *rest)),
        n.reshape(flat, (flat.size,)),
        n.reshape(updates, (flat.size, *rest)),
        kind=_REDUCTIONS[n.attr("reduction", "none")],
    )
    return n.reshape(y, x.shape)


@imports("Compress")
def compress(n: OnnxNode) -> Value:
    """The rows along axis (of the flat tensor without one) whose condition is true."""
    x = n[0]
    kept = np.flatnonzero(n.array(1, "condition")).astype(INT64)
    if "axis" not in n.attributes:
        return n.emit("gather", n.reshape(x, (x.size,)), n.b.constant(kept), axis=0)
    axis = n.axis(n.attr("axis"), x.rank)
    return n.emit("gather", x, n.b.constant(kept), axis=axis)
