"""The stages of a graph: a graph each, and who gets what from whom.

Before                                         After a cut inside the product, at column c
    y = matmul(x, w)                               stage k      y1 = matmul(x, w[:, :c])
    z = gelu(y)                                    stage k + 1  y2 = matmul(x, w[:, c:])
                                                                y = concat(y1, y2);  z = gelu(y)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from compiler.graph.attrs import flag
from compiler.graph.graph import Array, Graph, Node, Value
from compiler.multicore.cut import Place, columns_of


@dataclass(frozen=True)
class Stage:
    """One core's part.

    Attributes:
        graph: its inputs are the model's own and what `received` names; its outputs are the
            model's own and what later stages receive.
        received: by the input's name, the stage that has it: as an output, or as an input of the
            model that it was the first to read.
    """

    graph: Graph
    received: dict[str, int]


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
        self.values = {v.id: v for v in graph.constant_values}
        self._next = 1 + max((v.id for v in graph.values()), default=0)
        self._pieces: dict[int, list[Value]] = {}

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
            else:
                nodes.append(node)
        return nodes

    def _piece(self, node: Node, begin: int, stop: int) -> list[Node]:
        """Columns [begin, stop) of a product; with the last of them the whole is joined."""
        whole, weights = node.output, node.inputs[1]
        axis = 1 if node.op == "conv" else len(whole.shape) - 1
        by_row = node.op == "conv" or flag(node, "transpose_b")
        array = self.constants[weights.id]
        part = array[begin:stop] if by_row else array[:, begin:stop]
        name = f"columns{begin}-{stop}"
        constant = self._value(replace_shape(weights, part.shape), f"{weights.name}/{name}")
        self.constants[constant.id] = np.ascontiguousarray(part)
        self.values[constant.id] = constant
        shape = tuple(stop - begin if d == axis else e for d, e in enumerate(whole.shape))
        made = self._value(replace_shape(whole, shape), f"{whole.name}/{name}")
        inputs = (node.inputs[0], constant, *node.inputs[2:])
        nodes = [replace(node, inputs=inputs, outputs=(made,))]
        pieces = self._pieces.setdefault(whole.id, [])
        pieces.append(made)
        if stop == columns_of(self.graph, node):
            nodes.append(Node("concat", tuple(pieces), (whole,), {"axis": axis}, node.sources))
        return nodes

    def _value(self, like: Value, name: str) -> Value:
        made = replace(like, id=self._next, name=name)
        self._next += 1
        return made


def replace_shape(value: Value, shape: tuple[int, ...]) -> Value:
    """The value with another shape."""
    return replace(value, shape=shape)


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
        stages.append(Stage(part, received))
    return stages
