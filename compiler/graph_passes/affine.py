"""fold-affine: constants that scale or shift a product go into its weights or merge.

Before   y = (conv(x, w) + b) * s + t        (a batch normalisation after a convolution)
After    y = conv(x, w s) + (b s + t)

Left as they are: shifts *before* a product (a large mean that cancels would be rounded first).
"""

from __future__ import annotations

import numpy as np

from compiler.graph.graph import Node, Value, is_float
from compiler.graph_passes.rewriting import Match, RuleSet, rule_for

RULES: RuleSet = {}


@rule_for(RULES, "add", "mul")
def merge_constants(m: Match) -> Value | None:
    """(x + c) + d = x + (c + d);  (x * c) * d = x * (c * d)"""
    pair = m.split()
    if pair is None or not is_float(pair[0].dtype):
        return None
    inner = m.behind(pair[0], m.op)
    if inner is None:
        return None
    x, c = _variable_first(m, inner)
    if m.array(c) is None:
        return None
    both = m.emit(m.op, c, pair[1])
    if both.size > max(c.size, pair[1].size):
        return None
    return m.emit(m.op, x, both)


@rule_for(RULES, "mul")
def scale_a_shift(m: Match) -> Value | None:
    """(y + b) * s = y * s + b * s where y is a product with constants (s will fold into it)"""
    pair = m.split()
    if pair is None or not is_float(pair[0].dtype):
        return None
    shift = m.behind(pair[0], "add")
    if shift is None:
        return None
    y, b = _variable_first(m, shift)
    if m.array(b) is None or not _absorbs(m, y, pair[1]):
        return None
    return m.emit("add", m.emit("mul", y, pair[1]), m.emit("mul", b, pair[1]))


def _variable_first(m: Match, node: Node) -> tuple[Value, Value]:
    a, b = node.inputs
    return (b, a) if m.array(a) is not None else (a, b)


def _absorbs(m: Match, y: Value, scale: Value) -> bool:
    """Whether y * scale folds into what makes y."""
    node = m.behind(y, "conv", "matmul", "mul", "conv_transpose")
    if node is None:
        return False
    if node.op == "mul":
        return m.array(_variable_first(m, node)[1]) is not None
    return _scaled_weights(m, node, scale) is not None


@rule_for(RULES, "mul")
def scale_a_product(m: Match) -> Value | None:
    """conv(x, w) * s = conv(x, w s);  matmul(x, w) * s = matmul(x, w s), s one an output channel"""
    pair = m.split()
    if pair is None:
        return None
    node = m.behind(pair[0], "conv", "matmul", "conv_transpose")
    if node is None:
        return None
    operands = _scaled_weights(m, node, pair[1])
    return None if operands is None else m.emit(node.op, *operands, **node.attrs)


def _scaled_weights(m: Match, node: Node, scale: Value) -> tuple[Value, Value] | None:
    """The operands of a product after taking a scale of its result into its constant operand."""
    a, b = node.inputs
    if not is_float(scale.dtype) or scale.rank > node.output.rank:
        return None
    shape = (1,) * (node.output.rank - scale.rank) + scale.shape
    if node.op == "matmul":
        if m.array(b) is not None and _only(shape, -1):
            axis = -2 if node.attrs["transpose_b"] else -1
            return a, _times(m, b, scale, axis)
        if m.array(a) is not None and _only(shape, -2):
            axis = -1 if node.attrs["transpose_a"] else -2
            return _times(m, a, scale, axis), b
        return None
    if m.array(b) is None or not _only(shape, 1 - len(shape)):
        return None
    if node.op == "conv_transpose" and node.attrs["groups"] != 1 and scale.size != 1:
        return None
    return a, _times(m, b, scale, (0 if node.op == "conv" else 1) - b.rank)


def _only(shape: tuple[int, ...], axis: int) -> bool:
    """Whether every extent but that of axis (from the end) is 1."""
    return all(e == 1 for i, e in enumerate(shape) if i != len(shape) + axis)


def _times(m: Match, weights: Value, scale: Value, axis: int) -> Value:
    """weights times a scale along one axis (counted from the end)."""
    extents = [1] * weights.rank
    extents[axis] = scale.size
    return m.emit("mul", weights, m.reshape(scale, extents))


@rule_for(RULES, "conv", "conv_transpose")
def store_weights(m: Match) -> Value | None:
    """conv(x, broadcast(constant)) = conv(x, w): weights are packed ahead, not spread by engines"""
    spread = m.behind(m[1], "broadcast_to", shared=True)
    few = None if spread is None else m.array(spread.inputs[0])
    if few is None:
        return None
    whole = m.constant(np.broadcast_to(few, m[1].shape), m[1].dtype)
    return m.emit(m.op, m[0], whole, **m.attrs)


@rule_for(RULES, "conv", "matmul")
def scale_an_operand(m: Match) -> Value | None:
    """conv(x * s, w) = conv(x, s w);  matmul(x * s, w) = matmul(x, s w), s one an input channel"""
    x, w = m.inputs
    if m.array(w) is None or not is_float(x.dtype):
        return None
    node = m.behind(x, "mul")
    if node is None:
        return None
    inner, scale = _variable_first(m, node)
    if m.array(scale) is None or inner.shape != x.shape:
        return None
    shape = (1,) * (x.rank - scale.rank) + scale.shape
    if m.op == "matmul":
        if m.attrs["transpose_a"] or not _only(shape, -1):
            return None
        axis = -1 if m.attrs["transpose_b"] else -2
        return m.emit("matmul", inner, _times(m, w, scale, axis), **m.attrs)
    if not _only(shape, 1 - len(shape)):
        return None
    groups, (outputs, depth) = m.attrs["groups"], w.shape[:2]
    if scale.size == 1:
        return m.emit("conv", inner, m.emit("mul", w, m.reshape(scale, ())), **m.attrs)
    each = m.reshape(scale, (groups, 1, depth))
    spread = m.emit("broadcast_to", each, shape=(groups, outputs // groups, depth))
    flat = m.reshape(spread, (outputs, depth, *(1,) * (w.rank - 2)))
    return m.emit("conv", inner, m.emit("mul", w, flat), **m.attrs)
