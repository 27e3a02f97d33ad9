"""shift-clips: a bias in front of a clip moves behind the next convolution.

Before   y = clip(conv(x, w) + b, lo, hi)              bias, max and min: two instructions
After    z = clip(conv(x, w), lo - b, hi - b)          max and min: one, as z = y - b
         conv(y, v) + c  becomes  conv(z, v) + (c + v b), with -b for its padding

A bias varies along channels, as the weights behind do. Left as it is where the bias would cost
precision: z is rounded to its storage type relative to |z|, so |b| is at most the clip's reach.

Needs    simplify: a clip reads relu and min, or max and min, of one number each.
Leaves   a graph that evaluates to the same values within rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compiler.graph.attrs import integer, pairs
from compiler.graph.graph import Array, Graph, Node, Value, is_float
from compiler.graph_passes.affine import merge_constants
from compiler.graph_passes.rebuild import OTHERWISE, Rebuilder
from compiler.graph_passes.rewriting import rewrite


def shift_clips(graph: Graph) -> Graph:
    """The graph with every such bias moved; the same graph where there is none."""
    shifts = _Shifts(graph)
    if not shifts.clips:
        return graph
    return rewrite(_Shifter(graph, shifts).run(), {"add": [merge_constants]})


@dataclass(frozen=True)
class _Clip:
    """clip(product + bias, low, high)."""

    product: Value
    bias: Array  # [C]
    low: float
    high: float

    @property
    def reach(self) -> float:
        """The largest magnitude of the result."""
        return max(abs(self.low), abs(self.high))


class _Shifts:
    """What moves.

    Attributes:
        clips: by the id of their result; all its readers can take a bias of their input.
        moved: the bias [O] that each such reader's product then lacks, by the product's id.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.makers, self.readers = graph.producers(), graph.consumers()
        self.kept = {v.id for v in graph.outputs}
        self.clips: dict[int, _Clip] = {}
        self.moved: dict[int, Array] = {}
        for node in graph.nodes:
            if node.op == "conv" and node.inputs[0].id in self.clips:
                self.moved[node.output.id] = self._behind(node)
            clip = self._clip(node)
            after = self.readers.get(node.output.id, [])
            if clip is not None and after and all(_takes(graph, r, node.output) for r in after):
                self.clips[node.output.id] = clip

    def _behind(self, conv: Node) -> Array:
        """What the bias of a convolution's input adds to its output."""
        bias = self.clips[conv.inputs[0].id].bias
        weights = self.graph.constants[conv.inputs[1].id].astype(np.float64)
        groups = integer(conv, "groups")
        by_group = weights.reshape(groups, -1, *weights.shape[1:])
        of_group = bias.reshape(groups, 1, -1, *([1] * (weights.ndim - 2)))
        return np.asarray((by_group * of_group).reshape(weights.shape[0], -1).sum(axis=1))

    def _clip(self, node: Node) -> _Clip | None:
        """The clip that ends in a node, if nobody reads what is inside it."""
        low, high, at = -math.inf, math.inf, node
        for _ in range(2):
            number = 0.0 if at.op == "relu" else _number(self.graph, at)
            inner = self.makers.get(at.inputs[0].id) if at.inputs else None
            if number is None or inner is None or at.op not in ("relu", "max", "min"):
                return None
            if at is not node and not self._inside(at.output):
                return None
            low, high = (low, min(high, number)) if at.op == "min" else (max(low, number), high)
            at = inner
        if at.op != "add" or not self._inside(at.output) or not -math.inf < low < high < math.inf:
            return None
        product, bias = at.inputs
        if self.graph.is_constant(product):
            product, bias = bias, product
        maker = self.makers.get(product.id)
        column = _column(self.graph, bias, product.rank)
        if maker is None or maker.op != "conv" or column is None or not is_float(product.dtype):
            return None
        if not self._inside(product):
            return None
        column = column + self.moved.get(product.id, 0.0)
        clip = _Clip(product, np.broadcast_to(column, product.shape[1]), low, high)
        return clip if np.all(np.abs(clip.bias) <= clip.reach) else None

    def _inside(self, value: Value) -> bool:
        """Whether one node reads a value, and nobody outside the graph does."""
        return len(self.readers.get(value.id, [])) == 1 and value.id not in self.kept


def _number(graph: Graph, node: Node) -> float | None:
    """The one number that a binary node compares its first operand with."""
    if len(node.inputs) != 2 or not graph.is_constant(node.inputs[1]):
        return None
    array = graph.constants[node.inputs[1].id]
    return float(array.reshape(-1)[0]) if array.size == 1 else None


def _column(graph: Graph, value: Value, rank: int) -> Array | None:
    """A constant that varies along channels only, [C] or [1]."""
    if not graph.is_constant(value):
        return None
    array = graph.constants[value.id].astype(np.float64)
    shape = (1,) * (rank - array.ndim) + array.shape
    if any(e > 1 for d, e in enumerate(shape) if d != 1):
        return None
    return array.reshape(-1)


def _takes(graph: Graph, node: Node, value: Value) -> bool:
    """Whether a bias of the input is one of the output, the padding aside."""
    if node.op != "conv" or not graph.is_constant(node.inputs[1]) or node.inputs[0] is not value:
        return False
    if node.attrs["fill"] or node.inputs[1] is value:
        return False
    padded = any(low or high for low, high in pairs(node, "pads"))
    depthwise = integer(node, "groups") == node.inputs[1].shape[0] == value.shape[1]
    return depthwise or not padded


class _Shifter(Rebuilder):
    """One rebuild of a graph."""

    def __init__(self, graph: Graph, shifts: _Shifts) -> None:
        super().__init__(graph)
        self.shifts = shifts
        self.inside = {clip.product.id for clip in shifts.clips.values()}
        self.changed = {*shifts.clips, *self.inside}

    def node(self, node: Node) -> None:
        clip = self.shifts.clips.get(node.output.id)
        if clip is not None:
            self._clipped(node, clip)
        elif node.output.id in self.shifts.moved:
            self._behind(node)
        else:
            super().node(node)

    def _clipped(self, node: Node, clip: _Clip) -> None:
        value = self.new[clip.product.id]
        for op, bound in (("max", clip.low), ("min", clip.high)):
            value = self.b.emit(op, value, self._channels(bound - clip.bias, value))
        self.bind(node.output, value)

    def _behind(self, node: Node) -> None:
        attrs = dict(node.attrs)
        if any(low or high for low, high in pairs(node, "pads")):
            bias = self.shifts.clips[node.inputs[0].id].bias
            attrs["fill"] = tuple(float(-x) for x in bias)
        with self.b.origin(node.sources, node.output.name + OTHERWISE):
            made = self.b.emit("conv", *(self.new[v.id] for v in node.inputs), **attrs)
        if node.output.id not in self.inside:  # else its clip is moved by that, too
            moved = self.shifts.moved[node.output.id]
            made = self.b.emit("add", made, self._channels(moved, made))
        self.bind(node.output, made)

    def _channels(self, column: Array, like: Value) -> Value:
        """A constant of one number a channel, beside a value."""
        shape = (1, -1, *([1] * (like.rank - 2)))
        return self.b.constant(column.reshape(shape).astype(like.dtype))
