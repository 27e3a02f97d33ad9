"""align-concat: parts of a concatenation of channels lie where engines can write them.

Before    y = concat(relu(conv(a, V)), relu(conv(b, W)))      48 + 208 channels, say
After     y = concat(relu(conv(a, V, 16 rows of zeros)), relu(conv(b, W[:64])), ..[64:192], ..)

Channels lie on partitions in blocks, and an engine's operand begins at a half or a quadrant only.
A convolution whose channels would begin elsewhere, or run on into the next block, is cut in pieces
that do not; one whose channels are no whole quadrants gets outputs that are zero before its
neighbour begins, and whoever reads the result gets weights of zero for them.

Needs    simplify: biases and scales are constants behind the convolutions.
Leaves   a graph that evaluates to the same values. A reader that is no convolution, pooling or
         elementwise node of constants keeps what it reads as it is: then nothing is padded.
"""

from __future__ import annotations

import numpy as np

from compiler.graph.attrs import integer
from compiler.graph.graph import Graph, Node, Value
from compiler.graph_passes.channel_pieces import (
    QUADRANT,
    Map,
    Piece,
    cut_in_pieces,
    cut_out,
    placed,
)
from compiler.graph_passes.rebuild import Rebuilder

PLAIN = ("relu", "add", "sub", "mul", "max", "min")


def align_concat(graph: Graph) -> Graph:
    """The graph with concatenations of channels aligned; itself where there is nothing to do."""
    found = _Concats(graph)
    plans = {id(n): p for n in graph.nodes if (p := found.plan(n)) is not None}
    return _Aligned(graph, found, plans).run() if plans else graph


