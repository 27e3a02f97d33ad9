"""Values that move: a new view where one can say it, else a copy."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

from compiler.graph.attrs import integer, integers, number, pairs, text
from compiler.graph.graph import Node, Value
from compiler.lowering.context import PARTITIONS, Lowering, Spec
from compiler.lowering.groups import is_elementwise
from compiler.lowering.layout import best
from compiler.lowering.places import dense_by_runs, device_dtype
from compiler.lowering.select import join_on_array
from compiler.tiles.iterate import Mismatch, check_alike, tiles
from compiler.tiles.view import View
from isa.program import BufferKind

FEW_CHANNELS = 32
"""Channels that a transpose is cheap for, and that leave most partitions empty."""
CUT = ("starts", "sizes", "steps")


def lower_transpose(lo: Lowering, node: Node) -> None:
    """A transposed view."""
    perm, out = integers(node, "perm"), node.output
    view = lo.views[node.inputs[0].id].permute(perm)
    if _cut_on_partitions(lo, view, out):
        dim = max(range(len(out.shape) - 1), key=lambda d: min(out.shape[d], PARTITIONS))
        spec = Spec.of(out.shape, dim)
        moved = lo.allocate(out.shape, view.dtype, spec, f"{out.name}/relayout")
        lo.copy(moved, view)
        view = moved
    lo.views[out.id] = view


def _cut_on_partitions(lo: Lowering, view: View, out: Value) -> bool:
    """Whether a few channels lie on partitions, last, and a reshape cuts them or joins them.

    Such a tensor has runs of one element wherever it goes; channels along the free dimension are
    whole rows.
    """
    readers, last = lo.readers.get(out.id, []), len(out.shape) - 1
    if view.replicated or view.part_dims() != [last] or out.shape[last] > FEW_CHANNELS:
        return False
    return (
        len(readers) == 1
        and readers[0].op == "reshape"
        and (readers[0].output.shape[-1] != out.shape[last])
    )


def lower_reshape(lo: Lowering, node: Node, spec: Spec) -> None:
    """A reshaped view, or a copy in row-major order."""
    if node.output.id in lo.outside and node.output.id in lo.joined:
        return  # its parts are at home in DRAM
    view = lo.views[node.inputs[0].id].reshape(node.output.shape)
    if view is None:
        view = _through_rows(lo, node, spec)
    lo.views[node.output.id] = view


def _through_rows(lo: Lowering, node: Node, spec: Spec) -> View:
    """Reshape by way of DRAM, where a tensor is row-major and has no partitions."""
    value, out = node.inputs[0], node.output
    made = lo.produce(out, spec)
    lo.reshape_through_dram(made, lo.views[value.id])
    return made


def lower_bitcast(lo: Lowering, node: Node) -> None:
    """The same bytes, read as another type."""
    view = lo.views[node.inputs[0].id]
    lo.views[node.output.id] = replace(view, dtype=device_dtype(node.output.dtype))


def lower_broadcast(lo: Lowering, node: Node) -> None:
    """A view with steps of stride 0."""
    lo.views[node.output.id] = lo.views[node.inputs[0].id].broadcast(node.output.shape)


def lower_slice(lo: Lowering, node: Node) -> None:
    """A view of part of a value, or of the value in a layout that can be cut."""
    value, out = node.inputs[0], node.output
    if value.id in lo.outside:
        _load_part(lo, node)
        return
    view = part_of(lo.views[value.id], node)
    if view is None:
        triples = _triples(node)
        whole = [d for d, (_, size, _) in enumerate(triples) if size == value.shape[d]]
        dim = max(whole, key=lambda d: value.shape[d], default=None)
        spec = Spec.of(value.shape, dim) if dim is not None else Spec(0, 1)
        view = part_of(lo.view(value, spec), node)
        if view is None and dim is not None:  # it lies so, but its factors are cut unevenly
            plain = lo.allocate(value.shape, lo.views[value.id].dtype, spec, f"{value.name}/plain")
            lo.copy(plain, lo.views[value.id])
            view = part_of(plain, node)
    if view is None:
        view = part_of(lo.view(value, Spec(_unit_dim(value), 1)), node)
    if view is None:  # a view whose factors are cut unevenly, though on one partition
        plain = lo.allocate(value.shape, lo.views[value.id].dtype, Spec(0, 1), f"{value.name}/row")
        lo.copy(plain, lo.views[value.id])
        view = part_of(plain, node)
    assert view is not None, "with one row on partitions every slice is a view"
    lo.views[out.id] = view


def _load_part(lo: Lowering, node: Node) -> None:
    """A slice of a value that is still in DRAM: only the part is loaded."""
    view = part_of(lo.outside[node.inputs[0].id], node)
    assert view is not None, "what is cut in DRAM was asked before"
    out = node.output
    kept = out in lo.graph.outputs
    if not kept and reads_in_pieces(lo.readers.get(out.id, []), out):
        lo.streamed[out.id] = view
    else:
        lo.dma(lo.produce(out, best(lo.wanted, out)), view)


def reads_in_pieces(readers: list[Node], value: Value) -> bool:
    """Whether every reader is elementwise and of the value's shape, so that pieces will do."""
    return bool(readers) and all(
        is_elementwise(r) and r.output.shape == value.shape for r in readers
    )


