"""Draws of ops on positions, scans and whole numbers."""

from __future__ import annotations

import numpy as np

from compiler.graph.graph import FP32, Value
from tests.compiler.random_graphs.drawing import Drawing, smaller


def arg(d: Drawing, x: Value) -> Value:
    """Arg-max and arg-min, first or last of equals."""
    x = d.exactly(x)
    axis = d.number(0, len(x.shape) - 1)
    op = d.one_of("argmax", "argmin")
    last, keep = d.chance(0.5), d.chance(0.5)
    found = d.b.emit(op, x, axis=axis, select_last=last, keepdims=keep)
    return d.b.emit("cast", found, to=FP32)


def cumsum(d: Drawing, x: Value) -> Value:
    """Running sums, all four ways."""
    axis = d.number(0, len(x.shape) - 1)
    way = {"exclusive": d.chance(0.5), "reverse": d.chance(0.5)}
    y = d.b.emit("cumsum", x, axis=axis, **way)
    return d.b.emit("mul", y, d.b.constant(np.float32(1.0 / x.shape[axis])))


def topk(d: Drawing, x: Value) -> Value:
    """The k largest or smallest; both results are used."""
    x = d.exactly(x)
    axis = d.number(0, len(x.shape) - 1)
    k = d.number(1, min(20, x.shape[axis]))
    values, at = d.b.emit_all("topk", [x], {"axis": axis, "k": k, "largest": d.chance(0.5)})
    return d.b.emit("add", values, d.b.emit("cast", at, to=FP32))


def scatter(d: Drawing, x: Value) -> Value:
    """Constant indices, of which some repeat; every kind."""
    rows = x.shape[0]
    count = d.number(1, min(8, 2 * rows))
    indices = d.b.constant(d.rng.integers(0, rows, count).astype(np.int32))
    kind = d.one_of("none", "sum", "prod", "max", "min")
    return d.b.emit("scatter", x, indices, d.other((count, *x.shape[1:])), kind=kind)


def integers(d: Drawing, x: Value) -> Value:
    """Whole numbers whose results stay below 2**22."""
    a = bounded(d, x.shape, -1000, 1000)
    low = d.one_of("mixed", "positive")
    b = bounded(d, smaller(d, x.shape), 1, 1000)
    if low == "mixed":
        odd = d.b.emit("mul", bounded(d, b.shape, 0, 1), d.b.constant(np.int32(-2)))
        b = d.b.emit("mul", b, d.b.emit("add", odd, d.b.constant(np.int32(1))))
    op = d.one_of("add", "sub", "mul", "max", "min", "neg", "abs", "div", "mod", "rem")
    if d.chance(0.3):
        b = d.b.constant(np.int32(d.number(1, 99)))
    made = d.b.emit(op, a) if op in ("neg", "abs") else d.b.emit(op, a, b)
    return d.b.emit("cast", made, to=FP32)


def bounded(d: Drawing, shape: tuple[int, ...], low: int, high: int) -> Value:
    """A new INT32 input in [low, high], whose range the graph itself proves."""
    raw = d.whole(shape, low, high)
    above = d.b.emit("max", raw, d.b.constant(np.int32(low)))
    return d.b.emit("min", above, d.b.constant(np.int32(high)))


def bits(d: Drawing, x: Value) -> Value:
    """Bits of whole words; the result is compared by its two halves, which FP32 can hold."""
    a = d.whole(x.shape, -(2**31), 2**31 - 1)
    b = d.whole(smaller(d, x.shape), -(2**31), 2**31 - 1)
    op = d.one_of("and", "or", "xor", "shl", "shr", "bit_not")
    if op in ("shl", "shr"):
        b = d.whole(b.shape, 0, 40)
        b = d.b.constant(np.int32(d.number(0, 33))) if d.chance(0.5) else b
    elif d.chance(0.3):
        b = d.b.constant(np.int32(d.number(-(2**23), 2**23)))
    made = d.b.emit(op, a) if op == "bit_not" else d.b.emit(op, a, b)
    low = d.b.emit("and", made, d.b.constant(np.int32(0xFFFF)))
    high = d.b.emit("shr", made, d.b.constant(np.int32(16)))
    return d.b.emit("sub", d.b.emit("cast", low, to=FP32), d.b.emit("cast", high, to=FP32))
