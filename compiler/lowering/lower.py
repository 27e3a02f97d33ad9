"""The walk: from a graph to a VirtualProgram and the bytes of its constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from compiler.errors import CapacityError
from compiler.graph.attrs import pairs
from compiler.graph.graph import Graph, Node
from compiler.graph_passes.last_bits import last_bits, lost_bits
from compiler.knobs import Knobs
from compiler.lowering.assemble import lower_assemble, place_boxes, store_boxes
from compiler.lowering.attention import lower_attention
from compiler.lowering.border import (
    keep_outside,
    load_input,
    moved_inputs,
    output_home,
    parts_of,
    store_finished,
    store_in_pieces,
)
from compiler.lowering.brief import brief_values
from compiler.lowering.chosen_layout import elementwise_spec, product_spec
from compiler.lowering.context import Halo, Lowering, Spec, dense, device_dtype
from compiler.lowering.elementwise import lower_group
from compiler.lowering.expression import FUNCTIONS
from compiler.lowering.finite import may_be_infinite
from compiler.lowering.groups import Group, group, is_elementwise
from compiler.lowering.halos import Fill, fill_of
from compiler.lowering.hand_over import Handed, HandOver, hand_on, row_major
from compiler.lowering.image import find_images
from compiler.lowering.index import lower_gather
from compiler.lowering.layout import Wishes, best, wishes
from compiler.lowering.movement import (
    lower_bitcast,
    lower_broadcast,
    lower_concat,
    lower_pad,
    lower_reshape,
    lower_slice,
    lower_transpose,
)
from compiler.lowering.products import lower_product
from compiler.lowering.promises import Promises
from compiler.lowering.reduce import lower_reduce
from compiler.lowering.refusals import refusals, refused_nodes
from compiler.lowering.scan import lower_cumsum
from compiler.lowering.scatter import lower_scatter
from compiler.lowering.sort import lower_arg, lower_topk
from compiler.lowering.through_dram import ThroughDram
from compiler.lowering.window import lower_window
from compiler.tiles.iterate import Mismatch
from isa.activation.functions import needs_table_load
from isa.dtypes import DType
from isa.errors import IllegalError
from isa.hardware import Hardware
from isa.kernel import Ap, Buffer, Kernel, VirtualProgram
from isa.kernel.descriptors import share_out

VIEWS: dict[str, Callable[[Lowering, Node], None]] = {
    "transpose": lower_transpose,
    "broadcast_to": lower_broadcast,
    "bitcast": lower_bitcast,
    "slice": lower_slice,
    "reduce": lower_reduce,
    "reduce_window": lower_window,
    "argmax": lower_arg,
    "argmin": lower_arg,
    "topk": lower_topk,
    "cumsum": lower_cumsum,
    "scatter": lower_scatter,
    "assemble": lower_assemble,
}
PLACED: dict[str, Callable[[Lowering, Node, Spec], None]] = {
    "reshape": lower_reshape,
    "concat": lower_concat,
    "pad": lower_pad,
    "gather": lower_gather,
}
PRODUCTS = ("matmul", "conv", "conv_transpose")


TOO_LONG = "SYS-I001"
"""A field does not hold its value: a dimension has more elements than an access pattern counts."""

AHEAD_S = 7e-6
"""How far engines run ahead of each other, at most: what more one idles is lost to it."""


@dataclass(frozen=True)
class Lowered:
    """What lowering leaves: instructions, constants, where inputs and outputs lie in DRAM, and in
    which order the outputs that are handed on."""

    program: VirtualProgram
    constants: Mapping[int, NDArray[np.uint8]]
    inputs: dict[str, Buffer]
    outputs: dict[str, Buffer]
    handed: dict[str, Handed] = field(default_factory=dict)


def unmapped(graph: Graph, hw: Hardware) -> list[tuple[Node, str]]:
    """Every node that has no mapping to the machine, with the reason; cheap beside lowering."""
    return refusals(graph, hw, frozenset((*VIEWS, *PLACED, *PRODUCTS)))


def lower(
    graph: Graph,
    hw: Hardware,
    fuse: bool = True,
    tensorize: bool = True,
    resident: bool = True,
    over: HandOver | None = None,
    knobs: Knobs | None = None,
) -> Lowered:
    """Lower a graph whose types are chosen.

    Args:
        fuse: elementwise nodes run on each tile behind their producer.
        tensorize: products take whole blocks of the moving operand, and pack kernel taps.
        resident: values stay in SBUF between operations; off, they go through DRAM.
        over: what a stage of a pipeline gets from others and leaves for them.
        knobs: what may be decided either way.
    Raises:
        UnsupportedError: SYS-C101, naming every node without a mapping.
    """
    bad = unmapped(graph, hw)
    if bad:
        raise refused_nodes(bad, graph.name)
    lo = Lowering(graph, hw, Kernel(hw), tensorize=tensorize, knobs=knobs or Knobs())
    over = over or HandOver()
    wanted = wishes(graph, over.wanted)
    lo.wanted, lo.infinite = wanted, may_be_infinite(graph, over.finite)
    lo.exact = last_bits(graph) - lost_bits(graph)
    lo.halos, lo.fills = _halos(graph)
    if resident and tensorize:
        taken = {v.id for v in graph.inputs if v.name in over.received}
        found = find_images(graph, hw, lo.knobs.image_dma).items()
        lo.images = {v: image for v, image in found if image.value.id not in taken}
        lo.brief = brief_values(graph, hw) if lo.knobs.brief else set()
    loaded = {id(n) for image in lo.images.values() for n in image.skipped}
    readers = lo.readers
    moved = moved_inputs(graph, readers, over, wanted)
    loaded |= {id(n) for chain in moved.values() for n in chain}
    outputs = {v.name: output_home(lo, v) for v in graph.outputs}
    lo.parts = parts = parts_of(graph) if resident else {}
    keep_outside(lo, outputs, readers)
    place_boxes(lo, outputs)
    given = [v.id for v in graph.inputs if v.name in over.received]
    lo.parts = {i: parts[i] for i in given if i in parts}  # pieces are loaded where they are joined
    inputs = {v.name: load_input(lo, v, readers, over, moved.get(v.id, [])) for v in graph.inputs}
    lo.parts = parts
    if resident:
        store_in_pieces(lo, outputs, readers, over.free)
    lo.note_infinite(graph.inputs)
    promises = Promises(graph, hw)
    _load_first_table(lo)
    away = None if resident else ThroughDram(lo, {v.id: outputs[v.name] for v in graph.outputs})
    for members in group(graph, fuse, nests=resident):
        if id(members.anchor) in loaded:
            continue  # the convolution behind it reads DRAM itself
        lo.kernel.set_layer(_layer(members.anchor))
        lo.load.catch_up(AHEAD_S)
        lo.load.dve += promises.seconds(members)
        if away is not None:
            away.fetch(members.nodes)
        before = replace(lo.load)
        try:
            _lower_group(lo, members, wanted)
        except Mismatch as error:
            reason = f"its operands lie as no engine can read them ({error})"
            raise refused_nodes([(members.anchor, reason)], graph.name) from error
        except IllegalError as error:
            if error.code != TOO_LONG:
                raise
            raise CapacityError(
                "SYS-S007",
                "what an instruction works on is counted in its fields",
                found=error.found,
                at=", ".join(map(str, members.anchor.sources)) or members.anchor.op,
                hint="compile for a smaller batch or shape",
            ) from error
        lo.spent[id(members.anchor)] = lo.load.since(before)
        lo.note_infinite(v for n in members.nodes for v in n.outputs)
        store_finished(lo, members)
        store_boxes(lo, members)
        if away is not None:
            away.store(members.nodes)
    handed: dict[str, Handed] = {}
    for v in graph.outputs:
        lo.kernel.set_layer(v.name)
        if v.name in over.free and v.id not in lo.outside:
            handed[v.name] = hand_on(lo, v, outputs[v.name])
            continue
        handed[v.name] = row_major(v, outputs[v.name])
        if v.id not in lo.outside and (away is None or v.id not in away.stored):
            lo.dma(dense(outputs[v.name], device_dtype(v.dtype), v.shape), lo.views[v.id])
    return Lowered(share_out(lo.kernel.virtual(), hw), lo.constant_data, inputs, outputs, handed)


def _load_first_table(lo: Lowering) -> None:
    """Make the scalar engine load its first table while it waits for data anyway: by a function of
    one element. Otherwise it would begin only when its turn comes behind all that is in front."""
    functions = [FUNCTIONS[n.op] for n in lo.graph.nodes if n.op in FUNCTIONS]
    first = next((f for f in functions if needs_table_load(f, None)), None)
    if first is not None and any(n.op in PRODUCTS for n in lo.graph.nodes):
        buffer = lo.kernel.sbuf(1, DType.FP32.size_bytes, "first table")
        one = Ap(buffer, 0, 1, 0, DType.FP32, ((1, 1),))
        lo.kernel.memset(one, 1.0)
        lo.kernel.activation(one, one, first)


def _layer(node: Node) -> str:
    return node.sources[0].name if node.sources else node.output.name


def _halos(graph: Graph) -> tuple[dict[int, Halo], dict[int, Fill]]:
    """Padding that readers want in the buffer, so that windows need no edge cases."""
    halos: dict[int, Halo] = {}
    fills: dict[int, Fill] = {}
    for op in ("conv", "reduce_window"):  # where both read a value, the convolution's fill wins
        for node in graph.nodes:
            if node.op != op:
                continue
            value = node.inputs[0]
            fill = -math.inf if node.attrs.get("kind") == "max" else fill_of(node)
            pads = pairs(node, "pads")
            if not any(a or b for a, b in pads) or fills.get(value.id, fill) != fill:
                continue
            fills[value.id] = fill
            halo = halos.setdefault(value.id, {})
            for d, (low, high) in enumerate(pads):
                old = halo.get(d + 2, (0, 0))
                halo[d + 2] = (max(low, old[0]), max(high, old[1]))
    return halos, fills


def _lower_group(lo: Lowering, members: Group, wanted: Wishes) -> None:
    node = members.anchor
    _load_constants(lo, node, wanted)
    if members.nest is not None:
        lower_attention(lo, members.nest)
    elif node.op in PRODUCTS:
        results = members.outputs(lo.graph)
        lower_product(lo, list(members.nodes), results, product_spec(lo, node, results, wanted))
    elif is_elementwise(node):
        results = members.outputs(lo.graph)
        lower_group(lo, list(members.nodes), results, elementwise_spec(lo, members, wanted))
    elif node.op in VIEWS:
        VIEWS[node.op](lo, node)
    else:
        PLACED[node.op](lo, node, best(wanted, node.output))


def _load_constants(lo: Lowering, node: Node, wanted: Wishes) -> None:
    """Load constants that the node reads as tensors; most are folded or packed instead."""
    for i, value in enumerate(node.inputs):
        if value.id not in lo.graph.constants or value.id in lo.views:
            continue
        if _read_as_tensor(lo.graph, node, i):
            lo.load_constant(value, best(wanted, value))


def _read_as_tensor(graph: Graph, node: Node, i: int) -> bool:
    if node.op == "gather":
        return i == 0 and node.inputs[1].id in graph.constants
    if node.op == "scatter":
        return i != 1
    if node.op == "matmul":
        return i == 0 and node.inputs[1].id in graph.constants
    if node.op in PRODUCTS:
        return i == 0
    return node.op not in ("concat", "assemble") and not is_elementwise(node)
