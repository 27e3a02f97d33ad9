"""Elementwise groups over views: on their own, or behind a contraction tile by tile."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from compiler.graph.graph import Node, Value, is_integer
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.contract import Box
from compiler.lowering.expression import Emitter, Op, Term
from compiler.lowering.integers import BITS, DIVISIONS
from compiler.lowering.operands import Operands, term_of
from compiler.tiles.iterate import sliced, tiles
from compiler.tiles.view import Factor, View, compact
from isa.dtypes import DType
from isa.kernel import Ap
from isa.memory import DRAM

STAGED = 2048
"""Elements a partition of a piece that is loaded from DRAM just before it is used."""
TILE = 1024
"""Elements a partition of one instruction outside PSUM: long enough to hide the fixed cost."""


@dataclass
class Plan:
    """An elementwise group made ready: the expression, and a view for each operand and result."""

    ops: list[Op]
    tiles: list[View]
    columns: list[View]
    outs: dict[int, View]
    shape: tuple[int, ...]
    dim: int
    block: int
    stored: dict[int, View] = field(default_factory=dict)  # results that go to DRAM piece by piece

    def emit(
        self,
        lo: Lowering,
        box: Box,
        leading: View | None,
        limit: int,
        elsewhere: View | None = None,
        beside: View | None = None,
    ) -> None:
        """Emit the part of the nest in `box`; `leading` is the PSUM tile of the anchor, if any.

        The only result goes `elsewhere`, a view of the box's shape, instead of where it is planned.
        `beside` is the second tile of a plan `with_sum`.
        """
        streamed = any(v.buffer.memory is DRAM for v in self.tiles) or self.stored
        if leading is None and streamed:
            for part in _portions(box, self.dim):
                self._emit(lo, part, [], limit, elsewhere)
        else:
            leads = [v for v in (leading, beside) if v is not None]
            self._emit(lo, box, leads, limit, elsewhere)

    def with_sum(self) -> Plan:
        """The plan with the sum of two tiles, the anchor's and one beside it, for the anchor's."""
        whole = bool(self.ops) and self.ops[0].op == "copy" and 0 in self.outs
        ops = list(self.ops[1:] if whole else self.ops)
        shift = 0 if whole else 1
        made = [replace(op, terms=tuple(_behind_sum(t, shift) for t in op.terms)) for op in ops]
        uses = sum(t == Term("tile", 0) for op in ops for t in op.terms)
        kind = self.ops[0].dtype if whole else DType.FP32
        total = Op("add", (Term("tile", 0), Term("tile", 1)), kind, uses + whole)
        outs = {i + shift: v for i, v in self.outs.items()}
        stored = {i + shift: v for i, v in self.stored.items()}
        return replace(self, ops=[total, *made], outs=outs, stored=stored)

    def _emit(
        self, lo: Lowering, box: Box, leads: list[View], limit: int, elsewhere: View | None
    ) -> None:
        like = sliced(next(iter(self.outs.values())), box)
        inputs = [sliced(v, box) for v in self.tiles]
        inputs = [lo.staged(v, like) if v.buffer.memory is DRAM else v for v in inputs]
        columns = [sliced(v, box) for v in self.columns]
        results = {i: elsewhere or sliced(v, box) for i, v in self.outs.items()}
        results |= {i: _beside(lo, results[i]) for i in self.stored}
        views = [*results.values(), *leads, *inputs, *columns]
        if views[0].replicated:
            views = [_on_every_partition(v) for v in views]
        for nums, aps in tiles(views, limit):
            outs = dict(zip(results, aps, strict=False))
            rest = aps[len(results) :]
            lead = rest[: len(leads)]
            body = rest[len(lead) : len(lead) + len(inputs)]
            first = outs[next(iter(outs))]
            emitter = Emitter(lo.kernel, lo.load, nums, first.partitions, _start(first))
            emitter.run(self.ops, [*lead, *body], rest[len(lead) + len(inputs) :], outs)
        for i, home in self.stored.items():
            lo.dma(sliced(home, box), results[i])


def _behind_sum(term: Term, shift: int) -> Term:
    """A term of a plan, said of the plan with a sum in front."""
    if term.kind == "tile":
        return Term("node", 0) if term.index == 0 else Term("tile", term.index + 1)
    return Term("node", term.index + shift) if term.kind == "node" else term


def _beside(lo: Lowering, like: View) -> View:
    """A new piece of a tensor, on the same partitions."""
    factors, stride = compact(like.factors)
    partitions = like.start + math.prod(f.extent for fs in like.factors for f in fs if f.part)
    buffer = lo.kernel.sbuf(partitions, stride * like.dtype.size_bytes, "piece of an output")
    return View(buffer, like.dtype, like.shape, factors, like.start)


def _portions(box: Box, dim: int) -> list[Box]:
    """Boxes of at most `STAGED` elements a partition, cut in the outermost dimension that helps."""
    free = math.prod(n for d, (_, n) in enumerate(box) if d != dim)
    cut = next((d for d, (_, n) in enumerate(box) if d != dim and n > 1), None)
    if free <= STAGED or cut is None:
        return [box]
    first, size = box[cut]
    share = max(1, size // -(-free // STAGED))
    made = []
    for at in range(0, size, share):
        part = list(box)
        part[cut] = (first + at, min(share, size - at))
        made += _portions(part, dim)
    return made


def _on_every_partition(view: View) -> View:
    """A replicated view with its partitions as a dimension in front."""
    return replace(
        view,
        shape=(PARTITIONS, *view.shape),
        factors=((Factor(PARTITIONS, 1, True),), *view.factors),
        replicated=False,
    )


def _start(ap: Ap) -> int:
    return ap.start + ap.buffer.start


def plan(
    lo: Lowering, nodes: list[Node], results: list[Value], spec: Spec | View, lead: Value | None
) -> Plan:
    """Terms and views of a group.

    Args:
        nodes: the elementwise nodes in order.
        results: the values that somebody outside reads (or the lead itself).
        spec: the layout of the results.
        lead: the anchor's product, which arrives in PSUM as tile 0; None for a group of its own.
    """
    shape = results[0].shape
    shared = spec if isinstance(spec, View) else None
    if isinstance(spec, View):
        outs_of = {v.id: lo.produce_like(v, spec) for v in results}
        spec = Spec(-1, 1)
    else:
        outs_of = {v.id: lo.produce(v, spec) for v in results}
    like = next(iter(outs_of.values()))
    index: dict[int, int] = {}
    made = Operands(lo, like, spec, shared, [], [], {}, 1 if lead is not None else 0)
    uses: dict[int, int] = {}
    for node in nodes:
        for v in node.inputs:
            uses[v.id] = uses.get(v.id, 0) + 1
    ops: list[Op] = []
    result_op: dict[int, View] = {}
    if lead is not None and lead.id in outs_of:
        ops.append(Op("copy", (Term("tile", 0),), outs_of[lead.id].dtype, 2))
        result_op[0] = outs_of[lead.id]
    for node in nodes:
        terms = tuple(term_of(v, index, lead, made) for v in node.inputs)
        index[node.output.id] = len(ops)
        param = _special(node, lo)
        dtype = device_dtype(node.output.dtype)
        ops.append(Op(node.op, terms, dtype, uses.get(node.output.id, 0), param))
        if node.output.id in outs_of:
            result_op[len(ops) - 1] = outs_of[node.output.id]
    homes = {id(outs_of[v.id]): lo.outside[v.id] for v in results if v.id in lo.outside}
    stored = {i: homes[id(view)] for i, view in result_op.items() if id(view) in homes}
    return Plan(ops, made.tiles, made.columns, result_op, shape, spec.dim, spec.block, stored)


def _special(node: Node, lo: Lowering) -> str | None:
    """What its dtype, and what becomes of it, say about how a node is computed."""
    dtype = node.output.dtype
    if node.op == "cast" and dtype.kind == "b":
        return "bool"
    if is_integer(dtype) and node.op in (*BITS, *DIVISIONS):
        return "integer"
    if node.op == "div" and node.output.id in lo.exact:
        return "exact"
    return None


def lower_group(lo: Lowering, nodes: list[Node], results: list[Value], spec: Spec | View) -> None:
    """A group of elementwise nodes over whole tensors in SBUF."""
    ready = plan(lo, nodes, results, spec, None)
    by_block = isinstance(spec, Spec) and bool(ready.columns)
    place = spec if isinstance(spec, Spec) else Spec(0, 1)
    for box in boxes(ready.shape, place, by_block):
        ready.emit(lo, box, None, TILE)


def boxes(shape: tuple[int, ...], spec: Spec, by_block: bool) -> list[Box]:
    """The whole nest, or a box for each block of partitions (a column belongs to one block)."""
    whole: Box = [(0, e) for e in shape]
    if not by_block or not shape:
        return [whole]
    made = []
    for first in range(0, shape[spec.dim], spec.block):
        box = list(whole)
        box[spec.dim] = (first, min(spec.block, shape[spec.dim] - first))
        made.append(box)
    return made
