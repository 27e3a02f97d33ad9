"""Scatter with constant indices: a copy, then the updates in order.

    y = x;  for i in order:  y[indices[i]] = y[indices[i]] op updates[i]

Replacements of one position but the last are dropped, and runs of them are copied at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from compiler.graph.attrs import text
from compiler.graph.graph import Array, Node
from compiler.lowering.context import Lowering, device_dtype
from compiler.lowering.rows import empty_along, free_along
from compiler.tiles.iterate import tiles
from compiler.tiles.view import View
from isa.alu import AluOp

OPS = {"sum": AluOp.ADD, "prod": AluOp.MULTIPLY, "max": AluOp.MAX, "min": AluOp.MIN}
TILE = 2048


def scatter_refusal(node: Node, constants: Mapping[int, Array]) -> str:
    """Why a scatter cannot be lowered, or an empty string."""
    if node.inputs[1].id not in constants:
        return "its indices are computed at run time, and the target has no run-time addressing"
    return ""


def lower_scatter(lo: Lowering, node: Node) -> None:
    """y = x with rows of `updates` put in, or combined, along axis 0."""
    value, updates, out = node.inputs[0], node.inputs[2], node.output
    indices = [int(i) for i in lo.graph.constants[node.inputs[1].id].reshape(-1)]
    made = empty_along(lo, out.shape, 0, device_dtype(out.dtype), out.name)
    lo.copy(made, lo.views[value.id])
    source = free_along(lo, updates, 0)
    kind = text(node, "kind")
    for at, first, count in _runs(indices, kind):
        target, new = made.slice(0, at, count), source.slice(0, first, count)
        assert target is not None, "axis 0 is free"
        assert new is not None, "axis 0 is free"
        if kind == "none":
            lo.copy(target, new)
        else:
            _combine(lo, target, new, OPS[kind])
    lo.views[out.id] = made


def _combine(lo: Lowering, target: View, new: View, op: AluOp) -> None:
    for _, (out, old, ap) in tiles([target, target, new], TILE):
        lo.kernel.tensor_tensor(out, old, ap, op)


def _runs(indices: list[int], kind: str) -> list[tuple[int, int, int]]:
    """(position, first update, how many): neighbours in both, no position twice."""
    last = {i: at for at, i in enumerate(indices)}
    runs: list[tuple[int, int, int]] = []
    for at, i in enumerate(indices):
        if kind == "none" and last[i] != at:
            continue
        if runs and (runs[-1][0] + runs[-1][2], runs[-1][1] + runs[-1][2]) == (i, at):
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((i, at, 1))
    return runs
