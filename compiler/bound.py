"""What a model must cost at least: arithmetic and traffic that no compiler can avoid."""

from __future__ import annotations

import math
from dataclasses import dataclass

from compiler.graph.attrs import integer
from compiler.graph.graph import Graph, Node
from isa.hardware import Hardware


@dataclass(frozen=True)
class Bound:
    """The lower bound of a model on one core.

    Attributes:
        macs: multiply-accumulates of its contractions.
        dram_bytes: each weight once in its compiled type (of a gathered table only the rows read),
            inputs and outputs once.
        cycles: base-clock cycles: the larger of bytes over the DRAM rate that one core reaches and
            MACs over what the array does a PE cycle.
    """

    macs: int
    dram_bytes: int
    cycles: int


def node_macs(node: Node) -> int:
    """Multiply-accumulates of one node."""
    out = math.prod(node.output.shape)
    if node.op == "matmul":
        a = node.inputs[0].shape
        return out * a[-2 if node.attrs.get("transpose_a") else -1]
    if node.op == "conv":
        return out * math.prod(node.inputs[1].shape[1:])
    if node.op == "conv_transpose":
        return math.prod(node.inputs[0].shape) * math.prod(node.inputs[1].shape[1:])
    return 0


def compulsory_bytes(graph: Graph) -> int:
    """DRAM bytes that every execution has to move."""
    rows: dict[int, int] = {}
    whole: set[int] = set()
    for node in graph.nodes:
        for i, value in enumerate(node.inputs):
            if value.id not in graph.constants:
                continue
            if node.op == "gather" and i == 0 and node.inputs[1].id not in graph.constants:
                axis = integer(node, "axis")
                read = math.prod(node.inputs[1].shape) * value.size_bytes // value.shape[axis]
                rows[value.id] = rows.get(value.id, 0) + read
            else:
                whole.add(value.id)
    total = 0
    for value in graph.constant_values:
        if value.id in whole:
            total += value.size_bytes
        elif value.id in rows:
            total += min(value.size_bytes, rows[value.id])
    return total + sum(v.size_bytes for v in (*graph.inputs, *graph.outputs))


def bound(graph: Graph, hw: Hardware) -> Bound:
    """The bound of a graph whose types are chosen."""
    macs = sum(node_macs(n) for n in graph.nodes)
    dram = compulsory_bytes(graph)
    return _limit(macs, dram, hw)


def without_traffic(limits: Bound, saved: int, hw: Hardware) -> Bound:
    """The bound of a run that finds so many bytes of its weights on the chip."""
    return _limit(limits.macs, max(0, limits.dram_bytes - saved), hw)


def _limit(macs: int, dram: int, hw: Hardware) -> Bound:
    memory = -(-dram * hw.base_clock_hz // hw.core_dram_bytes_per_s)
    array = -(-macs * hw.base_clock_hz // (hw.macs_per_cycle * hw.pe_clock_hz))
    return Bound(macs, dram, max(memory, array, 1))
