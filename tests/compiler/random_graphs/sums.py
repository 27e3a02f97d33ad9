"""Draws of reductions, products, convolutions and pooling."""

from __future__ import annotations

import numpy as np

from compiler.graph.graph import Value
from tests.compiler.random_graphs.drawing import ELEMENTS, Drawing


def reduce(d: Drawing, x: Value) -> Value:
    """Any axes, any kind."""
    rank = len(x.shape)
    axes = tuple(i for i in range(rank) if d.chance(0.5))
    kind = d.one_of("sum", "mean", "mean", "max", "min", "prod")
    if kind == "prod":
        x = d.b.emit("add", d.b.emit("tanh", x), d.b.constant(np.float32(1.1)))
        if np.prod([x.shape[a] for a in axes]) > 8:
            kind = "mean"
    return d.b.emit("reduce", x, kind=kind, axes=axes, keepdims=d.chance(0.5))


def matmul(d: Drawing, x: Value) -> Value:
    """Either side, batches that broadcast, transposed operands."""
    if len(x.shape) < 2:
        x = d.moved("reshape", x, shape=(1, x.size))
    ta, tb = d.chance(0.3), d.chance(0.3)
    if d.chance(0.6):
        k = x.shape[-2] if ta else x.shape[-1]
        other = [k, d.number(1, 150) if x.size < ELEMENTS // 4 else d.number(1, 20)]
        other.reverse() if tb else None
        lead = [e if d.chance(0.5) else 1 for e in x.shape[:-2]]
        lead = lead[d.number(0, len(lead)) if lead and d.chance(0.5) else 0 :]
        a, b = x, d.other((*lead, *other))
    else:
        k = x.shape[-1] if tb else x.shape[-2]
        other = [d.number(1, 150) if x.size < ELEMENTS // 4 else d.number(1, 20), k]
        other.reverse() if ta else None
        lead = [e if d.chance(0.5) else 1 for e in x.shape[:-2]]
        lead = lead[d.number(0, len(lead)) if lead and d.chance(0.5) else 0 :]
        a, b = d.other((*lead, *other)), x
    y = d.b.emit("matmul", a, b, transpose_a=ta, transpose_b=tb)
    return d.b.emit("mul", y, d.b.constant(np.float32(1.0 / (2 * k))))


def image(d: Drawing, x: Value) -> Value:
    """The value as [N, C, *S] with one to two spatial dimensions."""
    if len(x.shape) in (3, 4):
        return x
    return d.fresh((d.number(1, 2), *d.shape(2, 3, limit=4000)))


def conv(d: Drawing, x: Value) -> Value:
    """Groups, strides, dilations, pads of unlike sides; constant or computed weights."""
    x = image(d, x)
    spatial = len(x.shape) - 2
    channels = x.shape[1]
    groups = int(d.rng.choice([g for g in (1, 1, 1, 2, 3, 4, channels) if channels % g == 0]))
    outputs = groups * d.number(1, max(1, min(140, 200 // groups)))
    kernel = [d.number(1, 3) for _ in range(spatial)]
    dilations = [d.number(1, 2) for _ in range(spatial)]
    pads, strides = [], []
    for e, k, dilation in zip(x.shape[2:], kernel, dilations, strict=True):
        reach = (k - 1) * dilation + 1
        low, high = d.number(0, 2), d.number(0, 2)
        pads.append((low, high + max(0, reach - e - low - high)))
        strides.append(d.number(1, 3))
    w = (outputs, channels // groups, *kernel)
    if np.prod(w) > 60_000:
        return x
    weights = d.fresh(w) if d.chance(0.25) else d.known(w)
    y = d.b.emit("conv", x, weights, strides=tuple(strides), pads=tuple(pads),
                 dilations=tuple(dilations), groups=groups)  # fmt: skip
    return d.b.emit("mul", y, d.b.constant(np.float32(1.0 / (2 * np.prod(w[1:])))))


def conv_transpose(d: Drawing, x: Value) -> Value:
    """The adjoint, with every attribute."""
    x = image(d, x)
    spatial, channels = len(x.shape) - 2, x.shape[1]
    groups = int(d.rng.choice([g for g in (1, 1, 2, channels) if channels % g == 0 and g <= 8]))
    each = d.number(1, 20)
    kernel = [d.number(1, 4) for _ in range(spatial)]
    strides, dilations, pads, more = [], [], [], []
    for k, e in zip(kernel, x.shape[2:], strict=True):
        s, dilation = d.number(1, 3), d.number(1, 2)
        reach = (k - 1) * dilation + 1 + (e - 1) * s
        low = d.number(0, min(2, reach - 1))
        pads.append((low, d.number(0, min(2, reach - 1 - low))))
        more.append(d.number(0, max(s, dilation) - 1))
        strides.append(s)
        dilations.append(dilation)
    w = (channels, each, *kernel)
    weights = d.fresh(w) if d.chance(0.2) else d.known(w)
    y = d.b.emit("conv_transpose", x, weights, strides=tuple(strides), pads=tuple(pads),
                 dilations=tuple(dilations), groups=groups, output_padding=tuple(more))  # fmt: skip
    return d.b.emit("mul", y, d.b.constant(np.float32(1.0 / (2 * channels))))


def window(d: Drawing, x: Value) -> Value:
    """Max and sum pooling."""
    x = image(d, x)
    kernel, strides, dilations, pads = [], [], [], []
    for e in x.shape[2:]:
        k = d.number(1, 3)
        dilation = d.number(1, 2) if e >= 2 * k else 1  # every window reads an element
        reach = (k - 1) * dilation + 1
        low, high = d.number(0, k - 1), d.number(0, k - 1)
        high += max(0, reach - e - low - high)
        kernel.append(k)
        dilations.append(dilation)
        strides.append(d.number(1, 3))
        pads.append((low, high))
    kind = d.one_of("max", "sum")
    return d.b.emit("reduce_window", x, kind=kind, window=tuple(kernel), strides=tuple(strides),
                    dilations=tuple(dilations), pads=tuple(pads))  # fmt: skip
