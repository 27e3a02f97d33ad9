"""Resize and Upsample: along each axis a gather (nearest) or a product with a constant matrix.

Coordinates follow the standard: output position i maps to an input coordinate by
`coordinate_transformation_mode`; nearest rounds it, linear and cubic weigh the neighbours.
"""

from __future__ import annotations

import math

import numpy as np

from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import INT64, Array, Value


@imports("Upsample")
def upsample(n: OnnxNode) -> Value:
    scales = n.attr("scales") or n.array(1, "scales").ravel().tolist()
    x = n[0]
    sizes = [math.floor(e * s) for e, s in zip(x.shape, scales, strict=True)]
    mode = n.attr("mode", "nearest")
    for axis, (size, scale) in enumerate(zip(sizes, scales, strict=True)):
        coordinates = np.arange(size) / scale
        x = _along(n, x, axis, coordinates, "linear" if mode != "nearest" else "nearest", "floor")
    return x


@imports("Resize", since=10)
def resize_10(n: OnnxNode) -> Value:
    """Opset 10: X and scales, asymmetric coordinates, nearest rounds down."""
    return upsample(n)


@imports("Resize", since=11)
def resize(n: OnnxNode) -> Value:
    x = n[0]
    axes = [n.axis(a, x.rank) for a in n.attr("axes") or range(x.rank)]
    scales, sizes = _targets(n, x, axes)
    mode, transform = (
        n.attr("mode", "nearest"),
        n.attr("coordinate_transformation_mode", "half_pixel"),
    )
    if transform == "tf_crop_and_resize":
        raise n.refuse("coordinate_transformation_mode tf_crop_and_resize")
    if n.attr("exclude_outside", 0) and mode != "cubic" and not n.attr("antialias", 0):
        raise n.refuse("exclude_outside without cubic or antialias")
    for axis, scale, size in zip(axes, scales, sizes, strict=True):
        if size == x.shape[axis] and scale == 1.0:
            continue
        at = _coordinates(transform, x.shape[axis], size, scale)
        stretch = min(scale, 1.0) if n.attr("antialias", 0) else 1.0
        if mode == "cubic" or (mode == "linear" and stretch < 1.0):
            outside = bool(n.attr("exclude_outside", 0))
            a = n.attr("cubic_coeff_a", -0.75)
            x = _multiplied(n, x, axis, _weights(at, x.shape[axis], mode, a, stretch, outside))
        else:
            x = _along(n, x, axis, at, mode, n.attr("nearest_mode", "round_prefer_floor"))
    return x


def _targets(n: OnnxNode, x: Value, axes: list[int]) -> tuple[list[float], list[int]]:
    """Scale and size of each axis, from `scales` (operand 2) or `sizes` (operand 3)."""
    extents = [x.shape[a] for a in axes]
    if n.has(3) and n[3].size:
        sizes = list(n.ints(3, "sizes"))
        policy = n.attr("keep_aspect_ratio_policy", "stretch")
        if policy == "stretch":
            return [s / e for s, e in zip(sizes, extents, strict=True)], sizes
        choose = min if policy == "not_larger" else max
        scale = choose(s / e for s, e in zip(sizes, extents, strict=True))
        return [scale] * len(axes), [math.floor(e * scale + 0.5) for e in extents]
    scales = [float(s) for s in n.array(2, "scales").ravel()]
    return scales, [math.floor(e * s) for e, s in zip(extents, scales, strict=True)]


def _coordinates(transform: str, extent: int, size: int, scale: float) -> Array:
    """The input coordinate of each output position."""
    i = np.arange(size, dtype=np.float64)
    if transform == "asymmetric":
        return i / scale
    if transform == "align_corners":
        return i * (extent - 1) / (extent * scale - 1) if size > 1 else np.zeros(size)
    if transform == "pytorch_half_pixel":
        return (i + 0.5) / scale - 0.5 if size > 1 else np.zeros(size)
    if transform == "half_pixel_symmetric":
        adjustment = size / (extent * scale)
        offset = extent / 2 * (1 - adjustment)
        return offset + (i + 0.5) / scale - 0.5
    return (i + 0.5) / scale - 0.5


