"""Where to cut a graph into stages, so that the slowest takes least and its weights stay in SBUF.

In    a graph whose types are chosen, the target, a number of stages
Out   `Place`s in the order of the nodes: in front of a node, or inside a product, between columns

Nodes stand in topological order, so any place is a cut. A product with a constant operand is many
*atoms*, a few blocks of its columns each: a layer need not go to one core as a whole. The cost of a
stage, in seconds: its arithmetic; what it receives and hands on, over the DRAM rate of a core whose
neighbours are as busy; and what its weights exceed the room for them, at a tenth of that rate: they
would be streamed in each run, and they are to stay. The best cut for k stages is the best of all
cuts for k - 1 stages and one more: dynamic programming over atoms. Costs are estimates; what comes
out is measured, and corrects them (`stages.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compiler.bound import node_macs
from compiler.graph.attrs import flag, integer
from compiler.graph.graph import Graph, Node, Value
from compiler.lowering.context import PARTITIONS
from compiler.lowering.layout import best, bytes_a_partition, wishes
from isa.hardware import Hardware

Floats = NDArray[np.float64]
NARROW = 32
"""Columns that lie along the bytes of a partition are cut at multiples of this; those that lie on
partitions at whole blocks, so that parts are joined where they lie."""
GRAINS = 48
"""Parts of an average stage's weights, at least, that products are cut into."""
HEADROOM = 1.25
"""Activations take so much more room than is live between nodes: what nodes hold inside."""
STREAMED = 10
"""How much worse a byte is that is streamed than one that is handed on."""
LARGE = 1e18


@dataclass(frozen=True, order=True)
class Place:
    """In front of column `column` of node `node`; column 0 is in front of the whole node."""

    node: int
    column: int = 0


@dataclass(frozen=True)
class Atoms:
    """The pieces between which a graph may be cut.

    Attributes:
        places: the place in front of each atom, and the graph's end.
        seconds: what each takes.
        weights: bytes a partition of its weights.
        live: bytes a partition of the activations at each place.
        crossing: bytes that are handed on at each place.
    """

    places: tuple[Place, ...]
    seconds: Floats
    weights: Floats
    live: Floats
    crossing: Floats


def cut(atoms: Atoms, hw: Hardware, stages: int) -> list[Place]:
    """The places, stages - 1 or fewer where the graph has no more pieces."""
    n = len(atoms.seconds)
    stages = min(stages, n)
    cost = stage_costs(atoms, hw)
    least = np.full(n + 1, LARGE)
    least[0] = 0.0
    came: list[NDArray[np.int64]] = []
    for _ in range(stages):
        slowest = np.maximum(least[:, None], cost)  # [from, to]
        came.append(np.argmin(slowest, axis=0))
        least = slowest[came[-1], np.arange(n + 1)]
    at, found = n, list[Place]()
    for back in reversed(came):
        at = int(back[at])
        found.append(atoms.places[at])
    return found[::-1][1:]


def corrected(
    atoms: Atoms, places: Sequence[Place], seconds: Sequence[float], needed: Sequence[int]
) -> Atoms:
    """The atoms as the stages between places turned out.

    Args:
        seconds: what each stage took.
        needed: bytes a partition that each had to have beside its weights.
    """
    ends = [0, *(atoms.places.index(p) for p in places), len(atoms.seconds)]
    time, live = atoms.seconds.copy(), atoms.live.copy()
    for (first, last), took, held in zip(itertools.pairwise(ends), seconds, needed, strict=True):
        time[first:last] *= took / max(1e-12, float(time[first:last].sum()))
        most = HEADROOM * float(atoms.live[first : last + 1].max())
        live[first:last] *= max(1.0, held / max(1.0, most))
    return replace(atoms, seconds=time, live=live)


def stage_costs(atoms: Atoms, hw: Hardware) -> Floats:
    """Seconds of a stage from each place to each later one; LARGE where there is none."""
    n = len(atoms.seconds)
    time, weights = (np.concatenate([[0.0], np.cumsum(a)]) for a in (atoms.seconds, atoms.weights))
    rate = shared_rate(hw)
    live = np.zeros((n + 1, n + 1))
    for first in range(n + 1):
        live[first, first:] = np.maximum.accumulate(atoms.live[first:])
    room = np.maximum(0.0, hw.sbuf_partition_bytes - HEADROOM * live)
    excess = np.maximum(0.0, weights[None, :] - weights[:, None] - room) * hw.partitions
    handed = atoms.crossing[:, None] + atoms.crossing[None, :]
    cost: Floats = time[None, :] - time[:, None] + (STREAMED * excess + handed) / rate
    cost[np.tril_indices(n + 1)] = LARGE
    return cost


