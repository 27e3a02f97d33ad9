"""sink-casts: convert where a value is made or read, not between movements.

Before    c = cast(x);  a = slice(c);  b = slice(c)        y = cast(concat(reshape(a), b))
After     a = cast(slice(x));  b = cast(slice(x))          y = concat(reshape(cast(a)), cast(b))

An input that is only read in slices then stays in DRAM until each slice is loaded; an output that
is joined from parts is converted part by part, by the instruction that makes the part.
Needs     auto-cast, which puts one cast behind each input and in front of each output.
"""

from __future__ import annotations

from compiler.graph.graph import DType, Graph, Node, Value
from compiler.graph_passes.rebuild import Rebuilder

MOVES = ("concat", "assemble", "reshape", "transpose")


def sink_casts(graph: Graph) -> Graph:
    """The graph with the casts of inputs behind their slices, those of outputs at the source."""
    return _SinkCasts(graph).run()


class _SinkCasts(Rebuilder):
    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        inputs = {v.id for v in graph.inputs}
        self.producers = graph.producers()
        self.readers = graph.consumers()
        self.outputs = {v.id for v in graph.outputs}
        self.of_input = {
            n.output.id: n for n in graph.nodes if n.op == "cast" and n.inputs[0].id in inputs
        }
        self.early: dict[tuple[int, DType], Node] = {}  # casts of outputs, by what they begin with
        self.sunk: dict[int, Node] = {}  # the casts that go in front of movements, by their results
        for node in graph.nodes:
            if node.op == "cast" and node.output.id in self.outputs:
                self._sources(node, node.inputs[0])
        self.wanted: dict[int, list[tuple[tuple[int, DType], Node]]] = {}
        for key, cast in self.early.items():
            self.wanted.setdefault(key[0], []).append((key, cast))
        self.converted: dict[tuple[int, DType], Value] = {}
        self.raw: dict[int, tuple[Value, Node]] = {}  # a cast input that has moved, not yet cast

    def node(self, node: Node) -> None:
        dtypes = [v.dtype for v in node.outputs]
        late = self.sunk.get(node.output.id)
        if late is not None:  # where it stands: parts of an output leave as soon as they are made
            operands = [self._converted(late, v) for v in node.inputs]
            kinds = [late.output.dtype]
            self.new[node.output.id] = self.b.emit_all(node.op, operands, node.attrs, kinds)[0]
            return
        moved = self._moved_input(node)
        if moved is not None:
            self.new[node.output.id] = moved
            return
        uncast = self._uncast(node.inputs[0]) if node.op == "slice" else None
        if uncast is not None:
            value, cast = uncast
            part = self.b.emit_all("slice", [value], node.attrs)
            made = self.b.emit_all("cast", part, cast.attrs, dtypes)
        elif node.op == "cast" and node.output.id in self.outputs:
            made = (self._converted(node, node.inputs[0]),)
        else:
            operands = [self.new[v.id] for v in node.inputs]
            made = self.b.emit_all(node.op, operands, node.attrs, dtypes)
        for old, value in zip(node.outputs, made, strict=True):
            self.new[old.id] = value
            for key, late in self.wanted.get(old.id, []):
                self.converted[key] = self.b.emit_all("cast", [value], late.attrs, [key[1]])[0]

    def _moved(self, value: Value) -> Node | None:
        """The movement that made a value which nobody but one cast or movement reads."""
        node = self.producers.get(value.id)
        alone = len(self.readers.get(value.id, [])) == 1 and value.id not in self.outputs
        return node if node is not None and node.op in MOVES and alone else None

    def _sources(self, cast: Node, value: Value) -> None:
        """Note the values behind the movements: each is converted where it is made."""
        node = self._moved(value)
        if node is None:
            self.early.setdefault((value.id, cast.output.dtype), cast)
            return
        self.sunk[value.id] = cast
        for v in node.inputs:
            self._sources(cast, v)

    def _moved_input(self, node: Node) -> Value | None:
        """A reshape or transposition that alone reads a cast input: the cast goes behind it."""
        if node.op not in ("reshape", "transpose") or len(self.readers[node.inputs[0].id]) != 1:
            return None
        uncast = self._uncast(node.inputs[0])
        if uncast is None:
            return None
        value, cast = uncast
        part = self.b.emit_all(node.op, [value], node.attrs)[0]
        self.raw[node.output.id] = (part, cast)
        return self.b.emit_all("cast", [part], cast.attrs, [node.output.dtype])[0]

    def _uncast(self, value: Value) -> tuple[Value, Node] | None:
        """A cast input, or what movements made of it, as it was before the cast."""
        cast = self.of_input.get(value.id)
        return self.raw.get(value.id) if cast is None else (self.new[cast.inputs[0].id], cast)

    def _converted(self, cast: Node, value: Value) -> Value:
        """`value` as the cast makes it."""
        if value.id in self.sunk:
            return self.new[value.id]
        key = (value.id, cast.output.dtype)
        if key not in self.converted:  # an input or a constant
            made = self.b.emit_all("cast", [self.new[value.id]], cast.attrs, [key[1]])
            self.converted[key] = made[0]
        return self.converted[key]
