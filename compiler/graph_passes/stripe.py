"""stripe: compute a chain of spatial layers strip by strip, so that what is between fits on chip.

Before                                  After, for each of S strips of rows
    a = conv(x)     [1, 64, 224, 224]       a_s = conv(x[rows s, with their halo])
    b = conv(a)                             b_s = conv(a_s)
    y = relu(b)                             y_s = relu(b_s);   y = concat(y_0, y_1, ..)

Loop fusion across layers: nothing in the region is ever whole. Strips overlap by the halo of the
layers behind, which is computed again in each. Which rows of an operand a strip needs follows from
each op (`_needs`), so the region may hold convolutions, pooling, elementwise ops, transposes and
reshapes alike; a value's striped dimension is tracked through all of them.

Needs    static shapes; before auto-cast, which chooses types by value.
Leaves   a graph that evaluates to the same values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from compiler.graph.attrs import flag, integer, integers, pairs
from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph, Node, Value
from compiler.graph.ops import CORE_OPS, Family
from compiler.graph_passes.by_image import (
    SMALL,
    batch_dims,
    image_span,
    images_of,
    least_between,
)
from compiler.lowering.groups import ends_in_dram, group, never_whole
from compiler.lowering.layout import read_in_parts

ELEMENTWISE = (Family.UNARY, Family.BINARY, Family.COMPARE, Family.SELECT, Family.CONVERT)
VIEWS = ("reshape", "transpose", "slice", "broadcast_to")
Rows = tuple[int, int]


@dataclass(frozen=True)
class Region:
    """Nodes [first, last] of a graph, and the striped dimension of each value they touch.

    `unit[v]` rows of v's dimension belong to one row of the region's own count.
    """

    first: int
    last: int
    dims: Mapping[int, int]


Bytes = Callable[[Value], int]
"""Bytes a partition that a value takes in the layout it will have."""


def profile(graph: Graph, bytes_of: Bytes) -> list[int]:
    """Bytes a partition that are live while each node runs; weights are not counted, nor what is
    fused away."""
    groups = group(graph)
    stored = ends_in_dram(graph, groups)
    fused = never_whole(graph, groups) | stored
    last = {v.id: len(graph.nodes) for v in graph.outputs}
    for i, node in enumerate(graph.nodes):
        if node.op == "concat" and node.output.id in stored:
            continue  # its parts go there one by one, when they are made
        for v in node.inputs:
            last[v.id] = max(last.get(v.id, -1), i)
    for node in reversed(graph.nodes):  # operands stay until what they are fused into is made
        seen = {v.id for v in node.outputs if v.id in fused or node.op in VIEWS}  # or seen through
        for end in [last[v] for v in seen - stored if v in last]:
            for v in node.inputs:
                last[v.id] = max(last.get(v.id, -1), end)
    live = {v.id: bytes_of(v) for v in graph.inputs}
    parted, out = read_in_parts(graph), []
    for i, node in enumerate(graph.nodes):
        if node.op == "slice" and node.inputs[0].id in parted:  # loaded when its reader runs
            out.append(sum(live.values()))
            live[node.output.id] = bytes_of(node.output)
            continue
        moves = CORE_OPS[node.op].family is Family.MOVE and node.op not in ("concat", "pad")
        for v in node.outputs:
            live[v.id] = 0 if moves or v.id in fused else bytes_of(v)
        out.append(sum(live.values()))
        for vid in [k for k in live if last.get(k, -1) <= i]:
            del live[vid]
    return out


def find_region(
    graph: Graph, budget_bytes: int, bytes_of: Bytes, before: int | None = None
) -> Region | None:
    """The last span of nodes in front of `before` that exceeds the budget and can be striped."""
    end = len(graph.nodes) if before is None else before
    live = profile(graph, bytes_of)
    over = [i for i in range(end) if live[i] > budget_bytes]
    while over:
        last = first = over.pop()
        while over and over[-1] >= first - 1:
            first = over.pop()
        first, last = _whole_groups(graph, first, last, end)
        over = [i for i in over if i < first]
        if images_of(graph, first, last) > 1 and not _has_product(graph, first, last):
            small = SMALL * budget_bytes
            while (
                over
                and images_of(graph, over[-1], last) > 1
                and least_between(graph, over[-1], first, bytes_of) > small
            ):
                first = over.pop()
            first, last = image_span(graph, first, last, budget_bytes, bytes_of, end)
            return Region(first, last, batch_dims(graph, first, last))
        dims = _dims(graph, first, last)
        if dims:
            return _widened(graph, Region(first, last, dims), budget_bytes // 4, bytes_of, end)
    return None


def _has_product(graph: Graph, first: int, last: int) -> bool:
    """Whether rows of vectors are multiplied in the span: not an image, and whole groups count."""
    return any(node.op == "matmul" for node in graph.nodes[first : last + 1])


def _whole_groups(graph: Graph, first: int, last: int, end: int) -> tuple[int, int]:
    """The span with the rest of every product that it cuts: what is fused has no border inside."""
    at = {id(n): i for i, n in enumerate(graph.nodes)}
    spans = [
        (min(places), max(places))
        for members in group(graph)
        if members.anchor.op == "matmul"
        for places in [[at[id(n)] for n in members.nodes]]
    ]
    for a, z in spans:
        if a <= last and z >= first and z < end:
            first, last = min(first, a), max(last, z)
    return first, _to_the_reader(graph, last, end, dict(spans))


def _to_the_reader(graph: Graph, last: int, end: int, spans: Mapping[int, int]) -> int:
    """Further, through transposes and reshapes of a product, to the product that reads them."""
    at = last
    while at + 1 < end and graph.nodes[at + 1].op in ("transpose", "reshape"):
        if graph.nodes[at + 1].inputs[0] is not graph.nodes[at].output:
            return last
        at += 1
    reads = at > last and at + 1 < end and graph.nodes[at].output in graph.nodes[at + 1].inputs
    return spans[at + 1] if reads and at + 1 in spans else last


def _widened(graph: Graph, region: Region, small_bytes: int, bytes_of: Bytes, end: int) -> Region:
    """The region with neighbours taken in as long as what crosses its border is large."""
    first, last, dims = region.first, region.last, region.dims
    if _has_product(graph, first, last):
        small_bytes = 0  # weights are read again in every strip: as few borders as can be
    while first > 0 and any(bytes_of(v) > small_bytes for v in graph.nodes[first].inputs):
        wider = _dims(graph, first - 1, last)
        if not wider:
            break
        first, dims = first - 1, wider
    producers = graph.producers()
    while last + 1 < end and bytes_of(_held(producers, graph.nodes[last].output)) > small_bytes:
        wider = _dims(graph, first, last + 1)
        if not wider:
            break
        last, dims = last + 1, wider
    return Region(first, last, dims)


def _held(producers: dict[int, Node], value: Value) -> Value:
    """The value whose bytes a view shows."""
    node = producers.get(value.id)
    while node is not None and node.op in VIEWS:
        value = node.inputs[0]
        node = producers.get(value.id)
    return value


def stripe_everywhere(
    graph: Graph, budget_bytes: int, bytes_for: Callable[[Graph], Bytes], strips: int
) -> Graph | None:
    """Every span that exceeds the budget in strips, the last one first; None without any.

    Products have many weights, which each part loads again: they are cut into no more parts than
    make them fit. Where a batch has fewer images than there are to be strips, what is too large of
    a single image is then cut into strips of rows.
    """
    before: int | None = None
    finer, found = 1, False
    while True:
        region = find_region(graph, budget_bytes, bytes_for(graph), before)
        if region is None:
            break
        images, parts = images_of(graph, region.first, region.last), strips
        if images > 1:
            inside = slice(region.first, region.last + 1)
            if _has_product(graph, region.first, region.last):
                parts = -(-max(profile(graph, bytes_for(graph))[inside]) // budget_bytes)
            finer = max(finer, -(-parts // images))
        graph, before, found = stripe(graph, region, parts), region.first, True
    if not found:
        return None
    if finer > 1:
        return stripe_everywhere(graph, budget_bytes, bytes_for, finer) or graph
    return graph


def _dims(graph: Graph, first: int, last: int) -> dict[int, int]:
    """The striped dimension of each value of a span, or nothing where one has none."""
    dims = _Dims(_first_rows if _has_product(graph, first, last) else _spatial)
    for node in graph.nodes[first : last + 1]:
        if len(node.outputs) != 1:
            return {}
        dim = _output_dim(graph, node, dims)
        if dim is None:
            return {}
        dims[node.output.id] = dim
    return dims


def _output_dim(graph: Graph, node: Node, dims: _Dims) -> int | None:
    """The striped dimension of a node's result; sets that of operands from outside."""
    family = CORE_OPS[node.op].family
    if node.op in ("conv", "reduce_window"):
        x = node.inputs[0]
        if node.attrs.get("folds", (1, 1)) != (1, 1):
            return None  # its rows lie in several blocks already
        if len(x.shape) < 3 or (len(node.inputs) > 1 and not graph.is_constant(node.inputs[1])):
            return None
        stride, reach, (low, _) = _window(node)
        if low >= reach or (node.output.shape[2] - 1) * stride - low >= x.shape[2]:
            return None  # rows of padding alone read nothing
        return 2 if dims.setdefault(x.id, 2) == 2 else None
    if node.op == "transpose":
        perm = integers(node, "perm")
        return perm.index(dims.of(node.inputs[0]))
    if node.op == "reshape":
        return _reshaped_dim(node, dims.of(node.inputs[0]))
    if family in ELEMENTWISE:
        return _elementwise_dim(graph, node, dims)
    if node.op == "matmul":
        return _product_dim(graph, node, dims)
    if node.op == "reduce" and flag(node, "keepdims"):
        dim = dims.of(node.inputs[0])
        return dim if dim not in integers(node, "axes") else None
    if node.op == "concat":
        found = {dims.of(v) for v in node.inputs if not graph.is_constant(v)}
        dim = found.pop()
        return (
            None
            if found
            or dim == integer(node, "axis")
            or any(graph.is_constant(v) for v in node.inputs)
            else dim
        )
    return None


