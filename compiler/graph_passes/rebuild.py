"""A walk that rebuilds a graph node by node; a pass says what becomes of what it changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph, Node, Value

OTHERWISE = "/otherwise"
"""Behind the name of a value that stands for a tensor of the model but is not equal to it."""


class Rebuilder:
    """One walk. `new` has the value that stands for each old one, by the old one's id.

    Attributes:
        keeps_names: whether what stands for an old value is equal to it and may bear its name.
        changed: ids of the old values for which that does not hold, since their channels lie in
            another order, say: what stands for one bears a name that leads back to no tensor of
            the model, so that nobody compares the two.
    """

    keeps_names: ClassVar[bool] = False

    def __init__(self, graph: Graph) -> None:
        self.graph, self.b = graph, GraphBuilder(graph.name)
        self.b.notes.extend(graph.notes)
        self.new: dict[int, Value] = {}
        self.changed: set[int] = set()

    def run(self) -> Graph:
        """The graph rebuilt."""
        for v in self.graph.inputs:
            self.bind(v, self.input(v))
        for v in self.graph.constant_values:
            self.bind(v, self.constant(v))
        self.nodes()
        for v in self.graph.outputs:
            with self.b.origin((), v.name):
                self.b.output(self.result(v), v.name)
        return self.b.finish()

    def input(self, value: Value) -> Value:
        """What stands for an input."""
        return self.b.input(value.name, value.shape, value.dtype)

    def constant(self, value: Value) -> Value:
        """What stands for a constant."""
        return self.b.constant(self.graph.constants[value.id], value.dtype, value.name)

    def result(self, value: Value) -> Value:
        """What becomes an output."""
        return self.new[value.id]

    def nodes(self) -> None:
        """Rebuild every node."""
        for node in self.graph.nodes:
            name = node.output.name
            if node.output.id in self.changed:
                name += OTHERWISE
            with self.b.origin(node.sources, name):
                self.node(node)

    def node(self, node: Node) -> None:
        """Rebuild a node, as it is unless a pass knows better."""
        operands = [self.new[v.id] for v in node.inputs]
        kinds = [v.dtype for v in node.outputs]
        self.bind_all(node, self.b.emit_all(node.op, operands, node.attrs, kinds))

    def bind_all(self, node: Node, made: Sequence[Value]) -> None:
        """These stand for the node's results."""
        for old, value in zip(node.outputs, made, strict=True):
            self.bind(old, value)

    def bind(self, old: Value, value: Value) -> None:
        """`value` stands for an old one."""
        self.new[old.id] = value
        if self.keeps_names and old.id not in self.changed:
            self.b.rename(value, old.name)
