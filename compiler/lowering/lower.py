"""The walk: from a graph to a VirtualProgram and the bytes of its constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from compiler.graph.attrs import integer, integers, pairs
from compiler.graph.graph import BF16, FP16, Graph, Node, Value
from compiler.graph_passes.last_bits import last_bits
from compiler.knobs import Knobs
from compiler.lowering.attention import lower_attention
from compiler.lowering.context import Halo, Lowering, Spec, dense, device_dtype
from compiler.lowering.elementwise import STAGED, lower_group
from compiler.lowering.expression import FUNCTIONS
from compiler.lowering.finite import may_be_infinite
from compiler.lowering.groups import Group, group, is_elementwise
from compiler.lowering.halos import Fill, fill_of
from compiler.lowering.hand_over import Handed, HandOver, hand_on, receive, row_major
from compiler.lowering.image import find_images
from compiler.lowering.index import lower_gather
from compiler.lowering.layout import Wishes, best, wishes
from compiler.lowering.movement import (
    lower_broadcast,
    lower_concat,
    lower_pad,
    lower_reshape,
    lower_slice,
    lower_transpose,
    reads_in_pieces,
    store_part,
)
from compiler.lowering.products import lower_product
from compiler.lowering.promises import Promises
from compiler.lowering.reduce import lower_reduce
from compiler.lowering.refusals import RefusedError, refusals
from compiler.lowering.scan import lower_cumsum
from compiler.lowering.scatter import lower_scatter
from compiler.lowering.sort import lower_arg, lower_topk
from compiler.lowering.through_dram import ThroughDram
from compiler.lowering.window import lower_window
from compiler.tiles.iterate import Mismatch, legal_start
from compiler.tiles.view import View
from isa.activation.functions import needs_table_load
from isa.dtypes import DType
from isa.hardware import Hardware
from isa.kernel import Ap, Buffer, Kernel, VirtualProgram
from isa.kernel.descriptors import share_out
from isa.memory import Memory
from isa.program import BufferKind

VIEWS: dict[str, Callable[[Lowering, Node], None]] = {
    "transpose": lower_transpose,
    "broadcast_to": lower_broadcast,
    "slice": lower_slice,
    "reduce": lower_reduce,
    "reduce_window": lower_window,
    "argmax": lower_arg,
    "argmin": lower_arg,
    "topk": lower_topk,
    "cumsum": lower_cumsum,
    "scatter": lower_scatter,
}
PLACED: dict[str, Callable[[Lowering, Node, Spec], None]] = {
    "reshape": lower_reshape,
    "concat": lower_concat,
    "pad": lower_pad,
    "gather": lower_gather,
}
PRODUCTS = ("matmul", "conv", "conv_transpose")


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


def _refused(graph: Graph, bad: list[tuple[Node, str]]) -> RefusedError:
    lines = [f"{', '.join(map(str, n.sources)) or n.op}: {reason}" for n, reason in bad]
    error = RefusedError(
        "SYS-C101",
        f"{len(bad)} operation(s) of the model have no mapping to the device",
        found="\n         ".join(lines),
        at=graph.name,
        hint="remove these operations, or run them outside the compiled part",
    )
    error.nodes = bad
    return error


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
        raise _refused(graph, bad)
    lo = Lowering(graph, hw, Kernel(hw), tensorize=tensorize, knobs=knobs or Knobs())
    over = over or HandOver()
    wanted = wishes(graph, over.wanted)
    lo.wanted, lo.infinite = wanted, may_be_infinite(graph, over.finite)
    if not any(v.dtype in (BF16, FP16) for v in graph.values()):  # there last bits are lost anyway
        lo.exact = last_bits(graph)
    lo.halos, lo.fills = _halos(graph)
    if resident and tensorize:
        taken = {v.id for v in graph.inputs if v.name in over.received}
        found = find_images(graph, hw, lo.knobs.image_dma).items()
        lo.images = {v: image for v, image in found if image.value.id not in taken}
    loaded = {id(n) for image in lo.images.values() for n in image.skipped}
    readers = graph.consumers()
    moved = _moved_inputs(graph, readers, over, wanted)
    loaded |= {id(n) for chain in moved.values() for n in chain}
    outputs = {v.name: _output_home(lo, v) for v in graph.outputs}
    lo.parts = parts = _parts(graph) if resident else {}
    _keep_outside(lo, outputs, readers)
    given = [v.id for v in graph.inputs if v.name in over.received]
    lo.parts = {i: parts[i] for i in given if i in parts}  # pieces are loaded where they are joined
    inputs = {v.name: _load_input(lo, v, readers, over, moved.get(v.id, [])) for v in graph.inputs}
    lo.parts = parts
    if resident:
        _store_in_pieces(lo, outputs, readers, over.free)
    lo.note_infinite(graph.inputs)
    promises = Promises(graph, hw)
    _load_first_table(lo)
    away = None if resident else ThroughDram(lo, {v.id: outputs[v.name] for v in graph.outputs})
    for members in group(graph, fuse, nests=resident):
        if id(members.anchor) in loaded:
            continue  # the convolution behind it reads DRAM itself
        lo.kernel.set_layer(_layer(members.anchor))
        lo.load.dve += promises.seconds(members)
        if away is not None:
            away.fetch(members.nodes)
        before = replace(lo.load)
        try:
            _lower_group(lo, members, wanted)
        except Mismatch as error:
            reason = f"its operands lie as no engine can read them ({error})"
            raise _refused(graph, [(members.anchor, reason)]) from error
        lo.spent[id(members.anchor)] = lo.load.since(before)
        lo.note_infinite(v for n in members.nodes for v in n.outputs)
        _store_finished(lo, members)
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


def _parts(graph: Graph) -> dict[int, tuple[Value, int, int]]:
    """Value id -> (concatenation, axis, first position) of the values that are part of just one."""
    found: dict[int, tuple[Value, int, int]] = {}
    twice: set[int] = set()
    for node in graph.nodes:
        if node.op != "concat":
            continue
        at, axis = 0, integer(node, "axis")
        for v in node.inputs:
            if v.id in found:
                twice.add(v.id)
            found[v.id] = (node.output, axis, at)
            at += v.shape[axis]
    return {v: place for v, place in found.items() if v not in twice and v not in graph.constants}


def _store_finished(lo: Lowering, members: Group) -> None:
    """Parts of a graph output go to DRAM as soon as they are made."""
    for node in members.nodes:
        for v in node.outputs:
            place = lo.parts.get(v.id)
            if place is not None and place[0].id in lo.outside and v.id in lo.views:
                store_part(lo, v, *place)
                lo.joined.add(v.id)


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


def _moved_inputs(
    graph: Graph, readers: dict[int, list[Node]], over: HandOver, wanted: Wishes
) -> dict[int, list[Node]]:
    """Input id -> the reshapes and transposes that it is only read through, one after another.

    As many as leave a tensor in DRAM that can be cut as its layout has it.
    """
    kept = {v.id for v in graph.outputs}
    found = {}
    for v in graph.inputs:
        chain: list[Node] = []
        value = v
        while value.id not in kept and len(readers.get(value.id, [])) == 1:
            node = readers[value.id][0]
            if node.op not in ("reshape", "transpose"):
                break
            chain.append(node)
            value = node.output
        while chain and not _loads_so(v, chain, best(wanted, chain[-1].output)):
            chain.pop()
        if chain and v.name not in over.received:
            found[v.id] = chain
    return found


def _through(view: View, chain: list[Node]) -> View | None:
    """A tensor in DRAM after reshapes and transposes; None where a dimension has many factors."""
    for node in chain:
        moved = (
            view.permute(integers(node, "perm"))
            if node.op == "transpose"
            else view.reshape(node.output.shape)
        )
        if moved is None:
            return None
        view = moved
    return view


def _loads_so(value: Value, chain: list[Node], spec: Spec) -> bool:
    """Whether what the chain makes of a tensor in DRAM is cut in whole blocks and a rest."""
    somewhere = Buffer(-1, Memory.DRAM, 1, 0, value.name)
    view = _through(dense(somewhere, device_dtype(value.dtype), value.shape or (1,)), chain)
    if view is None:
        return False
    if not view.shape:
        return True
    extent = view.shape[spec.dim]
    whole = extent - extent % spec.block
    cuts = ((0, whole), (whole, extent - whole)) if 0 < whole < extent else ()
    return all(view.slice(spec.dim, *cut) is not None for cut in cuts)


def _load_input(
    lo: Lowering,
    value: Value,
    read: dict[int, list[Node]],
    over: HandOver,
    chain: list[Node],
) -> Buffer:
    """The DRAM buffer of an input. Where only slices are read, each is loaded when it is needed.

    What moves it first (`chain`) is left to the load: nothing has a fixed place in DRAM.
    """
    dtype = device_dtype(value.dtype)
    size = max(1, math.prod(value.shape)) * dtype.size_bytes
    home = lo.kernel.dram(value.name, size, BufferKind.INPUT, dtype, value.shape)
    lo.kernel.set_layer(value.name)
    shape = value.shape or (1,)
    readers = read.get(value.id, [])
    if chain:
        view = _through(dense(home, dtype, shape), chain)
        assert view is not None, "a dense tensor takes any order of its elements"
        last = chain[-1].output
        if _cut_in_dram(lo, last, read.get(last.id, [])):
            lo.outside[last.id] = view
        else:
            _load(lo, last, view, read.get(last.id, []))
        return home
    if any(image.value.id == value.id for image in lo.images.values()):
        lo.outside[value.id] = dense(home, dtype, shape)
        return home
    if not readers and value not in lo.graph.outputs:
        return home  # nothing of it is read
    handed = over.received.get(value.name)
    if handed is not None and handed.here is not None:
        receive(lo, value, handed, home)
    elif _cut_in_dram(lo, value, readers):
        lo.outside[value.id] = dense(home, dtype, shape)
    elif value.shape:
        _load(lo, value, dense(home, dtype, shape), readers)
    else:
        view = lo.allocate(shape, dtype, Spec(0, 1), value.name)
        lo.dma(view, dense(home, dtype, shape))
        shaped = view.reshape(value.shape)
        assert shaped is not None, "a scalar is a tensor of one element"
        lo.views[value.id] = shaped
    return home


def _cut_in_dram(lo: Lowering, value: Value, readers: list[Node]) -> bool:
    """Whether only slices of an input are read, each of which is loaded by itself."""
    return (
        len(readers) > 1 and value not in lo.graph.outputs and all(r.op == "slice" for r in readers)
    )


def _load(lo: Lowering, value: Value, home: View, readers: list[Node]) -> None:
    """A value from DRAM, whole or piece by piece as it is read."""
    stored = any(v.id == value.id for v in lo.graph.outputs)
    if not stored and reads_in_pieces(readers, value) and math.prod(value.shape) > STAGED:
        lo.streamed[value.id] = home
    else:
        lo.dma(lo.produce(value, best(lo.wanted, value)), home)


def _output_home(lo: Lowering, value: Value) -> Buffer:
    dtype = device_dtype(value.dtype)
    size = max(1, math.prod(value.shape)) * dtype.size_bytes
    return lo.kernel.dram(value.name, size, BufferKind.OUTPUT, dtype, value.shape)


def _keep_outside(lo: Lowering, outputs: dict[str, Buffer], readers: dict[int, list[Node]]) -> None:
    """Outputs that are joined from parts and read by nobody else stay in DRAM."""
    producers = lo.graph.producers()
    for v in lo.graph.outputs:
        if readers.get(v.id):
            continue
        home = dense(outputs[v.name], device_dtype(v.dtype), v.shape)
        _keep_parts_outside(lo, v, home, producers, readers)


SHORT_RUN = 64
"""Bytes of a part's runs in DRAM from which on a descriptor is not all of their cost."""