def shared_rate(hw: Hardware) -> float:
    """DRAM bytes a second of a core when all cores of its chip are as busy."""
    engines = min(hw.dma_engines, hw.dma_engines_per_chip / hw.cores_per_chip)
    share = hw.dram_bytes_per_s / hw.cores_per_chip
    return min(engines * hw.dma_engine_bytes_per_s, share)


def atoms_of(graph: Graph, hw: Hardware, stages: int) -> Atoms:
    """The pieces of a graph."""
    weights, counted = [], set[int]()
    for node in graph.nodes:
        fresh = [v for v in node.inputs if v.id in graph.constants and v.id not in counted]
        counted.update(v.id for v in fresh)
        weights.append(sum(_partition_bytes(node, v) for v in fresh))
    grain = max(1.0, sum(weights) / (stages * GRAINS))
    live, crossing = _at_nodes(graph, hw)
    wanted = wishes(graph)
    places, parts = list[Place](), list[tuple[float, float]]()
    held, handed = list[float](), list[float]()
    for i, node in enumerate(graph.nodes):
        seconds = _seconds(node, hw)
        columns = columns_of(graph, node)
        unit = PARTITIONS if best(wanted, node.output).dim == _axis(node) else NARROW
        count = max(1, min(columns // unit, math.ceil(weights[i] / grain)))
        ends = [round(k * columns / unit / count) * unit for k in range(count)]
        for first, last in zip(ends, [*ends[1:], max(1, columns)], strict=True):
            share = (last - first) / max(1, columns)
            places.append(Place(i, first))
            parts.append((seconds * share, weights[i] * share))
            done = first / max(1, columns)
            held.append(live[i] + done * node.output.size_bytes / hw.partitions)
            handed.append(crossing[i] + done * node.output.size_bytes)
    places.append(Place(len(graph.nodes)))
    columns_ = np.array(parts, np.float64).reshape(-1, 2)
    return Atoms(
        tuple(places),
        columns_[:, 0],
        columns_[:, 1],
        np.array([*held, 0.0]),
        np.array([*handed, 0.0]),
    )


def columns_of(graph: Graph, node: Node) -> int:
    """Columns (channels) of a product between which it can be cut; 0 where it cannot."""
    if len(node.inputs) < 2 or node.inputs[1].id not in graph.constants:
        return 0
    if node.inputs[0].id in graph.constants:
        return 0
    if node.op == "conv" and integer(node, "groups") == 1:
        return node.inputs[1].shape[0]
    if node.op == "matmul" and len(node.inputs[1].shape) == 2 and len(node.output.shape) >= 2:
        return node.inputs[1].shape[0 if flag(node, "transpose_b") else 1]
    return 0


def _axis(node: Node) -> int:
    """The dimension of a product's result that its columns are."""
    return 1 if node.op == "conv" else len(node.output.shape) - 1


def _partition_bytes(node: Node, value: Value) -> float:
    """Bytes a partition of a constant as its reader will have it, about."""
    size = value.size_bytes
    if node.op == "matmul" and len(value.shape) >= 2:
        k = value.shape[-1 if flag(node, "transpose_b") else -2]
    elif node.op == "conv":
        k = value.shape[1]
    else:
        return max(64.0, size / PARTITIONS)
    return size / k * math.ceil(k / PARTITIONS)


def _seconds(node: Node, hw: Hardware) -> float:
    """What a node takes on the engine that does it."""
    macs = node_macs(node)
    if macs:
        return macs / (hw.macs_per_cycle * hw.pe_clock_hz)
    if node.op in ("reshape", "transpose", "broadcast_to", "slice", "concat"):
        return 0.0
    elements = max(math.prod(v.shape) for v in (*node.inputs, *node.outputs))
    return elements / hw.partitions / hw.act_clock_hz


def _at_nodes(graph: Graph, hw: Hardware) -> tuple[list[float], list[float]]:
    """In front of each node: bytes a partition that are live, and bytes that a cut hands on."""
    spread = bytes_a_partition(graph, 2, hw)
    last = {v.id: i for i, n in enumerate(graph.nodes) for v in n.inputs}
    ends: dict[int, list[Value]] = {}
    held, handed = 0.0, 0.0
    live, crossing = list[float](), list[float]()
    given = {v.id for v in graph.inputs}
    for v in graph.inputs:
        held += spread.get(v.id, 0)
        ends.setdefault(last.get(v.id, 0), []).append(v)
    for i, node in enumerate(graph.nodes):
        live.append(held)
        crossing.append(handed)
        for v in node.outputs:
            if v.id in last:
                held, handed = held + spread.get(v.id, 0), handed + v.size_bytes
                ends.setdefault(last[v.id], []).append(v)
        for v in ends.get(i, ()):
            held -= spread.get(v.id, 0)
            handed -= 0 if v.id in given else v.size_bytes
    return live, crossing
