"""place-channels: concatenations that residual sums read lie where engines can write them.

Before    a = concat(conv(x), pool(s))     136 + 136 channels of 14 x 14, say
          b = relu(a + conv(y))
After     a = concat(pool(s), conv(x, outputs [0, 32)), conv(x, [32, 96)), conv(x, [96, 136)))
          b = relu(a + conv(y, outputs as they lie in a))

A *flow* is what must lie alike: the operands and the result of an elementwise node, of a pooling,
of a depthwise convolution. A flow begins at a convolution, which writes its channels wherever it
is told to, or at a concatenation, and ends at convolutions, which read them from there. So a flow
may have gaps of zero channels, and its parts any order: parts that something else reads too come
as they are, at the head of a block or a quadrant; a convolution is cut to fit in behind them
(`align_concat.py`, which does the rest of the concatenations). A flow with any other reader lies as
it did; where it is joined to others, it is read in slices.

Needs    simplify; groups = 1 but for depthwise convolutions (`fold_shuffles.py`).
Leaves   a graph that evaluates to the same values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compiler.graph.graph import Array, Graph, Node, Value
from compiler.graph_passes.channel_flows import Flows, Place, Plan, joins, misplaced
from compiler.graph_passes.channel_pieces import BLOCK, MOST, Piece, cut_out, placed
from compiler.graph_passes.rebuild import Rebuilder


def place_channels(graph: Graph) -> Graph:
    """The graph with misplaced concatenations placed; itself where there is none."""
    if not any(misplaced(n) for n in graph.nodes):
        return graph
    pushed = _Pushed(graph).run()
    flows = Flows(pushed)
    return _Placed(pushed, flows).run() if flows.place() else graph


class _Pushed(Rebuilder):
    """relu(concat(a, b)) = concat(relu(a), relu(b)), where each can follow what makes its part."""

    def node(self, node: Node) -> None:
        joined = self.graph.producers().get(node.inputs[0].id)
        readers = self.graph.consumers()
        if node.op != "relu" or joined is None or not misplaced(joined):
            super().node(node)
            return
        whole = (joined.output, *joined.inputs)
        if any(len(readers[v.id]) > 1 or v in self.graph.outputs for v in whole):
            super().node(node)
            return
        parts = [self.b.emit("relu", self.new[v.id]) for v in joined.inputs]
        self.bind(node.output, self.b.emit("concat", *parts, axis=1))


class _Placed(Rebuilder):
    """One walk that rebuilds the graph."""

    def __init__(self, graph: Graph, flows: Flows) -> None:
        super().__init__(graph)
        self.flows = flows
        self.changed = {v.id for v in graph.values() if flows.place_of(v) is not None}

    def node(self, node: Node) -> None:
        out = node.output
        if out.id in self.flows.cut:
            return  # in pieces, where they are joined
        if out.id in self.flows.plans:
            self._concat(node, self.flows.plans[out.id])
            return
        if joins(node):
            parts = [p for v in node.inputs for p in self._in_order(v)]
            self.bind(out, self.b.emit("concat", *parts, axis=1))
            return
        operands = [self.new[v.id] for v in node.inputs]
        self.bind_all(node, self._made(node, operands, self.flows.place_of(out)))

    def _made(
        self, node: Node, operands: list[Value], place: Place | None, piece: Piece | None = None
    ) -> Sequence[Value]:
        """A node whose result lies so, or that makes a piece of its channels."""
        graph, attrs, weights = self.graph, dict(node.attrs), list(operands)
        source = self.flows.place_of(node.inputs[0])
        product = self.flows.product(node)
        for i, v in enumerate(node.inputs):
            array = graph.constants.get(v.id)
            if array is None:
                continue
            made = array
            if product:
                if source is not None:
                    made = placed(made, 1, source.positions, source.extent)
                made = self._outer(made, 0, place, piece)
            else:
                axis = 0 if node.op == "conv" else 1 - (len(node.output.shape) - array.ndim)
                if 0 <= axis < array.ndim and array.shape[axis] > 1:
                    made = self._outer(made, axis, place, piece)
            if made is not array:
                weights[i] = self.b.constant(made, v.dtype, v.name)
        if node.op == "conv" and not product and place is not None:
            attrs["groups"] = place.extent
        return self.b.emit_all(node.op, weights, attrs, [v.dtype for v in node.outputs])

    @staticmethod
    def _outer(array: Array, axis: int, place: Place | None, piece: Piece | None) -> Array:
        if piece is not None:
            return cut_out(array, axis, piece)
        return array if place is None else placed(array, axis, place.positions, place.extent)

    def _concat(self, node: Node, plan: Plan) -> None:
        parts = list[Value]()
        for i, pieces in plan.parts:
            part = node.inputs[i]
            if not pieces:
                parts.append(self.new[part.id])
            for piece in pieces:
                parts.append(self._cut(part, piece))
        self.bind(node.output, self.b.emit("concat", *parts, axis=1))

    def _in_order(self, value: Value) -> list[Value]:
        """The channels of a value as they were, in slices that engines reach."""
        made, place = self.new[value.id], self.flows.place_of(value)
        if place is None:
            return [made]
        slices, at = list[Value](), 0
        while at < len(place.positions):
            first = int(place.positions[at])
            most = MOST.get(first % BLOCK, 1) if first % BLOCK else BLOCK
            run = (
                place.positions[at : at + most]
                == first + np.arange(most)[: len(place.positions) - at]
            )
            size = len(run) if run.all() else int(np.argmin(run))
            starts = tuple(first if d == 1 else 0 for d in range(made.rank))
            sizes = tuple(size if d == 1 else e for d, e in enumerate(made.shape))
            slices.append(
                self.b.emit("slice", made, starts=starts, sizes=sizes, steps=(1,) * made.rank)
            )
            at += size
        return slices

    def _cut(self, part: Value, piece: Piece) -> Value:
        """A piece of what a convolution and the nodes behind it make."""
        chain = self.flows.chain(part)
        value = chain[0].inputs[0]
        made = self.new[value.id]
        for node in chain:
            operands = [made if v is value else self.new[v.id] for v in node.inputs]
            with self.b.origin(node.sources, node.output.name):
                (made,) = self._made(node, operands, None, piece)
            value = node.output
        return made
