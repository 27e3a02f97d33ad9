"""Reductions, arg-reductions and scans."""

from __future__ import annotations

import numpy as np

from compiler.frontends.onnx.registry import Importer, OnnxNode, imports
from compiler.graph.graph import BOOL, Value, is_float


def reduction_axes(n: OnnxNode) -> tuple[int, ...]:
    """Axes of a Reduce operator: attribute, operand 1 (opset 13 and 18 on), or all of them."""
    rank = n[0].rank
    if "axes" in n.attributes:
        axes = tuple(int(a) for a in n.attributes["axes"])
    elif n.has(1):
        axes = n.ints(1, "axes")
    else:
        axes = ()
    if not axes:
        return () if n.attr("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(n.axis(a, rank) for a in axes))


def reduced(
    n: OnnxNode, kind: str, x: Value, axes: tuple[int, ...], keepdims: bool = True
) -> Value:
    if not axes:
        return x
    if kind in ("max", "min") and any(x.shape[a] == 0 for a in axes):
        return _of_nothing(n, kind, x, axes, keepdims)
    return n.emit("reduce", x, kind=kind, axes=axes, keepdims=keepdims)


def _of_nothing(n: OnnxNode, kind: str, x: Value, axes: tuple[int, ...], keepdims: bool) -> Value:
    """The largest of no elements is the least value there is, and the other way round."""
    if is_float(x.dtype):
        number: float | int | bool = -np.inf if kind == "max" else np.inf
    elif x.dtype == BOOL:
        number = kind == "min"
    else:
        number = np.iinfo(x.dtype).min if kind == "max" else np.iinfo(x.dtype).max
    kept = [1 if i in axes else e for i, e in enumerate(x.shape) if keepdims or i not in axes]
    return n.broadcast(n.like(number, x), kept)


def _reduce(kind: str, before: str = "", after: str = "") -> Importer:
    def run(n: OnnxNode) -> Value:
        x, axes, keep = n[0], reduction_axes(n), bool(n.attr("keepdims", 1))
        if after and not is_float(x.dtype):
            raise n.refuse("on integers")  # a rounded root cut to an integer may be one less
        if before == "square":
            x = n.emit("mul", x, x)
        elif before:
            x = n.emit(before, x)
        result = (
            _exact_mean(n, x, axes, keep) if kind == "mean" else reduced(n, kind, x, axes, keep)
        )
        return n.emit(after, result) if after else result

    return run


def _exact_mean(n: OnnxNode, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    """The mean; of integers, the sum divided with truncation."""
    if is_float(x.dtype):
        return reduced(n, "mean", x, axes, keep)
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    return n.emit("div", reduced(n, "sum", x, axes, keep), n.like(count, x))


for _op, _args in {
    "ReduceSum": ("sum",),
    "ReduceMean": ("mean",),
    "ReduceMax": ("max",),
    "ReduceMin": ("min",),
    "ReduceProd": ("prod",),
    "ReduceL1": ("sum", "abs"),
    "ReduceSumSquare": ("sum", "square"),
    "ReduceL2": ("sum", "square", "sqrt"),
    "ReduceLogSum": ("sum", "", "log"),
}.items():
    imports(_op)(_reduce(*_args))


@imports("ReduceLogSumExp")
def reduce_log_sum_exp(n: OnnxNode) -> Value:
    """m + log(sum(exp(x - m))) with m the maximum, so that nothing overflows; 0 where that is
    infinite."""
    x, axes, keep = n[0], reduction_axes(n), bool(n.attr("keepdims", 1))
    if not is_float(x.dtype):
        raise n.refuse("on integers")
    top = reduced(n, "max", x, axes)
    top = n.emit("select", n.emit("isinf", top), n.like(0, top), top)
    total = reduced(n, "sum", n.emit("exp", n.emit("sub", x, top)), axes)
    result = n.emit("add", n.emit("log", total), top)
    if keep or not axes:
        return result
    return n.reshape(result, [e for i, e in enumerate(x.shape) if i not in axes])


def _arg_reduce(op: str) -> Importer:
    def run(n: OnnxNode) -> Value:
        return n.emit(
            op,
            n[0],
            axis=n.axis(n.attr("axis", 0), n[0].rank),
            keepdims=bool(n.attr("keepdims", 1)),
            select_last=bool(n.attr("select_last_index", 0)),
        )

    return run


imports("ArgMax")(_arg_reduce("argmax"))
imports("ArgMin")(_arg_reduce("argmin"))


@imports("TopK")
def top_k(n: OnnxNode) -> list[Value]:
    x = n[0]
    k = int(n.attr("k")) if "k" in n.attributes else int(n.array(1, "k").ravel()[0])
    attrs = {
        "axis": n.axis(n.attr("axis", -1), x.rank),
        "k": k,
        "largest": bool(n.attr("largest", 1)),
    }
    return list(n.b.emit_all("topk", (x,), attrs))
