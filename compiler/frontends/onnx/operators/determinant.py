"""Det, by elimination with the largest element of a column as pivot, unrolled."""

from __future__ import annotations

import numpy as np

from compiler.frontends.onnx.operators.movement import part
from compiler.frontends.onnx.operators.reduction import reduced
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import Value

LARGEST = 32  # rows; every one is a dozen ops on what is left


@imports("Det")
def det(n: OnnxNode) -> Value:
    """The determinants of x [.., m, m]."""
    x, size = n[0], n[0].shape[-1]
    if size > LARGEST:
        raise n.refuse(f"more than {LARGEST} rows")
    rest, total = n.reshape(x, (x.size // size**2, size, size)), None
    while rest.shape[-1] > 1:
        pivot, rest = _eliminated(n, rest)
        total = pivot if total is None else n.emit("mul", total, pivot)
    total = rest if total is None else n.emit("mul", total, rest)
    return n.reshape(total, x.shape[:-2])


def _eliminated(n: OnnxNode, x: Value) -> tuple[Value, Value]:
    """The pivot of x [B, m, m] with the sign of its exchange, and what is left [B, m - 1, m - 1].

    The pivot's row and the first change places: selected, as a product with zeros would spread
    infinities.
    """
    m, zero = x.shape[-1], n.like(0, x)
    sizes = n.emit("abs", part(n, x, 2, 0, 1))
    at = n.emit("argmax", sizes, axis=1, keepdims=True, select_last=False)
    hit = n.emit("eq", at, n.b.constant(np.arange(m, dtype=np.int64).reshape(m, 1)))
    row = reduced(n, "sum", n.emit("select", hit, x, zero), (1,))
    others = n.emit(
        "select", part(n, hit, 1, 1, m - 1), part(n, x, 1, 0, 1), part(n, x, 1, 1, m - 1)
    )
    pivot = part(n, row, 2, 0, 1)
    divisor = n.emit("select", n.emit("eq", pivot, zero), n.like(1, x), pivot)
    factors = n.emit("div", part(n, others, 2, 0, 1), divisor)
    left = n.emit(
        "sub", part(n, others, 2, 1, m - 1), n.emit("mul", factors, part(n, row, 2, 1, m - 1))
    )
    kept = part(n, hit, 1, 0, 1)
    return n.emit("select", kept, pivot, n.emit("neg", pivot)), left
