"""exact-integers: 32-bit integers beyond 2**24, where the engines' FP32 rounds them, in halves.

Before   %y: int32[..] = add(%a: int32[..], %b: int32[..])
After    %l = add(and(%a, 65535), and(%b, 65535));  %h = add(add(shr(%a, 16), shr(%b, 16)),
         shr(%l, 16));  %y = or(shl(%h, 16), and(%l, 65535))

Bits and copies are exact whatever the number, sums of halves are below 2**24, and what leaves the
type wraps as it has to. With a = a1 * 2**16 + a0, b alike:
        a + b        the above;  a - b = a + ~b + 1
        a * b        a0 * low(b0) + 2**8 * a0 * high(b0) + 2**16 * (a1 * b0 + a0 * b1)
        a < b        a1 < b1, or a1 = b1 and a0 < b0;  exact in FP32 if either is below 2**24
        a == b       (a ^ b) == 0
        max(a, b)    a where a > b, else b
        sum, cumsum  the sums of halves, of bytes from 257 elements on; at most 65,536 elements
        max of x     m = max of x1, and then the max of x0 where x1 is m
        pad with v   pad(x ^ v with 0) ^ v
        a ** n       products; of an n known at run time, one for each of its six lower bits
        a / b        by FP32 quotients that are never too large (`integer_division.py`)

What is proved to stay below 2**24 stays as it is. Needs ranges: `integer_ranges.py`. What is left
is the host's (`lowering/refusals.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from compiler.graph.graph import INT32, UINT32, Graph, Node, Value, is_integer
from compiler.graph_passes.integer_division import divided
from compiler.graph_passes.integer_parts import MOST_SUMMED, Parts
from compiler.graph_passes.integer_ranges import Range, integer_ranges, range_of
from compiler.graph_passes.rebuild import Rebuilder

EXACT = 2**24  # whole numbers up to this are exact in FP32
DIVISIONS = ("div", "mod", "rem")
EXACT_QUOTIENTS = 2**22
"""Integers below are divided by the machine as they stand (`lowering/integers.py`)."""
MOST_PRODUCTS = 32
"""Of a power: the largest exponent; beyond, only 0, 1 and -1 stay in the type."""
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
SPLIT = (*COMPARISONS, "add", "sub", "mul", "neg", "abs", "relu", "max", "min", "pow")


def exact_integers(graph: Graph) -> Graph:
    """The graph, its 32-bit integers computed in halves where FP32 might round them."""
    if not any(is_whole(v) for n in graph.nodes for v in (*n.inputs, *n.outputs)):
        return graph
    ranges = integer_ranges(graph)
    wanted = {n.output.id for n in graph.nodes if rounds(n, ranges) and splits(n, graph)}
    return _Exact(graph, wanted, ranges).run() if wanted else graph


def is_whole(value: Value) -> bool:
    """Whether a value has a type whose numbers FP32 may round."""
    return value.dtype in (INT32, UINT32)


def is_exact(value: Value, ranges: Mapping[int, Range]) -> bool:
    """Whether FP32 holds every number that an integer value may be."""
    if not is_whole(value):
        return True
    low, high = ranges.get(value.id, (-math.inf, math.inf))
    return low >= -EXACT and high <= EXACT


def is_below(value: Value, ranges: Mapping[int, Range]) -> bool:
    """Whether every number of a value is below what another may be rounded to."""
    low, high = ranges.get(value.id, (-math.inf, math.inf))
    return not is_whole(value) or (low > -EXACT and high < EXACT)


def rounds(node: Node, ranges: Mapping[int, Range]) -> bool:
    """Whether what a node computes of 32-bit integers may not be exact in FP32."""
    if not all(v.size for v in node.inputs):
        return False  # of no numbers
    if node.op in COMPARISONS:
        return not any(is_below(v, ranges) for v in node.inputs)
    if node.op == "cast":
        return _converts_bits(node, ranges)
    if node.op == "pad":
        return is_whole(node.output) and abs(_fill(node)) > EXACT
    if node.op in DIVISIONS:
        return is_whole(node.output) and not all(_divides(v, ranges) for v in node.inputs)
    if node.op not in (*SPLIT, "reduce", "reduce_window", "cumsum", "scatter"):
        return False
    if not is_whole(node.output) or (node.op == "scatter" and node.attrs["kind"] == "none"):
        return False
    found = range_of(node, ranges)  # before it wraps
    least = 0 if node.output.dtype == UINT32 else -EXACT
    inside = found is not None and least <= found[0] and found[1] <= EXACT
    return not (inside and all(is_exact(v, ranges) for v in node.inputs))


def _divides(value: Value, ranges: Mapping[int, Range]) -> bool:
    low, high = ranges.get(value.id, (-math.inf, math.inf))
    return low > -EXACT_QUOTIENTS and high < EXACT_QUOTIENTS


def _converts_bits(node: Node, ranges: Mapping[int, Range]) -> bool:
    """Whether a conversion between integers keeps bits rather than numbers."""
    source, out = node.inputs[0], node.output
    if not (is_integer(source.dtype) and is_integer(out.dtype)):
        return False
    if source.dtype.itemsize > 4 and out.dtype != UINT32:
        return False
    if source.dtype == out.dtype or not (is_whole(out) or source.dtype == UINT32):
        return False
    low, high = ranges.get(source.id, (-math.inf, math.inf))
    bounds = np.iinfo(out.dtype)
    fits = bounds.min <= low and high <= bounds.max
    return not (fits and is_exact(source, ranges))


def _fill(node: Node) -> int:
    value = node.attrs["value"]
    assert isinstance(value, int | float)
    return int(value) if node.attrs["mode"] == "constant" else 0


def splits(node: Node, graph: Graph) -> bool:
    """Whether this pass has a way for the node: afterwards it is exact as it stands."""
    if node.op in ("reduce", "cumsum"):
        largest = node.op == "reduce" and node.attrs["kind"] in ("max", "min")
        summed = node.op == "cumsum" or node.attrs["kind"] == "sum"
        product = node.op == "reduce" and node.attrs["kind"] == "prod"
        return largest or product or (summed and _summed(node) <= MOST_SUMMED[8])
    if node.op == "pow" and node.inputs[1].id in graph.constants:
        return _exponent(node, graph) is not None
    return node.op in (*SPLIT, *DIVISIONS, "cast", "pad")


def _summed(node: Node) -> int:
    """How many elements a sum has, at most."""
    if node.op == "cumsum":
        axis = node.attrs["axis"]
        assert isinstance(axis, int)
        return node.inputs[0].shape[axis]
    return node.inputs[0].size // max(1, node.output.size)


def _exponent(node: Node, graph: Graph) -> int | None:
    array = graph.constants.get(node.inputs[1].id)
    if array is None or not array.size or array.min() != array.max():
        return None
    return int(array.min()) if 0 <= array.min() <= MOST_PRODUCTS else None


class _Exact(Rebuilder):
    keeps_names = True

    def __init__(self, graph: Graph, wanted: set[int], ranges: dict[int, Range]) -> None:
        super().__init__(graph)
        self.wanted, self.ranges = wanted, ranges

    def node(self, node: Node) -> None:
        if node.output.id in self.wanted:
            xs = [self.new[v.id] for v in node.inputs]
            self.bind(node.output, self._exactly(node, xs))
        else:
            super().node(node)

    def _exactly(self, node: Node, xs: list[Value]) -> Value:
        p = Parts(self.b, xs[0].dtype)
        op, dtype = node.op, node.output.dtype
        if op in COMPARISONS:
            return p.compare(op, xs[0], xs[1])
        if op == "pad":
            fill = p.number(_fill(node))
            inside = self.b.emit("xor", xs[0], fill)
            padded = self.b.emit("pad", inside, **{**node.attrs, "value": 0.0})
            return self.b.emit("xor", padded, fill)
        if op == "cast":
            return p.converted(xs[0], dtype)
        if op == "reduce" and node.attrs["kind"] in ("max", "min"):
            return p.largest(xs[0], node)
        if op == "reduce" and node.attrs["kind"] == "prod":
            return p.multiplied(xs[0], node)
        if op in ("reduce", "cumsum"):
            return p.sums(xs[0], node, _summed(node))
        if op == "pow":
            exponent = _exponent(node, self.graph)
            if exponent is None:
                return p.raised(xs[0], xs[1])
            return self.b.emit("broadcast_to", p.power(xs[0], exponent), shape=node.output.shape)
        if op in DIVISIONS:
            return divided(p, op, xs[0], xs[1])
        if op in ("max", "min"):
            easy = any(is_below(v, self.ranges) for v in node.inputs)
            first = p.either("gt" if op == "max" else "lt", xs[0], xs[1], easy)
            return self.b.emit("select", first, *xs)
        return p.unary(op, xs[0]) if len(xs) == 1 else p.arithmetic(op, xs[0], xs[1])
