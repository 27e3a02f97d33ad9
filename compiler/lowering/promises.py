"""Work that only the vector engine can do, known before it is lowered.

A layer's elementwise work goes to the engine with less to do. Where a pooling reads the layer's
result, the vector engine has that to do as well, at the same time: it counts from the layer on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from compiler.graph.attrs import integers, text
from compiler.graph.graph import Graph, Node
from compiler.lowering.band import banded_dim
from compiler.lowering.context import PARTITIONS, device_dtype
from compiler.lowering.groups import Group
from isa.dtypes import DType
from isa.hardware import Hardware


@dataclass
class Promises:
    """Seconds of the vector engine that are counted already, by node."""

    graph: Graph
    hw: Hardware
    made: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.readers = self.graph.consumers()

    def seconds(self, members: Group) -> float:
        """What a group adds to the vector engine's work: by its readers, less what was promised."""
        more = 0.0
        for node in self._poolings(members):
            if id(node) not in self.made:
                self.made[id(node)] = pooling_cycles(node) / self.hw.dve_clock_hz
                more += self.made[id(node)]
        return more - sum(self.made.get(id(n), 0.0) for n in members.nodes)

    def _poolings(self, members: Group) -> list[Node]:
        """Poolings that read what the group makes, perhaps through a concatenation."""
        values = [v for n in members.nodes for v in n.outputs]
        readers = [r for v in values for r in self.readers.get(v.id, [])]
        joins = [r for r in readers if r.op == "concat"]
        readers += [r for n in joins for r in self.readers.get(n.output.id, [])]
        return [r for r in readers if r.op == "reduce_window" and banded_dim(r) is None]


def pooling_cycles(node: Node) -> float:
    """Cycles of the vector engine for a pooling by `tensor_reduce`."""
    n, channels, *spatial = node.output.shape
    read = n * -(-channels // PARTITIONS) * math.prod(spatial) * math.prod(integers(node, "window"))
    fast = device_dtype(node.output.dtype) is DType.BF16 and text(node, "kind") in ("max", "sum")
    return read / 2 if fast else read
