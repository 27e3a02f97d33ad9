"""fold-shuffles: a convolution writes its channels in the order in which they are read.

Before    gather(relu(conv(x, W, groups) + b), p)        along the channels, p a permutation
After     relu(conv(x, W'[p]) + b[p])                    W' is W with its zeros between groups

A shuffle is a product with a matrix of 0 and 1, as large as the convolution with all its zeros is:
so it costs nothing in the convolution that makes the channels. What the groups save is lost there,
but lowering loads no zeros (`lowering/classes.py`). Kernels of several taps keep their groups where
the channels need more than one pass of the array's rows, for each tap would pay for them.

Needs    simplify: a shuffle is a gather of constant indices.
Leaves   a graph that evaluates to the same values.
"""

from __future__ import annotations

import math

import numpy as np

from compiler.graph.attrs import integer
from compiler.graph.graph import Array, Graph, Node, Value
from compiler.graph_passes.align_concat import PLAIN
from compiler.graph_passes.rebuild import Rebuilder

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
        self.orders: dict[int, Array] = {}  # value id -> for each channel, which it was
        self.gone: set[int] = set()  # ids of gathered values
        for node in graph.nodes:
            order = self._order(node)
            chain = self._chain(node.inputs[0]) if order is not None else []
            if order is not None and chain:
                self.orders |= {v.id: order for v in chain}
                self.gone.add(node.output.id)

    def _order(self, node: Node) -> Array | None:
        """The permutation of channels that a gather is."""
        if node.op != "gather" or integer(node, "axis") != 1 or len(node.output.shape) < 3:
            return None
        indices = self.graph.constants.get(node.inputs[1].id)
        channels = node.inputs[0].shape[1]
        if indices is None or indices.shape != (channels,):
            return None
        order = np.where(indices < 0, indices + channels, indices).astype(np.int64)
        return order if np.array_equal(np.sort(order), np.arange(channels)) else None

    def _chain(self, value: Value) -> list[Value]:
        """The values from a convolution on to this one, where the convolution can be turned."""
        values = []
        while value.id in self.producers and value.id not in (self.kept | self.orders.keys()):
            if len(self.readers[value.id]) != 1:
                return []
            node = self.producers[value.id]
            values.append(value)
            if node.op == "conv":
                return values if self._turns(node) else []
            rest = [v for v in node.inputs if not self.graph.is_constant(v)]
            if node.op not in PLAIN or len(rest) != 1 or rest[0].shape != value.shape:
                return []
            value = rest[0]
        return []

    def _turns(self, node: Node) -> bool:
        """Whether a convolution can write its channels in any order, at no more passes."""
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


class _Folded(Rebuilder):
    """One walk that rebuilds the graph."""

    def __init__(self, graph: Graph, found: _Shuffles) -> None:
        super().__init__(graph)
        self.found = found

    def node(self, node: Node) -> None:
        out = node.output
        if out.id in self.found.gone:
            self.new[out.id] = self.new[node.inputs[0].id]
            self.b.rename(self.new[out.id], out.name)
            return
        order = self.found.orders.get(out.id)
        if order is None:
            super().node(node)
            return
        operands = [self.new[v.id] for v in node.inputs]
        attrs = dict(node.attrs)
        if node.op == "conv":
            groups, value = integer(node, "groups"), node.inputs[1]
            weights = with_zeros(self.graph.constants[value.id], groups)[order]
            operands[1] = self.b.constant(weights, value.dtype, value.name)
            attrs["groups"] = 1
        else:
            for i, v in enumerate(node.inputs):
                if self.graph.is_constant(v):
                    operands[i] = self._ordered(v, len(out.shape), order)
        made = self.b.emit_all(node.op, operands, attrs, [out.dtype])[0]
        self.new[out.id] = made

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
