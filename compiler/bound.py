"""What a model must cost at least: arithmetic and traffic that no compiler can avoid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from compiler.graph.attrs import integer
from compiler.graph.graph import Graph, Node, Value
from compiler.lowering.places import device_dtype, has_device_dtype
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
        sbuf_cycles: the same for a core whose SBUF is finite: see `finite_sbuf`.
        array_cycles: of the array alone, as it works on whole elements: see `whole_columns`.
    """

    macs: int
    dram_bytes: int
    cycles: int
    sbuf_cycles: int
    array_cycles: int = 0

    @property
    def column_cycles(self) -> int:
        """The bound with the array's columns counted whole."""
        return max(self.cycles, self.array_cycles)


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


def device_bytes(value: Value) -> int:
    """Bytes of a value in the machine's type for its own: 64-bit integers are narrowed."""
    if not has_device_dtype(value.dtype):
        return value.size_bytes
    return value.size * device_dtype(value.dtype).size_bytes


def compulsory_bytes(graph: Graph) -> int:
    """DRAM bytes that every execution has to move."""
    rows: dict[int, int] = {}
    whole: set[int] = set()
    for node in graph.nodes:
        for i, value in enumerate(node.inputs):
            if value.id not in graph.constants or math.prod(value.shape) == 1:
                continue  # a single number is part of the instruction
            if node.op == "gather" and i == 0 and node.inputs[1].id not in graph.constants:
                axis = integer(node, "axis")
                read = math.prod(node.inputs[1].shape) * device_bytes(value) // value.shape[axis]
                rows[value.id] = rows.get(value.id, 0) + read
            else:
                whole.add(value.id)
    total = 0
    for value in graph.constant_values:
        if value.id in whole:
            total += device_bytes(value)
        elif value.id in rows:
            total += min(device_bytes(value), rows[value.id])
    return total + sum(device_bytes(v) for v in (*graph.inputs, *graph.outputs))


def finite_sbuf(graph: Graph, hw: Hardware) -> int:
    """Base-clock cycles below which no order of the work comes, for SBUF holds only so much.

    Before a node runs, all that it descends from has run; and of the constants that only it and
    its descendants read, no more than SBUF's bytes can be there by then. So for every node the
    time is at least that of its ancestors' MACs and of loading the rest of those constants. A
    network with few weights in front and many behind (VGG) cannot hide one behind the other.
    """
    above: dict[int, int] = {}  # the ancestors of each node, and itself, as bits
    of_value: dict[int, int] = {}
    readers: dict[int, int] = {}  # the nodes that read each constant, as bits
    macs = [node_macs(n) for n in graph.nodes]
    for k, node in enumerate(graph.nodes):
        above[k] = 1 << k
        for value in node.inputs:
            above[k] |= of_value.get(value.id, 0)
            if value.id in graph.constants:
                readers[value.id] = readers.get(value.id, 0) | 1 << k
        for value in node.outputs:
            of_value[value.id] = above[k]
    heavy = [k for k, node in enumerate(graph.nodes) if macs[k]]
    below = {k: sum(1 << j for j in above if above[j] >> k & 1) for k in heavy}
    size = {v.id: device_bytes(v) for v in graph.constant_values if v.id in readers}
    held = hw.partitions * hw.sbuf_partition_bytes
    most = 0
    for k in heavy:
        before = sum(macs[j] for j in heavy if j != k and above[k] >> j & 1)
        behind = sum(s for v, s in size.items() if not readers[v] & ~below[k])
        rest = max(0, behind - held)
        most = max(most, _array_cycles(before, hw) + _dram_cycles(rest, hw))
    return most


def whole_columns(graph: Graph, hw: Hardware) -> int:
    """Base-clock cycles below which the array is in no tiling and with no packing of taps.

    In a cycle a column of the array sums at most as many products as it has rows, and they belong
    to one element. So an element of a product takes a whole number of cycles of a column, at least
    one however few terms it has (a channel of its own with nine taps, a layer of 16 channels).
    """
    total = 0
    for node in graph.nodes:
        macs, out = node_macs(node), math.prod(node.output.shape)
        if macs:
            even = node.op != "conv_transpose"  # there, elements differ in their taps
            total += out * (-(-macs // (out * hw.pe_rows)) if even else 1)
    return -(-total * hw.base_clock_hz // (hw.pe_columns * hw.pe_clock_hz))


def _array_cycles(macs: int, hw: Hardware) -> int:
    return -(-macs * hw.base_clock_hz // (hw.macs_per_cycle * hw.pe_clock_hz))


def _dram_cycles(size_bytes: int, hw: Hardware) -> int:
    return -(-size_bytes * hw.base_clock_hz // hw.core_dram_bytes_per_s)


def bound(graph: Graph, hw: Hardware) -> Bound:
    """The bound of a graph whose types are chosen."""
    limits = _limit(sum(node_macs(n) for n in graph.nodes), compulsory_bytes(graph), hw)
    return replace(
        limits,
        sbuf_cycles=max(limits.cycles, finite_sbuf(graph, hw)),
        array_cycles=whole_columns(graph, hw),
    )


def without_traffic(limits: Bound, saved: int, hw: Hardware) -> Bound:
    """The bound of a run that finds so many bytes of its weights on the chip."""
    less = _limit(limits.macs, max(0, limits.dram_bytes - saved), hw)
    return replace(less, array_cycles=limits.array_cycles)


def _limit(macs: int, dram: int, hw: Hardware) -> Bound:
    cycles = max(_dram_cycles(dram, hw), _array_cycles(macs, hw), 1)
    return Bound(macs, dram, cycles, cycles)
