"""A walk that rebuilds a graph node by node; a pass says what becomes of the nodes it changes."""

from __future__ import annotations

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph, Node, Value


class Rebuilder:
    """One walk. `new` has the value that stands for each old one, by the old one's id."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.b = graph, GraphBuilder(graph.name)
        self.b.notes.extend(graph.notes)
        self.new: dict[int, Value] = {}

    def run(self) -> Graph:
        """The graph rebuilt."""
        graph, b = self.graph, self.b
        for v in graph.inputs:
            self.new[v.id] = b.input(v.name, v.shape, v.dtype)
        for v in graph.constant_values:
            self.new[v.id] = b.constant(graph.constants[v.id], v.dtype, v.name)
        for node in graph.nodes:
            with b.origin(node.sources, node.output.name):
                self.node(node)
        for v in graph.outputs:
            b.output(self.new[v.id], v.name)
        return b.finish()

    def node(self, node: Node) -> None:
        """Rebuild a node, as it is unless a pass knows better."""
        operands = [self.new[v.id] for v in node.inputs]
        made = self.b.emit_all(node.op, operands, node.attrs, [v.dtype for v in node.outputs])
        for old, value in zip(node.outputs, made, strict=True):
            self.new[old.id] = value
