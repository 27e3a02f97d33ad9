"""fold-shuffles: a convolution writes its channels in the order in which they are best read.

Before    conv(depthwise(gather(relu(conv(x, V, groups) + b), p)), W, groups)
After     conv(depthwise(relu(conv(x, V'[q]) + b[q])), W'[:, r])       V', W' with their zeros

A shuffle along the channels is a product with a matrix of 0 and 1, as large as the convolution with
all its zeros is: so it costs nothing in the convolution that makes the channels. Lowering loads no
zeros, and the array skips what is zero for one block of 128 channels and 64 outputs
(`lowering/grouped.py`). Where the channels lead to another convolution and nowhere else, any order
will do, and the best one is that of the reader's groups, 128 by 128, sorted by the maker's groups
in each: the maker then reads few blocks for 64 outputs, the reader as few as before. What is left
beside whole blocks is of one group of either.

Kernels of several taps keep their groups where the channels need more than one pass of the array's
rows, for each tap would pay for them.

Needs    simplify: a shuffle is a gather of constant indices.
Leaves   a graph that evaluates to the same values.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from compiler.graph.attrs import integer
from compiler.graph.graph import Array, Graph, Node, Value
from compiler.graph_passes.align_concat import PLAIN
from compiler.graph_passes.rebuild import Rebuilder

Order = NDArray[np.int64]

ROWS = 128
"""Channels that one pass of the array takes."""
MOST_ELEMENTS = 1 << 24
"""Of weights with their zeros: more would be held only to be left out again."""


def fold_shuffles(graph: Graph) -> Graph:
    """The graph without the shuffles that convolutions can do; itself where there is none."""
    found = _Shuffles(graph)
    return _Folded(graph, found).run() if found.orders else graph


class _Shuffles:
    """Which values are made in another order, and which gathers are no longer needed."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers, self.readers = graph.producers(), graph.consumers()
        self.kept = {v.id for v in graph.outputs}
        self.orders: dict[int, Order] = {}  # value id -> for each channel, which it was
        self.reads: dict[int, Order] = {}  # id of a convolution's result -> how it reads channels
        self.gone: set[int] = set()  # ids of gathered values
        for node in graph.nodes:
            order = self._order(node)
            before = self._before(node.inputs[0]) if order is not None else []
            if order is None or not before:
                continue
            behind, reader = self._behind(node.output)
            made = np.arange(len(order))
            if reader is not None:
                maker = self.producers[before[-1].id]
                made = best_order(_groups_of(maker, 0)[order], _groups_of(reader, 1))
                self.orders |= {v.id: made for v in behind}
                self.reads[reader.output.id] = made
            self.orders |= {v.id: order[made] for v in before}
            self.gone.add(node.output.id)

    def _order(self, node: Node) -> Order | None:
        """The permutation of channels that a gather is."""
        if node.op != "gather" or integer(node, "axis") != 1 or len(node.output.shape) < 3:
            return None
        indices = self.graph.constants.get(node.inputs[1].id)
        channels = node.inputs[0].shape[1]
        if indices is None or indices.shape != (channels,):
            return None
        order = np.where(indices < 0, indices + channels, indices).astype(np.int64)
        return order if np.array_equal(np.sort(order), np.arange(channels)) else None

    def _alone(self, value: Value) -> bool:
        """Whether a value is read once and may be turned."""
        free = value.id not in self.kept and value.id not in self.orders
        return free and len(self.readers.get(value.id, [])) == 1

    def _before(self, value: Value) -> list[Value]:
        """The values from this one back to a convolution, where that can be turned."""
        values = []
        while value.id in self.producers and self._alone(value):
            node = self.producers[value.id]
            values.append(value)
            if node.op == "conv":
                return values if self._turns(node) and value.id not in self.reads else []
            if not self._follows(node):
                return []
            value = next(v for v in node.inputs if not self.graph.is_constant(v))
        return []

    def _behind(self, value: Value) -> tuple[list[Value], Node | None]:
        """The values from this one on to the convolution that reads them, where it can."""
        values = []
        while self._alone(value):
            node = self.readers[value.id][0]
            values.append(value)
            if node.op == "conv" and not _depthwise(node):
                return (
                    (values, node)
                    if node.inputs[1] is not value and self._turns(node)
                    else ([], None)
                )
            if not self._follows(node):
                return [], None
            value = node.output
        return [], None

    def _follows(self, node: Node) -> bool:
        """Whether a node does the same with all channels, but for constants."""
        rest = [v for v in node.inputs if not self.graph.is_constant(v)]
        if len(rest) != 1 or rest[0] is not node.inputs[0]:
            return False
        if node.op == "conv":
            return _depthwise(node)
        alike = rest[0].shape == node.output.shape
        return node.op == "reduce_window" or (node.op in PLAIN and alike)

    def _turns(self, node: Node) -> bool:
        """Whether a convolution can make or read its channels in any order, at no more passes."""
        weights = self.graph.constants.get(node.inputs[1].id)
        if weights is None:
            return False
        outputs, each, taps = weights.shape[0], weights.shape[1], math.prod(weights.shape[2:])
        groups = integer(node, "groups")
        if groups == 1:
            return True
        few = taps == 1 or each * groups <= ROWS
        small = outputs * each * groups * taps <= MOST_ELEMENTS
        return bool(few and small and each > 1)


