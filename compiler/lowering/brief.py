"""Values that live so briefly that they may stay in PSUM.

The vector engine takes one operand from PSUM and one from SBUF in half the time that two from SBUF
cost it. So what a sum across partitions gives, and what becomes of it alone (a mean, a reciprocal
root), stays there if only elementwise nodes close behind it read it, with a larger operand beside.
"""

from __future__ import annotations

import math

import numpy as np

from compiler.graph.graph import Graph, Node, Value
from compiler.graph.ops import CORE_OPS, Family
from compiler.lowering.groups import ANCHORS, is_elementwise
from isa.hardware import Hardware

NEAR = 8
"""Nodes behind a value among which its readers must be."""

BANKS = 2
"""Banks of PSUM that a value may fill: half of them are left to products."""


def brief_values(graph: Graph, hw: Hardware) -> set[int]:
    """The ids of such values."""
    readers, kept = graph.consumers(), {v.id for v in graph.outputs}
    at = {id(node): i for i, node in enumerate(graph.nodes)}
    found: set[int] = set()
    for i in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[i]
        if len(node.outputs) != 1 or not _may_be(node, hw) or node.output.id in kept:
            continue
        here = readers.get(node.output.id, [])
        last = max((at[id(r)] for r in here), default=len(graph.nodes))
        between = graph.nodes[i + 1 : last + 1]
        if last - i > NEAR or any(n.op in ANCHORS for n in between):
            continue
        if all(_reads_briefly(graph, r, node.output, found) for r in here):
            found.add(node.output.id)
    return found


def _may_be(node: Node, hw: Hardware) -> bool:
    """Whether a node's result could stay: FP32, small enough, of a sum or of one operand."""
    size = math.prod(node.output.shape) * 4
    if node.output.dtype != np.float32 or size > BANKS * hw.psum_bank_bytes:
        return False
    sums = node.op == "reduce" and node.attrs.get("kind") in ("sum", "mean")
    return sums or (is_elementwise(node) and CORE_OPS[node.op].family is not Family.SELECT)


def _reads_briefly(graph: Graph, reader: Node, value: Value, found: set[int]) -> bool:
    """Whether a reader takes the value beside a larger one, or alone for another brief one."""
    if not is_elementwise(reader):
        return False
    if math.prod(reader.output.shape) > math.prod(value.shape):
        return all(v is value or v.shape == reader.output.shape for v in reader.inputs)
    alone = all(v is value or graph.is_constant(v) for v in reader.inputs)
    return alone and reader.output.id in found