def _keep_parts_outside(
    lo: Lowering,
    value: Value,
    home: View,
    producers: dict[int, Node],
    readers: dict[int, list[Node]],
) -> None:
    """A concatenation, and those that only it reads, are joined at home in DRAM."""
    node = producers.get(value.id)
    if node is None or node.op != "concat":
        return
    if any(p.id in lo.graph.constants or p.dtype != value.dtype for p in node.inputs):
        return
    axis = integer(node, "axis")
    runs = [math.prod(p.shape[axis:]) * p.dtype.itemsize for p in node.inputs]
    if min(runs) < SHORT_RUN and axis > 0:
        return  # joined on chip, its runs are longer
    lo.outside[value.id] = home
    at, kept = 0, {v.id for v in lo.graph.outputs}
    for part in node.inputs:
        place = home.slice(axis, at, part.shape[axis])
        at += part.shape[axis]
        assert place is not None, "a dense tensor can be cut anywhere"
        if len(readers[part.id]) == 1 and part.id in lo.parts and part.id not in kept:
            _keep_parts_outside(lo, part, place, producers, readers)


STORED_BYTES = 16384
"""Bytes a partition from which on a product that is an output is stored tile by tile."""


def _store_in_pieces(
    lo: Lowering, outputs: dict[str, Buffer], readers: dict[int, list[Node]], free: frozenset[str]
) -> None:
    """Large outputs that a matmul ends in go to DRAM as they are made, never whole on chip."""
    for members in group(lo.graph):
        results = members.outputs(lo.graph) if members.anchor.op == "matmul" else []
        if members.nest is not None or len(results) != 1 or results[0] not in lo.graph.outputs:
            continue
        v = results[0]
        rows = Spec.of(v.shape, len(v.shape) - 2)
        size = math.prod(v.shape) * device_dtype(v.dtype).size_bytes
        if v.name in free or readers.get(v.id) or size < STORED_BYTES * rows.block:
            continue
        lo.outside[v.id] = dense(outputs[v.name], device_dtype(v.dtype), v.shape)


