"""split-sums: a sum over so much that the operands of one number have no room, part by part.

Before    y = matmul(a, b)                       a [M, K], b [K, N]
After     y = matmul(a[:, 0:k], b[0:k]) + matmul(a[:, k:2k], b[k:2k]) + ..

Reductions over any axes, products, and convolutions of many channels alike; a mean is a sum,
scaled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from compiler.graph.attrs import flag, integer, integers, numbers, text
from compiler.graph.graph import Attr, Graph, Node, Value, is_float
from compiler.graph_passes.rebuild import Rebuilder

_COMBINED = {"sum": "add", "mean": "add", "max": "max", "min": "min", "prod": "mul"}


def splits(node: Node) -> bool:
    """Whether this pass can split a node."""
    if node.op == "conv":
        plain = node.attrs["folds"] == (1, 1) and not numbers(node, "fill")
        return plain and integer(node, "groups") == 1
    if node.op == "reduce":
        exact = text(node, "kind") != "mean" or is_float(node.output.dtype)
        return exact and bool(integers(node, "axes"))
    return node.op == "matmul"


def split_sums(graph: Graph, parts: Mapping[int, int]) -> Graph:
    """The graph with nodes split.

    Args:
        parts: how many parts, by the id of the node object.
    """
    return _Splitter(graph, parts).run()


class _Splitter(Rebuilder):
    keeps_names = True

    def __init__(self, graph: Graph, parts: Mapping[int, int]) -> None:
        super().__init__(graph)
        self.parts = parts

    def node(self, node: Node) -> None:
        parts = self.parts.get(id(node), 1)
        if parts == 1:
            super().node(node)
            return
        dims = _summed(node)
        extent = next(v.shape[d] for v, d in zip(node.inputs, dims, strict=True))
        size = -(-extent // parts)
        attrs: dict[str, Attr] = dict(node.attrs)
        mean = attrs.get("kind") == "mean"
        if mean:
            attrs["kind"] = "sum"
        combine = _COMBINED[str(attrs["kind"])] if node.op == "reduce" else "add"
        total: Value | None = None
        for at in range(0, extent, size):
            operands = [
                self._slice(self.new[v.id], d, at, min(size, extent - at))
                for v, d in zip(node.inputs, dims, strict=True)
            ]
            part = self._part(node, operands, attrs)
            total = part if total is None else self.b.emit(combine, total, part)
        assert total is not None, "no sum is over nothing"
        if mean:
            count = math.prod(node.inputs[0].shape[d] for d in integers(node, "axes"))
            scale = self.b.constant(np.asarray(1 / count, node.output.dtype))
            total = self.b.emit("mul", total, scale)
        self.bind(node.output, total)

    def _part(self, node: Node, operands: list[Value], attrs: dict[str, Attr]) -> Value:
        """One part; of several axes one after another, where they cannot all be on partitions."""
        kinds = [node.output.dtype]
        if node.op != "reduce" or attrs["kind"] == "sum" or len(integers(node, "axes")) == 1:
            return self.b.emit_all(node.op, operands, attrs, kinds)[0]
        made = operands[0]
        for axis in reversed(integers(node, "axes")):
            made = self.b.emit("reduce", made, kind=attrs["kind"], axes=(axis,), keepdims=True)
        return self.b.emit("reshape", made, shape=node.output.shape)

    def _slice(self, value: Value, dim: int, first: int, size: int) -> Value:
        starts, sizes = [0] * len(value.shape), list(value.shape)
        starts[dim], sizes[dim] = first, size
        steps = (1,) * len(sizes)
        return self.b.emit("slice", value, starts=tuple(starts), sizes=tuple(sizes), steps=steps)


def _summed(node: Node) -> tuple[int, ...]:
    """The dimension of each operand that is summed over; the longest of several."""
    if node.op == "reduce":
        return (max(integers(node, "axes"), key=lambda d: node.inputs[0].shape[d]),)
    if node.op == "conv":
        return 1, 1
    a, b = (len(v.shape) for v in node.inputs)
    return (
        a - (2 if flag(node, "transpose_a") else 1),
        b - (1 if flag(node, "transpose_b") else 2),
    )