def _spatial(value: Value) -> int:
    """Rows of an image."""
    return 2 if len(value.shape) >= 3 else 0


def _first_rows(value: Value) -> int:
    """Of rows of vectors the outermost dimension that can be parted."""
    return next((d for d, e in enumerate(value.shape[:-1]) if e > 1), 0)


def _product_dim(graph: Graph, node: Node, dims: _Dims) -> int | None:
    """Rows of a product with weights, or a dimension of the batch of two computed operands."""
    x, w = node.inputs
    if graph.is_constant(x):
        return None
    if graph.is_constant(w):
        rows = len(w.shape) == 2 and not flag(node, "transpose_a")
        return dims.of(x) if rows and dims.of(x) < len(x.shape) - 1 else None
    batch = dims.of(x) == dims.of(w) < len(x.shape) - 2 and len(x.shape) == len(w.shape)
    return dims.of(x) if batch and x.shape[dims.of(x)] == w.shape[dims.of(w)] else None


class _Dims(dict[int, int]):
    """Value id -> striped dimension; `of` says which one where nothing else does."""

    def __init__(self, default: Callable[[Value], int]) -> None:
        super().__init__()
        self.default = default

    def of(self, value: Value) -> int:
        """The value's dimension, chosen now if it had none."""
        return self.setdefault(value.id, self.default(value))


