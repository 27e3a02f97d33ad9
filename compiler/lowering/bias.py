"""Biases that the engine in front can add for nothing: taken out of what stands behind a product.

behind:  relu(tile + column)          becomes    relu(tile), and the column
"""

from __future__ import annotations

from dataclasses import replace

from compiler.lowering.elementwise import Plan
from compiler.lowering.expression import Op, Term
from compiler.tiles.view import View

LEAD = Term("tile", 0)


def without_bias(plan: Plan) -> tuple[Plan, View | None]:
    """The plan without its first addition of a column to the product, and that column."""
    users = [i for i, op in enumerate(plan.ops) if LEAD in op.terms]
    if len(users) != 1:
        return plan, None
    at = users[0]
    op = plan.ops[at]
    rest = [t for t in op.terms if t != LEAD]
    if op.op != "add" or len(rest) != 1 or rest[0].kind != "column":
        return plan, None
    bias = plan.columns[rest[0].index]
    if at in plan.outs:
        ops = list(plan.ops)
        ops[at] = replace(op, op="copy", terms=(LEAD,))
        return replace(plan, ops=ops), bias
    ops = [_renumbered(o, at) for i, o in enumerate(plan.ops) if i != at]
    outs = {i - (i > at): view for i, view in plan.outs.items()}
    return replace(plan, ops=ops, outs=outs), bias


def _renumbered(op: Op, gone: int) -> Op:
    """The node where node `gone` is the product itself and later nodes move up."""

    def term(t: Term) -> Term:
        if t.kind != "node":
            return t
        return LEAD if t.index == gone else Term("node", t.index - (t.index > gone))

    return replace(op, terms=tuple(term(t) for t in op.terms))
