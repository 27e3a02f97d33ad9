"""The rewriter: walk a graph in order and rebuild it, op by op, through rules.

A rule looks at one op about to be built and at the nodes behind its operands, and returns an equal
value or None. What it emits passes through the rules again, so one walk normalises the graph; the
builder folds constants and merges equal ops on the way, and drops what is no longer used.

Laws    a rule returns a value of the same shape, equal for every input (floats: within a few units
        in the last place); it makes progress (no two rules undo each other).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from compiler.errors import VerifyError
from compiler.graph.builder import complete_attrs, result_types
from compiler.graph.graph import Array, Attr, DType, Graph, Node, Source, Value, is_float
from compiler.graph.ops import CORE_OPS
from compiler.graph_passes.last_bits import last_bits
from compiler.graph_passes.rebuild import Rebuilder

Rule: TypeAlias = Callable[["Match"], Value | None]
RuleSet: TypeAlias = dict[str, list[Rule]]

_DEEPEST = 64  # rules inside rules; more is two rules undoing each other


def rule_for(rules: RuleSet, *ops: str) -> Callable[[Rule], Rule]:
    """Declare the function as a rule for these ops."""

    def register(rule: Rule) -> Rule:
        for op in ops:
            rules.setdefault(op, []).append(rule)
        return rule

    return register


@dataclass(frozen=True, slots=True)
class Match:
    """An op about to be built, as a rule sees it."""

    op: str
    inputs: tuple[Value, ...]
    attrs: Mapping[str, Any]
    rewriter: Rewriter

    def __getitem__(self, i: int) -> Value:
        return self.inputs[i]

    def array(self, value: Value) -> Array | None:
        """The elements of a constant, else None."""
        return self.rewriter.b.array(value)

    def number(self, value: Value) -> float | None:
        """The one number that a constant consists of, else None."""
        array = self.array(value)
        if array is None or array.size == 0:
            return None
        if array.size == 1:
            return float(array.ravel()[0])
        flat = array.ravel()
        if flat[0] != flat[-1] or flat[0] != flat[flat.size // 2]:
            return None  # without reading all of a large one
        return float(flat[0]) if np.all(flat == flat[0]) else None

    def is_number(self, value: Value, wanted: float, tolerance: float = 0.0) -> bool:
        found = self.number(value)
        return found is not None and abs(found - wanted) <= tolerance

    def behind(self, value: Value, *ops: str, shared: bool = False) -> Node | None:
        """The node that writes `value` if it is one of `ops` and nobody else reads it.

        With `shared` others may read it too. Its sources become sources of what is emitted.
        """
        node = self.rewriter.b.producer(value)
        if node is None or node.op not in ops:
            return None
        if not shared and self.rewriter.uses.get(value.id, 1) > 1:
            return None
        self.rewriter.b.add_sources(node.sources)
        return node

    def constant(self, array: Any, dtype: DType) -> Value:
        return self.rewriter.b.constant(np.asarray(array, dtype))

    def emit(self, op: str, *operands: Value, **attrs: Attr) -> Value:
        """Build an op, through the rules."""
        return self.rewriter.build(op, operands, attrs)[0]

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        return self.emit("reshape", value, shape=tuple(shape))

    @property
    def exact(self) -> bool:
        """Whether not even the last bit may change, as the result is rounded to an integer."""
        return self.rewriter.exact

    def split(self) -> tuple[Value, Value] | None:
        """(variable, constant) operands of a binary op of one of each, in either order."""
        a, b = self.inputs
        if self.array(b) is not None:
            return a, b
        if self.array(a) is not None and CORE_OPS[self.op].commutative:
            return b, a
        return None


class Rewriter(Rebuilder):
    """One walk over a graph with a set of rules."""

    keeps_names = True

    def __init__(self, graph: Graph, rules: RuleSet) -> None:
        super().__init__(graph)
        self.rules = rules
        self.counts = _use_counts(graph)
        self.uses: dict[int, int] = {}  # new value id -> readers that it will have
        self.depth = 0
        self.exact = False  # whether the op at hand feeds a rounding: no last bit may change
        self.rounded = last_bits(graph)

    def node(self, node: Node) -> None:
        self.exact = node.output.id in self.rounded
        operands = [self.new[v.id] for v in node.inputs]
        kinds = [v.dtype for v in node.outputs]
        self.bind_all(node, self.build(node.op, operands, node.attrs, kinds))

    def bind(self, old: Value, value: Value) -> None:
        super().bind(old, value)
        self.uses[value.id] = self.uses.get(value.id, 0) + self.counts.get(old.id, 0)

    def build(
        self,
        op: str,
        operands: Sequence[Value],
        attrs: Mapping[str, Attr],
        dtypes: Sequence[DType] | None = None,
    ) -> tuple[Value, ...]:
        """The results of an op after rules; `dtypes` are its results' storage dtypes."""
        full = complete_attrs(op, attrs)
        types = result_types(op, operands, full, dtypes)
        match = Match(op, tuple(operands), full, self)
        self.depth += 1
        if self.depth > _DEEPEST:
            raise VerifyError("SYS-G007", "rewrite rules make progress", found=f"a loop at {op}")
        try:
            for rule in self.rules.get(op, ()):
                with self.b.origin(self.b.current_sources, self.b.current_base):
                    found = rule(match)
                    if found is not None:
                        return (self._as(found, types[0].shape, types[0].dtype, rule),)
        finally:
            self.depth -= 1
        return self.b.emit_typed(op, operands, full, types)

    def _as(self, value: Value, shape: tuple[int, ...], dtype: DType, rule: Rule) -> Value:
        name = getattr(rule, "__name__", "rule")
        if value.shape != shape:
            raise VerifyError("SYS-G008", "a rewrite keeps the shape",
                              found=f"{value} for {shape}", at=name)  # fmt: skip
        if value.dtype == dtype:
            return value
        if not (is_float(value.dtype) and is_float(dtype)):
            raise VerifyError("SYS-G008", "a rewrite keeps the type",
                              found=f"{value} for {dtype}", at=name)  # fmt: skip
        return self.b.emit("cast", value, to=dtype)


def _use_counts(graph: Graph) -> dict[int, int]:
    """How often each value is read; being an output is a read."""
    counts: dict[int, int] = {}
    for node in graph.nodes:
        for value in node.inputs:
            counts[value.id] = counts.get(value.id, 0) + 1
    for value in graph.outputs:
        counts[value.id] = counts.get(value.id, 0) + 1
    return counts


def rewrite(graph: Graph, rules: RuleSet) -> Graph:
    """One walk; an empty rule set folds constants, merges equal ops and drops dead ones."""
    return Rewriter(graph, rules).run()


def merged(*sets: RuleSet) -> RuleSet:
    """Rule sets one after the other."""
    result: RuleSet = {}
    for rules in sets:
        for op, more in rules.items():
            result.setdefault(op, []).extend(more)
    return result


__all__ = ["Match", "Rule", "RuleSet", "Source", "merged", "rewrite", "rule_for"]
