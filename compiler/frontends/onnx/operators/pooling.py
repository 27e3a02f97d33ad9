"""Pooling: windows of maxima and sums; an average is a sum times known reciprocals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compiler.frontends.onnx.operators.contraction import spatial, window_pads
from compiler.frontends.onnx.operators.normalization import widened
from compiler.frontends.onnx.operators.reduction import reduced
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import Array, Value

MOST_ROWS = 16384
"""Elements from which on not even one row of windows may find its input in a partition."""


@dataclass(frozen=True)
class _Read:
    start: int
    size: int
    step: int
    pads: tuple[int, int]


class _Window:
    """The window of a pooling node: strides, dilations, pads and what ceil_mode adds to them."""

    def __init__(self, n: OnnxNode, extents: tuple[int, ...]) -> None:
        rank = len(extents)
        self.window = tuple(int(k) for k in n.required("kernel_shape"))
        self.strides = spatial(n, "strides", rank)
        self.dilations = spatial(n, "dilations", rank)
        self.pads = window_pads(n, extents, self.window, self.strides, self.dilations)
        self.extents = extents
        self.grown = self.pads  # pads, and what the last window of ceil_mode needs beyond them
        if n.attr("ceil_mode", 0) and n.attr("auto_pad", "NOTSET") in ("NOTSET", ""):
            self.grown = tuple(self._ceiling(i) for i in range(rank))

    def _ceiling(self, i: int) -> tuple[int, int]:
        """The last window may reach past the pads, but starts inside the input or low pad."""
        (lo, hi), stride = self.pads[i], self.strides[i]
        span = (self.window[i] - 1) * self.dilations[i] + 1
        padded = self.extents[i] + lo + hi
        count = -(-(padded - span) // stride) + 1
        if (count - 1) * stride >= self.extents[i] + lo:
            count -= 1
        return lo, max(hi, (count - 1) * stride + span - self.extents[i] - lo)

    def apply(self, n: OnnxNode, kind: str, x: Value) -> Value:
        """The windows reduced. Where strides and dilations have a common factor, only every so many
        elements are ever read: of large windows the others are left out first."""
        kept = [self._read(i) for i in range(len(self.window))]
        factors = tuple(k.step for k in kept)
        if any(f > 1 for f in factors) and self._rows() > MOST_ROWS:
            x = n.emit(
                "slice", x, starts=(0, 0, *(k.start for k in kept)),
                sizes=(*x.shape[:2], *(k.size for k in kept)), steps=(1, 1, *factors),
            )  # fmt: skip
            return n.emit(
                "reduce_window", x, kind=kind, window=self.window,
                strides=tuple(s // f for s, f in zip(self.strides, factors, strict=True)),
                dilations=tuple(d // f for d, f in zip(self.dilations, factors, strict=True)),
                pads=tuple(k.pads for k in kept),
            )  # fmt: skip
        return n.emit(
            "reduce_window", x, kind=kind, window=self.window, strides=self.strides,
            dilations=self.dilations, pads=self.grown,
        )  # fmt: skip

    def _rows(self) -> int:
        """Elements of the rows that one window reaches over."""
        return ((self.window[0] - 1) * self.dilations[0] + 1) * math.prod(self.extents[1:])

    def _read(self, i: int) -> _Read:
        """The elements of a dimension that windows read, and the padding that is left of them."""
        (low, high), extent, stride = self.grown[i], self.extents[i], self.strides[i]
        reach = (self.window[i] - 1) * self.dilations[i]
        step = math.gcd(stride, self.dilations[i]) if reach else 1
        start = -low % step
        size = -(-(extent - start) // step)
        if step == 1 or size < 1:
            return _Read(0, extent, 1, (low, high))
        last = (extent + low + high - reach - 1) // stride * stride + reach  # of the last window
        before = (low + start) // step
        return _Read(start, size, step, (before, max(0, last // step - before - size + 1)))

    def counts(self, include_pads: bool) -> Array:
        """[1, 1, *S]: how many elements (pads too, if they count) each window covers."""
        found = np.ones((1, 1), np.float32)
        for i in range(len(self.window)):
            found = found[..., None] * self._counts_along(i, include_pads)
        return found

    def _counts_along(self, i: int, include_pads: bool) -> Array:
        """The same along one dimension: a window covers a box, so that these multiply."""
        (low, high), extent = self.grown[i], self.extents[i]
        before, behind = self.pads[i] if include_pads else (0, 0)
        line = np.zeros(low + extent + high, np.float32)
        line[low - before : low + extent + behind] = 1
        reach = (self.window[i] - 1) * self.dilations[i] + 1
        first = np.arange(0, len(line) - reach + 1, self.strides[i])
        total: Array = line[first[:, None] + np.arange(0, reach, self.dilations[i])].sum(1)
        return total


@imports("MaxPool")
def max_pool(n: OnnxNode) -> Value:
    if len([o for o in n.proto.output if o]) > 1:
        raise n.refuse("the Indices output")
    return _Window(n, n[0].shape[2:]).apply(n, "max", n[0])


@imports("AveragePool")
def average_pool(n: OnnxNode) -> Value:
    x = widened(n, n[0])
    window = _Window(n, x.shape[2:])
    total = window.apply(n, "sum", x)
    counts = window.counts(bool(n.attr("count_include_pad", 0)))
    inverse = (np.float32(1) / counts).astype(np.float32)
    if inverse.size and np.all(inverse == inverse.ravel()[0]):
        inverse = inverse.ravel()[0].reshape(())
    return n.cast(n.emit("mul", total, n.cast(n.b.constant(inverse), x.dtype)), n[0].dtype)


@imports("LpPool")
def lp_pool(n: OnnxNode) -> Value:
    """(sum |x|^p)^(1/p) of each window."""
    x, p = widened(n, n[0]), n.attr("p", 2)
    window = _Window(n, x.shape[2:])
    return n.cast(_root(n, window.apply(n, "sum", _power(n, x, p)), p), n[0].dtype)


def _power(n: OnnxNode, x: Value, p: int) -> Value:
    if p == 1:
        return n.emit("abs", x)
    return n.emit("mul", x, x) if p == 2 else n.emit("pow", n.emit("abs", x), n.like(p, x))


def _root(n: OnnxNode, x: Value, p: int) -> Value:
    if p == 1:
        return x
    return n.emit("sqrt", x) if p == 2 else n.emit("pow", x, n.like(1.0 / p, x))


@imports("GlobalAveragePool", "GlobalMaxPool")
def global_pool(n: OnnxNode) -> Value:
    x = widened(n, n[0])
    kind = "mean" if n.op_type == "GlobalAveragePool" else "max"
    return n.cast(reduced(n, kind, x, tuple(range(2, x.rank))), n[0].dtype)


@imports("GlobalLpPool")
def global_lp_pool(n: OnnxNode) -> Value:
    x, p = widened(n, n[0]), n.attr("p", 2)
    total = reduced(n, "sum", _power(n, x, p), tuple(range(2, x.rank)))
    return n.cast(_root(n, total, p), n[0].dtype)