def _elementwise_dim(graph: Graph, node: Node, dims: _Dims) -> int | None:
    out = node.output.shape
    if not out:
        return None
    full = [v for v in node.inputs if not graph.is_constant(v) and v.shape == out]
    known = [dims[v.id] for v in full if v.id in dims]
    dim = known[0] if known else dims.default(node.output)
    for v in node.inputs:
        shift = len(out) - len(v.shape)
        if graph.is_constant(v):
            continue
        if dim < shift or v.shape[dim - shift] < out[dim]:  # broadcast: every strip reads it whole
            if v.id in dims:
                return None
            continue
        if dims.setdefault(v.id, dim - shift) != dim - shift:
            return None
    return dim if dim < len(out) else None


def _reshaped_dim(node: Node, dim: int) -> int | None:
    """Where a dimension lands: kept, or the outermost part of one that joins it to others."""
    old, new = node.inputs[0].shape, node.output.shape
    if dim >= len(old):
        return None
    outer = math.prod(old[:dim])
    place = 1
    for d, extent in enumerate(new):
        if place == outer and extent % old[dim] == 0 and extent > 1:
            return d
        place *= extent
    return None


def stripe(graph: Graph, region: Region, strips: int) -> Graph:
    """The graph with a region computed in `strips` strips of rows."""
    return _Striper(graph, region, strips).run()


