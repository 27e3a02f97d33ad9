"""narrow-integers: INT64 values whose range is proved become INT32.

Before   %1: int64[1,64] = input;  %2: float32[..] = gather(%table, %1)
After    %1: int64[1,64] = input;  %3: int32[1,64] = cast(%1);  %2 = gather(%table, %3)

What cannot be bounded (`integer_ranges.py`) stays INT64, exactly as the model has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.graph.graph import INT32, INT64, Graph, Node, Value
from compiler.graph_passes.integer_ranges import Range, integer_ranges
from compiler.graph_passes.rebuild import Rebuilder

_INT32 = np.iinfo(np.int32)
_INDEPENDENT = ("gather", "scatter", "cast")  # operands need not have one integer type


def narrow_integers(graph: Graph) -> Graph:
    """The graph with INT64 values of proved range as INT32."""
    ranges = integer_ranges(graph)
    return _Narrowing(graph, ranges).run()


class _Narrowing(Rebuilder):
    """The walk that rebuilds the graph with the narrow types."""

    def __init__(self, graph: Graph, ranges: dict[int, Range]) -> None:
        super().__init__(graph)
        self.ranges = ranges

    def is_narrow(self, value: Value) -> bool:
        found = self.ranges.get(value.id)
        return (
            value.dtype == INT64
            and found is not None
            and _INT32.min <= found[0]
            and found[1] <= _INT32.max
        )

    def as_type(self, value: Value, dtype: Any) -> Value:
        return value if value.dtype == dtype else self.b.emit("cast", value, to=dtype)

    def input(self, value: Value) -> Value:
        given = super().input(value)
        if not self.is_narrow(value):
            return given
        low, high = self.ranges[value.id]
        self.b.notes.append(
            f"input {value.name!r} is narrowed from int64 to int32: "
            f"as an index it lies in [{low}, {high}]"
        )
        with self.b.origin((), value.name):
            return self.b.emit("cast", given, to=INT32)

    def constant(self, value: Value) -> Value:
        if not self.is_narrow(value):
            return super().constant(value)
        return self.b.constant(self.graph.constants[value.id].astype(np.int32), name=value.name)

    def result(self, value: Value) -> Value:
        return self.as_type(self.new[value.id], value.dtype)

    def node(self, node: Node) -> None:
        wide = [v for v in node.inputs if v.dtype == INT64]
        wide += [v for v in node.outputs if v.dtype == INT64 and node.op not in _INDEPENDENT]
        narrow = all(self.is_narrow(v) for v in wide)
        operands, attrs = [], dict(node.attrs)
        for value in node.inputs:
            new = self.new[value.id]
            if node.op in _INDEPENDENT or narrow:
                operands.append(new)
            else:
                operands.append(self.as_type(new, value.dtype))
        if node.op == "cast":
            if self.is_narrow(node.output):
                attrs["to"] = INT32
            if operands[0].dtype == attrs["to"]:
                self.bind(node.output, operands[0])
                return
        if node.op == "scatter":
            narrow = self.is_narrow(node.output) and all(
                self.is_narrow(v) for v in (node.inputs[0], node.inputs[2])
            )
            if not narrow:
                operands = [self.as_type(operands[0], node.inputs[0].dtype), operands[1],
                            self.as_type(operands[2], node.inputs[2].dtype)]  # fmt: skip
        dtypes = [self.result_type(node, v, operands, narrow) for v in node.outputs]
        for old, new in zip(
            node.outputs, self.b.emit_all(node.op, operands, attrs, dtypes), strict=True
        ):
            self.b.rename(new, old.name)
            self.bind(old, self.as_type(new, INT32 if self.is_narrow(old) else old.dtype))

    def result_type(self, node: Node, value: Value, operands: list[Value], narrow: bool) -> Any:
        if value.dtype != INT64:
            return value.dtype
        if node.op == "cast":
            return INT32 if self.is_narrow(value) else INT64
        if node.op in ("argmax", "argmin") or (node.op == "topk" and value is node.outputs[1]):
            return INT32
        if node.op == "gather":
            return operands[0].dtype
        return INT32 if narrow else INT64
