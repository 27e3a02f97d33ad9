"""Running sums and products along an axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.frontends.onnx.operators.movement import part
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import INT32, Value


def _along(n: OnnxNode, run: Callable[[int], Value]) -> Value:
    """run(axis); of an axis that comes at run time, the result of each that it may be, chosen."""
    rank, known = n[0].rank, n.b.array(n[1])
    if known is not None:
        return run(n.axis(int(known.ravel()[0]), rank))
    result = run(0)
    given = n.cast(n.reshape(n[1], ()), INT32)
    for axis in range(1, rank):
        here = [n.emit("eq", given, n.like(a, given)) for a in (axis, axis - rank)]
        result = n.emit("select", n.emit("or", *here), run(axis), result)
    return result


@imports("CumSum")
def cumsum(n: OnnxNode) -> Value:
    attrs = {name: bool(n.attr(name, 0)) for name in ("exclusive", "reverse")}
    return _along(n, lambda axis: n.emit("cumsum", n[0], axis=axis, **attrs))


@imports("CumProd")
def cumprod(n: OnnxNode) -> Value:
    return _along(n, lambda axis: _running_product(n, n[0], axis))


def _running_product(n: OnnxNode, x: Value, axis: int) -> Value:
    """In log2(extent) steps: after one of distance d, y[i] = the product of the 2d before and i."""
    extent, reverse = x.shape[axis], bool(n.attr("reverse", 0))

    def moved(v: Value, by: int) -> Value:
        """v further on by `by`, ones in front."""
        kept = part(n, v, axis, by if reverse else 0, extent - by)
        shape = (*x.shape[:axis], by, *x.shape[axis + 1 :])
        ones = n.broadcast(n.b.constant(np.ones((), x.dtype)), shape)
        return n.emit("concat", *((kept, ones) if reverse else (ones, kept)), axis=axis)

    if n.attr("exclusive", 0):
        x = moved(x, 1) if extent > 1 else n.broadcast(n.b.constant(np.ones((), x.dtype)), x.shape)
    distance = 1
    while distance < extent:
        x = n.emit("mul", x, moved(x, distance))
        distance *= 2
    return x
