"""Values that lie in DRAM between segments: each box goes there when it is made.

Read  `graph_passes/spill.py` for who assembles values of boxes
"""

from __future__ import annotations

from collections.abc import Mapping

from compiler.graph.attrs import integers
from compiler.graph.graph import Graph, Node, Value
from compiler.lowering.context import Lowering, Spec, dense, device_dtype
from compiler.lowering.groups import Group, group, is_elementwise
from compiler.tiles.view import View
from isa.kernel import Buffer
from isa.program import BufferKind


def place_boxes(lo: Lowering, outputs: Mapping[str, Buffer]) -> None:
    """Give every assembled value its place in DRAM, that of the output which it is or its own."""
    kept = {v.id for v in lo.graph.outputs}
    readers = lo.readers
    streams = _stored_as_made(lo.graph)
    for node in lo.graph.nodes:
        if node.op != "assemble":
            continue
        out = node.output
        dtype = device_dtype(out.dtype)
        buffer = (
            outputs[out.name]
            if out.id in kept
            else lo.kernel.dram(
                out.name, out.size * dtype.size_bytes, BufferKind.SCRATCH, dtype, out.shape
            )
        )
        lo.outside[out.id] = dense(buffer, dtype, out.shape)
        for value, place in _boxes(lo, node):
            if value.id in streams and len(readers[value.id]) == 1 and value.id not in kept:
                lo.outside[value.id] = place
            else:
                lo.boxes.setdefault(value.id, []).append(place)


def stored_as_made(node: Node) -> bool:
    """Whether what a node makes can go to DRAM tile by tile, and is never whole on chip."""
    return node.op == "matmul" or (is_elementwise(node) and bool(node.output.shape))


def _stored_as_made(graph: Graph) -> set[int]:
    """The only results of groups, made by a product or elementwise."""
    found = set()
    for members in group(graph):
        results = members.outputs(graph)
        if members.nest is None and len(results) == 1 and stored_as_made(members.anchor):
            found.add(results[0].id)
    return found


def _boxes(lo: Lowering, node: Node) -> list[tuple[Value, View]]:
    """The boxes of an assembled value, each with its place."""
    grid, whole = integers(node, "grid"), lo.outside[node.output.id]
    at, found = [0] * len(grid), []
    for value in node.inputs:
        place: View | None = whole
        for d, first in enumerate(at):
            place = place.slice(d, first, value.shape[d]) if place is not None else None
        assert place is not None, "a dense tensor can be cut anywhere"
        found.append((value, place))
        for d in reversed(range(len(grid))):
            at[d] += value.shape[d]
            if at[d] < whole.shape[d]:
                break
            at[d] = 0
    return found


def store_boxes(lo: Lowering, members: Group) -> None:
    """Boxes go to DRAM as soon as they are made."""
    for value in (v for n in members.nodes for v in n.outputs):
        if value.id in lo.boxes and value.id in lo.views:
            _store(lo, value)


def lower_assemble(lo: Lowering, node: Node) -> None:
    """What is not there yet: boxes that nobody makes, of constants alone."""
    for value in {v.id: v for v in node.inputs}.values():
        if value.id not in lo.boxes:
            continue
        if value.id in lo.graph.constants:
            lo.load_constant(value, Spec.of(value.shape, 0))
        _store(lo, value)


def _store(lo: Lowering, value: Value) -> None:
    for place in lo.boxes.pop(value.id):
        lo.dma(place, lo.views[value.id])
