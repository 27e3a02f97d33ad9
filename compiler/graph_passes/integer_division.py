"""Quotients of 32-bit integers, exactly, by FP32 ones that are never too large.

    r := |a|, q := 0;  twice:  p := trunc(r * (1 / |b|) * (1 - 2**-20)), q += p, r -= p * |b|
    where r >= |b| still:  q += 1, r -= |b|

The factor is more than all that the roundings may add, so r stays above zero; the first step leaves
a quotient below 2**13 of one below 2**32, the second one of 0 or 1. Dividing by zero gives any
number.
"""

from __future__ import annotations

import numpy as np

from compiler.graph.graph import FP32, INT32, UINT32, Value
from compiler.graph_passes.integer_parts import Parts

BELOW = np.float32(1 - 2.0**-20)


def divided(p: Parts, op: str, x: Value, y: Value) -> Value:
    """x op y: "div" truncates towards zero; "rem" has the sign of x, "mod" that of y."""
    b = p.b
    if p.dtype == UINT32:
        quotient, rest = _unsigned(p, x, y)
        return quotient if op == "div" else rest
    below = [b.emit("lt", v, p.number(0)) for v in (x, y)]
    sizes = [b.emit("bitcast", p.unary("abs", v), to=UINT32) for v in (x, y)]
    found = [b.emit("bitcast", v, to=INT32) for v in _unsigned(Parts(b, UINT32), *sizes)]
    unlike = b.emit("xor", *below)
    if op == "div":
        return b.emit("select", unlike, p.unary("neg", found[0]), found[0])
    rest = b.emit("select", below[0], p.unary("neg", found[1]), found[1])
    if op == "rem":
        return rest
    moved = b.emit("and", unlike, b.emit("ne", rest, p.number(0)))
    return b.emit("select", moved, p.arithmetic("add", rest, y), rest)


def _unsigned(p: Parts, x: Value, y: Value) -> tuple[Value, Value]:
    b = p.b
    inverse = b.emit("div", b.constant(BELOW), b.emit("cast", y, to=FP32))
    quotient, rest = None, x
    for _ in range(2):
        near = b.emit("mul", b.emit("cast", rest, to=FP32), inverse)
        part = b.emit("cast", near, to=UINT32)
        rest = p.arithmetic("sub", rest, p.product(part, y))
        quotient = part if quotient is None else p.arithmetic("add", quotient, part)
    assert quotient is not None
    once = p.compare("ge", rest, y)
    more = p.arithmetic("add", quotient, p.number(1))
    less = p.arithmetic("sub", rest, y)
    return b.emit("select", once, more, quotient), b.emit("select", once, less, rest)
