"""wrap-integers: sums, products and conversions of 8- and 16-bit integers wrap as they have to.

Before   %y: uint8[..] = add(%a: uint8[..], %b: uint8[..])
After    %s: int32[..] = add(cast(%a), cast(%b));  %y: uint8[..] = cast(and(%s, 255))

Engines compute in FP32 and saturate what they store. So what may leave its type is computed in
INT32, where it is exact, and brought back by its low bits:
        unsigned   x & m                         m = 2**bits - 1
        signed     ((x & m) ^ s) - s             s = 2**(bits - 1)
A product of 16-bit operands passes 2**24; it is a * low(b) + ((a * high(b)) & 255) * 256, of the
operands' low 16 bits. What is proved to stay in its type stays as it is.
"""

from __future__ import annotations

import numpy as np

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import INT32, DType, Graph, Node, Value, is_integer
from compiler.graph_passes.integer_ranges import Range, fits, integer_ranges, range_of
from compiler.graph_passes.rebuild import Rebuilder

ARITHMETIC = ("add", "sub", "mul", "neg", "abs")


def wrap_integers(graph: Graph) -> Graph:
    """The graph, its small integers wrapped where they may pass the limits of their type."""
    if not any(_is_small(n.output) and n.op in (*ARITHMETIC, "cast") for n in graph.nodes):
        return graph
    ranges = integer_ranges(graph)
    wanted = {n.output.id for n in graph.nodes if _may_pass(n, ranges)}
    return _Wrapper(graph, wanted).run() if wanted else graph


def _is_small(value: Value) -> bool:
    return is_integer(value.dtype) and value.dtype.itemsize < 4


def _may_pass(node: Node, ranges: dict[int, Range]) -> bool:
    """Whether the exact result may lie outside the result's type."""
    if not _is_small(node.output):
        return False
    if node.op == "cast":
        source = node.inputs[0]
        long = is_integer(source.dtype) and source.dtype.itemsize == 8  # 32 of its bits are kept
        if source.dtype != INT32 and not long and not _is_small(source):
            return False
        return source.id not in ranges or not fits(ranges[source.id], node.output)
    if node.op not in ARITHMETIC:
        return False
    found = range_of(node, ranges)
    return found is None or not fits(found, node.output)


class _Wrapper(Rebuilder):
    keeps_names = True

    def __init__(self, graph: Graph, wanted: set[int]) -> None:
        super().__init__(graph)
        self.wanted = wanted

    def node(self, node: Node) -> None:
        if node.output.id in self.wanted:
            operands = [self.new[v.id] for v in node.inputs]
            self.bind(node.output, _wrapped(self.b, node, operands))
        else:
            super().node(node)


def _wrapped(b: GraphBuilder, node: Node, operands: list[Value]) -> Value:
    dtype = node.output.dtype
    xs = [x if x.dtype == INT32 else b.emit("cast", x, to=INT32) for x in operands]
    if node.op == "cast":
        return _low_bits(b, xs[0], dtype)
    if node.op == "mul" and dtype.itemsize == 2:
        return _low_bits(b, _product(b, xs[0], xs[1]), dtype)
    return _low_bits(b, b.emit(node.op, *xs), dtype)


def _product(b: GraphBuilder, x: Value, y: Value) -> Value:
    """x * y modulo 2**16, below 2**24 on the way."""
    x, y = (b.emit("and", v, _number(b, 0xFFFF)) for v in (x, y))
    low = b.emit("mul", x, b.emit("and", y, _number(b, 0xFF)))
    high = b.emit("mul", x, b.emit("shr", y, _number(b, 8)))
    high = b.emit("mul", b.emit("and", high, _number(b, 0xFF)), _number(b, 256))
    return b.emit("add", low, high)


def _low_bits(b: GraphBuilder, x: Value, dtype: DType) -> Value:
    """The low bits of an INT32, as a number of the type."""
    bits = 8 * dtype.itemsize
    kept = b.emit("and", x, _number(b, 2**bits - 1))
    if dtype.kind == "i":
        sign = _number(b, 2 ** (bits - 1))
        kept = b.emit("sub", b.emit("xor", kept, sign), sign)
    return b.emit("cast", kept, to=dtype)


def _number(b: GraphBuilder, value: int) -> Value:
    return b.constant(np.asarray(value, np.int32))
