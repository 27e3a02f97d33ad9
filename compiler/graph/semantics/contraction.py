"""Contractions and windows: matmul, conv, conv_transpose, reduce_window."""

from __future__ import annotations

import itertools
import math

import numpy as np

from compiler.graph.graph import Array, is_float
from compiler.graph.semantics.registry import Attrs, meaning


@meaning("matmul")
def matmul(a: Array, b: Array, attrs: Attrs) -> Array:
    a = a.swapaxes(-1, -2) if attrs["transpose_a"] else a
    b = b.swapaxes(-1, -2) if attrs["transpose_b"] else b
    return np.asarray(np.matmul(a, b))


@meaning("conv")
def conv(x: Array, w: Array, attrs: Attrs) -> Array:
    """As a matmul over gathered windows: [G, O/G, C/G*K] x [N, G, C/G*K, S]."""
    groups, kernel = attrs["groups"], w.shape[2:]
    blocks_in, blocks_out = attrs.get("folds", (1, 1))
    shared_in, shared_out = attrs.get("shared", (0, 0))
    x = _unfolded(x, blocks_in, shared_in)
    padded = _filled(x, attrs["pads"], attrs.get("fill", ()))
    windows = windows_of(padded, kernel, attrs["strides"], attrs["dilations"])
    rank = len(kernel)
    spatial = windows.shape[2 : 2 + rank]
    order = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))  # N, C, *K, *S
    depth = w.shape[1] * math.prod(kernel)
    columns = windows.transpose(order).reshape(x.shape[0], groups, depth, math.prod(spatial))
    weights = w.reshape(1, groups, w.shape[0] // groups, depth)
    products = np.asarray(np.matmul(weights, columns))
    made = products.reshape(x.shape[0], w.shape[0], *spatial)
    made = np.concatenate([*[made[:, :, :1]] * attrs.get("lead", 0), made], axis=2)
    return _folded(made, blocks_out, shared_out)


def _filled(x: Array, pads: tuple[tuple[int, int], ...], fill: tuple[float, ...]) -> Array:
    """x [N, C, *S] with its padding: zeros, or a number of each channel, as x would store it."""
    around = ((0, 0), (0, 0), *pads)
    if not fill:
        return np.pad(x, around)
    column = np.asarray(fill, np.float64).astype(x.dtype).reshape(1, -1, *([1] * (x.ndim - 2)))
    return np.asarray(np.where(np.pad(np.ones_like(x, bool), around), np.pad(x, around), column))


def _unfolded(x: Array, blocks: int, shared: int) -> Array:
    """[N, F * C, H, ..] as [N, C, rows, ..]; rows that a block shares are the one's in front."""
    parts = np.split(x, blocks, axis=1)
    return np.concatenate([parts[0], *(part[:, :, shared:] for part in parts[1:])], axis=2)


def _folded(x: Array, blocks: int, shared: int) -> Array:
    """[N, C, rows, ..] as [N, F * C, H, ..]: each block begins with the last `shared` rows of the
    one in front.
    """
    height = (x.shape[2] + (blocks - 1) * shared) // blocks
    starts = range(0, blocks * (height - shared), height - shared)
    return np.concatenate([x[:, :, at : at + height] for at in starts], axis=1)


def windows_of(
    x: Array, window: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> Array:
    """A view [N, C, *S, *K] of x [N, C, *padded]."""
    spans = tuple((k - 1) * d + 1 for k, d in zip(window, dilations, strict=True))
    axes = tuple(range(2, x.ndim))
    view = np.lib.stride_tricks.sliding_window_view(x, spans, axes)
    index = (
        slice(None),
        slice(None),
        *(slice(None, None, s) for s in strides),
        *(slice(None, None, d) for d in dilations),
    )
    return np.asarray(view[index])


@meaning("conv_transpose")
def conv_transpose(x: Array, w: Array, attrs: Attrs) -> Array:
    """Every input element adds its kernel's image to the output; then the pads are cut off."""
    groups, kernel, (n, c, *extents) = attrs["groups"], w.shape[2:], x.shape
    outputs = w.shape[1]
    weights = w.reshape(groups, c // groups, outputs * math.prod(kernel)).swapaxes(1, 2)
    columns = np.matmul(weights, x.reshape(n, groups, c // groups, -1))
    images = columns.reshape(n, groups * outputs, *kernel, *extents)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, attrs["dilations"], strict=True)]
    full = [
        (e - 1) * s + span + extra
        for e, s, span, extra in zip(
            extents, attrs["strides"], spans, attrs["output_padding"], strict=True
        )
    ]
    y = np.zeros((n, groups * outputs, *full), x.dtype)
    for tap in itertools.product(*map(range, kernel)):
        at = tuple(
            slice(k * d, k * d + (e - 1) * s + 1, s)
            for k, d, e, s in zip(tap, attrs["dilations"], extents, attrs["strides"], strict=True)
        )
        y[(slice(None), slice(None), *at)] += images[(slice(None), slice(None), *tap)]
    cut = tuple(slice(lo, f - hi) for (lo, hi), f in zip(attrs["pads"], full, strict=True))
    return y[(slice(None), slice(None), *cut)]


@meaning("reduce_window")
def reduce_window(x: Array, attrs: Attrs) -> Array:
    largest = attrs["kind"] == "max"
    least = -np.inf if is_float(x.dtype) else np.iinfo(x.dtype).min
    padded = np.pad(x, ((0, 0), (0, 0), *attrs["pads"]), constant_values=least if largest else 0)
    windows = windows_of(padded, attrs["window"], attrs["strides"], attrs["dilations"])
    rank = x.ndim - 2
    combine = np.maximum if largest else np.add
    taps = itertools.product(*map(range, attrs["window"]))
    windows = np.moveaxis(windows, range(-rank, 0), range(rank))  # taps first
    y = windows[next(taps)].copy()
    for tap in taps:
        combine(y, windows[tap], out=y)
    return np.asarray(y)