class _Concats:
    """Which concatenations can be aligned, and how."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers, self.readers = graph.producers(), graph.consumers()
        self.outputs = {v.id for v in graph.outputs}

    def plan(self, node: Node) -> list[list[Piece]] | None:
        """Pieces of each part, where they help."""
        if node.op != "concat" or integer(node, "axis") != 1 or len(node.output.shape) < 3:
            return None
        pieces, at, moved = list[list[Piece]](), 0, False
        for i, part in enumerate(node.inputs):
            last, size = i == len(node.inputs) - 1, part.shape[1]
            here = cut_in_pieces(at, size, last) if self.chain(part) else [Piece(0, size, size)]
            moved |= here != [Piece(0, size, size)]
            at += sum(p.room for p in here)
            if at % QUADRANT and not last:
                return None
            pieces.append(here)
        padded = at != node.output.shape[1]
        if not moved or (padded and not self.readers_follow(node.output)):
            return None
        return pieces

    def chain(self, value: Value) -> list[Node]:
        """The convolution that makes a value and the elementwise nodes after it, read only here."""
        nodes = list[Node]()
        while value.id in self.producers and value.id not in self.outputs:
            node = self.producers[value.id]
            if len(self.readers[value.id]) != 1:
                return []
            nodes.append(node)
            if node.op == "conv":
                plain = self.graph.is_constant(node.inputs[1]) and integer(node, "groups") == 1
                return nodes[::-1] if plain else []
            operand = self.follows(node)
            if operand is None:
                return []
            value = operand
        return []

    def follows(self, node: Node) -> Value | None:
        """The operand of an elementwise node that has just one, and constants of channels."""
        if node.op not in PLAIN:
            return None
        rest = [v for v in node.inputs if not self.graph.is_constant(v)]
        if len(rest) != 1 or rest[0].shape != node.output.shape:
            return None
        constants = [v for v in node.inputs if v is not rest[0]]
        return rest[0] if all(_of_channels(v, node.output) for v in constants) else None

    def readers_follow(self, value: Value) -> bool:
        """Whether everybody who reads a value can read it padded."""
        if value.id in self.outputs:
            return False
        for node in self.readers.get(value.id, []):
            if node.op == "conv":
                weights = node.inputs[1]
                plain = self.graph.is_constant(weights) and integer(node, "groups") == 1
                if not plain or weights is value:
                    return False
            elif node.op == "reduce_window" or self.follows(node) is not None:
                if not self.readers_follow(node.output):
                    return False
            else:
                return False
        return True


def _of_channels(constant: Value, output: Value) -> bool:
    """Whether a constant varies along dimension 1 only, if at all."""
    shape = (1,) * (len(output.shape) - len(constant.shape)) + constant.shape
    return all(n == 1 for d, n in enumerate(shape) if d != 1)


class _Aligned(Rebuilder):
    """One walk that rebuilds the graph."""

    def __init__(self, graph: Graph, found: _Concats, plans: dict[int, list[list[Piece]]]) -> None:
        super().__init__(graph)
        self.found, self.plans = found, plans
        self.map: dict[int, tuple[Map, int]] = {}  # new value id -> positions, channels in all

    def node(self, node: Node) -> None:
        if id(node) in self.plans:
            self._concat(node, self.plans[id(node)])
            return
        where = next(
            (self.map[v] for v in (self.new[x.id].id for x in node.inputs) if v in self.map), None
        )
        operands = [self.new[v.id] for v in node.inputs]
        if where is not None:
            axis = 1 if node.op == "conv" else None
            operands = [
                self._widened(v, node, where, axis) if self.graph.is_constant(v) else self.new[v.id]
                for v in node.inputs
            ]
        made = self.b.emit_all(node.op, operands, node.attrs, [v.dtype for v in node.outputs])
        for old, value in zip(node.outputs, made, strict=True):
            self.new[old.id] = value
            if where is not None and node.op != "conv":
                self.map[value.id] = where

    def _widened(self, value: Value, node: Node, where: tuple[Map, int], axis: int | None) -> Value:
        """A constant with zeros at the positions of padding."""
        array = self.graph.constants[value.id]
        if axis is None:
            axis = 1 - (len(node.output.shape) - array.ndim)
            if axis < 0 or array.shape[axis] == 1:
                return self.new[value.id]
        return self.b.constant(placed(array, axis, *where), value.dtype, value.name)

    def _concat(self, node: Node, plan: list[list[Piece]]) -> None:
        parts, places, at = list[Value](), list[Map](), 0
        for part, pieces in zip(node.inputs, plan, strict=True):
            for piece in pieces:
                whole = piece.size == piece.room == part.shape[1]
                parts.append(self.new[part.id] if whole else self._cut(part, piece))
                places.append(at + np.arange(piece.size))
                at += piece.room
        made = self.b.emit("concat", *parts, axis=1)
        self.new[node.output.id] = made
        if at != node.output.shape[1]:
            self.map[made.id] = (np.concatenate(places), at)

    def _cut(self, part: Value, piece: Piece) -> Value:
        """A piece of what a convolution and the elementwise nodes behind it make."""
        chain = self.found.chain(part)
        value = chain[0].inputs[0]
        made = self.new[value.id]
        for node in chain:
            operands = [made if v is value else self._piece_of(v, node, piece) for v in node.inputs]
            if node is chain[0]:
                array = self.graph.constants[node.inputs[1].id]
                weights = cut_out(array, 0, piece)
                if made.id in self.map:
                    weights = placed(weights, 1, *self.map[made.id])
                operands = [made, self.b.constant(weights, node.inputs[1].dtype)]
            with self.b.origin(node.sources, node.output.name):
                made = self.b.emit_all(node.op, operands, node.attrs, [node.output.dtype])[0]
            value = node.output
        return made

    def _piece_of(self, value: Value, node: Node, piece: Piece) -> Value:
        array = self.graph.constants[value.id]
        axis = 1 - (len(node.output.shape) - array.ndim)
        if axis < 0 or array.shape[axis] == 1:
            return self.new[value.id]
        return self.b.constant(cut_out(array, axis, piece), value.dtype)
