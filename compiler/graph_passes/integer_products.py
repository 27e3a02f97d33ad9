"""integer-products: products of small integers in floating point, where that is exact.

Before   %y: int32[..] = conv(%x: int32[..], %w: int32[..])
After    %a: bfloat16 = cast(%x);  %b: bfloat16 = cast(%w);
         %s: float32[..] = conv(%a, %b);  %y: int32[..] = cast(%s)

The array multiplies floating-point numbers and adds in FP32. That is exact, whatever the order, if
both operands are whole numbers that their type holds and no sum of absolute products passes 2**24:
        max over n of  sum over k of |a[k]| |b[k, n]|  <=  2**24
Ranges bound what is computed; of a constant operand the sums are taken as they are. What cannot be
proved stays an integer product, which the machine has no mapping for.
"""

from __future__ import annotations

from compiler.graph.evaluate import apply
from compiler.graph.graph import BF16, FP32, Array, DType, Graph, Node, Value, is_integer
from compiler.graph_passes.integer_ranges import Range, integer_ranges
from compiler.graph_passes.product_bounds import largest_of, product_bound
from compiler.graph_passes.rebuild import Rebuilder

EXACT = 2**24  # whole numbers up to this are exact in FP32
EXACT_BF16 = 2**8
_FOLDS = ("cast", "sub", "add", "reshape", "transpose", "neg")  # what stands before weights


def integer_products(graph: Graph) -> Graph:
    """The graph, its exact integer products computed in floating point."""
    wanted = [n for n in graph.nodes if n.op in ("matmul", "conv") and is_integer(n.output.dtype)]
    if not wanted:
        return graph
    ranges = integer_ranges(graph)
    makers = graph.producers()
    types = {}
    for node in wanted:
        known = [_constant(v, graph, makers) for v in node.inputs]
        kind = _exact_type(node, known, ranges)
        if kind is not None:
            types[node.output.id] = kind
    return _Typed(graph, types).run() if types else graph


def _exact_type(node: Node, known: list[Array | None], ranges: dict[int, Range]) -> DType | None:
    """The narrowest type in which the product is exact; None: not proved for any."""
    largest = []
    for value, array in zip(node.inputs, known, strict=True):
        if array is not None:
            largest.append(largest_of(array))
        elif value.id in ranges:
            low, high = ranges[value.id]
            largest.append(max(-low, high, 0))
        else:
            return None
    if product_bound(node, known, largest) > EXACT:
        return None
    return BF16 if max(largest) <= EXACT_BF16 else FP32


def _constant(value: Value, graph: Graph, makers: dict[int, Node]) -> Array | None:
    """A constant's array; also of what only constants make and was too large to fold."""
    if value.id in graph.constants:
        return graph.constants[value.id]
    node = makers.get(value.id)
    if node is None or node.op not in _FOLDS:
        return None
    arrays = [_constant(v, graph, makers) for v in node.inputs]
    whole = [a for a in arrays if a is not None]
    if len(whole) != len(arrays):
        return None
    return apply(node.op, whole, node.attrs, [node.output.dtype])[0]


class _Typed(Rebuilder):
    keeps_names = True

    def __init__(self, graph: Graph, types: dict[int, DType]) -> None:
        super().__init__(graph)
        self.types, self.makers = types, graph.producers()

    def node(self, node: Node) -> None:
        if node.output.id in self.types:
            self._product(node, self.types[node.output.id])
        else:
            super().node(node)

    def _product(self, node: Node, kind: DType) -> None:
        b = self.b
        operands = [
            b.constant(array.astype(kind), name=f"{b.current_base}/cast")
            if (array := _constant(v, self.graph, self.makers)) is not None
            else b.emit("cast", self.new[v.id], to=kind)
            for v in node.inputs
        ]
        (product,) = b.emit_all(node.op, operands, node.attrs, [FP32])
        self.bind(node.output, b.emit("cast", product, to=node.output.dtype))
