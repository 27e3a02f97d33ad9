"""Sampling an image where a tensor says: GridSample and DeformConv.

    y[c, p] = sum over pixels of x[c, pixel] * m[pixel, p]

The machine has no run-time addressing, so what is read is a product with a matrix m that holds the
weight of every pixel at every point. A row of an axis counts by its distance from the point alone,
so m is the product of one such matrix an axis, made by comparing row numbers with coordinates. Rows
outside the image match nothing, which is padding with zeros. Images are taken for finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np

from compiler.frontends.onnx.operators.movement import part
from compiler.frontends.onnx.operators.normalization import per_channel
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import FP32, FP64, Value, is_float

MOST_WEIGHTS = 6144 * 128
"""Elements of a matrix of weights, a quarter of the smallest SBUF; more points go in parts."""
MOST_PARTS = 64
_KEYS = -0.75  # the parameter of the cubic kernel
_LINEAR = ("linear", "bilinear")


@imports("GridSample")
def grid_sample(n: OnnxNode) -> Value:
    """x [N, C, *D] at the points of grid [N, *O, r], whose coordinates are in [-1, 1], x first."""
    x, grid = n[0], n[1]
    _require_single(n, x)
    extents, points = x.shape[2:], grid.shape[1:-1]
    count = math.prod(points)
    flat = n.reshape(n.cast(grid, FP32), (x.shape[0], count, len(extents)))
    axes = []
    for i, extent in enumerate(extents):
        along = part(n, flat, 2, len(extents) - 1 - i, 1)
        axes.append(_weights(n, n.reshape(along, (x.shape[0], 1, count)), extent))
    image = n.reshape(n.cast(x, FP32), (*x.shape[:2], math.prod(extents)))
    return n.cast(n.reshape(_sampled(n, image, axes), (*x.shape[:2], *points)), x.dtype)


def _require_single(n: OnnxNode, x: Value) -> None:
    """Weights are made in FP32: what has more bits would lose them."""
    if not is_float(x.dtype):
        raise n.refuse("operands are floating-point")
    if x.dtype == FP64:
        raise n.refuse("it computes in double precision, and the machine in FP32")


def _weights(n: OnnxNode, grid: Value, extent: int) -> Value:
    """[N, extent, P]: how much each row of an axis counts at each point, of grid [N, 1, P]."""
    aligned, mode = bool(n.attr("align_corners", 0)), n.attr("mode", "linear")
    padding = n.attr("padding_mode", "zeros")
    scale = (extent - 1) / 2 if aligned else extent / 2
    at = _plus(n, n.emit("mul", grid, n.like(scale, grid)), (extent - 1) / 2)
    ends = (0.0, extent - 1.0) if aligned else (-0.5, extent - 0.5)
    if mode == "nearest":
        at = n.emit("round", at)
    if mode not in (*_LINEAR, "nearest"):  # each of the rows around is padded, the point is not
        return _cubic(n, at, extent, padding, ends)
    if padding == "reflection":
        at = _outside(n, at, ends, _reflected(n, at, *ends))
    if padding != "zeros":
        at = _clamped(n, at, extent)
    return _one_hot(n, at, extent) if mode == "nearest" else _hat(n, at, extent)


def _plus(n: OnnxNode, x: Value, number: float) -> Value:
    return n.emit("add", x, n.like(number, x))


def _clamped(n: OnnxNode, at: Value, extent: int) -> Value:
    return n.emit("min", n.emit("max", at, n.like(0, at)), n.like(extent - 1, at))


def _outside(n: OnnxNode, at: Value, ends: tuple[float, float], instead: Value) -> Value:
    low, high = n.emit("lt", at, n.like(ends[0], at)), n.emit("gt", at, n.like(ends[1], at))
    return n.emit("select", n.emit("or", low, high), instead, at)


def _reflected(n: OnnxNode, at: Value, low: float, high: float) -> Value:
    """Folded back at both ends as often as it takes: a triangular wave of period 2 (high - low)."""
    span = high - low
    if span == 0:
        return n.broadcast(n.like(low, at), at.shape)
    distance = n.emit("abs", _plus(n, at, -low))
    turns = n.emit("floor", n.emit("mul", distance, n.like(0.5 / span, at)))
    rest = n.emit("sub", distance, n.emit("mul", turns, n.like(2 * span, at)))
    return n.emit("sub", n.like(high, at), n.emit("abs", _plus(n, rest, -span)))


def _rows(n: OnnxNode, extent: int) -> Value:
    return n.b.constant(np.arange(extent, dtype=np.float32).reshape(extent, 1))


def _one_hot(n: OnnxNode, at: Value, extent: int) -> Value:
    return n.cast(n.emit("eq", _rows(n, extent), at), FP32)


def _hat(n: OnnxNode, at: Value, extent: int) -> Value:
    """max(1 - |row - at|, 0): the two rows around a point, and none else."""
    distance = n.emit("abs", n.emit("sub", _rows(n, extent), at))
    return n.emit("relu", n.emit("sub", n.like(1, at), distance))


def _cubic(n: OnnxNode, at: Value, extent: int, padding: str, ends: tuple[float, float]) -> Value:
    """The four rows around a point by Keys' kernel; those outside by the padding."""
    first = n.emit("floor", at)
    fraction = n.emit("sub", at, first)
    total = None
    for k in range(-1, 3):
        row = _plus(n, first, k)
        if padding == "border":
            row = _clamped(n, row, extent)
        elif padding == "reflection":
            inside = _outside(n, row, ends, _reflected(n, row, *ends))
            row = n.emit("floor", _clamped(n, inside, extent))
        weight = _kernel(n, fraction, k)
        share = n.emit("select", n.emit("eq", _rows(n, extent), row), weight, n.like(0, at))
        total = share if total is None else n.emit("add", total, share)
    assert total is not None
    return total