def _nearest(at: Array, extent: int, rounding: str) -> Array:
    if rounding == "floor":
        index = np.floor(at)
    elif rounding == "ceil":
        index = np.ceil(at)
    elif rounding == "round_prefer_ceil":
        index = np.floor(at + 0.5)
    else:
        index = np.ceil(at - 0.5)
    return np.clip(index, 0, extent - 1).astype(INT64)


def _along(n: OnnxNode, x: Value, axis: int, at: Array, mode: str, rounding: str) -> Value:
    extent = x.shape[axis]
    if mode == "linear":
        return _multiplied(n, x, axis, _weights(at, extent, "linear", 0.0, 1.0, False))
    index = _nearest(at, extent, rounding)
    if len(index) == extent and np.array_equal(index, np.arange(extent)):
        return x
    factor = len(index) // extent
    if factor > 1 and np.array_equal(index, np.arange(extent * factor) // factor):
        split = n.reshape(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
        spread = n.broadcast(split, (*x.shape[: axis + 1], factor, *x.shape[axis + 1 :]))
        return n.reshape(spread, (*x.shape[:axis], extent * factor, *x.shape[axis + 1 :]))
    return n.emit("gather", x, n.b.constant(index), axis=axis)


def _multiplied(n: OnnxNode, x: Value, axis: int, matrix: Array) -> Value:
    """x times matrix [size, extent] along an axis."""
    m = n.b.constant(matrix.astype(x.dtype))
    if axis == x.rank - 1 and x.rank >= 2:
        return n.emit("matmul", x, m, transpose_b=True)
    if axis == x.rank - 2:
        return n.emit("matmul", m, x)
    after = math.prod(x.shape[axis + 1 :])
    flat = n.reshape(x, (*x.shape[: axis + 1], after))
    y = n.emit("matmul", m, flat)
    return n.reshape(y, (*x.shape[:axis], matrix.shape[0], *x.shape[axis + 1 :]))


def _kernel(distance: Array, mode: str, a: float) -> Array:
    """Weight of a neighbour at a distance: a triangle, or Keys' cubic with parameter a."""
    d = np.abs(distance)
    if mode == "linear":
        return np.maximum(0.0, 1.0 - d)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.asarray(np.where(d <= 1, near, np.where(d < 2, far, 0.0)))


def _weights(
    at: Array, extent: int, mode: str, a: float, scale: float, exclude_outside: bool
) -> Array:
    """[size, extent]: the weight of each input element; neighbours outside count as the border,
    or not at all with `exclude_outside`. A scale below 1 stretches the kernel (antialias)."""
    reach = (1 if mode == "linear" else 2) / scale
    matrix = np.zeros((len(at), extent))
    for row, x in enumerate(at):
        first, last = math.floor(x - reach) + 1, math.ceil(x + reach) - 1
        if scale == 1.0:
            first, last = math.floor(x) - int(reach) + 1, math.floor(x) + int(reach)
        taps = np.arange(first, last + 1)
        weight = _kernel((taps - x) * scale, mode, a)
        if exclude_outside:
            weight = np.where((taps >= 0) & (taps < extent), weight, 0.0)
        weight = weight / weight.sum()
        np.add.at(matrix[row], np.clip(taps, 0, extent - 1), weight)
    return matrix


@imports("AffineGrid")
def affine_grid(n: OnnxNode) -> Value:
    """grid[b, .., :] = theta[b] (x, y[, z], 1), the positions of a volume from -1 to 1.

    (The standard's own body squeezes a batch of one away.)
    """
    theta, sizes = n[0], n.ints(1, "size")[2:]
    lines = []
    for extent in sizes:
        if n.attr("align_corners", 0):
            lines.append(np.linspace(-1, 1, extent) if extent > 1 else np.full(1, -1.0))
        else:
            lines.append((2 * np.arange(extent) + 1) / extent - 1)
    axes = np.meshgrid(*lines, indexing="ij")[::-1]
    places = np.stack([*axes, np.ones(sizes)], -1).reshape(-1, len(sizes) + 1)
    base = n.b.constant(places.astype(theta.dtype))
    grid = n.emit("matmul", base, theta, transpose_b=True)
    return n.reshape(grid, (theta.shape[0], *sizes, len(sizes)))
