"""bias-last: a residual is added to a product before its bias.

Before    relu((conv(x, w) + b) + r)
After     relu((conv(x, w) + r) + b)        b a number a channel

The vector engine adds two tensors in half the time of two sums in one instruction, and the bias
goes with the activation for nothing.
"""

from __future__ import annotations

from compiler.graph.graph import Graph, Value
from compiler.graph_passes.rebuild import Rebuilder
from compiler.graph_passes.rewriting import Match, RuleSet, rewrite, rule_for

RULES: RuleSet = {}


def bias_last(graph: Graph) -> Graph:
    """The graph with such sums turned; the same graph where there is no residual."""
    sums = {
        n.output.id
        for n in graph.nodes
        if n.op == "add" and not any(map(graph.is_constant, n.inputs))
    }
    there = any(n.op == "relu" and n.inputs[0].id in sums for n in graph.nodes)
    return _Unbiased(rewrite(graph, RULES)).run() if there else graph


class _Unbiased(Rebuilder):
    """The same graph, where a product without its bias has the name of no tensor any more."""

    keeps_names = True

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        producers, readers = graph.producers(), graph.consumers()
        for node in graph.nodes:
            behind = [n for n in readers.get(node.output.id, ()) if n.op == "add"]
            constant = any(graph.is_constant(v) for n in behind for v in n.inputs)
            if node.op == "add" and constant and not any(map(graph.is_constant, node.inputs)):
                makers = [producers.get(v.id) for v in node.inputs]
                self.changed |= {n.output.id for n in makers if n is not None and n.op == "conv"}


@rule_for(RULES, "relu")
def residual_first(m: Match) -> Value | None:
    """relu((conv + b) + r) = relu((conv + r) + b)"""
    total = m.behind(m[0], "add")
    if total is None:
        return None
    for biased, rest in (total.inputs, total.inputs[::-1]):
        inner = m.behind(biased, "add")
        if inner is None or m.array(rest) is not None or rest.shape != m[0].shape:
            continue
        for product, bias in (inner.inputs, inner.inputs[::-1]):
            if m.array(bias) is None or product.shape != m[0].shape:
                continue
            full = (1,) * (product.rank - bias.rank) + bias.shape
            column = all(n == 1 for d, n in enumerate(full) if d != 1)
            if column and m.behind(product, "conv") is not None:
                return m.emit("relu", m.emit("add", m.emit("add", product, rest), bias))
    return None
