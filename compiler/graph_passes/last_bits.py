"""Where one last bit can become a whole number: what an op rounds to integers, and the divisors of
that.

x / s with s = 0.1 is 2.5 or the number before it: `round` makes 2 of the one and 3 of the other.
"""

from __future__ import annotations

from compiler.graph.graph import Graph, Node, is_float

_SAME = ("reshape", "transpose", "broadcast_to", "copy", "cast", "neg", "abs")


def last_bits(graph: Graph) -> set[int]:
    """Ids of the floating-point values whose last bit no pass and no lowering may change."""
    found: set[int] = set()
    for node in reversed(graph.nodes):
        if _rounds(node):
            found.add(node.inputs[0].id)
        elif node.output.id in found and node.op in (*_SAME, "div"):
            found.update(v.id for v in node.inputs)
    return found


def _rounds(node: Node) -> bool:
    return node.op in ("round", "floor", "ceil") or (
        node.op == "cast" and not is_float(node.output.dtype)
    )
