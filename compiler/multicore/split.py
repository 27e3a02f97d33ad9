"""The stages of a graph: a graph each, and who gets what from whom.

Before                                         After a cut inside the product, at column c
    y = matmul(x, w)                               stage k      y1 = matmul(x, w[:, :c])
    z = gelu(y)                                                 z1 = gelu(y1)
                                                   stage k + 1  y2 = matmul(x, w[:, c:])
                                                                z2 = gelu(y2);  z = concat(z1, z2)

What is elementwise behind a cut product, with constants alone besides, goes with its pieces.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from compiler.graph.attrs import flag
from compiler.graph.graph import Array, Graph, Node, Value
from compiler.lowering.groups import is_elementwise
from compiler.multicore.cut import Place, columns_of


@dataclass(frozen=True)
class Stage:
    """One core's part.

    Attributes:
        graph: its inputs are the model's own and what `received` names; its outputs are the
            model's own and what later stages receive.
        received: by the input's name, the stage that has it: as an output, or as an input of the
            model that it was the first to read.
        origin: the model's own value for each output; of a piece that which it is a part of.
    """

    graph: Graph
    received: dict[str, int]
    origin: dict[str, Value]


def split(graph: Graph, places: Sequence[Place]) -> list[Stage]:
    """Part a graph at places, each after the one before."""
    parts = _Parts(graph)
    ends = [Place(0), *places, Place(len(graph.nodes))]
    bodies = [parts.between(first, last) for first, last in itertools.pairwise(ends)]
    return _linked(graph, bodies, parts)


class _Parts:
    """Cuts products and remembers the pieces."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.constants: dict[int, Array] = dict(graph.constants)
        self.origin: dict[int, Value] = {}  # piece -> the value that it is a part of
        self.values = {v.id: v for v in graph.constant_values}
        self._next = 1 + max((v.id for v in graph.values()), default=0)
        self._pieces: dict[int, list[Value]] = {}
        self._readers = graph.consumers()
        self._gone: set[int] = set()  # outputs of nodes that went with pieces

    def between(self, first: Place, last: Place) -> list[Node]:
        """The nodes of a stage."""
        nodes: list[Node] = []
        end = last.node + (1 if last.column else 0)
        for i in range(first.node, end):
            node = self.graph.nodes[i]
            begin = first.column if i == first.node else 0
            stop = last.column if i == last.node else 0
            if begin or stop:
                nodes += self._piece(node, begin, stop or columns_of(self.graph, node))
            elif node.output.id not in self._gone:
                nodes.append(node)
        return nodes

    def _piece(self, node: Node, begin: int, stop: int) -> list[Node]:
        """Columns [begin, stop) of a product; with the last of them the whole is joined."""
        axis = 1 if node.op == "conv" else len(node.output.shape) - 1
        chain = [node, *self._behind(node)]
        weights = 0 if node.op == "conv" or flag(node, "transpose_b") else 1
        nodes: list[Node] = []
        known: dict[int, Value] = {}
        for at, one in enumerate(chain):
            inputs = []
            for v in one.inputs:
                if v.id in known:
                    inputs.append(known[v.id])
                elif at == 0:
                    product = v is node.inputs[1]
                    inputs.append(self._cut(v, weights, begin, stop) if product else v)
                else:
                    inputs.append(self._beside(v, one.output, axis, begin, stop))
            shape = _with(one.output.shape, axis, stop - begin)
            made = self._value(one.output, shape, begin, stop)
            known[one.output.id] = made
            nodes.append(replace(one, inputs=tuple(inputs), outputs=(made,)))
        whole = chain[-1].output
        self._gone.update(n.output.id for n in chain[1:])
        pieces = self._pieces.setdefault(whole.id, [])
        pieces.append(nodes[-1].output)
        if stop == columns_of(self.graph, node):
            nodes.append(Node("concat", tuple(pieces), (whole,), {"axis": axis}, node.sources))
        return nodes

    def _behind(self, node: Node) -> list[Node]:
        """The elementwise nodes that go with the pieces of a product."""
        results = {v.id for v in self.graph.outputs}
        found: list[Node] = []
        value = node.output
        while value.id not in results and len(self._readers.get(value.id, ())) == 1:
            (reader,) = self._readers[value.id]
            others = [v for v in reader.inputs if v is not value]
            if not is_elementwise(reader) or reader.output.shape != value.shape:
                break
            if not all(v.id in self.graph.constants for v in others):
                break
            found.append(reader)
            value = reader.output
        return found

    def _beside(self, value: Value, whole: Value, axis: int, begin: int, stop: int) -> Value:
        """A constant beside columns [begin, stop) of `whole`."""
        d = axis - (len(whole.shape) - len(value.shape))
        if d < 0 or value.shape[d] == 1:
            return value
        return self._cut(value, d, begin, stop)

    def _cut(self, value: Value, dim: int, begin: int, stop: int) -> Value:
        """Elements [begin, stop) of a dimension of a constant."""
        part = self.constants[value.id][(slice(None),) * dim + (slice(begin, stop),)]
        made = self._value(value, part.shape, begin, stop)
        self.constants[made.id] = np.ascontiguousarray(part)
        self.values[made.id] = made
        return made

    def _value(self, like: Value, shape: tuple[int, ...], begin: int, stop: int) -> Value:
        name = f"{like.name}/columns{begin}-{stop}"
        made = replace(like, id=self._next, name=name, shape=shape)
        self.origin[made.id] = like
        self._next += 1
        return made


def _with(shape: tuple[int, ...], axis: int, extent: int) -> tuple[int, ...]:
    return tuple(extent if d == axis else e for d, e in enumerate(shape))


def _linked(graph: Graph, bodies: list[list[Node]], parts: _Parts) -> list[Stage]:
    """Inputs and outputs of each body."""
    owner: dict[int, int] = {}  # of values that are made or first read in a stage
    needed: dict[int, set[int]] = {}  # stage -> values that later ones want
    inputs: list[dict[int, Value]] = []
    given = {v.id for v in graph.inputs}
    for k, nodes in enumerate(bodies):
        made = {v.id for n in nodes for v in n.outputs}
        wanted = {v.id: v for n in nodes for v in n.inputs}
        mine = {i: v for i, v in wanted.items() if i not in made and i not in parts.constants}
        for i in mine:
            owner.setdefault(i, k)
            if owner[i] != k and i not in given:
                needed.setdefault(owner[i], set()).add(i)
        owner.update(dict.fromkeys(made, k))
        inputs.append(mine)
    read = {v.id for n in graph.nodes for v in n.inputs}
    inputs[0].update({v.id: v for v in graph.inputs if v.id not in read})  # the first one takes it
    owner.update({v.id: 0 for v in graph.inputs if v.id not in read})
    results = {v.id for v in graph.outputs}
    stages = []
    for k, nodes in enumerate(bodies):
        leaving = needed.get(k, set()) | results
        used = {v.id: None for n in nodes for v in n.inputs if v.id in parts.constants}
        part = Graph(
            name=f"{graph.name}/{k}",
            inputs=tuple(inputs[k].values()),
            outputs=tuple(v for n in nodes for v in n.outputs if v.id in leaving),
            nodes=tuple(nodes),
            constants={i: parts.constants[i] for i in used},
            constant_values=tuple(parts.values[i] for i in used),
        )
        received = {v.name: owner[i] for i, v in inputs[k].items() if owner[i] != k}
        origin = {v.name: parts.origin.get(v.id, v) for v in part.outputs}
        stages.append(Stage(part, received, origin))
    return stages
