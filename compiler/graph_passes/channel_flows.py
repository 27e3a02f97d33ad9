"""Flows: values whose channels have to lie alike, and where those of each may lie.

In    a graph with concatenations whose parts begin where no engine can write (`misplaced`)
Out   a place for each flow that is moved, and a plan for each concatenation
Read  `place_channels.py` for what a flow is, and for the graph that is made of it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.graph.attrs import integer
from compiler.graph.graph import Graph, Node, Value
from compiler.graph_passes.channel_pieces import BLOCK, MOST, QUADRANT, Map, Piece, cut_in_pieces
from compiler.graph_passes.fold_rows import SAFE


def misplaced(node: Node) -> bool:
    """Whether a part begins inside a quadrant."""
    if node.op != "concat" or integer(node, "axis") != 1 or len(node.output.shape) < 3:
        return False
    starts = np.cumsum([v.shape[1] for v in node.inputs[:-1]])
    return bool((starts % QUADRANT).any())


@dataclass(frozen=True)
class Place:
    """Where the channels of a flow lie: the position of each, and how many there are with gaps."""

    positions: Map
    extent: int


@dataclass(frozen=True)
class Plan:
    """The parts of a concatenation in their order: which, and its pieces if it is cut."""

    parts: tuple[tuple[int, tuple[Piece, ...]], ...]
    place: Place


class Flows:
    """The flows of a graph, and where they lie."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers, self.readers = graph.producers(), graph.consumers()
        self.kept = {v.id for v in graph.outputs}
        self.parent: dict[int, int] = {}
        self.stuck: set[int] = set()
        self.places: dict[int, Place] = {}  # flow -> where it lies, if not as it did
        self.plans: dict[int, Plan] = {}  # id of a concatenation's result
        self.cut: set[int] = set()  # ids of values that are made in pieces
        self.concats = [n for n in graph.nodes if joins(n)]
        for v in (*graph.inputs, *graph.outputs):
            self.stuck.add(self.flow(v))
        for node in graph.nodes:
            self._tie(node)

    def flow(self, value: Value) -> int:
        """The flow that a value is in."""
        root = value.id
        while (up := self.parent.get(root, root)) != root:
            root = up
        self.parent[value.id] = root
        return root

    def place_of(self, value: Value) -> Place | None:
        """Where the channels of a value lie; None where nothing is moved."""
        return self.places.get(self.flow(value))

    def _tie(self, node: Node) -> None:
        moving = [v for v in node.inputs if not self.graph.is_constant(v)]
        if joins(node) or self._reads_anyhow(node):
            return
        if self._follows(node, moving):
            for v in moving:
                self._join(v, node.output)
            return
        for v in moving if self._unfolds(node) else (*moving, *node.outputs):
            self.stuck.add(self.flow(v))

    def _join(self, a: Value, b: Value) -> None:
        low, high = self.flow(a), self.flow(b)
        self.parent[low] = high
        if low in self.stuck:
            self.stuck.add(high)

    def _reads_anyhow(self, node: Node) -> bool:
        """A product with weights, which takes channels from wherever they lie."""
        if len(node.inputs) < 2 or self.graph.is_constant(node.inputs[0]):
            return False
        weights = self.graph.constants.get(node.inputs[1].id)
        if weights is None:
            return False
        if node.op == "conv":
            return integer(node, "groups") == 1 and not _special(node)
        return False

    def product(self, node: Node) -> bool:
        """Whether a node makes its channels of others by weights."""
        return self._reads_anyhow(node) or self._unfolds(node)

    def _unfolds(self, node: Node) -> bool:
        """A convolution out of blocks of rows: it writes its channels anywhere."""
        folds = node.attrs.get("folds") if node.op == "conv" else None
        weights = self.graph.is_constant(node.inputs[1]) if folds else False
        return weights and folds[1] == 1 and not node.attrs.get("fill")  # type: ignore[index]

    def _follows(self, node: Node, moving: list[Value]) -> bool:
        """Whether channel c of the result is made of channel c of the operands."""
        out, shape = node.output, node.output.shape
        if not moving or len(node.outputs) != 1 or len(shape) < 3:
            return False
        if any(v.rank < 3 or v.shape[:2] != shape[:2] for v in moving):
            return False
        if node.op == "conv":
            alone = integer(node, "groups") == shape[1] == node.inputs[1].shape[0]
            return alone and moving == [node.inputs[0]] and not _special(node)
        if node.op == "reduce_window":
            return True
        return (
            node.op in SAFE
            and out.dtype.kind not in "biu"
            and all(v.rank == len(shape) for v in moving)
        )

    # --- where flows lie -------------------------------------------------------------------------

    def place(self) -> bool:
        """Place every flow; whether any is moved. Gives up where two concatenations disagree."""
        for node in self.concats:
            root = self.flow(node.output)
            if root in self.stuck:
                continue
            plan = self._plan(node)
            if plan is None or root in self.places:
                return False
            self.places[root], self.plans[node.output.id] = plan.place, plan
            for i, pieces in plan.parts:
                if pieces:
                    self.cut |= {n.output.id for n in self.chain(node.inputs[i])}
        return bool(self.plans)

    def chain(self, value: Value) -> list[Node]:
        """The convolution that makes a value and what follows it, if nobody else reads any."""
        nodes = list[Node]()
        while value.id in self.producers and value.id not in self.kept:
            node = self.producers[value.id]
            if len(self.readers[value.id]) != 1:
                return []
            nodes.append(node)
            if node.op == "conv" and integer(node, "groups") == 1:
                return nodes[::-1] if self._reads_anyhow(node) else []
            rest = [v for v in node.inputs if not self.graph.is_constant(v)]
            if node.op == "conv" or len(rest) != 1 or not self._follows(node, rest):
                return []
            value = rest[0]
        return []

    def _plan(self, node: Node) -> Plan | None:
        """The order and the pieces that take the fewest blocks, and then instructions."""
        free = [bool(self.chain(v)) for v in node.inputs]
        natural = list(range(len(free)))
        orders = [natural, sorted(natural, key=lambda i: free[i])]
        plans = [p for order in orders if (p := self._laid(node, order, free)) is not None]
        return min(plans, key=_cost, default=None)

    def _laid(self, node: Node, order: Sequence[int], free: list[bool]) -> Plan | None:
        starts = np.cumsum([0, *(v.shape[1] for v in node.inputs)])
        positions = np.zeros(starts[-1], np.int64)
        parts, at = list[tuple[int, tuple[Piece, ...]]](), 0
        for i in order:
            part, first = node.inputs[i], int(starts[i])
            if at % QUADRANT:
                return None
            if free[i]:
                pieces = tuple(cut_in_pieces(at, part.shape[1], False))
                for p in pieces:
                    positions[first + p.first : first + p.first + p.size] = at + np.arange(p.size)
                    at += p.room
                parts.append((i, pieces))
                continue
            place = self._as_it_lies(part)
            head = at % BLOCK
            if head and (place.extent > MOST.get(head, 0)):
                if not parts or not parts[-1][1]:
                    return None  # nothing in front that could be filled up
                j, before = parts[-1]
                last = before[-1]
                more = BLOCK - head
                parts[-1] = (j, (*before[:-1], Piece(last.first, last.size, last.room + more)))
                at += more
            positions[first : first + part.shape[1]] = at + place.positions
            parts.append((i, ()))
            at += place.extent
        return Plan(tuple(parts), Place(positions, at))

    def _as_it_lies(self, part: Value) -> Place:
        """Where a part lies that is not cut: filled up to a quadrant, if its flow may be."""
        root = self.flow(part)
        if root not in self.places:
            size = part.shape[1]
            if root in self.stuck:
                return Place(np.arange(size), size)
            room = -(-size // QUADRANT) * QUADRANT
            self.places[root] = Place(np.arange(size), room)
        return self.places[root]


def joins(node: Node) -> bool:
    return node.op == "concat" and integer(node, "axis") == 1


def _special(node: Node) -> bool:
    """A convolution whose channels mean more than their weights say."""
    return bool(node.attrs.get("fill")) or any(n != 1 for n in node.attrs.get("folds") or (1,))  # type: ignore[union-attr]


def _cost(plan: Plan) -> tuple[int, int, int]:
    blocks = -(-plan.place.extent // BLOCK)
    return blocks, sum(max(1, len(pieces)) for _, pieces in plan.parts), plan.place.extent
