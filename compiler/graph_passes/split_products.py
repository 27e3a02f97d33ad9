"""split-products: a product that is only read in column slices becomes one product a slice.

Before    y = reshape(x w + b);  q = y[.., 0:n];  k = y[.., n:2n];  v = y[.., 2n:3n]
After     q = reshape(x w[:, 0:n] + b[0:n]);  k = ..;  v = ..

Each result can then lie as its own reader wants it; one product has one layout. The weights are as
many as before, and x is read on chip.
Needs     merged slices and reshapes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from compiler.graph.attrs import flag, integers
from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph, Node, Value
from compiler.graph_passes.rebuild import Rebuilder


@dataclass(frozen=True)
class _Split:
    """A product, what is elementwise or a reshape behind it, and the slices that read the last."""

    product: Node
    stem: tuple[Node, ...]
    slices: tuple[Node, ...]


def split_products(graph: Graph) -> Graph:
    """The graph with such products split."""
    found = _splits(graph)
    if not found:
        return graph
    return _Splitter(graph, found).run()


class _Splitter(Rebuilder):
    def __init__(self, graph: Graph, splits: list[_Split]) -> None:
        super().__init__(graph)
        self.dropped = {id(n) for s in splits for n in (s.product, *s.stem)}
        self.split_of = {id(n): s for s in splits for n in s.slices}

    def node(self, node: Node) -> None:
        if id(node) in self.dropped:
            return
        if id(node) in self.split_of:
            self.bind(node.output, self._part(self.split_of[id(node)], node))
        else:
            super().node(node)

    def _part(self, split: _Split, cut: Node) -> Value:
        """The product of one slice."""
        b, new = self.b, self.new
        first, size = integers(cut, "starts")[-1], integers(cut, "sizes")[-1]
        product = split.product
        turned = flag(product, "transpose_b")
        weights = _columns(b, new[product.inputs[1].id], -2 if turned else -1, first, size)
        b.add_sources(product.sources)
        value = b.emit_all(
            "matmul", [new[product.inputs[0].id], weights], product.attrs, [product.output.dtype]
        )[0]
        inside = product.output
        for node in split.stem:
            b.add_sources(node.sources)
            if node.op == "reshape":
                attrs = {"shape": (*node.output.shape[:-1], size)}
                value = b.emit_all("reshape", [value], attrs, [node.output.dtype])[0]
            else:
                operands = [
                    value if v is inside else _columns(b, new[v.id], -1, first, size)
                    for v in node.inputs
                ]
                value = b.emit_all(node.op, operands, node.attrs, [node.output.dtype])[0]
            inside = node.output
        return value


def _columns(b: GraphBuilder, value: Value, axis: int, first: int, size: int) -> Value:
    """Positions first .. first + size of an axis; all of what is broadcast along it."""
    if not value.shape or value.shape[axis] == 1:
        return value
    starts, sizes = [0] * value.rank, list(value.shape)
    starts[axis], sizes[axis] = first, size
    return b.emit("slice", value, starts=tuple(starts), sizes=tuple(sizes), steps=(1,) * value.rank)


def _splits(graph: Graph) -> list[_Split]:
    readers = graph.consumers()
    kept = {v.id for v in graph.outputs}
    found = []
    for node in graph.nodes:
        if node.op != "matmul" or node.inputs[1].id not in graph.constants:
            continue
        if len(node.inputs[1].shape) != 2 or node.inputs[0].id in graph.constants:
            continue
        stem, end = _stem(graph, readers, kept, node)
        slices = readers.get(end.id, [])
        if len(slices) > 1 and end.id not in kept and _apart(end, slices):
            found.append(_Split(node, tuple(stem), tuple(slices)))
    return found


def _stem(
    graph: Graph, readers: dict[int, list[Node]], kept: set[int], product: Node
) -> tuple[list[Node], Value]:
    """Reshapes of other dimensions and steps with constants, each the only reader."""
    stem: list[Node] = []
    end = product.output
    while end.id not in kept and len(readers.get(end.id, [])) == 1:
        node = readers[end.id][0]
        others = [v for v in node.inputs if v is not end]
        constant = len(others) == 1 and others[0].id in graph.constants
        step = node.op in ("add", "mul") and constant and node.output.shape == end.shape
        moved = node.op == "reshape" and node.output.shape[-1:] == end.shape[-1:]
        if not (step or moved):
            break
        stem.append(node)
        end = node.output
    return stem, end


def _apart(value: Value, slices: list[Node]) -> bool:
    """Whether all readers take whole ranges of the last dimension, none of it twice."""
    ranges = []
    for node in slices:
        if node.op != "slice":
            return False
        starts, sizes = integers(node, "starts"), integers(node, "sizes")
        if any(s != 1 for s in integers(node, "steps")) or sizes[:-1] != value.shape[:-1]:
            return False
        ranges.append((starts[-1], starts[-1] + sizes[-1]))
    ranges.sort()
    return all(a[1] <= b[0] for a, b in itertools.pairwise(ranges))
