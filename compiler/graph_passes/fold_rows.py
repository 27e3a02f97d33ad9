"""fold-rows: where channels are few, blocks of rows lie side by side as channels.

Before                                       After, for F = 4 blocks of rows
    a = conv(x)         [1, 32, 112, 112]        a = conv(x, folds (1, 4))     [1, 128, 28, 112]
    b = depthwise(a)    [1, 32, 112, 112]        b = depthwise(a, folds (4, 4))
    c = conv1x1(b)      [1, 96, 112, 112]        c = conv(b, folds (4, 1))     [1, 96, 112, 112]

A layer of 32 channels leaves 96 of 128 partitions idle on every engine; folded, it takes a quarter
of their time. A fold begins behind a convolution, which writes each block of rows to partitions of
its own, and ends in a convolution of one tap, which reads them from there. Between are depthwise
convolutions (they fetch the rows at the border of their block from the neighbour), convolutions of
one tap and elementwise ops. Fewer channels than a block has room for are filled up with zeros.

Needs    static shapes, batch 1; before striping, as folded values are smaller.
Leaves   a graph that evaluates to the same values; folded convolutions carry `folds`.
"""

from __future__ import annotations

import numpy as np

from compiler.graph.attrs import integer, integers, numbers, pairs
from compiler.graph.graph import Array, Graph, Node, Value
from compiler.graph_passes.rebuild import Rebuilder

FOLDS = 4
ROOM = 32
"""Channels of a block: `FOLDS` of them fill the partitions, and engines reach each."""
LEAST = 128
"""Elements a partition that a folded value has at least: fewer do not fill an instruction."""
SAFE = frozenset(
    {"relu", "add", "sub", "mul", "max", "min", "cast", "sigmoid", "silu", "gelu", "tanh", "neg"}
)
"""Elementwise ops that make no infinities of the zeros that fill a block up."""


def fold_rows(graph: Graph) -> Graph:
    """The graph with every chain of few channels folded; the same graph where there is none."""
    folded = _foldable(graph)
    return _Folder(graph, folded).run() if folded else graph


def _foldable(graph: Graph) -> set[int]:
    """Ids of the values to fold: the largest set in which every maker and reader can."""
    found = {n.output.id for n in graph.nodes if _has_shape(n) and (_makes(n) or n.op in SAFE)}
    found -= {v.id for v in graph.outputs}
    makers, readers = graph.producers(), graph.consumers()
    while True:
        bad = {
            v
            for v in found
            if not _made_folded(graph, makers[v], found)
            or not readers.get(v)
            or not all(_read_folded(r, found) for r in readers[v])
        }
        if not bad:
            return found
        found -= bad


def _has_shape(node: Node) -> bool:
    shape = node.output.shape
    if len(node.outputs) != 1 or len(shape) != 4 or node.output.dtype.kind in "biu":
        return False
    whole = shape[2] % FOLDS == 0 and shape[2] * shape[3] >= FOLDS * LEAST
    return shape[0] == 1 and shape[1] <= ROOM and whole


def _makes(node: Node) -> bool:
    return node.op == "conv"


def one_tap(node: Node) -> bool:
    """A dense convolution of one tap, position by position."""
    kernel = node.inputs[1].shape[2:]
    moved = any(low or high for low, high in pairs(node, "pads"))
    plain = integer(node, "groups") == 1 and all(s == 1 for s in integers(node, "strides"))
    return plain and not moved and all(k == 1 for k in kernel)


def _depthwise(node: Node) -> bool:
    """One channel a group, and blocks of rows that give whole blocks of rows."""
    x, w, out = node.inputs[0], node.inputs[1], node.output
    groups, (low, high), stride = (
        integer(node, "groups"),
        pairs(node, "pads")[0],
        integers(node, "strides")[0],
    )
    alone = groups == x.shape[1] == w.shape[0] and w.shape[1] == 1
    rows = x.shape[2] // FOLDS
    reach = (w.shape[2] - 1) * integers(node, "dilations")[0]
    made = (rows + low + high - reach - 1) // stride + 1
    even = x.shape[2] == out.shape[2] * stride and x.shape[2] % FOLDS == 0
    return alone and even and made * FOLDS == out.shape[2] and max(low, reach - low) < rows


def _made_folded(graph: Graph, node: Node, found: set[int]) -> bool:
    if node.op == "conv":
        x, w = node.inputs
        if not graph.is_constant(w):
            return False
        if x.id in found:
            return _depthwise(node) or one_tap(node)
        return integer(node, "groups") == 1 and x.shape[1] <= ROOM
    return all(_beside(graph, v, node.output, found) for v in node.inputs)


def _beside(graph: Graph, value: Value, out: Value, found: set[int]) -> bool:
    """Whether an operand is folded too, or a constant that does not vary along rows."""
    if not graph.is_constant(value):
        return value.id in found and value.shape == out.shape
    full = (1,) * (4 - len(value.shape)) + value.shape
    return len(full) == 4 and full[0] == full[2] == full[3] == 1


def _read_folded(reader: Node, found: set[int]) -> bool:
    if reader.outputs[0].id in found:
        return True
    return reader.op == "conv" and one_tap(reader)


class _Folder(Rebuilder):
    keeps_names = True

    def __init__(self, graph: Graph, folded: set[int]) -> None:
        super().__init__(graph)
        self.changed = folded

    def node(self, node: Node) -> None:
        operands = [self.new[v.id] for v in node.inputs]
        attrs = dict(node.attrs)
        sides = [v.id in self.changed for v in (*node.inputs[:1], node.output)]
        if node.op == "conv" and any(sides):
            attrs["folds"] = tuple(FOLDS if side else 1 for side in sides)
            weights = self._filled_up(node, *sides)
            operands[1] = self.b.constant(weights, name=node.inputs[1].name)
            if integer(node, "groups") > 1:
                attrs["groups"] = ROOM
            fill = numbers(node, "fill")
            attrs["fill"] = (*fill, *(fill[-1:] * (ROOM - len(fill))))
        elif node.output.id in self.changed:
            operands = [
                self.b.constant(self._repeated(v), name=v.name) if self.graph.is_constant(v) else o
                for v, o in zip(node.inputs, operands, strict=True)
            ]
        kinds = [v.dtype for v in node.outputs]
        self.bind_all(node, self.b.emit_all(node.op, operands, attrs, kinds))

    def _filled_up(self, node: Node, folded_in: bool, folded_out: bool) -> Array:
        """The weights with zeros for the channels that fill a block up."""
        w = self.graph.constants[node.inputs[1].id]
        more = [(0, 0)] * w.ndim
        if folded_out:
            more[0] = (0, ROOM - w.shape[0])
        if folded_in and integer(node, "groups") == 1:
            more[1] = (0, ROOM - w.shape[1])
        return np.pad(w, more)

    def _repeated(self, value: Value) -> Array:
        """A constant of each channel, once a block."""
        array = self.graph.constants[value.id]
        if array.size == 1:
            return array
        row = np.pad(array.reshape(-1), (0, ROOM - array.size), mode="edge")
        return np.tile(row, FOLDS).reshape(1, -1, 1, 1)