def _kernel(n: OnnxNode, fraction: Value, k: int) -> Value:
    """Keys' kernel at the distance |k - fraction|, by Horner's rule."""
    near = k in (0, 1)
    distance = n.emit("abs", _plus(n, fraction, -k))
    far = (_KEYS, -5 * _KEYS, 8 * _KEYS, -4 * _KEYS)
    first, *rest = (_KEYS + 2, -(_KEYS + 3), 0.0, 1.0) if near else far
    value = n.emit("mul", distance, n.like(first, distance))
    for factor in rest[:-1]:
        value = n.emit("mul", _plus(n, value, factor), distance)
    return _plus(n, value, rest[-1])


def _sampled(n: OnnxNode, image: Value, axes: Sequence[Value], scale: Value | None = None) -> Value:
    """[.., C, P] of an image [.., C, pixels] and one matrix [.., rows, P] an axis, perhaps times
    scale [.., 1, P]."""
    pixels, count = image.shape[-1], axes[0].shape[-1]
    outer = math.prod(image.shape[:-2])
    parts = -(-pixels * count // MOST_WEIGHTS)
    if parts * outer > MOST_PARTS:
        raise n.refuse(f"{outer} times {count} points of {pixels} pixels: the weights are too many")
    size = -(-count // parts)
    made = []
    for at in range(0, count, size):
        many = min(size, count - at)
        cut = [part(n, a, a.rank - 1, at, many) for a in axes]
        if scale is not None:
            cut[0] = n.emit("mul", cut[0], part(n, scale, scale.rank - 1, at, many))
        made.append(n.emit("matmul", image, _product(n, cut, many)))
    return made[0] if len(made) == 1 else n.emit("concat", *made, axis=image.rank - 1)


def _product(n: OnnxNode, axes: Sequence[Value], count: int) -> Value:
    """[.., pixels, P] of one matrix [.., rows, P] an axis."""
    batch = axes[0].shape[:-2]
    apart = []
    for i, a in enumerate(axes):
        ones = [1] * len(axes)
        ones[i] = a.shape[-2]
        apart.append(n.reshape(a, (*batch, *ones, count)))
    whole = reduce(lambda a, b: n.emit("mul", a, b), apart)
    return n.reshape(whole, (*batch, math.prod(a.shape[-2] for a in axes), count))


@imports("DeformConv")
def deform_conv(n: OnnxNode) -> Value:
    """A convolution each of whose taps reads where `offset` moves it, times `mask`.

    Offsets are [N, groups of channels * taps * 2, *O], row before column.
    """
    x, w, offset = n[0], n[1], n[2]
    _require_single(n, x)
    if x.rank != 4:
        raise n.refuse("more than two spatial dimensions")
    batch, channels = x.shape[:2]
    extents, kernel, out = x.shape[2:], w.shape[2:], offset.shape[2:]
    taps, count, shares = math.prod(kernel), math.prod(out), n.attr("offset_group", 1)
    points = n.reshape(n.cast(offset, FP32), (batch, shares, taps, 2, count))
    where = _tap_positions(n, kernel, out)
    axes = []
    for i, extent in enumerate(extents):
        moved = n.reshape(part(n, points, 3, i, 1), (batch, shares, 1, taps * count))
        at = n.emit("add", moved, n.b.constant(where[i].reshape(1, taps * count)))
        axes.append(_hat(n, at, extent))
    image = n.reshape(n.cast(x, FP32), (batch, shares, channels // shares, math.prod(extents)))
    mask = None
    if n.has(4):
        mask = n.reshape(n.cast(n[4], FP32), (batch, shares, 1, taps * count))
    groups = n.attr("group", 1)
    read = n.reshape(
        _sampled(n, image, axes, mask), (batch, groups, channels // groups * taps, count)
    )
    weights = n.reshape(n.cast(w, FP32), (groups, w.shape[0] // groups, w.shape[1] * taps))
    y = n.reshape(n.emit("matmul", weights, read), (batch, w.shape[0], *out))
    if n.has(3):
        y = n.emit("add", y, per_channel(n, n.cast(n[3], FP32), y.rank))
    return n.cast(y, x.dtype)


def _tap_positions(
    n: OnnxNode, kernel: Sequence[int], out: Sequence[int]
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Row and column [taps, P] that each tap reads for each result, before it is moved."""
    strides, dilations = n.attr("strides", [1, 1]), n.attr("dilations", [1, 1])
    pads = n.attr("pads", [0, 0, 0, 0])
    tap, place = np.indices(kernel).reshape(2, -1, 1), np.indices(out).reshape(2, 1, -1)
    return [
        (place[i] * strides[i] - pads[i] + tap[i] * dilations[i]).astype(np.float32)
        for i in range(2)
    ]