class _Striper:
    def __init__(self, graph: Graph, region: Region, strips: int) -> None:
        self.graph, self.region, self.strips = graph, region, strips
        self.b = GraphBuilder(graph.name)
        self.b.notes.extend(graph.notes)
        self.new: dict[int, Value] = {}

    def run(self) -> Graph:
        graph, b, region = self.graph, self.b, self.region
        for v in graph.inputs:
            self.new[v.id] = b.input(v.name, v.shape, v.dtype)
        for v in graph.constant_values:
            self.new[v.id] = b.constant(graph.constants[v.id], v.dtype, v.name)
        inside = graph.nodes[region.first : region.last + 1]
        for node in graph.nodes[: region.first]:
            self._whole(node)
        self._strips(inside)
        for node in graph.nodes[region.last + 1 :]:
            self._whole(node)
        for v in graph.outputs:
            b.output(self.new[v.id], v.name)
        return b.finish()

    def _whole(self, node: Node) -> None:
        with self.b.origin(node.sources, node.output.name):
            operands, kinds = [self.new[v.id] for v in node.inputs], [v.dtype for v in node.outputs]
            made = self.b.emit_all(node.op, operands, dict(node.attrs), kinds)
        for old, value in zip(node.outputs, made, strict=True):
            self.new[old.id] = value

    def _strips(self, inside: tuple[Node, ...]) -> None:
        """All strips of the region, then the joining of what is read outside."""
        mine = {id(n) for n in inside}
        readers = self.graph.consumers()
        kept = {v.id for v in self.graph.outputs}
        results = [
            n.output
            for n in inside
            if n.output.id in kept or any(id(r) not in mine for r in readers.get(n.output.id, []))
        ]
        parts: dict[int, list[Value]] = {v.id: [] for v in results}
        for s in range(self.strips):
            wanted: dict[int, Rows] = {}
            for v in results:
                rows = v.shape[self.region.dims[v.id]]
                share = self._granule(v)
                a, z = (rows // share * i // self.strips * share for i in (s, s + 1))
                if z > a:
                    wanted[v.id] = (a, z)
            if wanted:
                made = self._strip(inside, wanted)
                for v in results:
                    if v.id in made:  # fewer rows than strips: some strips have none
                        parts[v.id].append(made[v.id])
        for v in results:
            pieces = parts[v.id]
            with self.b.origin((), v.name):
                joined = pieces[0]
                if len(pieces) > 1:
                    joined = self.b.emit("concat", *pieces, axis=self.region.dims[v.id])
            self.new[v.id] = joined

    def _granule(self, value: Value) -> int:
        """Rows that cannot be parted: those that one row of an operand became by a reshape."""
        producers = self.graph.producers()
        unit, dims = 1, self.region.dims
        node = producers.get(value.id)
        while node is not None and CORE_OPS[node.op].family in (*ELEMENTWISE, Family.MOVE):
            striped = [v for v in node.inputs if v.id in dims]
            if node.output.id not in dims or not striped:
                break  # in front of the region
            if node.op == "reshape":
                rows = striped[0].shape[dims[striped[0].id]]
                unit *= max(1, node.output.shape[dims[node.output.id]] // rows)
            node = producers.get(striped[0].id)
        return unit

    def _strip(self, inside: tuple[Node, ...], wanted: dict[int, Rows]) -> dict[int, Value]:
        """One strip: which rows of everything, backwards; then the nodes on those rows."""
        rows = dict(wanted)
        for node in reversed(inside):
            if node.output.id not in rows:
                continue
            rows[node.output.id] = self._aligned(node, rows[node.output.id])
            for v, need in self._needs(node, rows[node.output.id]).items():
                old = rows.get(v, need)
                rows[v] = (min(old[0], need[0]), max(old[1], need[1]))
        local: dict[int, tuple[Value, int]] = {}
        for node in inside:
            if node.output.id in rows:
                local[node.output.id] = (self._cut_node(node, rows, local), rows[node.output.id][0])
        return {v: self._slice(*local[v], self.region.dims[v], *wanted[v]) for v in wanted}

    def _aligned(self, node: Node, out: Rows) -> Rows:
        """A reshape makes all rows that come from one row of its operand, or none of them."""
        if node.op != "reshape":
            return out
        dims, x = self.region.dims, node.inputs[0]
        ratio = node.output.shape[dims[node.output.id]] // x.shape[dims[x.id]]
        return out[0] // ratio * ratio, -(-out[1] // ratio) * ratio

    def _needs(self, node: Node, out: Rows) -> dict[int, Rows]:
        """Value id -> rows of the operand that rows `out` of the result read."""
        dims = self.region.dims
        if node.op in ("conv", "reduce_window") and dims[node.output.id] > 0:
            x = node.inputs[0]
            stride, reach, (low, _) = _window(node)
            first, last = out[0] * stride - low, (out[1] - 1) * stride - low + reach
            return {x.id: (max(0, first), min(x.shape[2], last))}
        needs: dict[int, Rows] = {}
        out_rows = node.output.shape[dims[node.output.id]]
        for v in node.inputs:
            if (
                self.graph.is_constant(v)
                or v.id not in dims
                or (v.shape[dims[v.id]] == 1 and out_rows > 1 and node.op != "reshape")
            ):
                continue
            ratio = node.output.shape[dims[node.output.id]] // v.shape[dims[v.id]]
            needs[v.id] = (out[0] // ratio, -(-out[1] // ratio))
        return needs

    def _operand(self, value: Value, need: Rows, local: dict[int, tuple[Value, int]]) -> Value:
        if value.id in local:
            return self._slice(*local[value.id], self.region.dims[value.id], *need)
        return self._slice(self.new[value.id], 0, self.region.dims[value.id], *need)

    def _slice(self, value: Value, base: int, dim: int, first: int, last: int) -> Value:
        if first == base and last - first == value.shape[dim]:
            return value
        starts, sizes = [0] * len(value.shape), list(value.shape)
        starts[dim], sizes[dim] = first - base, last - first
        steps, whole = (1,) * len(starts), self.b.producer(value)
        if whole is not None and whole.op == "slice" and whole.attrs["steps"] == steps:
            value = whole.inputs[0]  # a part of a part
            starts = [a + b for a, b in zip(integers(whole, "starts"), starts, strict=True)]
        return self.b.emit("slice", value, starts=tuple(starts), sizes=tuple(sizes), steps=steps)

    def _cut_node(
        self, node: Node, rows: dict[int, Rows], local: dict[int, tuple[Value, int]]
    ) -> Value:
        out = rows[node.output.id]
        needs = self._needs(node, out)
        attrs = dict(node.attrs)
        with self.b.origin(node.sources, node.output.name):
            if node.op in ("conv", "reduce_window") and self.region.dims[node.output.id] > 0:
                stride, reach, (low, _) = _window(node)
                first, last = out[0] * stride - low, (out[1] - 1) * stride - low + reach
                height = node.inputs[0].shape[2]
                pads = pairs(node, "pads")
                pads[0] = (max(0, -first), max(0, last - height))
                attrs["pads"] = tuple(pads)
            operands = [
                self._operand(v, needs[v.id], local)
                if v.id in needs
                else self._other(node, v, out, local)
                for v in node.inputs
            ]
            if node.op in ("reshape", "broadcast_to"):
                shape = list(node.output.shape)
                shape[self.region.dims[node.output.id]] = out[1] - out[0]
                attrs["shape"] = tuple(shape)
            made = self.b.emit_all(node.op, operands, attrs, [v.dtype for v in node.outputs])[0]
        return made

    def _other(
        self, node: Node, value: Value, out: Rows, local: dict[int, tuple[Value, int]]
    ) -> Value:
        """An operand that is not striped: one broadcast, or a constant, cut where it has rows."""
        if value.id in local:
            return local[value.id][0]
        made = self.new[value.id]
        dim = self.region.dims[node.output.id] - (len(node.output.shape) - len(value.shape))
        rows = CORE_OPS[node.op].family in ELEMENTWISE and dim >= 0 and value.shape[dim] > 1
        return self._slice(made, 0, dim, *out) if rows else made


def _window(node: Node) -> tuple[int, int, Rows]:
    """(stride, reach, pads) of the first spatial dimension."""
    kernel = node.inputs[1].shape[2] if node.op == "conv" else integers(node, "window")[0]
    dilation, stride = integers(node, "dilations")[0], integers(node, "strides")[0]
    low, high = pairs(node, "pads")[0]
    return stride, (int(kernel) - 1) * dilation + 1, (int(low), int(high))
