"""Which nodes are lowered together: loop fusion over the graph.

A group is an anchor (a contraction, or an elementwise node) and the elementwise nodes of the same
shape that follow it: they run on each tile while it is in PSUM or fresh in SBUF, and what only
they read is never stored whole. A node joins unless a path from the group to it leads through a
node outside, for then neither could be first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from compiler.graph.attrs import integer
from compiler.graph.graph import Graph, Node, Value
from compiler.lowering.expression import SUPPORTED
from compiler.lowering.softmax_nest import Nest, find_nests

ANCHORS = frozenset({"matmul", "conv", "conv_transpose"})
MOVES = frozenset({"reshape", "transpose", "slice", "broadcast_to"})
WINDOW = 200
"""Nodes behind the anchor that may still join it."""


@dataclass(frozen=True)
class Group:
    """Nodes lowered together, in topological order; the first is the anchor.

    `nest` says so where they are a softmax between two products (`softmax_nest.py`); `readers` are
    the graph's own.
    """

    nodes: tuple[Node, ...]
    readers: Mapping[int, list[Node]]
    nest: Nest | None = None

    @property
    def anchor(self) -> Node:
        return self.nodes[0]

    def outputs(self, graph: Graph) -> list[Value]:
        """Values that somebody outside reads."""
        mine = {id(n) for n in self.nodes}
        kept = {v.id for v in graph.outputs}
        return [
            v
            for n in self.nodes
            for v in n.outputs
            if v.id in kept or any(id(r) not in mine for r in self.readers.get(v.id, []))
        ]


def is_elementwise(node: Node) -> bool:
    """Whether the expression emitter takes the node."""
    return node.op in SUPPORTED


def group(
    graph: Graph,
    fuse: bool = True,
    joins: Callable[[Node, Node], bool] | None = None,
    nests: bool = True,
) -> list[Group]:
    """Every node in exactly one group, groups in an order in which each can run.

    Args:
        fuse: off, every node is a group of its own.
        joins: a last word on (anchor, node); all join where it is None.
        nests: a softmax between two products is one group.
    """
    found = {id(n.scores): n for n in find_nests(graph)} if fuse and nests else {}
    taken: set[int] = {id(node) for nest in found.values() for node in nest.nodes}
    groups: list[Group] = []
    nodes, readers = graph.nodes, graph.consumers()
    last_use = {v.id: i for i, node in enumerate(nodes) for v in node.inputs}
    for i, node in enumerate(nodes):
        if id(node) in found:
            groups.append(Group(found[id(node)].nodes, readers, found[id(node)]))
        if id(node) in taken:
            continue
        members = [node]
        if fuse and (node.op in ANCHORS or is_elementwise(node)):
            members += _followers(nodes[i + 1 : i + 1 + WINDOW], node, i, last_use, taken, joins)
        taken.update(id(m) for m in members)
        groups.append(Group(tuple(members), readers))
    while len(order := _ordered(groups)) < len(groups):
        groups = _parted(groups, order, readers)
    return order


def never_whole(graph: Graph, groups: Sequence[Group]) -> set[int]:
    """Values that only the group which makes them reads: they exist tile by tile."""
    readers = graph.consumers()
    kept = {v.id for v in graph.outputs}
    found = set()
    for members in groups:
        mine = {id(n) for n in members.nodes}
        for v in (v for n in members.nodes for v in n.outputs):
            if v.id not in kept and all(id(r) in mine for r in readers.get(v.id, [])):
                found.add(v.id)
    return found


SHORT_RUN = 64
"""Bytes of a part's runs in DRAM from which on a descriptor is not all of their cost."""


def joined_in_dram(graph: Graph, node: Node) -> bool:
    """Whether parts are worth storing one by one: else they are joined on chip, in longer runs."""
    if any(graph.is_constant(p) or p.dtype != node.output.dtype for p in node.inputs):
        return False
    axis = integer(node, "axis")
    return axis == 0 or all(
        math.prod(p.shape[axis:]) * p.dtype.itemsize >= SHORT_RUN for p in node.inputs
    )


