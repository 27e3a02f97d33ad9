"""Operators that write where data says: all along one flattened axis.

Places known at compile time are a core op of their own. Those of run time are compared with every
update: each place takes what hits it, by a reduction over all updates or, where there are many, by
a look-up or a product, which take the updates for finite.
"""

from __future__ import annotations

import math

import numpy as np

from compiler.frontends.onnx.operators.indexing import element_index, flat_index, looked_up
from compiler.frontends.onnx.operators.reduction import reduced
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import BOOL, FP32, INT32, DType, Value, is_float

MOST_PLACES = 1 << 20
"""Places times updates of a scatter at run time, which compares each with each."""
_REDUCTIONS = {"none": "none", "add": "sum", "mul": "prod", "max": "max", "min": "min"}


@imports("ScatterElements", "Scatter")
def scatter_elements(n: OnnxNode) -> Value:
    x, indices, updates = n[0], n[1], n[2]
    flat = element_index(n, indices, x.shape, n.axis(n.attr("axis", 0), x.rank))
    y = _scattered(
        n,
        n.reshape(x, (x.size,)),
        n.reshape(flat, (flat.size,)),
        n.reshape(updates, (updates.size,)),
    )
    return n.reshape(y, x.shape)


@imports("ScatterND")
def scatter_nd(n: OnnxNode) -> Value:
    x, indices, updates = n[0], n[1], n[2]
    depth = indices.shape[-1]
    flat = flat_index(n, indices, x.shape[:depth])
    rest = x.shape[depth:]
    y = _scattered(
        n,
        n.reshape(x, (math.prod(x.shape[:depth]), *rest)),
        n.reshape(flat, (flat.size,)),
        n.reshape(updates, (flat.size, *rest)),
    )
    return n.reshape(y, x.shape)


def _scattered(n: OnnxNode, x: Value, indices: Value, updates: Value) -> Value:
    """x [R, ..] with rows of updates [I, ..] at indices [I]; of equal ones the last stays, or all
    are combined."""
    kind, known = _REDUCTIONS[n.attr("reduction", "none")], n.b.array(indices) is not None
    places, count = x.shape[0], indices.size
    if known or x.dtype.itemsize == 8 or not 0 < places * count <= MOST_PLACES:
        return n.emit("scatter", x, indices, updates, kind=kind)
    rows = n.b.constant(np.arange(places, dtype=np.int32).reshape(places, 1))
    hits = n.emit("eq", rows, n.reshape(n.cast(indices, INT32), (1, count)))  # [R, I]
    if x.size * count <= MOST_PLACES:
        return _chosen(n, kind, x, hits, updates)
    if kind == "none":
        return _replaced(n, x, hits, updates)
    if kind == "sum" and is_float(x.dtype):
        flat = n.reshape(updates, (count, updates.size // count))
        total = n.emit("matmul", n.cast(hits, x.dtype), flat)
        return n.emit("add", x, n.reshape(total, x.shape))
    return n.emit("scatter", x, indices, updates, kind=kind)


def _chosen(n: OnnxNode, kind: str, x: Value, hits: Value, updates: Value) -> Value:
    """Over all updates, those that do not hit a row made neutral: whatever they are."""
    places, count = hits.shape
    spread, neutral = (places, count, *(1,) * (x.rank - 1)), _neutral(kind, x.dtype)
    if kind == "none":
        order, last = _last(n, hits)
        winners = n.reshape(n.emit("eq", last, order), spread)
        touched = n.reshape(n.emit("gt", last, n.like(0, last)), (places, *(1,) * (x.rank - 1)))
    else:
        winners = n.reshape(hits, spread)
    chosen = n.emit("select", winners, n.reshape(updates, (1, *updates.shape)), n.like(neutral, x))
    found = reduced(n, "max" if kind == "none" else kind, chosen, (1,))
    found = n.reshape(found, x.shape)
    if kind == "none":
        return n.emit("select", touched, found, x)
    return n.emit({"sum": "add", "prod": "mul"}.get(kind, kind), x, found)


def _neutral(kind: str, dtype: DType) -> float:
    """What changes no result; for "none" the least number, as one of all is the largest."""
    if kind in ("sum", "prod"):
        return 0 if kind == "sum" else 1
    if dtype == BOOL:
        return 1 if kind == "min" else 0
    if is_float(dtype):
        return np.inf if kind == "min" else -np.inf
    bounds = np.iinfo(dtype)
    return int(bounds.max if kind == "min" else bounds.min)


def _last(n: OnnxNode, hits: Value) -> tuple[Value, Value]:
    """Numbers 1, 2, .. of the updates [I], and of the last that hits each row [R, 1]; 0 if none."""
    order = n.b.constant(np.arange(1, hits.shape[1] + 1, dtype=np.float32))
    numbered = n.emit("select", hits, order, n.b.constant(np.float32(0)))
    return order, reduced(n, "max", numbered, (1,))


def _replaced(n: OnnxNode, x: Value, hits: Value, updates: Value) -> Value:
    """Each row looks up the last update that hits it, if any does."""
    _, last = _last(n, hits)
    one = n.like(1, last)
    which = n.emit("max", n.emit("sub", last, one), n.like(0, last))
    found = looked_up(n, updates, n.cast(n.reshape(which, (x.shape[0],)), INT32), 0)
    touched = n.reshape(n.emit("ge", last, one), (x.shape[0], *(1,) * (x.rank - 1)))
    return n.emit("select", touched, found, x)


@imports("TensorScatter")
def tensor_scatter(n: OnnxNode) -> Value:
    """x with the updates from place w[b] of an axis on, for each entry b of the first.

    Circular, places behind the end begin anew.
    """
    x, updates = n[0], n[1]
    axis = n.axis(n.attr("axis", -2), x.rank)
    extent, count, batch = x.shape[axis], updates.shape[axis], x.shape[0]
    if not is_float(x.dtype) or axis == 0:
        raise n.refuse("operands are floating-point")
    first = n.cast(n[2], FP32) if n.has(2) else n.broadcast(n.b.constant(np.float32(0)), (batch,))
    offsets = n.b.constant(np.arange(count, dtype=np.float32))
    at = n.emit("add", n.reshape(first, (batch, 1, 1)), offsets)
    if n.attr("mode", "linear") == "circular":
        turn = n.emit(
            "select", n.emit("ge", at, n.like(extent, at)), n.like(extent, at), n.like(0, at)
        )
        at = n.emit("sub", at, turn)
    rows = n.b.constant(np.arange(extent, dtype=np.float32).reshape(extent, 1))
    hits = n.emit("eq", rows, at)  # [B, extent, count]
    perm = [i for i in range(x.rank) if i != axis]
    perm.insert(1, axis)
    back = [perm.index(i) for i in range(x.rank)]
    flat = n.transpose(updates, perm)
    found = n.emit(
        "matmul",
        n.cast(hits, x.dtype),
        n.reshape(flat, (batch, count, updates.size // (batch * count))),
    )
    shape = [x.shape[i] for i in perm]
    whole = n.transpose(n.reshape(found, shape), back)
    touched = reduced(n, "max", n.cast(hits, FP32), (2,))
    spread = [e if i in (0, axis) else 1 for i, e in enumerate(x.shape)]
    return n.emit("select", n.reshape(n.emit("gt", touched, n.like(0, touched)), spread), whole, x)