def _unit_dim(value: Value) -> int:
    return next((d for d, e in enumerate(value.shape) if e == 1), 0)


def part_of(view: View, node: Node) -> View | None:
    """What a slice leaves of a view of its operand; None if its factors are cut unevenly."""
    for d, (first, size, step) in enumerate(_triples(node)):
        made = view.slice(d, first, size, step)
        if made is None:
            return None
        view = made
    return view


def _triples(node: Node) -> list[tuple[int, int, int]]:
    """Start, size and step along each dimension."""
    starts, sizes, steps = (integers(node, k) for k in CUT)
    return [(int(a), int(n), int(s)) for a, n, s in zip(starts, sizes, steps, strict=True)]


def lower_concat(lo: Lowering, node: Node, spec: Spec) -> None:
    """Copies into the parts of one tensor."""
    axis, out = integer(node, "axis"), node.output
    if out.id in lo.outside:
        _store_parts(lo, node, axis)
        lo.joined.add(out.id)
        return
    made = lo.views.get(out.id) or lo.produce(out, spec)
    rest = [(v, at) for v, at in _places(node, axis) if v.id not in lo.joined]
    if not all(_engines_can_copy(lo, made, v, axis, at) for v, at in rest):
        if not join_on_array(lo, made, _places(node, axis), axis):
            _join_in_dram(lo, made, node, axis)
        return
    for value, at in rest:
        copy_into(lo, made, value, axis, at)


def _places(node: Node, axis: int) -> list[tuple[Value, int]]:
    """The parts of a concatenation and where each begins."""
    at, places = 0, []
    for value in node.inputs:
        places.append((value, at))
        at += value.shape[axis]
    return places


def _engines_can_copy(lo: Lowering, dst: View, value: Value, axis: int, at: int) -> bool:
    if value.id in lo.graph.constants:
        return True
    src = lo.views[value.id]
    for first, size in _pieces(value.shape[axis], _block(src, axis), _block(dst, axis), at):
        target, source = dst.slice(axis, at + first, size), src.slice(axis, first, size)
        if target is None or source is None:
            return False
        try:
            check_alike([target, source])
        except Mismatch:
            return False
    return True


def _join_in_dram(lo: Lowering, made: View, node: Node, axis: int) -> None:
    """Parts that lie unlike the whole: each stored, the whole loaded once."""
    constants = lo.graph.constants
    places = [(v, at, lo.constant_view(v, made) if v.id in constants else lo.views[v.id])
              for v, at in _places(node, axis)]  # fmt: skip
    size = math.prod(made.shape) * made.dtype.size_bytes
    buffer = lo.kernel.dram("concat", size, BufferKind.SCRATCH, made.dtype, made.shape)
    home = dense_by_runs(buffer, made.dtype, made.shape, (made, *(view for _, _, view in places)))
    for value, at, view in places:
        target = home.slice(axis, at, value.shape[axis])
        assert target is not None, "a dense tensor can be cut anywhere"
        lo.dma(target, lo.in_type(view, made.dtype))
    lo.dma(made, home)


def _store_parts(lo: Lowering, node: Node, axis: int) -> None:
    """The parts of a graph output, each stored where it belongs: the whole is never on chip."""
    for value, at in _places(node, axis):
        if value.id not in lo.joined:
            store_part(lo, value, node.output, axis, at)


