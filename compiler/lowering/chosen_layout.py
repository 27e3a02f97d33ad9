"""The layout of a result: what its readers want, or what most of its operands have."""

from __future__ import annotations

from compiler.graph.attrs import integers
from compiler.graph.graph import Node, Value
from compiler.lowering.context import PARTITIONS, Lowering, Spec
from compiler.lowering.groups import Group
from compiler.lowering.layout import Wishes, best
from compiler.tiles.iterate import engines_reach, legal_start
from compiler.tiles.view import View


def product_spec(lo: Lowering, node: Node, results: list[Value], wanted: Wishes) -> Spec:
    """Rows or columns of a product on partitions, channels of a convolution."""
    rank = len(node.output.shape)
    if node.op == "conv" and _only_reduced(lo, results):
        return _even_blocks(node.output.shape[1])
    if node.op in ("conv", "conv_transpose"):
        return Spec.of(node.output.shape, 1)
    if results[0].id in lo.outside:
        return Spec.of(node.output.shape, rank - 2)  # rows as DRAM has them
    return best(wanted, results[0], {rank - 2, rank - 1})


def _only_reduced(lo: Lowering, results: list[Value]) -> bool:
    """Whether nothing reads the results but reductions over other dimensions than channels."""
    kept = {v.id for v in lo.graph.outputs}
    return all(
        v.id not in kept and all(r.op == "reduce" and 1 not in integers(r, "axes") for r in there)
        for v in results
        for there in (lo.readers.get(v.id, []),)
    )


def _even_blocks(channels: int) -> Spec:
    """Channels on partitions, in blocks of one size where as many of such do."""
    blocks = -(-channels // PARTITIONS)
    return Spec(1, channels // blocks if channels % blocks == 0 else PARTITIONS)


def elementwise_spec(lo: Lowering, members: Group, wanted: Wishes) -> Spec | View:
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
    whole = not view.replicated and not any(view.ragged(d) for d in range(len(view.shape)))
    return whole and bool(view.part_dims()) and engines_reach(view)


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