def ends_in_dram(graph: Graph, groups: Sequence[Group]) -> set[int]:
    """Outputs that nobody reads, made by a product or joined: parts are stored as they are made."""
    readers, kept = graph.consumers(), {v.id for v in graph.outputs}
    found = {
        n.output.id
        for n in graph.nodes
        if n.op == "concat"
        and n.output.id in kept
        and not readers.get(n.output.id)
        and not any(graph.is_constant(v) for v in n.inputs)
    }
    for node in reversed(graph.nodes):  # the parts of a joined part, though it is reshaped
        behind = readers.get(node.output.id, [])
        if len(behind) != 1 or node.output.id in kept or behind[0].output.id not in found:
            continue
        if node.op == "reshape" or (node.op == "concat" and joined_in_dram(graph, node)):
            found.add(node.output.id)
    for members in groups:
        if members.anchor.op == "matmul" and members.nest is None:
            results = members.outputs(graph)
            if len(results) == 1 and results[0].id in kept and not readers.get(results[0].id):
                found.add(results[0].id)
    return found


def _followers(
    rest: tuple[Node, ...],
    anchor: Node,
    at: int,
    last_use: dict[int, int],
    taken: set[int],
    joins: Callable[[Node, Node], bool] | None,
) -> list[Node]:
    inside = {anchor.output.id}
    tainted: set[int] = set()
    members = []
    end = last_use.get(anchor.output.id, at)
    for i, node in enumerate(rest, at + 1):
        if i > end:
            break  # nothing behind reads what is inside
        reads = {v.id for v in node.inputs}
        if not reads & (inside | tainted):
            continue
        fits = (
            id(node) not in taken
            and is_elementwise(node)
            and node.output.shape == anchor.output.shape
            and not reads & tainted
            and (joins is None or joins(anchor, node))
        )
        if fits:
            members.append(node)
            inside.add(node.output.id)
            end = max(end, last_use.get(node.output.id, i))
        else:
            tainted.update(v.id for v in node.outputs)
    return members


def _ordered(groups: list[Group]) -> list[Group]:
    """Topological order, but for those that wait for each other; among those ready, the one whose
    first node comes first.

    A movement counts as standing right behind what it moves: what it makes can then be used, and
    its operand forgotten, at once.
    """
    owner = {v.id: g for g, gr in enumerate(groups) for n in gr.nodes for v in n.outputs}
    waits: list[set[int]] = []
    readers: dict[int, list[int]] = {}
    place: list[tuple[int, int]] = []
    for g, gr in enumerate(groups):
        before = {owner[v.id] for n in gr.nodes for v in n.inputs if v.id in owner} - {g}
        waits.append(before)
        moves = gr.anchor.op in MOVES and before and max(before) < g and not _loads(gr.anchor)
        place.append((max(place[b][0] for b in before) if moves else g, g))
        for b in before:
            readers.setdefault(b, []).append(g)
    ready = [place[g] for g, w in enumerate(waits) if not w]
    heapq.heapify(ready)
    order = []
    while ready:
        _, g = heapq.heappop(ready)
        order.append(groups[g])
        for r in readers.get(g, []):
            waits[r].discard(g)
            if not waits[r]:
                heapq.heappush(ready, place[r])
    return order


def _loads(node: Node) -> bool:
    """Whether a slice is read from DRAM for whoever is next (`graph_passes/spill.py`)."""
    return node.op == "slice" and bool(node.attrs["reading"])


def _parted(groups: list[Group], order: list[Group], readers: dict[int, list[Node]]) -> list[Group]:
    """Groups that wait for each other in a circle node by node: each has a member that reads the
    other's first, and neither member could know that when it joined."""
    done = {id(g) for g in order}
    made: list[Group] = []
    for g in groups:
        apart = id(g) not in done and g.nest is None
        made += [Group((n,), readers) for n in g.nodes] if apart else [g]
    assert len(made) > len(groups), "single nodes do not depend on each other in a circle"
    return made
