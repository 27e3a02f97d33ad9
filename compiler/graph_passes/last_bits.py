"""Where one last bit can become a whole number: what an op rounds to integers, and what made that.

x / s with s = 0.1 is 2.5 or the number before it: `round` makes 2 of the one and 3 of the other. So
with all that is rounded once, from there back to the inputs, to sums and to functions.
"""

from __future__ import annotations

from compiler.graph.graph import BF16, FP16, Graph, Node, is_float
from compiler.graph.ops import CORE_OPS, Family

_ROUNDED_ONCE = ("add", "sub", "mul", "div", "neg", "abs", "min", "max", "relu", "cast", "copy")


def last_bits(graph: Graph) -> set[int]:
    """Ids of the floating-point values whose last bit no pass and no lowering may change."""
    found: set[int] = set()
    for node in reversed(graph.nodes):
        if _rounds(node):
            found.add(node.inputs[0].id)
        elif _keeps_bits(node) and any(v.id in found for v in node.outputs):
            found.update(v.id for v in node.inputs if is_float(v.dtype))
    return found


def lost_bits(graph: Graph) -> set[int]:
    """Ids of the values that come of floats rounded to 16 bits: their last bits say nothing."""
    lost: set[int] = set()
    for node in graph.nodes:
        rounds = not _moves(node) and any(is_float(v.dtype) for v in node.inputs)
        if any(v.id in lost for v in node.inputs):
            lost.update(v.id for v in node.outputs)
        elif rounds:
            lost.update(v.id for v in node.outputs if v.dtype in (BF16, FP16))
    return lost


def _keeps_bits(node: Node) -> bool:
    """Whether it chooses, moves, or rounds once."""
    return node.op in _ROUNDED_ONCE or _moves(node)


def _moves(node: Node) -> bool:
    return CORE_OPS[node.op].family in (Family.SELECT, Family.MOVE)


def _rounds(node: Node) -> bool:
    return node.op in ("round", "floor", "ceil") or (
        node.op == "cast" and not is_float(node.output.dtype)
    )
