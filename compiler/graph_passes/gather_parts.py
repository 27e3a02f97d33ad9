"""gather-parts: a look-up of more indices than their one-hot matrix has room, part by part.

Before   y = gather(x, indices)                      indices [N], computed at run time
After    y = concat of gather(x, indices[a:b])       each with room for its matrix [rows, b - a]

The machine looks up by a product with a one-hot matrix (`lowering/index.py`), whose columns are the
indices and whose rows, those of the table, lie on partitions.
"""

from __future__ import annotations

import math

from compiler.graph.attrs import integer
from compiler.graph.graph import Graph, Node
from compiler.graph_passes.rebuild import Rebuilder
from isa.hardware import Hardware

SHARE = 4
"""The part of SBUF that a matrix may fill: another is made while it is used."""
BESIDE = 2
"""Lines of indices beside the matrix: as they came, and counted from the start."""


def gather_parts(graph: Graph, hw: Hardware) -> Graph:
    """The graph with large look-ups in parts; the graph itself without any."""
    sizes = {id(n): size for n in graph.nodes if (size := _part(graph, n, hw))}
    return _Parts(graph, sizes).run() if sizes else graph


def _part(graph: Graph, node: Node, hw: Hardware) -> int:
    """How many indices have room at a time; 0 if all of them have."""
    if node.op != "gather" or graph.is_constant(node.inputs[1]):
        return 0
    blocks = -(-node.inputs[0].shape[integer(node, "axis")] // hw.partitions)
    room = hw.sbuf_partition_bytes // SHARE // (4 * (blocks + BESIDE))
    return room if 0 < room < node.inputs[1].size else 0


class _Parts(Rebuilder):
    def __init__(self, graph: Graph, sizes: dict[int, int]) -> None:
        super().__init__(graph)
        self.sizes = sizes

    def node(self, node: Node) -> None:
        size = self.sizes.get(id(node))
        if size is None:
            super().node(node)
            return
        table, indices = (self.new[v.id] for v in node.inputs)
        axis, count = integer(node, "axis"), math.prod(indices.shape)
        line = self.b.emit("reshape", indices, shape=(count,))
        parts = []
        for at in range(0, count, size):
            many = min(size, count - at)
            part = self.b.emit("slice", line, starts=(at,), sizes=(many,), steps=(1,))
            parts.append(self.b.emit("gather", table, part, axis=axis))
        whole = self.b.emit("concat", *parts, axis=axis)
        self.bind(node.output, self.b.emit("reshape", whole, shape=node.output.shape))
