"""sink-casts: convert where a value is made or read, not between movements.

Before    c = cast(x);  a = slice(c);  b = slice(c)        y = cast(concat(reshape(a), b))
After     a = cast(slice(x));  b = cast(slice(x))          y = concat(reshape(cast(a)), cast(b))

An input that is only read in slices then stays in DRAM until each slice is loaded; an output that
is joined from parts is converted part by part, by the instruction that makes the part.
Needs     auto-cast, which puts one cast behind each input and in front of each output.
"""

from __future__ import annotations

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import DType, Graph, Node, Value

MOVES = ("concat", "reshape", "transpose")


def sink_casts(graph: Graph) -> Graph:
    """The graph with the casts of inputs behind their slices, those of outputs at the source."""
    return _SinkCasts(graph).run()


class _SinkCasts:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.b = graph, GraphBuilder(graph.name)
        self.b.notes.extend(graph.notes)
        inputs = {v.id for v in graph.inputs}
        self.producers = graph.producers()
        self.readers = graph.consumers()
        self.outputs = {v.id for v in graph.outputs}
        self.of_input = {
            n.output.id: n for n in graph.nodes if n.op == "cast" and n.inputs[0].id in inputs
        }
        self.new: dict[int, Value] = {}

    def run(self) -> Graph:
        graph, b = self.graph, self.b
        for v in graph.inputs:
            self.new[v.id] = b.input(v.name, v.shape, v.dtype)
        for v in graph.constant_values:
            self.new[v.id] = b.constant(graph.constants[v.id], v.dtype, v.name)
        for node in graph.nodes:
            with b.origin(node.sources, node.output.name):
                self._node(node)
        for v in graph.outputs:
            b.output(self.new[v.id], v.name)
        return b.finish()

    def _node(self, node: Node) -> None:
        dtypes = [v.dtype for v in node.outputs]
        cast = self.of_input.get(node.inputs[0].id) if node.op == "slice" else None
        if cast is not None:
            part = self.b.emit_all("slice", [self.new[cast.inputs[0].id]], node.attrs)
            made = self.b.emit_all("cast", part, cast.attrs, dtypes)
        elif node.op == "cast" and node.output.id in self.outputs:
            made = (self._converted(node, node.inputs[0], node.output.dtype),)
        else:
            operands = [self.new[v.id] for v in node.inputs]
            made = self.b.emit_all(node.op, operands, node.attrs, dtypes)
        for old, value in zip(node.outputs, made, strict=True):
            self.new[old.id] = value

    def _converted(self, cast: Node, value: Value, dtype: DType) -> Value:
        """`value` as `dtype`, converted before the movements that made it."""
        node = self.producers.get(value.id)
        alone = len(self.readers.get(value.id, [])) == 1 and value.id not in self.outputs
        if node is None or node.op not in MOVES or not alone:
            return self.b.emit_all("cast", [self.new[value.id]], cast.attrs, [dtype])[0]
        operands = [self._converted(cast, v, dtype) for v in node.inputs]
        with self.b.origin(node.sources, node.output.name):
            return self.b.emit_all(node.op, operands, node.attrs, [dtype])[0]
