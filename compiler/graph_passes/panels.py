"""panels: a product of two matrices that do not fit on chip, panel by panel.

Before     y = matmul(a, b)            a [M, K] and b [K, N] read from DRAM, y left there

After      for each strip of rows of a (resident: loaded, and where needed transposed, once)
               for each panel of columns of b (read anew for every strip)
                   a product for each block of rows in the strip
           y = what is joined of them, each part stored when it is made

The strip is as high as leaves room for two panels, so that one is loaded while the other is used.
Operands are inputs or constants: what is made on chip and does not fit is `stripe`'s matter.

Needs    static shapes; before auto-cast. After it, equal slices must not be merged: each reading
         of a panel is a load of its own (`reading` of the core op).
Leaves   a graph that evaluates to the same values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.graph.attrs import flag
from compiler.graph.graph import Graph, Node, Value
from compiler.graph_passes.rebuild import Rebuilder
from isa.hardware import Hardware

BLOCK = 128
"""Rows of the resident operand in one product."""

SPARE = 1
"""Blocks of the next strip that are loaded while the last one of this strip is in use."""

STAGES = 16 * 1024
"""Bytes a partition for what is under way: rows not yet transposed, casts, results."""


@dataclass(frozen=True)
class Panels:
    """How a product is cut: the number of strips, columns of a panel."""

    strips: int
    columns: int


def panels(graph: Graph, hw: Hardware, item: int) -> Graph:
    """The graph with every product that is too large cut; the graph itself without any.

    Args:
        item: bytes of an element as it will lie in SBUF.
    """
    cuts = {id(n): c for n in graph.nodes if (c := _cut(graph, n, hw, item)) is not None}
    return _Cutter(graph, cuts).run() if cuts else graph


def _cut(graph: Graph, node: Node, hw: Hardware, item: int) -> Panels | None:
    """The panels of a product; None for one that fits, or that this pass does not cut."""
    if node.op != "matmul" or any(len(v.shape) != 2 for v in node.inputs):
        return None
    outside = {v.id for v in graph.inputs}
    if any(v.id not in outside and not graph.is_constant(v) for v in node.inputs):
        return None
    rows, columns = node.output.shape
    inner = node.inputs[0].shape[1 - flag(node, "transpose_a")]
    depth = -(-inner // hw.partitions) * item
    if depth * (rows + columns) + STAGES <= hw.sbuf_partition_bytes:
        return None
    read = [item if graph.is_constant(v) else v.dtype.itemsize for v in node.inputs]
    descriptor = hw.dma_descriptor_ns * hw.dma_engine_bytes_per_s / 1e9  # its cost in bytes
    array = rows * inner * columns / (hw.macs_per_cycle * hw.pe_clock_hz)
    best: tuple[float, Panels] | None = None
    width = hw.pe_moving_max
    while width >= hw.pe_min_interval:
        room = hw.sbuf_partition_bytes - STAGES - 2 * depth * width
        blocks = room // (depth * BLOCK) - SPARE
        if blocks > 0:
            strips = -(-rows // (blocks * BLOCK))
            panel = min(columns, width) * read[1]
            loaded = strips * inner * columns * read[1] * (1 + descriptor / panel)
            seconds = max(loaded / hw.core_dram_bytes_per_s, array)
            if best is None or seconds < best[0]:
                best = seconds, Panels(strips, min(columns, width))
        width //= 2
    return None if best is None else best[1]


def _turning(firsts: range, strip: int) -> list[tuple[int, int]]:
    """The panels of a strip, in the order of their use, each with the number of its reading.

    Every other strip goes backwards and begins with the panel that the strip before it ended with.
    """
    numbered = [(at, strip) for at in firsts]
    numbered[0] = (firsts[0], (strip + 1) // 2)
    numbered[-1] = (firsts[-1], strip // 2)
    return numbered if strip % 2 == 0 else numbered[::-1]


class _Cutter(Rebuilder):
    def __init__(self, graph: Graph, cuts: dict[int, Panels]) -> None:
        super().__init__(graph)
        self.cuts = cuts

    def node(self, node: Node) -> None:
        cut = self.cuts.get(id(node))
        if cut is None:
            super().node(node)
            return
        a, b = (self.new[v.id] for v in node.inputs)
        self.new[node.output.id] = self._product(node, a, b, cut)

    def _product(self, node: Node, a: Value, b: Value, cut: Panels) -> Value:
        rows, columns = node.output.shape
        a_dim, b_dim = int(flag(node, "transpose_a")), 1 - int(flag(node, "transpose_b"))
        joined = []
        firsts = list(range(0, rows, BLOCK))
        for strip, mine in enumerate(np.array_split(firsts, cut.strips)):
            blocks = [self._slice(a, a_dim, at, min(rows, at + BLOCK), 0) for at in mine.tolist()]
            parts: dict[int, list[Value]] = {}
            for at, reading in _turning(range(0, columns, cut.columns), strip):
                panel = self._slice(b, b_dim, at, min(columns, at + cut.columns), reading)
                parts[at] = [self.b.emit("matmul", x, panel, **node.attrs) for x in blocks]
            rows_of = zip(*(parts[at] for at in sorted(parts)), strict=True)
            joined += [self._joined(list(made), 1) for made in rows_of]
        return self._joined(joined, 0)

    def _joined(self, parts: list[Value], axis: int) -> Value:
        return parts[0] if len(parts) == 1 else self.b.emit("concat", *parts, axis=axis)

    def _slice(self, value: Value, dim: int, first: int, last: int, reading: int) -> Value:
        starts, sizes = [0, 0], list(value.shape)
        starts[dim], sizes[dim] = first, last - first
        return self.b.emit(
            "slice",
            value,
            starts=tuple(starts),
            sizes=tuple(sizes),
            steps=(1, 1),
            reading=reading,
        )
