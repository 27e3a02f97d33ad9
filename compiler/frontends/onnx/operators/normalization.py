"""Normalisations and softmax, as means, exponentials and products.

Narrow floats are computed in FP32 and rounded once at the end, as the standard's own bodies do.
"""

from __future__ import annotations

import numpy as np

from compiler.frontends.onnx.operators.reduction import reduced
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import FP32, Value


def widened(n: OnnxNode, x: Value) -> Value:
    """x in FP32 if it is narrower."""
    return n.cast(x, FP32) if x.dtype.itemsize < 4 else x


def _softmax(n: OnnxNode, axes: tuple[int, ...]) -> Value:
    """e**(x - max) / sum(e**(x - max))."""
    x = widened(n, n[0])
    shifted = n.emit("sub", x, reduced(n, "max", x, axes))
    raised = n.emit("exp", shifted)
    total = reduced(n, "sum", raised, axes)
    if n.op_type == "LogSoftmax":
        return n.cast(n.emit("sub", shifted, n.emit("log", total)), n[0].dtype)
    return n.cast(n.emit("div", raised, total), n[0].dtype)


@imports("Softmax", "LogSoftmax")
def softmax_flattened(n: OnnxNode) -> Value:
    """Up to opset 12 all dimensions from axis on are one."""
    axis, rank = n.attr("axis", 1), n[0].rank
    first = n.axis(axis, rank) if axis < 0 else n.axis(axis, rank, 1) if rank else 0
    return _softmax(n, tuple(range(first, rank)))


@imports("Softmax", "LogSoftmax", since=13)
def softmax(n: OnnxNode) -> Value:
    return _softmax(n, (n.axis(n.attr("axis", -1), n[0].rank),))


@imports("Hardmax")
def hardmax_flattened(n: OnnxNode) -> Value:
    x = n[0]
    axis = n.axis(n.attr("axis", 1), x.rank)
    flat = n.reshape(x, (int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:]))))
    return n.reshape(_hardmax(n, flat, 1), x.shape)


@imports("Hardmax", since=13)
def hardmax(n: OnnxNode) -> Value:
    return _hardmax(n, n[0], n.axis(n.attr("axis", -1), n[0].rank))


def _hardmax(n: OnnxNode, x: Value, axis: int) -> Value:
    """1 at the first maximum along axis, 0 elsewhere."""
    at = n.emit("argmax", x, axis=axis, keepdims=True, select_last=False)
    positions = np.arange(x.shape[axis], dtype=np.int64)
    positions = positions.reshape([-1 if i == axis else 1 for i in range(x.rank)])
    return n.cast(n.emit("eq", at, n.b.constant(positions)), x.dtype)


@imports("BatchNormalization")
def batch_normalization(n: OnnxNode) -> Value | list[Value]:
    """x * s + (bias - mean * s) with s = scale / sqrt(var + epsilon), a channel each."""
    if n.attr("training_mode", 0):
        return _of_this_batch(n)
    if n.version < 14 and len([o for o in n.proto.output if o]) > 1:
        raise n.refuse("training mode before opset 14")
    x, scale, bias, mean, var = (n[i] for i in range(5))
    if n.attr("spatial", 1) == 0:
        raise n.refuse("spatial = 0")
    wide = [widened(n, v) for v in (scale, bias, mean, var)]
    scale, bias, mean, var = (per_channel(n, v, x.rank) for v in wide)
    deviation = n.emit("sqrt", n.emit("add", var, n.like(n.attr("epsilon", 1e-5), var)))
    factor = n.emit("div", scale, deviation)
    offset = n.emit("sub", bias, n.emit("mul", mean, factor))
    return n.cast(n.emit("add", n.emit("mul", x, factor), offset), x.dtype)


def _of_this_batch(n: OnnxNode) -> list[Value]:
    """Training mode: the batch's own statistics, and the running ones moved towards them."""
    x = widened(n, n[0])
    axes = (0, *range(2, x.rank))
    mean = reduced(n, "mean", x, axes)
    centred = n.emit("sub", x, mean)
    variance = reduced(n, "mean", n.emit("mul", centred, centred), axes)
    inverse = n.emit("rsqrt", n.emit("add", variance, n.like(n.attr("epsilon", 1e-5), variance)))
    scale, bias = (per_channel(n, widened(n, n[i]), x.rank) for i in (1, 2))
    y = n.emit("add", n.emit("mul", n.emit("mul", centred, inverse), scale), bias)
    made, share = [n.cast(y, n[0].dtype)], n.attr("momentum", 0.9)
    for i, now in ((3, mean), (4, variance)):
        old = widened(n, n[i])
        kept, new = n.like(share, old), n.like(1.0 - share, old)
        moved = n.emit(
            "add", n.emit("mul", old, kept), n.emit("mul", n.reshape(now, old.shape), new)
        )
        made.append(n.cast(moved, n[i].dtype))
    return made[: len(n.proto.output)]


def per_channel(n: OnnxNode, v: Value, rank: int) -> Value:
    """[C] as [C, 1, ...], to broadcast against [N, C, ...]."""
    return n.reshape(v, (v.size, *(1,) * (rank - 2)))


