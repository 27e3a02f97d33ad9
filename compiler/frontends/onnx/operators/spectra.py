"""Fourier transforms of a length known at compile time: products with a constant matrix.

    y[.., (k, part)] = sum over (i, part) of x[.., (i, part)] * m[(i, part), (k, part)]

where a part is real or imaginary. m is the transform of every unit vector, in double precision.
"""

from __future__ import annotations

import numpy as np

from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import Array, Value

LARGEST_MATRIX = 1 << 22
"""Elements; a longer transform would read more weights than a fast one computes."""


def transform_matrix(extent: int, parts: int, length: int, inverse: bool, onesided: bool) -> Array:
    """[extent * parts, frequencies * parts of the result], FP64.

    Args:
        extent: how many entries there are, cut or filled with zeros to `length`.
        parts: 1 for real entries, 2 for complex ones.
    """
    units = np.eye(extent, dtype=complex)
    if parts == 2:
        units = np.stack([units, 1j * units], axis=1).reshape(2 * extent, extent)
    if inverse and onesided:
        return np.fft.irfft(units, n=length, axis=-1)
    found = (np.fft.ifft if inverse else np.fft.fft)(units, n=length, axis=-1)
    if onesided:
        found = found[:, : length // 2 + 1]
    return np.stack([found.real, found.imag], axis=-1).reshape(len(units), -1)


def _transformed(n: OnnxNode, x: Value, length: int, inverse: bool, onesided: bool) -> Value:
    """The transform of x [.., extent, parts] along its last dimension but one."""
    extent, parts = x.shape[-2:]
    if not 0 < length <= LARGEST_MATRIX // (4 * extent):
        raise n.refuse(f"a transform of length {length}")
    matrix = transform_matrix(extent, parts, length, inverse, onesided)
    flat = n.reshape(x, (*(x.shape[:-2] or (1,)), extent * parts))
    y = n.emit("matmul", flat, n.b.constant(matrix.astype(x.dtype)))
    left = 1 if inverse and onesided else 2
    return n.reshape(y, (*x.shape[:-2], matrix.shape[1] // left, left))


def _dft(n: OnnxNode, axis: int) -> Value:
    x, inverse, onesided = n[0], bool(n.attr("inverse", 0)), bool(n.attr("onesided", 0))
    axis = n.axis(axis, x.rank)
    extent = x.shape[axis]
    length = 2 * (extent - 1) if inverse and onesided else extent
    if n.has(1):
        length = n.ints(1, "length")[0]
    perm = list(range(x.rank))
    perm[axis], perm[-2] = perm[-2], perm[axis]
    return n.transpose(_transformed(n, n.transpose(x, perm), length, inverse, onesided), perm)


@imports("DFT")
def dft_attribute(n: OnnxNode) -> Value:
    """The axis is an attribute up to opset 19."""
    return _dft(n, n.attr("axis", 1))


@imports("DFT", since=20)
def dft(n: OnnxNode) -> Value:
    return _dft(n, n.ints(2, "axis")[0] if n.has(2) else -2)


@imports("STFT")
def stft(n: OnnxNode) -> Value:
    """Frames of x [N, L, parts], every `step` entries, times a window, transformed."""
    x, step = n[0], n.ints(1, "step of frames")[0]
    window = n[2] if n.has(2) else None
    size = n.ints(3, "length of a frame")[0] if n.has(3) else window.size if window else 0
    if not (0 < size <= x.shape[1] and step > 0):
        raise n.refuse(f"frames of {size} every {step}")
    starts = np.arange(0, x.shape[1] - size + 1, step)
    which = n.b.constant((starts[:, None] + np.arange(size)).astype(np.int64))
    signal = x if x.rank == 3 else n.reshape(x, (*x.shape, 1))
    frames = n.emit("gather", signal, which, axis=1)  # [N, frames, size, parts]
    if window is not None:
        frames = n.emit("mul", frames, n.reshape(window, (size, 1)))
    return _transformed(n, frames, size, False, bool(n.attr("onesided", 1)))
