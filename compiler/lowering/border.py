"""Inputs and outputs: where they lie in DRAM, what of them is loaded and stored whole, and when."""

from __future__ import annotations

import math

from compiler.graph.attrs import integer, integers
from compiler.graph.graph import Graph, Node, Value
from compiler.lowering.context import Lowering, Spec, dense, device_dtype
from compiler.lowering.elementwise import STAGED
from compiler.lowering.groups import Group, group, joined_in_dram
from compiler.lowering.hand_over import HandOver, receive
from compiler.lowering.layout import Wishes, best
from compiler.lowering.movement import part_of, reads_in_pieces, store_part
from compiler.tiles.view import View
from isa.kernel import Buffer
from isa.memory import Memory
from isa.program import BufferKind


def parts_of(graph: Graph) -> dict[int, tuple[Value, int, int]]:
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


def store_finished(lo: Lowering, members: Group) -> None:
    """Parts of a graph output go to DRAM as soon as they are made."""
    for node in members.nodes:
        for v in node.outputs:
            place = lo.parts.get(v.id) if v.id not in lo.outside else None
            if place is not None and place[0].id in lo.outside and v.id in lo.views:
                store_part(lo, v, *place)
                lo.joined.add(v.id)


def moved_inputs(
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
    """Whether what the chain makes of a tensor in DRAM is cut in whole blocks and a rest, and the
    former into blocks."""
    somewhere = Buffer(-1, Memory.DRAM, 1, 0, value.name)
    view = _through(dense(somewhere, device_dtype(value.dtype), value.shape or (1,)), chain)
    if view is None:
        return False
    if not view.shape:
        return True
    extent = view.shape[spec.dim]
    whole = extent - extent % spec.block
    for first, size in ((0, whole), (whole, extent - whole)):
        part = view.slice(spec.dim, first, size) if size else view
        if part is None:
            return False
        blocks = (size // spec.block, spec.block) if size == whole else (1, size)
        cut = (*part.shape[: spec.dim], *blocks, *part.shape[spec.dim + 1 :])
        if size and part.reshape(cut) is None:
            return False
    return True


def load_input(
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
        readers = read.get(last.id, [])
        apart = _cut_in_dram(lo, last, readers)
        if apart and all(part_of(view, r) is not None for r in readers):
            lo.outside[last.id] = view
        else:
            _load(lo, last, view, readers)
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
    """Whether only slices of an input are read, each of which is loaded by itself: several, or one
    of an input that would fill half of SBUF."""
    if value in lo.graph.outputs or not readers or any(r.op != "slice" for r in readers):
        return False
    spec = best(lo.wanted, value)
    across = math.prod(value.shape) // min(spec.block, value.shape[spec.dim])
    whole = across * device_dtype(value.dtype).size_bytes
    anew = any(r.attrs["reading"] for r in readers)
    return anew or len(readers) > 1 or 2 * whole > lo.hw.sbuf_partition_bytes


def _load(lo: Lowering, value: Value, home: View, readers: list[Node]) -> None:
    """A value from DRAM, whole or piece by piece as it is read."""
    stored = any(v.id == value.id for v in lo.graph.outputs)
    if not stored and reads_in_pieces(readers, value) and math.prod(value.shape) > STAGED:
        lo.streamed[value.id] = home
    else:
        lo.dma(lo.produce(value, best(lo.wanted, value)), home)


def output_home(lo: Lowering, value: Value) -> Buffer:
    dtype = device_dtype(value.dtype)
    size = max(1, math.prod(value.shape)) * dtype.size_bytes
    return lo.kernel.dram(value.name, size, BufferKind.OUTPUT, dtype, value.shape)


def keep_outside(lo: Lowering, outputs: dict[str, Buffer], readers: dict[int, list[Node]]) -> None:
    """Outputs that are joined from parts and read by nobody else stay in DRAM."""
    producers = lo.graph.producers()
    for v in lo.graph.outputs:
        if readers.get(v.id):
            continue
        home = dense(outputs[v.name], device_dtype(v.dtype), v.shape)
        _keep_parts_outside(lo, v, home, producers, readers)


def _keep_parts_outside(
    lo: Lowering,
    value: Value,
    home: View,
    producers: dict[int, Node],
    readers: dict[int, list[Node]],
) -> None:
    """A concatenation, and those that only it reads, are joined at home in DRAM."""
    node = producers.get(value.id)
    if node is not None and node.op == "reshape":
        _keep_reshaped(lo, node, home, producers, readers)
        return
    if node is None or node.op != "concat" or not joined_in_dram(lo.graph, node):
        return
    axis = integer(node, "axis")
    lo.outside[value.id] = home
    at, kept = 0, {v.id for v in lo.graph.outputs}
    for part in node.inputs:
        place = home.slice(axis, at, part.shape[axis])
        at += part.shape[axis]
        assert place is not None, "a dense tensor can be cut anywhere"
        if len(readers[part.id]) == 1 and part.id in lo.parts and part.id not in kept:
            _keep_parts_outside(lo, part, place, producers, readers)


def _keep_reshaped(
    lo: Lowering,
    node: Node,
    home: View,
    producers: dict[int, Node],
    readers: dict[int, list[Node]],
) -> None:
    """A concatenation that is reshaped on its way to an output: its parts go there too."""
    x = node.inputs[0]
    place = home.reshape(x.shape)
    if place is None or len(readers[x.id]) != 1 or x in lo.graph.outputs:
        return
    if producers.get(x.id, node).op == "concat":
        _keep_parts_outside(lo, x, place, producers, readers)
    if x.id in lo.outside:
        lo.outside[node.output.id] = home
        lo.joined.add(node.output.id)


STORED_BYTES = 16384
"""Bytes a partition from which on a product that is an output is stored tile by tile."""


def store_in_pieces(
    lo: Lowering, outputs: dict[str, Buffer], readers: dict[int, list[Node]], free: frozenset[str]
) -> None:
    """Large outputs, or parts of them, that a matmul ends in go to DRAM as they are made, never
    whole on chip."""
    for members in group(lo.graph):
        results = members.outputs(lo.graph) if members.anchor.op == "matmul" else []
        if members.nest is not None or len(results) != 1:
            continue
        v = results[0]
        rows = Spec.of(v.shape, len(v.shape) - 2)
        size = math.prod(v.shape) * device_dtype(v.dtype).size_bytes
        if v.name in free or size < STORED_BYTES * rows.block:
            continue
        place = lo.parts.get(v.id)
        if v in lo.graph.outputs:
            if not readers.get(v.id):
                lo.outside[v.id] = dense(outputs[v.name], device_dtype(v.dtype), v.shape)
        elif place is not None and place[0].id in lo.outside and len(readers[v.id]) == 1:
            whole, axis, at = place
            home = lo.outside[whole.id].slice(axis, at, v.shape[axis])
            assert home is not None, "a dense tensor can be cut anywhere"
            lo.outside[v.id] = home
            lo.joined.add(v.id)
