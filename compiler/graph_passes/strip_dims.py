"""Which dimension of each value a span of nodes is cut along, followed from node to node.

In    a span of a graph
Out   value id -> dimension, or nothing where a node computes no row by itself
Read  `spans.py` for who asks, `stripe.py` for what is cut
"""

from __future__ import annotations

import math
from collections.abc import Callable

from compiler.graph.attrs import flag, integer, integers, pairs
from compiler.graph.graph import Graph, Node, Value
from compiler.graph.ops import CORE_OPS, Family

ELEMENTWISE = (Family.UNARY, Family.BINARY, Family.COMPARE, Family.SELECT, Family.CONVERT)


def has_product(graph: Graph, first: int, last: int) -> bool:
    """Whether rows of vectors are multiplied in the span: not an image, and whole groups count."""
    return any(node.op == "matmul" for node in graph.nodes[first : last + 1])


def dims_of(graph: Graph, first: int, last: int) -> dict[int, int]:
    """The striped dimension of each value of a span, or nothing where one has none."""
    dims = _Dims(_first_rows if has_product(graph, first, last) else _spatial)
    for node in graph.nodes[first : last + 1]:
        if len(node.outputs) != 1:
            return {}
        dim = _output_dim(graph, node, dims)
        if dim is None:
            return {}
        dims[node.output.id] = dim
    return dims


def _output_dim(graph: Graph, node: Node, dims: _Dims) -> int | None:
    """The striped dimension of a node's result; sets that of operands from outside."""
    family = CORE_OPS[node.op].family
    if node.op in ("conv", "reduce_window"):
        x = node.inputs[0]
        if node.attrs.get("folds", (1, 1)) != (1, 1):
            return None  # its rows lie in several blocks already
        if len(x.shape) < 3 or (len(node.inputs) > 1 and not graph.is_constant(node.inputs[1])):
            return None
        stride, reach, (low, _) = window_of(node)
        if low >= reach or (node.output.shape[2] - 1) * stride - low >= x.shape[2]:
            return None  # rows of padding alone read nothing
        return 2 if dims.setdefault(x.id, 2) == 2 else None
    if node.op == "conv_transpose":
        x = node.inputs[0]
        stride, reach, _ = window_of(node)
        if len(x.shape) < 3 or not graph.is_constant(node.inputs[1]) or reach < stride:
            return None  # between its windows are rows of nothing
        return 2 if dims.setdefault(x.id, 2) == 2 else None
    if node.op == "transpose":
        perm = integers(node, "perm")
        return perm.index(dims.of(node.inputs[0]))
    if node.op == "slice":
        x = node.inputs[0]
        if dims.default is _spatial and x.shape[0] != node.output.shape[0]:
            return None  # an image of a batch
        dim = dims.of(x)
        whole = node.output.shape[dim] == x.shape[dim]
        return dim if whole and integers(node, "steps")[dim] == 1 else None
    if node.op == "reshape":
        return _reshaped_dim(node, dims.of(node.inputs[0]))
    if family in ELEMENTWISE:
        return _elementwise_dim(graph, node, dims)
    if node.op == "matmul":
        return _product_dim(graph, node, dims)
    if node.op == "reduce" and flag(node, "keepdims"):
        dim = dims.of(node.inputs[0])
        return dim if dim not in integers(node, "axes") else None
    if node.op == "concat":
        found = {dims.of(v) for v in node.inputs if not graph.is_constant(v)}
        dim = found.pop()
        return None if found or dim == integer(node, "axis") else dim
    return None


def _spatial(value: Value) -> int:
    """Rows of an image."""
    return 2 if len(value.shape) >= 3 else 0


def _first_rows(value: Value) -> int:
    """Of rows of vectors the outermost dimension that can be parted."""
    return next((d for d, e in enumerate(value.shape[:-1]) if e > 1), 0)


def _product_dim(graph: Graph, node: Node, dims: _Dims) -> int | None:
    """Rows of a product with weights, or a dimension of the batch of two computed operands."""
    x, w = node.inputs
    if graph.is_constant(x):
        return None
    if graph.is_constant(w):
        rows = len(w.shape) == 2 and not flag(node, "transpose_a")
        return dims.of(x) if rows and dims.of(x) < len(x.shape) - 1 else None
    batch = dims.of(x) == dims.of(w) < len(x.shape) - 2 and len(x.shape) == len(w.shape)
    return dims.of(x) if batch and x.shape[dims.of(x)] == w.shape[dims.of(w)] else None


class _Dims(dict[int, int]):
    """Value id -> striped dimension; `of` says which one where nothing else does."""

    def __init__(self, default: Callable[[Value], int]) -> None:
        super().__init__()
        self.default = default

    def of(self, value: Value) -> int:
        """The value's dimension, chosen now if it had none."""
        return self.setdefault(value.id, self.default(value))


def _elementwise_dim(graph: Graph, node: Node, dims: _Dims) -> int | None:
    out = node.output.shape
    if not out:
        return None
    full = [v for v in node.inputs if not graph.is_constant(v) and v.shape == out]
    known = [dims[v.id] for v in full if v.id in dims]
    dim = known[0] if known else dims.default(node.output)
    for v in node.inputs:
        shift = len(out) - len(v.shape)
        if graph.is_constant(v):
            continue
        if dim < shift or v.shape[dim - shift] < out[dim]:  # broadcast: every strip reads it whole
            if v.id in dims:
                return None
            continue
        if dims.setdefault(v.id, dim - shift) != dim - shift:
            return None
    return dim if dim < len(out) else None


def _reshaped_dim(node: Node, dim: int) -> int | None:
    """Where a dimension lands: kept, or the outermost part of one that joins it to others."""
    old, new = node.inputs[0].shape, node.output.shape
    if dim >= len(old):
        return None
    outer = math.prod(old[:dim])
    place = 1
    for d, extent in enumerate(new):
        if place == outer and extent % old[dim] == 0 and extent > 1:
            return d
        place *= extent
    return None


def window_of(node: Node) -> tuple[int, int, tuple[int, int]]:
    """(stride, reach, pads) of the first spatial dimension; of a transposed convolution those of
    the convolution that it is the adjoint of."""
    pooled = node.op == "reduce_window"
    kernel = integers(node, "window")[0] if pooled else node.inputs[1].shape[2]
    dilation, stride = integers(node, "dilations")[0], integers(node, "strides")[0]
    low, high = pairs(node, "pads")[0]
    return stride, (int(kernel) - 1) * dilation + 1, (int(low), int(high))
