"""A softmax between two products, found in the graph: what `attention.py` computes as one nest.

    scores = a b^T          x = scores with what is elementwise behind it (a scale, a mask)
    y = exp(x - max x) / sum exp(x - max x), along the last dimension;      out = y v

Nothing between the first product and the last may be read from elsewhere: it is never whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.graph.attrs import flag, integers, text
from compiler.graph.graph import Graph, Node, Value
from compiler.lowering.expression import SUPPORTED


@dataclass(frozen=True)
class Nest:
    """The nodes of a softmax between two products.

    Attributes:
        scores: the first product.
        between: elementwise nodes that lead from it to `x`, in order.
        x: what the softmax is taken of.
        weights: the softmax's result.
        values: the second product, whose left operand is `weights`.
        nodes: all of them, in topological order.
    """

    scores: Node
    between: tuple[Node, ...]
    x: Value
    weights: Value
    values: Node
    nodes: tuple[Node, ...]


def find_nests(graph: Graph) -> list[Nest]:
    """Every softmax between two products of computed operands."""
    producers, readers = graph.producers(), graph.consumers()
    kept = {v.id for v in graph.outputs}
    order = {id(n): i for i, n in enumerate(graph.nodes)}
    found = []
    for node in graph.nodes:
        if node.op == "matmul" and not flag(node, "transpose_a"):
            nest = _Finder(graph, producers, readers, kept, order).nest(node)
            if nest is not None:
                found.append(nest)
    return found


@dataclass
class _Finder:
    graph: Graph
    producers: dict[int, Node]
    readers: dict[int, list[Node]]
    kept: set[int]
    order: dict[int, int]

    def nest(self, values: Node) -> Nest | None:
        """The nest that ends in this product."""
        weights, v = values.inputs
        if v.id in self.graph.constants or len(weights.shape) != len(values.output.shape):
            return None
        last = self._only(weights, "mul", "div", readers=[values])
        if last is None:
            return None
        for power, other in (last.inputs, last.inputs[::-1]):
            soft = self._softmax(last, power, other)
            if soft is not None:
                return self._whole(values, soft)
            if last.op == "div":
                return None
        return None

    def _only(self, value: Value, *ops: str, readers: list[Node]) -> Node | None:
        """The node that makes a value which just these nodes read."""
        node = self.producers.get(value.id)
        if node is None or node.op not in ops or value.id in self.kept:
            return None
        mine = {id(r) for r in readers}
        return node if {id(r) for r in self.readers.get(value.id, [])} <= mine else None

    def _softmax(self, last: Node, power: Value, other: Value) -> list[Node] | None:
        """[sub, max, exp, sum, .., last] if `last` normalises a softmax."""
        extra = []
        total = other
        if last.op == "mul":
            inverse = self._only(other, "reciprocal", readers=[last])
            if inverse is None:
                return None
            extra, total = [inverse], inverse.inputs[0]
        summed = self._only(total, "reduce", readers=[*extra, last])
        if summed is None or not _along_last(summed, "sum") or summed.inputs[0] is not power:
            return None
        exp = self._only(power, "exp", readers=[summed, last])
        sub = self._only(exp.inputs[0], "sub", readers=[exp]) if exp is not None else None
        if exp is None or sub is None:
            return None
        top = self._only(sub.inputs[1], "reduce", readers=[sub])
        if top is None or not _along_last(top, "max") or top.inputs[0] is not sub.inputs[0]:
            return None
        return [top, sub, exp, summed, *extra, last]

    def _whole(self, values: Node, soft: list[Node]) -> Nest | None:
        x = soft[0].inputs[0]
        inside = {id(n) for n in soft[:2]}
        between: list[Node] = []
        scores: Node | None = None
        pending = [x]
        while pending:
            value = pending.pop()
            node = self.producers.get(value.id)
            mine = all(id(r) in inside for r in self.readers.get(value.id, []))
            if node is None or value.shape != x.shape or not mine or value.id in self.kept:
                if value is x:
                    return None
                continue
            if node.op == "matmul" and scores is None:
                scores = node
            elif node.op in SUPPORTED and id(node) not in inside:
                between.append(node)
                inside.add(id(node))
                pending += sorted(node.inputs, key=lambda v: v.id)
        if scores is None or any(v.id in self.graph.constants for v in scores.inputs):
            return None
        between.sort(key=lambda n: self.order[id(n)])
        nodes = (scores, *between, *sorted(soft, key=lambda n: self.order[id(n)]), values)
        return Nest(scores, tuple(between), x, values.inputs[0], values, nodes)


def _along_last(node: Node, kind: str) -> bool:
    """A reduction of this kind over the last dimension, which stays with extent 1."""
    rank = len(node.inputs[0].shape)
    return (
        text(node, "kind") == kind
        and integers(node, "axes") == (rank - 1,)
        and len(node.output.shape) == rank
    )
