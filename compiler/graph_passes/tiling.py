"""How a set of nodes is computed box by box from DRAM to DRAM: in which boxes, and what that takes.

In    nodes that end in one (the *sink*), a grid over its result
Out   `Tile`: the boxes of everything that a box of the result needs, bytes a partition, seconds
Read  `spill.py`, which chooses the nodes

What a tile takes is an estimate, of its largest box: transfers, products and elementwise work one
after another. Whether it fits is found by lowering it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compiler.graph.graph import Graph, Node, Value
from compiler.graph.ops import CORE_OPS, Family
from compiler.graph_passes.boxes import Box, Piece, piece, sizes, union, volume
from compiler.lowering.assemble import stored_as_made
from compiler.lowering.groups import group, never_whole
from compiler.lowering.layout import partition_dims
from isa.hardware import Hardware

PRODUCTS = ("matmul", "conv", "conv_transpose")
VIEWS = ("reshape", "transpose", "slice", "broadcast_to")
QUADRANT = 32
PIECES = 16 * 1024
"""Bytes a partition of a result that is stored piece by piece."""
TILE_S = 3e-6
"""What a tile costs for being one: transfers start, engines wait for the first of them."""


@dataclass(frozen=True)
class Tile:
    """A box of the sink's result and what it needs.

    Attributes:
        pieces: by position of the node; those that make nothing of this box are absent.
        reads: what comes from DRAM: (value id, box).
        partition_bytes: the most that is live at once.
        seconds: of all tiles together.
    """

    pieces: Mapping[int, Piece]
    reads: frozenset[tuple[int, Box]]
    partition_bytes: int
    seconds: float


class Tiling:
    """Boxes of sets of nodes of one graph. `item` is the size of most elements, in bytes."""

    def __init__(self, graph: Graph, hw: Hardware, item: int) -> None:
        self.graph, self.hw, self.item = graph, hw, item
        self.fused = never_whole(graph, group(graph))
        self.dims = partition_dims(graph)
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], Tile] = {}

    def boxes(self, shape: Sequence[int], grid: Sequence[int]) -> list[list[tuple[int, int]]]:
        """The parts of each dimension, so many or fewer: whole blocks of partitions where long."""
        parts = []
        for extent, many in zip(shape, grid, strict=True):
            size = -(-extent // many)
            unit = next((u for u in (self.hw.partitions, QUADRANT) if size >= u and many > 1), 1)
            size = -(-size // unit) * unit
            parts.append([(at, min(size, extent - at)) for at in range(0, extent, size)])
        return parts

    def pieces(self, nodes: Sequence[Node], box: Box) -> dict[int, Piece]:
        """What each node makes for a box of the last one's result, by its position."""
        asked: dict[int, Box] = {v.id: box for v in nodes[-1].outputs}
        found: dict[int, Piece] = {}
        for i in reversed(range(len(nodes))):
            wanted = [asked[v.id] for v in nodes[i].outputs if v.id in asked]
            if not wanted:
                continue
            around = wanted[0]
            for other in wanted[1:]:
                around = union(around, other)
            made = found[i] = piece(nodes[i], around, self.graph.constants)
            for j, (v, read) in enumerate(zip(nodes[i].inputs, made.reads, strict=True)):
                if read is not None and j not in made.replaced:
                    asked[v.id] = union(asked[v.id], read) if v.id in asked else read
        return found

    def tile(self, nodes: Sequence[Node], grid: Sequence[int]) -> Tile:
        """The tile in the middle, and what all of them take."""
        key = (tuple(map(id, nodes)), tuple(grid))
        if key not in self._known:
            self._known[key] = self._tile(nodes, grid)
        return self._known[key]

    def _tile(self, nodes: Sequence[Node], grid: Sequence[int]) -> Tile:
        parts = self.boxes(nodes[-1].output.shape, grid)
        box = tuple(p[len(p) // 2 if len(p) > 2 else 0] for p in parts)
        pieces = self.pieces(nodes, box)
        tiles = math.prod(map(len, parts))
        inside = {v.id for n in nodes for v in n.outputs}
        reads: set[tuple[int, Box]] = set()
        weights, seconds = 0.0, 0.0
        for i, made in pieces.items():
            for j, (v, read) in enumerate(zip(nodes[i].inputs, made.reads, strict=True)):
                if read is None or j in made.replaced or v.id in inside:
                    continue
                if not self.graph.is_constant(v):
                    reads.add((v.id, read))
                elif nodes[i].op in PRODUCTS:
                    weights += volume(read) * self.item
            seconds += self._work(nodes[i], made)
        shapes = {v.id: v.shape for n in nodes for v in (*n.inputs, *n.outputs)}
        moved = sum(self._moved(shapes[v], read) for v, read in reads)
        moved += sum(self._moved(v.shape, box) for v in nodes[-1].outputs)
        seconds += (weights + moved) / self.hw.core_dram_bytes_per_s + TILE_S
        return Tile(pieces, frozenset(reads), self._live(nodes, pieces, reads), tiles * seconds)

    def _moved(self, shape: Sequence[int], box: Box) -> float:
        """Bytes of a transfer; a descriptor counts as what could be moved in its time."""
        run = self.item
        for extent, (_, size) in zip(reversed(shape), reversed(box), strict=True):
            run *= size
            if size < extent:
                break
        descriptor = self.hw.dma_descriptor_ns * self.hw.dma_engine_bytes_per_s / 1e9
        return volume(box) * self.item * (1 + descriptor / max(1, run))

    def _work(self, node: Node, made: Piece) -> float:
        """Seconds that an engine is busy."""
        hw, elements = self.hw, volume(made.made)
        if node.op in PRODUCTS:
            read = made.reads[1]
            assert read is not None, "a product reads both operands"
            depth = volume(read) // max(1, read[-1][1] if node.op == "matmul" else read[0][1])
            return elements * depth / (hw.macs_per_cycle * hw.pe_clock_hz)
        if CORE_OPS[node.op].family is Family.MOVE:
            return 0.0
        read = next((r for r in made.reads if r is not None), made.made)
        return max(elements, volume(read)) / (hw.partitions * hw.dve_clock_hz)

    def _live(
        self, nodes: Sequence[Node], pieces: Mapping[int, Piece], reads: set[tuple[int, Box]]
    ) -> int:
        """The most bytes a partition at once: operands from their first use to their last."""
        first: dict[object, int] = {}
        last: dict[object, int] = {}
        size: dict[object, int] = {}
        for i, made in sorted(pieces.items()):
            for v in nodes[i].outputs:
                first[v.id], last[v.id] = i, i
                free = v.id in self.fused or nodes[i].op in VIEWS
                size[v.id] = 0 if free else self._spread(v, made.made)
                if i == len(nodes) - 1 and stored_as_made(nodes[i]):
                    size[v.id] = min(size[v.id], PIECES)
            for v, read in zip(nodes[i].inputs, made.reads, strict=True):
                key: object = (v.id, read)
                if (v.id, read) in reads and read is not None:
                    first.setdefault(key, i)
                    size[key] = self._spread(v, read)
                    last[key] = i
                elif v.id in last:
                    last[v.id] = i
        for i in sorted(pieces, reverse=True):  # operands stay for what is fused, or a view of them
            made = pieces[i]
            ends = [last[v.id] for v in nodes[i].outputs if not size.get(v.id)]
            for v, read in zip(nodes[i].inputs, made.reads, strict=True):
                key = (v.id, read) if (v.id, read) in last else v.id
                if ends and key in last:
                    last[key] = max(last[key], *ends)
        change = [0] * (len(nodes) + 1)
        for key, bytes_of_it in size.items():
            change[first[key]] += bytes_of_it
            change[last[key] + 1] -= bytes_of_it
        return max(itertools.accumulate(change))

    def _spread(self, value: Value, box: Box) -> int:
        """Bytes a partition of a box in the layout that the value will have."""
        extents = sizes(box)
        if not extents:
            return self.item
        dim = self.dims[value.id]
        item = min(value.dtype.itemsize, 4) if value.dtype.kind != "f" else self.item
        return math.prod(extents) // extents[dim] * -(-extents[dim] // self.hw.partitions) * item


def finer(
    tiling: Tiling, nodes: Sequence[Node], grid: tuple[int, ...], budget: float
) -> tuple[tuple[int, ...], Tile]:
    """The grid halved in one dimension after another until a tile takes no more than the budget,
    or no halving makes it smaller. Each time that which costs the least for what it frees."""
    shape, here = nodes[-1].output.shape, tiling.tile(nodes, grid)
    while here.partition_bytes > budget:
        best: tuple[float, tuple[int, ...], Tile] | None = None
        for d, extent in enumerate(shape):
            if 2 * grid[d] >= 2 * extent:
                continue
            cut = (*grid[:d], min(extent, 2 * grid[d]), *grid[d + 1 :])
            made = tiling.tile(nodes, cut)
            freed = here.partition_bytes - max(made.partition_bytes, budget)
            if freed <= 0:
                continue
            price = (made.seconds - here.seconds + 1e-9 * made.seconds) / freed
            if best is None or price < best[0]:
                best = price, cut, made
        if best is None:
            break
        _, grid, here = best
    return grid, here


def places(parts: Sequence[Sequence[tuple[int, int]]]) -> list[Box]:
    """The boxes of a grid in row-major order."""
    return list(itertools.product(*parts))