def _depthwise(node: Node) -> bool:
    """One channel a group, as many outputs as channels."""
    weights = node.inputs[1].shape
    return integer(node, "groups") == weights[0] == node.inputs[0].shape[1]


def _groups_of(node: Node, dim: int) -> Order:
    """The group of each output (0) or channel (1) of a convolution."""
    extent = node.output.shape[1] if dim == 0 else node.inputs[0].shape[1]
    return np.arange(extent) * integer(node, "groups") // extent


def best_order(made: Order, read: Order) -> Order:
    """An order of channels for which maker and reader multiply few zeros.

    Args:
        made, read: the group of each channel in the convolution that makes it, and in the one that
            reads it.
    """
    channels = len(made)
    rest = channels % ROWS
    by_reader = np.lexsort((made, read))
    last = by_reader[read[by_reader] == read.max()]
    tail = last[:rest] if len(last) >= rest else by_reader[channels - rest :]
    whole = by_reader[~np.isin(by_reader, tail)]
    blocks = [
        b[np.argsort(made[b], kind="stable")]
        for b in np.split(whole, range(ROWS, len(whole), ROWS))
    ]
    return np.concatenate([*blocks, tail])


class _Folded(Rebuilder):
    """One walk that rebuilds the graph."""

    def __init__(self, graph: Graph, found: _Shuffles) -> None:
        super().__init__(graph)
        self.found = found
        self.changed = {v for v, order in found.orders.items() if (np.diff(order) != 1).any()}

    def node(self, node: Node) -> None:
        out, graph = node.output, self.graph
        if out.id in self.found.gone:
            self.new[out.id] = self.new[node.inputs[0].id]
            return
        order, read = self.found.orders.get(out.id), self.found.reads.get(out.id)
        if order is None and read is None:
            super().node(node)
            return
        operands = [self.new[v.id] for v in node.inputs]
        attrs = dict(node.attrs)
        if node.op == "conv":
            weights, value = graph.constants[node.inputs[1].id], node.inputs[1]
            if not _depthwise(node):
                weights = with_zeros(weights, integer(node, "groups"))
                attrs["groups"] = 1
            weights = weights if order is None else weights[order]
            weights = weights if read is None else weights[:, read]
            operands[1] = self.b.constant(weights, value.dtype, value.name)
        elif order is not None:
            for i, v in enumerate(node.inputs):
                if graph.is_constant(v):
                    operands[i] = self._ordered(v, len(out.shape), order)
        self.new[out.id] = self.b.emit_all(node.op, operands, attrs, [out.dtype])[0]

    def _ordered(self, value: Value, rank: int, order: Array) -> Value:
        """A constant beside the channels, in their order."""
        array = self.graph.constants[value.id]
        axis = 1 - (rank - array.ndim)
        if axis < 0 or array.shape[axis] == 1:
            return self.new[value.id]
        return self.b.constant(np.take(array, order, axis), value.dtype, value.name)


def with_zeros(weights: Array, groups: int) -> Array:
    """Weights [O, C, *kernel] of [O, C / groups, *kernel], zero between groups."""
    outputs, each = weights.shape[:2]
    made = np.zeros((outputs, each * groups, *weights.shape[2:]), weights.dtype)
    per = outputs // groups
    for j in range(groups):
        made[j * per : (j + 1) * per, j * each : (j + 1) * each] = weights[j * per : (j + 1) * per]
    return made
