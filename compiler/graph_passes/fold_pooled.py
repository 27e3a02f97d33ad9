"""fold-pooled: a convolution of half as many channels as there are partitions, or of a quarter, and
a pooling behind it.

Before                                         After, in two blocks of rows
    a = conv(x)            [1, 64, 111, 111]       a = conv(x, folds (1, 2))    [1, 128, 57, 111]
    b = relu(a)            [1, 64, 111, 111]       b = relu(a)                  [1, 128, 57, 111]
    c = maxpool 3x3/2 (b)  [1, 64, 55, 55]         c = maxpool 3x3/2 (b)        [1, 128, 28, 55]
    d = conv1x1(c)         [1, 16, 55, 55]         d = conv(c, folds (2, 1))    [1, 16, 55, 55]

The elementwise engines do all blocks at once, in half the time or a quarter. The blocks share the
rows that the windows at their border read: these are computed twice, and no row is fetched from
elsewhere. Where the first window begins in the padding, the first row stands there once more
(`lead`), which changes no maximum. Who reads the pooling and is no convolution of one tap gets it
from one with the identity.

Needs    static shapes, batch 1; before striping.
Leaves   a graph that evaluates to the same values; folded convolutions carry `folds`, `shared`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.graph.attrs import integer, integers, pairs, text
from compiler.graph.graph import Array, Graph, Node, Value
from compiler.graph_passes.fold_rows import LEAST, SAFE, one_tap
from compiler.graph_passes.rebuild import Rebuilder

PARTITIONS = 128
BLOCKS = (4, 2)
"""As many as the partitions have room for."""


@dataclass(frozen=True)
class _Chain:
    """A convolution, the elementwise nodes behind it, a pooling, and rows that blocks share."""

    conv: Node
    between: tuple[Node, ...]
    pool: Node
    blocks: int
    shared: int
    shared_pooled: int
    lead: int

    @property
    def room(self) -> int:
        """Channels of a block."""
        return PARTITIONS // self.blocks


def fold_pooled(graph: Graph) -> Graph:
    """The graph with every such chain folded; the same graph where there is none."""
    found = [c for c in (_chain(graph, n) for n in graph.nodes) if c is not None]
    pooled = {c.pool.output.id for c in found}
    chains = [c for c in found if c.conv.inputs[0].id not in pooled]
    return _Folder(graph, chains).run() if chains else graph


def _chain(graph: Graph, pool: Node) -> _Chain | None:
    if pool.op != "reduce_window" or text(pool, "kind") != "max" or len(pool.output.shape) != 4:
        return None
    makers, readers = graph.producers(), graph.consumers()
    kept = {v.id for v in graph.outputs}
    between: list[Node] = []
    node = makers.get(pool.inputs[0].id)
    while node is not None and _plain(graph, node, readers, kept) and node.op in SAFE:
        between.insert(0, node)
        node = makers.get(node.inputs[0].id)
    if node is None or node.op != "conv" or not _plain(graph, node, readers, kept):
        return None
    n, channels, *_ = node.output.shape
    behind = readers.get(pool.output.id, [])
    reads = any(_takes_blocks(graph, r) for r in behind)
    blocks = next((b for b in BLOCKS if channels * b <= PARTITIONS), 1)
    small = n == 1 and blocks > 1 and integer(node, "groups") == 1
    unfolded = node.attrs.get("folds", (1, 1)) == (1, 1)
    if not (reads and small and unfolded and pool.output.id not in kept):
        return None
    rows = _rows(pool, blocks)
    return _Chain(node, tuple(between), pool, blocks, *rows) if rows is not None else None


def _takes_blocks(graph: Graph, node: Node) -> bool:
    return node.op == "conv" and one_tap(node) and graph.is_constant(node.inputs[1])


def _plain(graph: Graph, node: Node, readers: dict[int, list[Node]], kept: set[int]) -> bool:
    """Whether a node has one computed operand and one reader; a column a channel beside it."""
    if len(node.outputs) != 1 or node.output.id in kept or len(readers[node.output.id]) != 1:
        return False
    if graph.is_constant(node.inputs[0]):
        return False
    if node.op == "conv":
        return graph.is_constant(node.inputs[1])
    full = [(1,) * (4 - len(v.shape)) + v.shape for v in node.inputs[1:]]
    columns = all(f[0] == f[2] == f[3] == 1 for f in full if len(f) == 4)
    return columns and all(graph.is_constant(v) for v in node.inputs[1:])


def _rows(pool: Node, blocks: int) -> tuple[int, int, int] | None:
    """Rows that blocks share in front of the pooling and behind it, and rows of padding above the
    first; None if they cannot."""
    height, made = pool.inputs[0].shape[2], pool.output.shape[2]
    stride, window = integers(pool, "strides")[0], integers(pool, "window")[0]
    used, lead = (made - 1) * stride + window, pairs(pool, "pads")[0][0]
    far = lead >= window or integers(pool, "dilations")[0] != 1
    if far or used != height + lead or made * pool.output.shape[3] < blocks * LEAST:
        return None
    block = -(-made // blocks)
    shared, uneven = divmod(blocks * block - made, blocks - 1)
    if uneven:
        return None
    return (block - 1) * stride + window - (block - shared) * stride, shared, lead


class _Folder(Rebuilder):
    keeps_names = True

    def __init__(self, graph: Graph, chains: list[_Chain]) -> None:
        super().__init__(graph)
        self.makes = {id(c.conv): c for c in chains}
        self.inside = {id(n): c for c in chains for n in (*c.between, c.pool)}
        self.wholes: dict[int, Value] = {}
        self.reads = {c.pool.output.id: c for c in chains}
        self.changed = {n.output.id for c in chains for n in (c.conv, *c.between, c.pool)}

    def node(self, node: Node) -> None:
        operands = [self.new[v.id] for v in node.inputs]
        attrs = dict(node.attrs)
        if id(node) in self.makes:
            chain = self.makes[id(node)]
            attrs |= {"folds": (1, chain.blocks), "shared": (0, chain.shared), "lead": chain.lead}
            operands[1] = self._weights(node, 0, chain.room)
        elif node.inputs[0].id in self.reads and _takes_blocks(self.graph, node):
            chain = self.reads[node.inputs[0].id]
            attrs |= {"folds": (chain.blocks, 1), "shared": (chain.shared_pooled, 0)}
            operands[1] = self._weights(node, 1, chain.room)
        elif id(node) in self.inside:
            chain = self.inside[id(node)]
            operands[1:] = [self._repeated(v, chain) for v in node.inputs[1:]]
            if node is chain.pool:
                attrs["pads"] = ((0, 0), *pairs(node, "pads")[1:])
        else:
            for i, v in enumerate(node.inputs):
                if v.id in self.reads:
                    operands[i] = self._whole(self.reads[v.id])
        kinds = [v.dtype for v in node.outputs]
        self.bind_all(node, self.b.emit_all(node.op, operands, attrs, kinds))

    def _whole(self, chain: _Chain) -> Value:
        """The pooling's result out of its blocks."""
        value = chain.pool.output
        if value.id not in self.wholes:
            eye = np.eye(value.shape[1], chain.room, dtype=value.dtype)
            self.wholes[value.id] = self.b.emit(
                "conv",
                self.new[value.id],
                self.b.constant(eye.reshape(*eye.shape, 1, 1)),
                strides=(1, 1),
                dilations=(1, 1),
                pads=((0, 0), (0, 0)),
                groups=1,
                folds=(chain.blocks, 1),
                shared=(chain.shared_pooled, 0),
            )
        return self.wholes[value.id]

    def _weights(self, node: Node, dim: int, room: int) -> Value:
        """The weights with zeros for the channels that fill a block up."""
        w = self.graph.constants[node.inputs[1].id]
        more = [(0, room - w.shape[dim]) if d == dim else (0, 0) for d in range(w.ndim)]
        return self.b.constant(np.pad(w, more), name=node.inputs[1].name)

    def _repeated(self, value: Value, chain: _Chain) -> Value:
        """A constant of each channel, once a block."""
        array: Array = self.graph.constants[value.id]
        if array.size == 1:
            return self.new[value.id]
        row = np.pad(array.reshape(-1), (0, chain.room - array.size), mode="edge")
        return self.b.constant(np.tile(row, chain.blocks).reshape(1, -1, 1, 1), name=value.name)