def store_part(lo: Lowering, value: Value, whole: Value, axis: int, at: int) -> None:
    """Store one part of a graph output."""
    target = lo.outside[whole.id].slice(axis, at, value.shape[axis])
    assert target is not None, "a dense tensor can be cut anywhere"
    lo.dma(target, lo.in_type(lo.views[value.id], target.dtype))


def copy_into(lo: Lowering, dst: View, value: Value, axis: int, at: int) -> None:
    """dst[.., at : at + extent, ..] := value along `axis`, cut at the blocks of either."""
    src = lo.constant_view(value, dst) if value.id in lo.graph.constants else lo.views[value.id]
    pairs = _piece_views(dst, src, axis, at)
    if pairs is None:  # its blocks are no runs of positions
        pairs = _piece_views(dst, lo.view(value, Spec.of(value.shape, axis)), axis, at)
    assert pairs is not None, "a range inside one block is a view"
    for target, source in pairs:
        lo.copy(target, source)


def _piece_views(dst: View, src: View, axis: int, at: int) -> list[tuple[View, View]] | None:
    pairs = []
    for first, size in _pieces(src.shape[axis], _block(src, axis), _block(dst, axis), at):
        target, source = dst.slice(axis, at + first, size), src.slice(axis, first, size)
        if target is None or source is None:
            return None
        pairs.append((target, source))
    return pairs


def _block(view: View, axis: int) -> int:
    parts = [f.extent for f in view.factors[axis] if f.part]
    return parts[0] if parts else max(1, view.shape[axis])


def _pieces(extent: int, src: int, dst: int, at: int) -> list[tuple[int, int]]:
    cuts = {0, extent}
    cuts.update(range(src, extent, src))
    cuts.update(p - at for p in range(-(-at // dst) * dst, at + extent, dst) if p > at)
    ordered = sorted(cuts)
    return [(a, b - a) for a, b in itertools.pairwise(ordered)]


def lower_pad(lo: Lowering, node: Node, spec: Spec) -> None:
    """A larger tensor, filled, with the value inside; edge and mirror modes copy strips."""
    value, out = node.inputs[0], node.output
    mode = text(node, "mode")
    pads = pairs(node, "pads")
    made = lo.produce(out, spec)
    if mode == "constant" or sum(pair != (0, 0) for pair in pads) > 1:
        for _, (ap,) in tiles([made], 65535):
            lo.kernel.memset(ap, number(node, "value"))
    inside: View | None = made
    for d, (low, _) in enumerate(pads):
        inside = inside.slice(d, low, value.shape[d]) if inside is not None else None
    if inside is None:
        copy_padded(lo, made, value, pads)
    else:
        lo.copy(inside, lo.views[value.id])
    if mode != "constant":
        _mirror(lo, made, value.shape, pads, mode)
    lo.views[out.id] = made


def copy_padded(lo: Lowering, made: View, value: Value, pads: list[tuple[int, int]]) -> None:
    """The inside of a padded tensor whose partition dimension is padded: block by block."""
    axis = next(d for d in made.part_dims())
    inside = made
    for d, (low, _) in enumerate(pads):
        if d != axis:
            cut = inside.slice(d, low, value.shape[d])
            assert cut is not None, "a free dimension can be cut"
            inside = cut
    copy_into(lo, inside, value, axis, pads[axis][0])


def _mirror(
    lo: Lowering, made: View, shape: tuple[int, ...], pads: list[tuple[int, int]], mode: str
) -> None:
    """Fill the border of each padded dimension from the inside, a row at a time."""
    for d, (low, high) in enumerate(pads):
        extent = shape[d]
        for i in (*range(low), *range(low + extent, low + extent + high)):
            source = low + _source(i - low, extent, mode)
            target, ap = made.slice(d, i, 1), made.slice(d, source, 1)
            assert target is not None, "one position is a view"
            assert ap is not None, "one position is a view"
            lo.copy(target, ap)


def _source(i: int, extent: int, mode: str) -> int:
    if mode == "edge":
        return min(max(i, 0), extent - 1)
    if mode == "wrap":
        return i % extent
    period = max(1, 2 * (extent - 1))
    i = abs(i) % period
    return period - i if i >= extent else i
