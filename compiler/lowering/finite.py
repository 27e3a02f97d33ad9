"""Which values may hold infinities or NaN: those the tensor engine must not transpose.

A transpose on the array is a product with the identity, and infinity times zero is NaN: one masked
element would spoil its row (on v1 and v2; neuron-facts 2.1). Infinities enter by constants (masks),
by inputs, by logarithms and divisions; they go in functions with bounded results. What a
contraction makes counts as finite: if it is not, the model has overflowed.
"""

from __future__ import annotations

import numpy as np

from compiler.graph.graph import Graph, Node, is_float

SOURCES = frozenset({"log", "reciprocal", "div", "rsqrt", "pow"})
BOUNDED = frozenset(
    {"exp", "sigmoid", "tanh", "erf", "sin", "cos", "atan", "sign", "isnan", "isinf"}
)
CONTRACTIONS = frozenset({"matmul", "conv", "conv_transpose"})


def may_be_infinite(graph: Graph) -> set[int]:
    """Ids of the values that may hold infinities or NaN."""
    found = {v.id for v in graph.inputs if is_float(v.dtype)}
    for value in graph.constant_values:
        array = graph.constants[value.id]
        if is_float(value.dtype) and not np.isfinite(array.astype(np.float32)).all():
            found.add(value.id)
    for node in graph.nodes:
        if _spreads(node, found):
            found.update(v.id for v in node.outputs)
    return found


def _spreads(node: Node, found: set[int]) -> bool:
    if node.op in BOUNDED or node.op in CONTRACTIONS or not is_float(node.output.dtype):
        return False
    return node.op in SOURCES or any(v.id in found for v in node.inputs)
