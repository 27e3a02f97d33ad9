"""Spans of a batch that is too large for SBUF: cut between images, where nothing overlaps.

A span whose every value has the batch in front is computed some images at a time by `stripe.py`,
which cuts whatever dimension it is told to. Cutting between images computes no row twice; only the
weights of the span are loaded again for each part.
"""

from __future__ import annotations

from collections.abc import Callable

from compiler.graph.attrs import integer, integers, pairs
from compiler.graph.graph import Graph, Node, Value
from compiler.graph.ops import CORE_OPS, Family

SMALL = 1 / 3
"""Part of the budget that values on the span's border may take: they are there as a whole."""
ELEMENTWISE = (Family.UNARY, Family.BINARY, Family.COMPARE, Family.SELECT, Family.CONVERT)


def images_of(graph: Graph, first: int, last: int) -> int:
    """The batch of nodes [first, last], if each computes every image by itself; else 1."""
    shape = graph.nodes[first].output.shape
    n = shape[0] if len(shape) > 1 else 1
    if n > 1 and all(_by_image(graph, node, n) for node in graph.nodes[first : last + 1]):
        return n
    return 1


def image_span(
    graph: Graph, first: int, last: int, budget_bytes: int, bytes_of: Callable[[Value], int],
    end: int,
) -> tuple[int, int]:  # fmt: skip
    """The span with neighbours taken in, before node `end`, while large values cross its border."""
    small, n = budget_bytes * SMALL, images_of(graph, first, last)
    made = {v.id: i for i, node in enumerate(graph.nodes) for v in node.outputs}
    used = {v.id: i for i, node in enumerate(graph.nodes) for v in node.inputs}
    used |= {v.id: len(graph.nodes) for v in graph.outputs}

    def entering() -> float:
        read = {v for node in graph.nodes[first : last + 1] for v in node.inputs}
        return sum(bytes_of(v) for v in read if made.get(v.id, first) < first)

    def leaving() -> float:
        written = (v for node in graph.nodes[first : last + 1] for v in node.outputs)
        return sum(bytes_of(v) for v in written if used.get(v.id, -1) > last)

    while first > 0 and entering() > small and _by_image(graph, graph.nodes[first - 1], n):
        first -= 1
    while last + 1 < end and leaving() > small and _by_image(graph, graph.nodes[last + 1], n):
        last += 1
    return first, last


def least_between(graph: Graph, one: int, other: int, bytes_of: Callable[[Value], int]) -> int:
    """The least bytes a partition that cross a border behind node `one` and before `other`: where
    all are many, the two belong to one span."""
    made = {v.id: (v, i) for i, node in enumerate(graph.nodes) for v in node.outputs}
    used = {v.id: i for i, node in enumerate(graph.nodes) for v in node.inputs}
    return min(
        sum(bytes_of(v) for v, i in made.values() if i < at <= used.get(v.id, -1))
        for at in range(one + 1, other + 1)
    )


def batch_dims(graph: Graph, first: int, last: int) -> dict[int, int]:
    """Dimension 0 for every value that the nodes touch."""
    nodes = graph.nodes[first : last + 1]
    touched = {v.id for n in nodes for v in (*n.inputs, *n.outputs) if not graph.is_constant(v)}
    return dict.fromkeys(touched, 0)


def _by_image(graph: Graph, node: Node, n: int) -> bool:
    """Whether the node computes each of n images from the same image of its operands."""
    if len(node.outputs) != 1:
        return False
    full = [v for v in node.inputs if not graph.is_constant(v)]
    if not full or any(not v.shape or v.shape[0] != n for v in (node.output, *full)):
        return False
    family = CORE_OPS[node.op].family
    if family in ELEMENTWISE:
        rank = len(node.output.shape)
        constants = [v for v in node.inputs if graph.is_constant(v)]
        return all(len(v.shape) == rank for v in full) and all(
            len(v.shape) < rank or v.shape[0] == 1 for v in constants
        )
    if node.op == "conv":
        return graph.is_constant(node.inputs[1])
    if node.op == "concat":
        return integer(node, "axis") != 0 and len(full) == len(node.inputs)
    if node.op == "transpose":
        return integers(node, "perm")[0] == 0
    if node.op == "reduce":
        return 0 not in integers(node, "axes")
    if node.op == "slice":
        return integers(node, "steps")[0] == 1
    if node.op == "gather":
        return integer(node, "axis") != 0 and graph.is_constant(node.inputs[1])
    if node.op == "pad":
        return pairs(node, "pads")[0] == (0, 0)
    return node.op in ("reduce_window", "reshape")
