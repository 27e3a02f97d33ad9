"""spill: what has no place on chip is computed from DRAM to DRAM, box by box.

Before    h = softmax(x) over columns [8192, 4096]; y = matmul(transpose(h), h)

After     h = assemble of softmax(slice(x, columns j))              for each box j of columns
          y = assemble of matmul(transpose(slice(h, ..)), slice(h, ..))     for each box of y

The last resort of the pipeline: every value that more than one *segment* needs lies in DRAM. A
segment is a node, the sink, and what is only read on the way to it; its nodes run one after another
on the part of their operands that a box of the sink's result needs (`boxes.py`). Whether a producer
joins its reader is a matter of time: what its own trip through DRAM costs, against what is computed
again in every box. Movements join all who read them.

Needs    static shapes; before auto-cast. After it, equal slices must not be merged: each tile loads
         for itself (`reading` of the core op).
Leaves   a graph that evaluates to the same values, but for the order of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.errors import CapacityError
from compiler.graph.graph import Attr, Graph, Node, Value
from compiler.graph_passes.boxes import Box, Piece, sizes, whole
from compiler.graph_passes.rebuild import Rebuilder
from compiler.graph_passes.split_sums import split_sums, splits
from compiler.graph_passes.tiling import VIEWS, Tile, Tiling, finer, places
from isa.hardware import Hardware

MOST = 2
"""Rooms that a tile may fill where nothing is loaded beside it."""
ALONE = 1.25
"""What that costs, times the work."""
LESS = 0.7
"""A tile that does not fit is cut until it is estimated to take so much less."""
TRIES = 9
AHEAD = 5
"""Nodes that join together where one by one they would not: a sum of squares without the squares
reads more than both."""
MOST_NODES = 200
"""Nodes of a segment, and so of the search for those that may join it."""

Fits = Callable[[Graph], bool]
Grid = tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """Nodes in order, the sink last, and the grid over its result."""

    nodes: tuple[Node, ...]
    grid: Grid


class UnfitError(CapacityError):
    """A node that has no room however it is cut."""

    def __init__(self, node: Node, partition_bytes: int) -> None:
        super().__init__(
            "SYS-S006",
            "a box of every operation fits in SBUF",
            found=f"about {partition_bytes} bytes a partition for the least box",
            at=", ".join(map(str, node.sources)) or node.op,
        )
        self.node, self.partition_bytes = node, partition_bytes


def spill(graph: Graph, hw: Hardware, item: int, fits: Fits, room: int) -> Graph:
    """The graph in segments, each in boxes that fit.

    Args:
        item: bytes of an element as most values will lie in SBUF.
        fits: whether a graph, of one tile, can be lowered.
        room: percent of SBUF that a tile may fill as estimated: the next is loaded beside it.
    Raises:
        UnfitError: a node has no room however it is cut.
    """
    tiling = Tiling(graph, hw, item)
    budget = hw.sbuf_partition_bytes * room // 100
    parts = _parts_of_sums(tiling, hw, budget)
    if parts:
        tiling = Tiling(split_sums(graph, parts), hw, item)
        graph = tiling.graph
    return _Spiller(graph, tiling, Segments(graph, tiling, budget, fits).run()).run()


def _parts_of_sums(tiling: Tiling, hw: Hardware, budget: int) -> dict[int, int]:
    """In how many parts sums are taken whose operands have no room, by the node's identity.

    Products are to fill the array: 128 rows and a whole tile of columns, or all there are.
    """
    found = {}
    for node in tiling.graph.nodes:
        if not splits(node):
            continue
        shape = node.output.shape
        if node.op == "reduce":
            tile = finer(tiling, (node,), (1,) * len(shape), budget)[1]
        else:
            rows, columns = (1, len(shape) - 1) if node.op == "conv" else (-2, -1)
            least = [1] * len(shape)
            least[rows], least[columns] = hw.partitions, hw.pe_moving_max
            grid = [-(-extent // size) for extent, size in zip(shape, least, strict=True)]
            tile = tiling.tile((node,), grid)
        if tile.partition_bytes > MOST * budget:
            found[id(node)] = -(-tile.partition_bytes // budget)
    return found


class Segments:
    """The search for segments, from the outputs to the inputs."""

    def __init__(self, graph: Graph, tiling: Tiling, budget: int, fits: Fits) -> None:
        self.graph, self.tiling, self.fits = graph, tiling, fits
        self.budget, self.most = budget, MOST * budget
        self.readers, self.producers = graph.consumers(), graph.producers()
        self.place = {id(n): i for i, n in enumerate(graph.nodes)}
        self.stored = {v.id for v in graph.outputs}
        self.alone: dict[int, Tile] = {}

    def run(self) -> list[Segment]:
        """The segments, in an order in which they can run."""
        found = []
        for node in reversed(self.graph.nodes):
            if any(v.id in self.stored for v in node.outputs):
                made = self._segment(node)
                inside = {v.id for n in made.nodes for v in n.outputs}
                self.stored |= {v.id for n in made.nodes for v in n.inputs} - inside
                found.append(made)
        return found[::-1]

    def _segment(self, sink: Node) -> Segment:
        """The sink with all that gains by being computed with it, cut until it fits."""
        grid, tile = finer(self.tiling, (sink,), (1,) * len(sink.output.shape), self.budget)
        joined, ahead, refused = [sink], list[Node](), set[int]()
        while True:
            candidate = self._candidate([*joined, *ahead], refused)
            if candidate is None or len(ahead) == AHEAD or len(joined) > MOST_NODES:
                if not ahead:
                    return self._fitting(joined)
                refused.add(id(ahead[0]))
                ahead = []
                continue
            ahead.append(candidate)
            nodes = self._ordered([*joined, *ahead])
            for search in (self._finer, self._anew):
                cut, made = search(nodes, grid)
                if self._gains(ahead, made, tile):
                    joined, ahead, grid, tile = [*joined, *ahead], [], cut, made
                    break

    def _ordered(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        return tuple(sorted(nodes, key=lambda n: self.place[id(n)]))

    def _finer(self, nodes: tuple[Node, ...], grid: Grid) -> tuple[Grid, Tile]:
        return finer(self.tiling, nodes, grid, self.budget)

    def _anew(self, nodes: tuple[Node, ...], grid: Grid) -> tuple[Grid, Tile]:
        """Another grid, from the start: what joins may want other boxes, or larger ones."""
        start = (1,) * len(grid)
        made = [finer(self.tiling, nodes, start, room) for room in (self.most, self.budget)]
        return min(made, key=lambda m: (max(self.most, m[1].partition_bytes), self._price(m[1])))

    def _price(self, tile: Tile) -> float:
        """Seconds, more where nothing is loaded beside the work."""
        return tile.seconds * (ALONE if tile.partition_bytes > self.budget else 1)

    def _candidate(self, nodes: Sequence[Node], refused: set[int]) -> Node | None:
        """The last node in front that only these read, or that is a mere movement."""
        inside = {id(n) for n in nodes}
        best: Node | None = None
        for v in (v for n in nodes for v in n.inputs):
            p = self.producers.get(v.id)
            if p is None or id(p) in inside or id(p) in refused:
                continue
            read = {id(r) for out in p.outputs for r in self.readers.get(out.id, [])}
            alone = read <= inside and not any(out.id in self.stored for out in p.outputs)
            if not alone and p.op not in VIEWS:
                continue
            if best is None or self.place[id(p)] > self.place[id(best)]:
                best = p
        return best

    def _gains(self, nodes: Sequence[Node], together: Tile, before: Tile) -> bool:
        """Whether nodes are better computed with their readers than each by itself."""
        if together.partition_bytes > max(self.most, before.partition_bytes):
            return False
        apart = sum(self._price(self._alone(n)) for n in nodes)
        return self._price(together) <= self._price(before) + apart

    def _alone(self, node: Node) -> Tile:
        if id(node) not in self.alone:
            grid = (1,) * len(node.output.shape)
            self.alone[id(node)] = finer(self.tiling, (node,), grid, self.budget)[1]
        return self.alone[id(node)]

    def _fitting(self, joined: Sequence[Node]) -> Segment:
        """The nodes in a grid whose tile can be lowered; where none can, fewer of them."""
        nodes = self._ordered(joined)
        grid, tile = self._anew(nodes, nodes[-1].output.shape)
        for _ in range(TRIES):
            segment = Segment(nodes, grid)
            if self.fits(one_tile(self.graph, self.tiling, segment)):
                return segment
            cut, smaller = finer(self.tiling, nodes, grid, LESS * tile.partition_bytes)
            if cut == grid:
                break
            grid, tile = cut, smaller
        if len(nodes) == 1:
            raise UnfitError(nodes[0], tile.partition_bytes)
        return self._fitting(joined[: len(joined) // 2])


def one_tile(graph: Graph, tiling: Tiling, segment: Segment) -> Graph:
    """A tile of a segment by itself, from the middle, its operands inputs."""
    made = _Spiller(graph, tiling, ())
    inside = {v.id for n in segment.nodes for v in n.outputs}
    for v in (v for n in segment.nodes for v in n.inputs):
        if v.id not in inside and v.id not in made.new:
            made.bind(v, made.constant(v) if graph.is_constant(v) else made.input(v))
    parts = tiling.boxes(segment.nodes[-1].output.shape, segment.grid)
    box = tuple(p[len(p) // 2 if len(p) > 2 else 0] for p in parts)
    for v, value in zip(segment.nodes[-1].outputs, made.tile(segment, box), strict=True):
        with made.b.origin(segment.nodes[-1].sources, v.name):
            whole_of_it = value if not box else made.b.emit("assemble", value, grid=(1,) * len(box))
            made.b.output(whole_of_it, v.name)
    return made.b.finish()


class _Spiller(Rebuilder):
    """The walk that emits segments, tile by tile."""

    def __init__(self, graph: Graph, tiling: Tiling, segments: Sequence[Segment]) -> None:
        super().__init__(graph)
        self.tiling, self.segments, self.reading = tiling, segments, 0
        self.parts: dict[tuple[int, Box], Value] = {}  # of constants

    def nodes(self) -> None:
        for segment in self.segments:
            sink = segment.nodes[-1]
            parts = self.tiling.boxes(sink.output.shape, segment.grid)
            made = [self.tile(segment, box) for box in places(parts)]
            for v, tiles in zip(sink.outputs, zip(*made, strict=True), strict=True):
                with self.b.origin(sink.sources, v.name):
                    grid = tuple(map(len, parts))
                    self.bind(v, self.b.emit("assemble", *tiles, grid=grid) if grid else tiles[0])

    def tile(self, segment: Segment, box: Box) -> list[Value]:
        """A box of each result of the sink."""
        self.reading += 1
        pieces = self.tiling.pieces(segment.nodes, box)
        local: dict[int, tuple[Value, Box]] = {}
        for i, made in sorted(pieces.items()):
            node = segment.nodes[i]
            with self.b.origin(node.sources, node.output.name):
                for v, value in zip(node.outputs, self._made(node, made, local), strict=True):
                    local[v.id] = value, made.made
        sink = segment.nodes[-1]
        with self.b.origin(sink.sources, sink.output.name):
            return [self._part(*local[v.id], box) for v in sink.outputs]

    def _made(
        self, node: Node, made: Piece, local: dict[int, tuple[Value, Box]]
    ) -> tuple[Value, ...]:
        kinds = [v.dtype for v in node.outputs]
        if made.filled is not None:
            number = self.b.constant(np.full(sizes(made.made), made.filled, kinds[0]))
            return (number,)
        operands = []
        for i, (v, read) in enumerate(zip(node.inputs, made.reads, strict=True)):
            if i in made.replaced:
                operands.append(self.b.constant(made.replaced[i], v.dtype))
            elif read is not None:
                operands.append(self._operand(v, read, local))
        if node.op == "concat" and len(operands) == 1:
            return (operands[0],)
        attrs: dict[str, Attr] = {**node.attrs, **made.attrs}
        return self.b.emit_all(node.op, operands, attrs, kinds)

    def _operand(self, v: Value, box: Box, local: dict[int, tuple[Value, Box]]) -> Value:
        if v.id in local:
            return self._part(*local[v.id], box)
        if not box or (self.graph.is_constant(v) and box == whole(v.shape)):
            return self.new[v.id]
        if not self.graph.is_constant(v):
            return self._slice(self.new[v.id], box, self.reading)
        if (v.id, box) not in self.parts:
            self.parts[v.id, box] = self._slice(self.new[v.id], box, 0)
        return self.parts[v.id, box]

    def _part(self, value: Value, base: Box, box: Box) -> Value:
        if box == base:
            return value
        inner = tuple((first - at, size) for (first, size), (at, _) in zip(box, base, strict=True))
        return self._slice(value, inner, 0)

    def _slice(self, value: Value, box: Box, reading: int) -> Value:
        starts, steps = tuple(first for first, _ in box), (1,) * len(box)
        return self.b.emit(
            "slice", value, starts=starts, sizes=sizes(box), steps=steps, reading=reading
        )
