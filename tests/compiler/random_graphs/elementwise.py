"""Draws of elementwise ops."""

from __future__ import annotations

import numpy as np

from compiler.graph.graph import FP32, INT32, Value
from tests.compiler.random_graphs.drawing import ELEMENTS, Drawing, smaller

UNARY = (
    *("neg", "abs", "relu", "tanh", "sigmoid", "erf", "gelu", "gelu_tanh", "silu", "softplus"),
    *("mish", "sin", "cos", "exp", "log", "sqrt", "rsqrt", "reciprocal", "atan"),
)


def unary(d: Drawing, x: Value) -> Value:
    """A smooth function of one operand, kept in range."""
    emit = d.b.emit
    op = d.one_of(*UNARY)
    if op == "exp":
        return emit("exp", emit("min", x, d.b.constant(np.float32(2.0))))
    if op in ("log", "sqrt", "rsqrt", "reciprocal"):
        x = emit("add", emit("abs", x), d.b.constant(np.float32(0.5)))
    return emit(op, x)


def jump(d: Drawing, x: Value) -> Value:
    """A function that jumps, of an exact value."""
    x = d.exactly(x)
    op = d.one_of("floor", "ceil", "round", "sign", "compare", "cast", "isinf", "isnan", "logic")
    emit = d.b.emit
    if op == "compare":
        kind = d.one_of("eq", "ne", "lt", "le", "gt", "ge")
        return emit("cast", emit(kind, x, d.exactly(d.fresh(smaller(d, x.shape)))), to=FP32)
    if op == "cast":
        return emit("cast", emit("cast", x, to=INT32), to=FP32)
    if op in ("isinf", "isnan"):
        return emit("cast", emit("not", emit(op, x)), to=FP32)
    if op == "logic":
        half = d.b.constant(np.float32(0.5))
        a, b = emit("gt", x, half), emit("lt", d.fresh(x.shape), half)
        return emit("cast", emit(d.one_of("and", "or", "xor"), a, b), to=FP32)
    return emit(op, x)


def binary(d: Drawing, x: Value) -> Value:
    """Arithmetic with an operand that broadcasts, on either side."""
    y = d.other(smaller(d, x.shape))
    op = d.one_of("add", "sub", "mul", "max", "min", "div")
    if op == "div":
        y = d.b.emit("add", d.b.emit("abs", y), d.b.constant(np.float32(1.0)))
        return d.b.emit("div", x, y)
    return d.b.emit(op, y, x) if d.chance(0.4) else d.b.emit(op, x, y)


def wider(d: Drawing, x: Value) -> Value:
    """A sum in which the value itself is broadcast."""
    shape = list(x.shape)
    for i, e in enumerate(shape):
        if e == 1 and np.prod(shape) <= ELEMENTS // 16:
            shape[i] = d.number(1, 16)
    return d.b.emit("add", x, d.other(tuple(shape)))


def power(d: Drawing, x: Value) -> Value:
    """Powers with constant and computed exponents."""
    base = d.b.emit("add", d.b.emit("abs", x), d.b.constant(np.float32(0.25)))
    choice = d.number(0, 3)
    if choice == 0:
        return d.b.emit("pow", x, d.b.constant(np.float32(d.number(1, 3))))
    if choice == 1:
        exponent = d.b.constant(np.float32(d.number(-4, 6) / 4))
        return d.b.emit("pow", base, exponent)
    exponent = d.other(smaller(d, x.shape))
    return d.b.emit("pow", base, d.b.emit("tanh", exponent))


def select(d: Drawing, x: Value) -> Value:
    """cond ? a : b with a drawn condition."""
    limit = d.b.constant(np.float32(0.3))
    cond = d.b.emit("gt", d.fresh(smaller(d, x.shape)), limit)
    a, b = x, d.other(smaller(d, x.shape))
    return d.b.emit("select", cond, b, a) if d.chance(0.5) else d.b.emit("select", cond, a, b)
