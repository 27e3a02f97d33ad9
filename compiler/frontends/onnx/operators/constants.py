"""Operators whose result is known once shapes are: constants, shapes, ranges."""

from __future__ import annotations

import math

import numpy as np

from compiler.errors import CapacityError
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.frontends.onnx.tensors import dtype_of
from compiler.graph.graph import INT32, INT64, Value

LARGEST_RANGE = 1 << 28  # elements; a longer range is a mistake in the model


@imports("Constant")
def constant(n: OnnxNode) -> Value:
    for name, dtype in (("value_float", np.float32), ("value_floats", np.float32),
                        ("value_int", np.int64), ("value_ints", np.int64)):  # fmt: skip
        if name in n.attributes:
            return n.b.constant(np.asarray(n.attributes[name], dtype))
    if n.attr("value") is None:
        raise n.refuse("a string or sparse constant")
    return n.b.constant(n.attributes["value"])


@imports("ConstantOfShape")
def constant_of_shape(n: OnnxNode) -> Value:
    shape = n.ints(0, "shape")
    fill = np.asarray(n.attr("value", np.zeros(1, np.float32))).reshape(())
    return n.broadcast(n.b.constant(fill), shape)


@imports("Shape")
def shape(n: OnnxNode) -> Value:
    x = n[0]
    start, end = n.attr("start", 0), n.attr("end", x.rank)
    return n.b.constant(np.asarray(x.shape[slice(start, end)], INT64))


@imports("Size")
def size(n: OnnxNode) -> Value:
    return n.b.constant(np.asarray(n[0].size, INT64))


@imports("Range")
def range_(n: OnnxNode) -> Value:
    """start + i * delta, as many as stay short of limit."""
    start, limit, delta = (
        n.array(i, w).reshape(()) for i, w in enumerate(("start", "limit", "delta"))
    )
    if delta == 0:
        raise n.refuse("a range of step 0")
    count = max(0, math.ceil((limit.astype(float) - start.astype(float)) / delta.astype(float)))
    if count > LARGEST_RANGE:
        raise CapacityError(
            "SYS-F131", f"a range has at most {LARGEST_RANGE} elements", found=f"{count}"
        )
    return n.b.constant((start + np.arange(count).astype(start.dtype) * delta).astype(start.dtype))


@imports("EyeLike")
def eye_like(n: OnnxNode) -> Value:
    x = n[0]
    rows, columns = x.shape
    dtype = dtype_of(n.attr("dtype"), "EyeLike") if "dtype" in n.attributes else x.dtype
    return n.b.constant(np.eye(rows, columns, k=n.attr("k", 0)).astype(dtype))


@imports("OneHot")
def one_hot(n: OnnxNode) -> Value:
    """values[1] where the position along axis is the index (counted from the end if negative)."""
    indices, depth = n[0], int(n.array(1, "depth").ravel()[0])
    off, on = (n.reshape(v, ()) for v in _halves(n, n[2]))
    axis = n.axis(n.attr("axis", -1), indices.rank, 1)
    narrow = indices.dtype.kind in "iu" and indices.dtype.itemsize <= 4
    wide = n.cast(indices, INT32 if narrow else INT64)
    spread = (*indices.shape[:axis], 1, *indices.shape[axis:])
    positions = np.arange(depth, dtype=wide.dtype).reshape(
        [depth if i == axis else 1 for i in range(len(spread))]
    )
    here = n.reshape(wide, spread)
    hits = [n.emit("eq", here, n.b.constant(p)) for p in (positions, positions - depth)]
    return n.emit("select", n.emit("or", *hits), on, off)


def _halves(n: OnnxNode, pair: Value) -> tuple[Value, Value]:
    first = n.emit("slice", pair, starts=(0,), sizes=(1,), steps=(1,))
    return first, n.emit("slice", pair, starts=(1,), sizes=(1,), steps=(1,))
