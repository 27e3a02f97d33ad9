"""group-statistics: means of groups of channels are taken where the channels lie.

Before    r = reshape(x)                       x [n, c, h, w], r [n, g, m]: a row a group
          a = reduce mean(r), over m           [n, g, 1]
          y = reshape(r - a)                   [n, c, h, w]
After     a = conv(reduce mean(x), ones)       [n, c, 1, 1]; ones: g / c inside a group, else 0
          y = x - a

A row that holds several channels lies in one partition, the channels in one each: the two reshapes
would move every number, twice. A product with a constant adds up the channels' own means and gives
each channel its group's; for more than 128 channels it is two, by way of one number a group. These
products are `precise`: auto-cast leaves their operands in FP32, as it does with any statistic.

Needs    merged reshapes.
Leaves   a graph that evaluates to the same values, up to the order of sums.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compiler.graph.attrs import flag, integers, text
from compiler.graph.graph import FP32, Graph, Node, Value
from compiler.graph.ops import CORE_OPS, Family
from compiler.graph_passes.rebuild import Rebuilder

ELEMENTWISE = (Family.UNARY, Family.BINARY, Family.COMPARE, Family.SELECT, Family.CONVERT)
ONE_BLOCK = 128
"""Channels up to which one product does it: more would make its constant large."""


def group_statistics(graph: Graph) -> Graph:
    """The graph with what is computed in groups of channels computed on channels."""
    found = _regions(graph)
    return _OnChannels(graph, found).run() if found else graph


@dataclass
class _Region:
    """What is computed between a reshape into groups and the reshapes back.

    Attributes:
        channels, groups: values of x's shape, and those of one number a group, by id.
        back: the reshapes to x's shape, by the id of their result.
    """

    node: Node
    channels: set[int] = field(default_factory=set)
    groups: set[int] = field(default_factory=set)
    back: set[int] = field(default_factory=set)
    reduces: int = 0
    closed: bool = True

    @property
    def x(self) -> Value:
        return self.node.inputs[0]

    @property
    def row(self) -> tuple[int, ...]:
        """The shape in groups."""
        return self.node.output.shape

    @property
    def one(self) -> tuple[int, ...]:
        """The shape of one number a group."""
        return (*self.row[:2], *(1,) * (len(self.row) - 2))

    @property
    def count(self) -> int:
        """Groups."""
        return self.row[1]

    def reads(self, node: Node) -> bool:
        return any(v.id in self.channels or v.id in self.groups for v in node.inputs)

    def take(self, graph: Graph, node: Node) -> None:
        """Make a node that reads something of the region part of it; else it is not closed."""
        first, out = node.inputs[0], node.output
        if node.op == "reshape" and out.shape == self.x.shape and first.id in self.channels:
            self.back.add(out.id)
        elif node.op == "reduce" and first.id in self.channels and self._reduces(node):
            self.groups.add(out.id)
            self.reduces += 1
        elif CORE_OPS[node.op].family in ELEMENTWISE and all(
            self._fits(graph, v) for v in node.inputs
        ):
            if out.shape == self.row:
                self.channels.add(out.id)
            elif out.shape == self.one:
                self.groups.add(out.id)
            else:
                self.closed = False
        else:
            self.closed = False

    def _reduces(self, node: Node) -> bool:
        whole = integers(node, "axes") == tuple(range(2, len(self.row)))
        return whole and flag(node, "keepdims") and text(node, "kind") in ("mean", "sum")

    def _fits(self, graph: Graph, value: Value) -> bool:
        """Whether a value is of the region, or a constant with a number a group at most."""
        if value.id in self.channels or value.id in self.groups:
            return True
        wide = (1,) * (len(self.row) - value.rank) + value.shape
        small = len(wide) == len(self.row) and wide[0] == 1 and set(wide[2:]) <= {1}
        return graph.is_constant(value) and small and wide[1] in (1, self.count)


def _regions(graph: Graph) -> list[_Region]:
    found, outputs = list[_Region](), {v.id for v in graph.outputs}
    for at, node in enumerate(graph.nodes):
        if node.op != "reshape" or not _groups_channels(node):
            continue
        region = _Region(node, {node.output.id})
        for reader in graph.nodes[at + 1 :]:
            if not region.closed:
                break
            if region.reads(reader):
                region.take(graph, reader)
        inside = region.channels | region.groups
        if region.closed and region.reduces and region.back and not inside & outputs:
            found.append(region)
    return found


def _groups_channels(node: Node) -> bool:
    x, out = node.inputs[0], node.output
    if x.dtype != FP32 or x.rank < 3 or out.rank < 3 or x.shape[0] != out.shape[0]:
        return False
    return 0 < out.shape[1] < x.shape[1] and x.shape[1] % out.shape[1] == 0


class _OnChannels(Rebuilder):
    def __init__(self, graph: Graph, regions: list[_Region]) -> None:
        super().__init__(graph)
        self.begins = {r.node.output.id: r for r in regions}
        self.region_of = {i: r for r in regions for i in (*r.channels, *r.groups, *r.back)}
        self.averages: dict[tuple[int, int, bool], list[Value]] = {}

    def node(self, node: Node) -> None:
        out = node.output
        region = self.region_of.get(out.id)
        if region is None:
            super().node(node)
        elif out.id in self.begins or out.id in region.back:
            self.bind(out, self.new[node.inputs[0].id])
        elif node.op == "reduce":
            self.bind(out, self._statistic(node, region))
        else:
            operands = [self._operand(v, region) for v in node.inputs]
            self.bind_all(node, self.b.emit_all(node.op, operands, node.attrs, [out.dtype]))

    def _statistic(self, node: Node, region: _Region) -> Value:
        """[n, c, 1, ..]: the mean or the sum of each channel's group."""
        x, mean = self.new[node.inputs[0].id], text(node, "kind") == "mean"
        axes = tuple(range(2, x.rank))
        made = self.b.emit("reduce", x, kind=text(node, "kind"), axes=axes, keepdims=True)
        made = self.b.emit("reshape", made, shape=(*x.shape[:2], 1, 1))
        plain: dict[str, Any] = {
            "strides": (1, 1), "dilations": (1, 1), "pads": ((0, 0), (0, 0)), "groups": 1,
        }  # fmt: skip
        for weights in self._average(x.shape[1], region.count, mean):
            made = self.b.emit("conv", made, weights, **plain, precise=True)
        return self.b.emit("reshape", made, shape=(*x.shape[:2], *(1,) * (x.rank - 2)))

    def _average(self, channels: int, groups: int, mean: bool) -> list[Value]:
        """The constants by which channels become what their groups have, one after the other."""
        key = (channels, groups, mean)
        if key not in self.averages:
            each = channels // groups
            spread = np.repeat(np.eye(groups, dtype=np.float32), each, axis=0)
            summed = spread.T / np.float32(each) if mean else spread.T
            parts = [summed, spread] if channels > ONE_BLOCK else [spread @ summed]
            self.averages[key] = [self.b.constant(p[:, :, None, None], FP32) for p in parts]
        return self.averages[key]

    def _operand(self, value: Value, region: _Region) -> Value:
        array = self.graph.constants.get(value.id)
        if array is None:
            return self.new[value.id]
        rank, channels = region.x.rank, region.x.shape[1]
        if array.size > 1:
            array = np.repeat(array.reshape(-1), channels // region.count)
        shape = (1, array.size, *(1,) * (rank - 2))
        return self.b.constant(array.reshape(shape), value.dtype, value.name)