def _lower_group(lo: Lowering, members: Group, wanted: Wishes) -> None:
    node = members.anchor
    _load_constants(lo, node, wanted)
    if members.nest is not None:
        lower_attention(lo, members.nest)
    elif node.op in PRODUCTS:
        results = members.outputs(lo.graph)
        lower_product(lo, list(members.nodes), results, _product_spec(lo, node, results, wanted))
    elif is_elementwise(node):
        results = members.outputs(lo.graph)
        lower_group(lo, list(members.nodes), results, _elementwise_spec(lo, members, wanted))
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
    return node.op != "concat" and not is_elementwise(node)


def _product_spec(lo: Lowering, node: Node, results: list[Value], wanted: Wishes) -> Spec:
    """Rows or columns of a product on partitions, channels of a convolution."""
    rank = len(node.output.shape)
    if node.op in ("conv", "conv_transpose"):
        return Spec.of(node.output.shape, 1)
    if results[0].id in lo.outside:
        return Spec.of(node.output.shape, rank - 2)  # rows as DRAM has them
    return best(wanted, results[0], {rank - 2, rank - 1})


def _elementwise_spec(lo: Lowering, members: Group, wanted: Wishes) -> Spec | View:
    """The layout that most of the operands already have; a view to copy where it is no `Spec`."""
    shape = members.nodes[0].output.shape
    if not shape:
        return Spec(0, 1)
    inside = {n.output.id for n in members.nodes}
    votes: dict[Spec, int] = {}
    model: View | None = None
    shared: View | None = None
    for node in members.nodes:
        for v in node.inputs:
            if v.id in inside or v.id not in lo.views or v.shape != shape:
                continue
            if lo.views[v.id].replicated:
                model = model or lo.views[v.id]
                continue
            spec = _spec_of(lo, v)
            if spec is not None:
                votes[spec] = votes.get(spec, 0) + 1
            elif copyable(lo.views[v.id]) and not members_want_halo(lo, members):
                shared = lo.views[v.id]
    if not votes and (shared is not None or model is not None):
        return shared or model or Spec(0, 1)
    if votes:
        return max(votes, key=lambda s: (votes[s], -s.dim, s.block))
    return best(wanted, members.nodes[-1].output)


def members_want_halo(lo: Lowering, members: Group) -> bool:
    """Whether a reader of the group wants padding around its value."""
    return any(n.output.id in lo.halos for n in members.nodes)


def copyable(view: View) -> bool:
    """A layout that elementwise results can share: some partitions, dense from a legal start."""
    if view.replicated or any(view.ragged(d) for d in range(len(view.shape))):
        return False
    count = 1
    parts = [f for fs in view.factors for f in fs if f.part and f.extent > 1]
    for f in sorted(parts, key=lambda f: f.stride):
        if f.stride != count:
            return False
        count *= f.extent
    return bool(parts) and legal_start(view.start + view.buffer.start, count)


def _spec_of(lo: Lowering, value: Value) -> Spec | None:
    view = lo.views[value.id]
    dims = view.part_dims()
    if view.replicated or len(dims) > 1:
        return None
    block = max((f.extent for fs in view.factors for f in fs if f.part), default=1)
    if not legal_start(view.start + view.buffer.start, block):
        return None
    if not dims:
        ones = [d for d, e in enumerate(value.shape) if e == 1]
        return Spec(ones[0], 1) if ones else None
    return Spec(dims[0], max(f.extent for f in view.factors[dims[0]] if f.part))
