"""Reductions, data movement, indexing and scans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.graph.graph import FP64, Array, is_float
from compiler.graph.semantics.registry import MEANINGS, Attrs, Meaning, meaning

_REDUCERS: dict[str, Callable[..., Array]] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
}


@meaning("reduce")
def reduce(x: Array, attrs: Attrs) -> Array:
    """Float sums, means and products accumulate in double precision."""
    kind, axes, keep = attrs["kind"], attrs["axes"], attrs["keepdims"]
    if not axes:
        return x
    function = _REDUCERS[kind]
    if kind in ("max", "min"):
        return np.asarray(function(x, axis=axes, keepdims=keep))
    accumulator = FP64 if is_float(x.dtype) else x.dtype
    result = function(x, axis=axes, keepdims=keep, dtype=accumulator)
    return np.asarray(np.asarray(result).astype(x.dtype))


def _arg_reduce(function: Callable[..., Array]) -> Meaning:
    def run(x: Array, attrs: Attrs) -> Array:
        axis = attrs["axis"]
        if attrs["select_last"]:
            found = x.shape[axis] - 1 - function(np.flip(x, axis), axis=axis, keepdims=True)
        else:
            found = function(x, axis=axis, keepdims=True)
        return np.asarray(found if attrs["keepdims"] else np.squeeze(found, axis))

    return run


MEANINGS["argmax"] = _arg_reduce(np.argmax)
MEANINGS["argmin"] = _arg_reduce(np.argmin)


@meaning("transpose")
def transpose(x: Array, attrs: Attrs) -> Array:
    return np.transpose(x, attrs["perm"])


@meaning("reshape")
def reshape(x: Array, attrs: Attrs) -> Array:
    return np.reshape(x, attrs["shape"])


@meaning("bitcast")
def bitcast(x: Array, attrs: Attrs) -> Array:
    return np.ascontiguousarray(x).view(attrs["to"]).reshape(x.shape)


@meaning("broadcast_to")
def broadcast_to(x: Array, attrs: Attrs) -> Array:
    return np.broadcast_to(x, attrs["shape"])


@meaning("slice")
def slice_(x: Array, attrs: Attrs) -> Array:
    index = []
    for start, size, step in zip(attrs["starts"], attrs["sizes"], attrs["steps"], strict=True):
        stop = start + size * step
        index.append(slice(start, None if stop < 0 else stop, step) if size else slice(0, 0))
    return x[tuple(index)]


@meaning("concat")
def concat(*operands: Array, attrs: Attrs) -> Array:
    return np.concatenate(operands, axis=attrs["axis"])


@meaning("assemble")
def assemble(*boxes: Array, attrs: Attrs) -> Array:
    """Joined along the last dimension of the grid, then along the one before it, and so on."""
    parts = list(boxes)
    for d in reversed(range(len(attrs["grid"]))):
        many = attrs["grid"][d]
        rows = [parts[i : i + many] for i in range(0, len(parts), many)]
        parts = [np.concatenate(row, axis=d) for row in rows]
    return parts[0]


@meaning("pad")
def pad(x: Array, attrs: Attrs) -> Array:
    if attrs["mode"] == "constant":
        return np.pad(x, attrs["pads"], constant_values=x.dtype.type(attrs["value"]))
    return np.pad(x, attrs["pads"], mode=attrs["mode"])


@meaning("gather")
def gather(x: Array, indices: Array, attrs: Attrs) -> Array:
    return np.asarray(np.take(x, indices, axis=attrs["axis"]))


@meaning("scatter")
def scatter(x: Array, indices: Array, updates: Array, attrs: Attrs) -> Array:
    y = x.copy()
    if attrs["kind"] == "none":
        for i, update in zip(indices.tolist(), updates, strict=True):
            y[i] = update  # in order: of equal indices the last one stays
        return y
    combine = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}
    combine[attrs["kind"]].at(y, indices, updates)
    return y


@meaning("cumsum")
def cumsum(x: Array, attrs: Attrs) -> Array:
    axis = attrs["axis"]
    x = np.flip(x, axis) if attrs["reverse"] else x
    total = np.cumsum(x, axis=axis, dtype=FP64 if is_float(x.dtype) else x.dtype)
    if attrs["exclusive"]:
        total = np.roll(total, 1, axis)
        total[(slice(None),) * axis + (slice(0, 1),)] = 0
    return (np.flip(total, axis) if attrs["reverse"] else total).astype(x.dtype)


@meaning("topk")
def topk(x: Array, attrs: Attrs) -> tuple[Array, Array]:
    """A stable sort; descending is the ascending sort of the reversed axis, reversed."""
    axis, k, n = attrs["axis"], attrs["k"], x.shape[attrs["axis"]]
    if attrs["largest"]:
        order = np.flip(n - 1 - np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    else:
        order = np.argsort(x, axis=axis, kind="stable")
    order = np.take(order, range(k), axis=axis)
    return np.take_along_axis(x, order, axis=axis), order