def normalized(
    n: OnnxNode, x: Value, axes: tuple[int, ...], epsilon: float
) -> tuple[Value, Value, Value]:
    """((x - mean) / sqrt(var + epsilon), mean, 1 / sqrt(var + epsilon)) over axes."""
    mean = reduced(n, "mean", x, axes)
    centred = n.emit("sub", x, mean)
    variance = reduced(n, "mean", n.emit("mul", centred, centred), axes)
    inverse = n.emit("rsqrt", n.emit("add", variance, n.like(epsilon, variance)))
    return n.emit("mul", centred, inverse), mean, inverse


@imports("LayerNormalization")
def layer_normalization(n: OnnxNode) -> list[Value]:
    x = widened(n, n[0])
    axes = tuple(range(n.axis(n.attr("axis", -1), x.rank), x.rank))
    y, mean, inverse = normalized(n, x, axes, n.attr("epsilon", 1e-5))
    y = n.emit("mul", y, widened(n, n[1]))
    if n.has(2):
        y = n.emit("add", y, widened(n, n[2]))
    return [n.cast(y, n[0].dtype), mean, inverse][: len(n.proto.output)]


@imports("RMSNormalization", since=23)
def rms_normalization(n: OnnxNode) -> Value:
    """x / sqrt(mean(x^2) + epsilon) * scale."""
    x = widened(n, n[0])
    axes = tuple(range(n.axis(n.attr("axis", -1), x.rank), x.rank))
    square = reduced(n, "mean", n.emit("mul", x, x), axes)
    inverse = n.emit("rsqrt", n.emit("add", square, n.like(n.attr("epsilon", 1e-5), square)))
    return n.cast(n.emit("mul", n.emit("mul", x, inverse), widened(n, n[1])), n[0].dtype)


@imports("InstanceNormalization")
def instance_normalization(n: OnnxNode) -> Value:
    x = widened(n, n[0])
    y, _, _ = normalized(n, x, tuple(range(2, x.rank)), n.attr("epsilon", 1e-5))
    scale, bias = (per_channel(n, widened(n, n[i]), x.rank) for i in (1, 2))
    return n.cast(n.emit("add", n.emit("mul", y, scale), bias), n[0].dtype)


@imports("GroupNormalization")
def group_normalization(n: OnnxNode) -> Value:
    """Statistics over each group of channels; scale and bias a group (opset 18) or a channel."""
    x, groups = widened(n, n[0]), n.required("num_groups")
    batch, channels = x.shape[:2]
    split = n.reshape(x, (batch, groups, channels // groups, *x.shape[2:]))
    y, _, _ = normalized(n, split, tuple(range(2, split.rank)), n.attr("epsilon", 1e-5))
    scale, bias = widened(n, n[1]), widened(n, n[2])
    if n.version < 21:
        scale, bias = (
            n.reshape(
                n.broadcast(n.reshape(v, (groups, 1)), (groups, channels // groups)), (channels,)
            )
            for v in (scale, bias)
        )
    y = n.reshape(y, x.shape)
    scale, bias = per_channel(n, scale, x.rank), per_channel(n, bias, x.rank)
    return n.cast(n.emit("add", n.emit("mul", y, scale), bias), n[0].dtype)


@imports("MeanVarianceNormalization")
def mean_variance_normalization(n: OnnxNode) -> Value:
    """(x - mean) / (sqrt(var) + 1e-9)."""
    x = widened(n, n[0])
    axes = tuple(n.axis(a, x.rank) for a in n.attr("axes", [0, 2, 3]))
    centred = n.emit("sub", x, reduced(n, "mean", x, axes))
    variance = reduced(n, "mean", n.emit("mul", centred, centred), axes)
    deviation = n.emit("add", n.emit("sqrt", variance), n.like(1e-9, variance))
    return n.cast(n.emit("div", centred, deviation), n[0].dtype)


@imports("LpNormalization")
def lp_normalization(n: OnnxNode) -> Value:
    """x / |x|_p along axis; 0 where the norm is 0."""
    x = widened(n, n[0])
    axes = (n.axis(n.attr("axis", -1), x.rank),)
    if n.attr("p", 2) == 1:
        norm = reduced(n, "sum", n.emit("abs", x), axes)
    else:
        norm = n.emit("sqrt", reduced(n, "sum", n.emit("mul", x, x), axes))
    empty = n.emit("eq", norm, n.like(0, norm))
    safe = n.emit("select", empty, n.like(1, norm), norm)
    return n.cast(n.emit("div", x, safe), n[0].dtype)


@imports("LRN")
def lrn(n: OnnxNode) -> Value:
    """x / (bias + alpha / size * sum of x^2 over `size` channels around)**beta."""
    x, size = widened(n, n[0]), n.required("size")
    below, above = (size - 1) // 2, size - 1 - (size - 1) // 2
    batch, channels = x.shape[:2]
    square = n.reshape(n.emit("mul", x, x), (batch, 1, channels, x.size // (batch * channels)))
    window = n.emit(
        "reduce_window", square, kind="sum", window=(size, 1), strides=(1, 1), dilations=(1, 1),
        pads=((below, above), (0, 0)),
    )  # fmt: skip
    total = n.reshape(window, x.shape)
    scaled = n.emit("mul", total, n.like(n.attr("alpha", 1e-4) / size, x))
    base = n.emit("add", scaled, n.like(n.attr("bias", 1.0), x))
    power = n.emit("pow", base, n.like(-n.attr("beta", 0.75), x))
    return n.cast(n.emit("mul", x, power), n[0].dtype)
