"""simplify: the graph passes that make a graph smaller, in order.

Every one also folds constants, merges equal ops and drops dead ones, as the builder does that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from compiler.graph.graph import Graph
from compiler.graph.verify import verify
from compiler.graph_passes import affine, arithmetic, movement, recognize
from compiler.graph_passes.exact_integers import exact_integers
from compiler.graph_passes.flatten_depth import flatten_depth
from compiler.graph_passes.group_statistics import group_statistics
from compiler.graph_passes.integer_products import integer_products
from compiler.graph_passes.narrow_integers import narrow_integers
from compiler.graph_passes.rewriting import RuleSet, merged, rewrite
from compiler.graph_passes.split_products import split_products
from compiler.graph_passes.wrap_integers import wrap_integers

MOST_ROUNDS = 8  # a walk normalises nearly everything; the rest is a guard against a loop


@dataclass(frozen=True)
class GraphPass:
    """A named function from graph to graph."""

    name: str
    run: Callable[[Graph], Graph]


def _rules(*sets: RuleSet) -> Callable[[Graph], Graph]:
    rules = merged(*sets)
    return lambda graph: rewrite(graph, rules)


SIMPLIFICATIONS: tuple[GraphPass, ...] = (
    GraphPass("fold-constants", _rules()),
    GraphPass("simplify-arithmetic", _rules(arithmetic.RULES)),
    GraphPass("simplify-movement", _rules(movement.RULES)),
    # after arithmetic: its patterns are written in products and reciprocals, not quotients
    GraphPass("recognize-functions", _rules(arithmetic.RULES, recognize.RULES)),
    # after recognition: a scale that was part of an activation must not go into the weights
    GraphPass("fold-affine", _rules(arithmetic.RULES, affine.RULES)),
    # after fold-affine: a scale is in the weights before they are taken apart
    GraphPass("flatten-depth", flatten_depth),
    # after fold-affine: scales of one are gone; in the next round those of channels are folded
    GraphPass("group-statistics", group_statistics),
    GraphPass("split-products", split_products),
    GraphPass("narrow-integers", narrow_integers),
    GraphPass("integer-products", integer_products),
    GraphPass("wrap-integers", wrap_integers),
    # after wrap-integers: what has wrapped is small again
    GraphPass("exact-integers", exact_integers),
)


def simplify(graph: Graph, *, without: Collection[str] = ()) -> Graph:
    """The simplified graph; `without` names passes to leave out."""
    for _ in range(MOST_ROUNDS):
        before = _size(graph)
        for graph_pass in SIMPLIFICATIONS:
            if graph_pass.name not in without:
                graph = graph_pass.run(graph)
                verify(graph, after=graph_pass.name)
        if _size(graph) == before:
            break
    return graph


def _size(graph: Graph) -> tuple[object, ...]:
    return tuple((n.op, len(n.inputs), n.output.type) for n in graph.nodes)
