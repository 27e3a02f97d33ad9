"""Which values may hold infinities or NaN: those the tensor engine must not transpose.

A transpose on the array is a product with the identity, and infinity times zero is NaN: one masked
element would spoil its row (on v1 and v2; neuron-facts 2.1). Infinities enter by constants (masks),
by inputs, by logarithms and divisions; they go in functions with bounded results. NaN does not go
there; it is looked for in what is made of inputs. What a contraction makes counts as finite: if it
is not, the model has overflowed.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numba import njit

from compiler.graph.graph import BF16, FP16, FP32, Array, Graph, Node, is_float
from compiler.graph.strided import elements

POLES = frozenset({"log", "reciprocal", "div", "rsqrt", "pow"})
"""Functions that are infinite at zero, and finite of operands known to be positive."""
BOUNDED = frozenset(
    {"exp", "sigmoid", "tanh", "erf", "sin", "cos", "atan", "sign", "isnan", "isinf"}
)
PERIODIC = frozenset({"sin", "cos"})
"""Of those, the functions that are NaN at infinity."""
LARGE = 1 << 14
"""Elements from which on looking at the bits is worth a compiled loop."""

_BITS = {FP32: 0x7F800000, BF16: 0x7F80, FP16: 0x7C00}  # infinity
CONTRACTIONS = frozenset({"matmul", "conv", "conv_transpose"})


def may_be_infinite(graph: Graph, trusted: Collection[str] = ()) -> set[int]:
    """Ids of the values that may hold infinities or NaN; `trusted` are inputs that do not."""
    given = {v.id for v in graph.inputs if is_float(v.dtype) and v.name not in trusted}
    found = set(given)
    signs: dict[int, int] = {}
    for value in graph.constant_values:
        finite, signs[value.id] = _known(graph.constants[value.id])
        if not finite:
            found.add(value.id)
    for node in graph.nodes:
        bounds = node.op in BOUNDED - PERIODIC
        if _spreads(node, given if bounds else found, signs):
            found.update(v.id for v in node.outputs)
            if any(v.id in given for v in node.inputs):
                given.update(v.id for v in node.outputs)
        signs[node.output.id] = _sign(node, signs)
    return found


def _spreads(node: Node, found: set[int], signs: dict[int, int]) -> bool:
    """Whether a result may be infinite or NaN if the values `found` may be so."""
    if node.op in CONTRACTIONS or not is_float(node.output.dtype):
        return False
    if node.op == "bitcast":  # any bits may be those of an infinity
        return True
    pole = (
        node.op in POLES and signs.get(node.inputs[-1 if node.op == "div" else 0].id, 0) < POSITIVE
    )
    return pole or any(v.id in found for v in node.inputs)


UNKNOWN, NOT_NEGATIVE, POSITIVE = range(3)


def _known(array: Array) -> tuple[bool, int]:
    """Whether all elements are finite, and their sign."""
    if array.dtype.kind not in "fiu" and not is_float(array.dtype):
        return True, UNKNOWN
    bits = _BITS.get(array.dtype)
    if bits is None or array.size < LARGE:
        wide = array.astype(np.float32)
        low = float(wide.min(initial=1.0))
        sign = POSITIVE if low > 0 else NOT_NEGATIVE if low == 0 else UNKNOWN
        return bool(np.isfinite(wide).all()), sign
    word = np.dtype(f"u{array.itemsize}")
    flat = elements(array).view(word)
    infinite, nan, negative, zero = _scan(flat, word.type(bits), word.type(word.itemsize * 8 - 1))
    sign = UNKNOWN if negative or nan else NOT_NEGATIVE if zero else POSITIVE
    return not (infinite or nan), sign


@njit(cache=True)
def _scan(words, infinity, top):  # type: ignore[no-untyped-def]
    """Whether there are infinities, NaN, numbers below zero, zeros; `top` is the sign's bit."""
    infinite, nan, negative, zero = False, False, False, False
    for x in words:
        below = x >> top
        size = x ^ (below << top)
        infinite |= size == infinity
        nan |= size > infinity
        negative |= (below != 0) & (size != 0)
        zero |= size == 0
    return infinite, nan, negative, zero


def _sign(node: Node, signs: dict[int, int]) -> int:
    """What is known of a result's sign; exp and sigmoid count as positive."""
    mine = [signs.get(v.id, UNKNOWN) for v in node.inputs]
    if node.op in ("exp", "sigmoid", "softplus"):
        return POSITIVE
    if node.op in ("relu", "abs") or _is_square(node):
        return max(mine[0], NOT_NEGATIVE)
    if node.op in ("add", "max"):
        both = NOT_NEGATIVE if node.op == "add" else UNKNOWN
        return max(mine) if min(mine) >= both else UNKNOWN
    if node.op in ("mul", "div", "min"):
        return min(mine)
    kept = (
        "sqrt",
        "rsqrt",
        "reciprocal",
        "cast",
        "copy",
        "reduce",
        "reshape",
        "transpose",
        "slice",
    )
    return mine[0] if node.op in (*kept, "broadcast_to") else UNKNOWN


def _is_square(node: Node) -> bool:
    return node.op == "mul" and node.inputs[0] is node.inputs[1]
