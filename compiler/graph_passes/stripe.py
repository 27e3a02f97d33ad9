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

from collections.abc import Callable

from compiler.graph.attrs import integers, pairs
from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Attr, Graph, Node, Value
from compiler.graph.ops import CORE_OPS, Family
from compiler.graph_passes.by_image import images_of
from compiler.graph_passes.spans import Bytes, Region, find_region
from compiler.graph_passes.strip_dims import ELEMENTWISE, window_of

Rows = tuple[int, int]


def stripe_everywhere(
    graph: Graph, budget_bytes: int, bytes_for: Callable[[Graph], Bytes], strips: int
) -> Graph | None:
    """Every span that exceeds the budget in strips, the last one first; None without any.

    Where a batch has fewer images than there are to be strips, what is too large of
    a single image is then cut into strips of rows.
    """
    before: int | None = None
    finer, found = 1, False
    while True:
        region = find_region(graph, budget_bytes, bytes_for(graph), before)
        if region is None:
            break
        images = images_of(graph, region.first, region.last)
        if images > 1:
            finer = max(finer, -(-strips // images))
        graph, before, found = stripe(graph, region, strips), region.first, True
    if not found:
        return None
    if finer > 1:
        return stripe_everywhere(graph, budget_bytes, bytes_for, finer) or graph
    return graph


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
            stride, reach, (low, _) = window_of(node)
            first, last = out[0] * stride - low, (out[1] - 1) * stride - low + reach
            return {x.id: (max(0, first), min(x.shape[2], last))}
        if node.op == "conv_transpose" and dims[node.output.id] > 0:
            x = node.inputs[0]
            return {x.id: _spread_from(node, out)}
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
                stride, reach, (low, _) = window_of(node)
                first, last = out[0] * stride - low, (out[1] - 1) * stride - low + reach
                height = node.inputs[0].shape[2]
                pads = pairs(node, "pads")
                pads[0] = (max(0, -first), max(0, last - height))
                attrs["pads"] = tuple(pads)
            if node.op == "conv_transpose" and self.region.dims[node.output.id] > 0:
                attrs |= _spread_to(node, out)
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
            if node.op == "slice":
                sizes = list(integers(node, "sizes"))
                sizes[self.region.dims[node.output.id]] = out[1] - out[0]
                attrs["sizes"] = tuple(sizes)
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
        cut = node.op == "concat" or CORE_OPS[node.op].family in ELEMENTWISE
        rows = cut and dim >= 0 and value.shape[dim] > 1
        return self._slice(made, 0, dim, *out) if rows else made


def _spread_from(node: Node, out: Rows) -> Rows:
    """The rows that a transposed convolution spreads over rows `out` of its result."""
    stride, reach, (low, _) = window_of(node)
    first = -(-(out[0] + low - reach + 1) // stride)
    last = (out[1] - 1 + low) // stride + 1
    height = node.inputs[0].shape[2]
    first = min(max(0, first), height - 1)  # rows of output padding come of nothing: take any
    return first, max(first + 1, min(height, last))


def _spread_to(node: Node, out: Rows) -> dict[str, Attr]:
    """Its pads and output padding where it makes only rows `out`, of the rows that they need."""
    stride, reach, (low, _) = window_of(node)
    first, last = _spread_from(node, out)
    before = low + out[0] - stride * first
    behind = stride * (last - first - 1) + reach - before - (out[1] - out[0])
    pads = ((before, max(0, behind)), *pairs(node, "pads")[1:])
    more = (max(0, -behind), *integers(node, "output_padding")[1:])
    return {"pads": pads, "output_padding": more}
