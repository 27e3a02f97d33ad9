"""narrow-integers: INT64 values whose range is proved become INT32.

Before   %1: int64[1,64] = input;  %2: float32[..] = gather(%table, %1)
After    %1: int64[1,64] = input;  %3: int32[1,64] = cast(%1);  %2 = gather(%table, %3)

Ranges come from constants, from what an op can yield (an arg-max, a remainder), and for a model
input from its use as an index: any other value would be refused anyway. What cannot be bounded
stays INT64, exactly as the model has it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from compiler.graph.graph import (
    BF16,
    BOOL,
    FP16,
    FP32,
    INT32,
    INT64,
    Array,
    Graph,
    Node,
    Value,
    is_integer,
)  # fmt: skip
from compiler.graph_passes.product_bounds import largest_of, product_bound
from compiler.graph_passes.rebuild import Rebuilder

Range: TypeAlias = tuple[int, int]  # least and greatest, both possible
_INT32 = np.iinfo(np.int32)
_MOVES = ("copy", "reshape", "transpose", "broadcast_to", "slice", "gather")
_WHOLE_MOVES = ("copy", "reshape", "transpose", "broadcast_to", "cast")  # every element survives
_INDEPENDENT = ("gather", "scatter", "cast")  # operands need not have one integer type


def narrow_integers(graph: Graph) -> Graph:
    """The graph with INT64 values of proved range as INT32."""
    ranges = integer_ranges(graph)
    return _Narrowing(graph, ranges).run()


def integer_ranges(graph: Graph) -> dict[int, Range]:
    """Value id -> range, for the integer and boolean values that have a known one."""
    ranges: dict[int, Range] = {}
    for value in graph.constant_values:
        array = graph.constants[value.id]
        if is_integer(value.dtype):  # of no elements any range is true
            ranges[value.id] = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for value in graph.inputs:
        bound = _index_bound(graph, value)
        if bound is not None:
            ranges[value.id] = -bound, bound - 1
    for value in graph.values():
        if value.id not in ranges and (value.dtype == BOOL or _is_small(value)):
            ranges[value.id] = (0, 1) if value.dtype == BOOL else _of_dtype(value)
    wholes: dict[int, Range] = {}
    for node in graph.nodes:
        found = range_of(node, ranges) or _of_whole_floats(node, graph, ranges, wholes)
        if found is not None and is_integer(node.output.dtype):  # what passes its type wraps
            ranges[node.output.id] = found if fits(found, node.output) else _of_dtype(node.output)
        if node.op == "topk":
            ranges[node.outputs[1].id] = 0, _extent(node) - 1
    return ranges


_EXACT = {FP32: 2**24, FP16: 2**11, BF16: 2**8}
"""Whole numbers up to this are exact in a floating-point type."""


def _of_whole_floats(
    node: Node, graph: Graph, ranges: dict[int, Range], wholes: dict[int, Range]
) -> Range | None:
    """The range of what is cast to integers, or of a product of integers.

    `wholes` are the floating-point values that hold whole numbers, and those exactly: integers
    that are cast, moved, and multiplied as `integer_products.py` does. Extended on the way.
    """
    out, known = node.output, ChainMap(wholes, ranges)
    found: Range | None = None
    if node.op in ("conv", "matmul"):
        found = _of_product(node, graph, known)
    elif node.op == "cast":
        found = known.get(node.inputs[0].id)
    elif node.op in (*_MOVES, "concat", "pad") and node.op != "gather":
        found = range_of(node, known)
    if found is None or is_integer(out.dtype):
        return found
    if max(-found[0], found[1]) <= _EXACT.get(out.dtype, 0):
        wholes[out.id] = found
    return None


def _of_product(node: Node, graph: Graph, ranges: Mapping[int, Range]) -> Range | None:
    if not any(v.id in ranges for v in node.inputs):
        return None
    known, largest = [], []
    for value in node.inputs:
        array = graph.constants.get(value.id)
        if array is not None and not is_integer(value.dtype) and not _is_whole(array):
            return None
        if array is None and value.id not in ranges:
            return None
        known.append(array)
        low, high = ranges.get(value.id, (0, 0))
        largest.append(max(-low, high) if array is None else largest_of(array))
    bound = product_bound(node, known, largest)
    return -bound, bound


def _is_whole(array: Array) -> bool:
    wide = array.astype(np.float32)
    return bool((wide == np.rint(wide)).all() and np.abs(wide).max(initial=0) <= 2**24)


def _is_small(value: Value) -> bool:
    return is_integer(value.dtype) and value.dtype.itemsize < 4


def _of_dtype(value: Value) -> Range:
    bounds = np.iinfo(value.dtype)
    return int(bounds.min), int(bounds.max)


def _index_bound(graph: Graph, value: Value) -> int | None:
    """The smallest extent that every element of a value indexes, if it indexes any."""
    if not is_integer(value.dtype):
        return None
    readers = graph.consumers()
    bounds: list[int] = []
    pending, seen = [value], {value.id}
    while pending:
        current = pending.pop()
        for node in readers.get(current.id, ()):
            if node.op == "gather" and node.inputs[1] is current:
                axis = node.attrs["axis"]
                assert isinstance(axis, int)
                bounds.append(node.inputs[0].shape[axis])
            elif (
                node.op in _WHOLE_MOVES
                and node.output.dtype in (INT32, INT64)
                and node.output.id not in seen
            ):
                seen.add(node.output.id)
                pending.append(node.output)
    return min(bounds, default=None)


def _extent(node: Node) -> int:
    axis = node.attrs["axis"]
    assert isinstance(axis, int)
    return node.inputs[0].shape[axis]


def _corners(f: Callable[[int, int], int], a: Range, b: Range) -> Range:
    values = [f(x, y) for x in a for y in b]
    return min(values), max(values)


def _union(ranges: list[Range]) -> Range:
    return min(r[0] for r in ranges), max(r[1] for r in ranges)


_ARITHMETIC: dict[str, Callable[[Range, Range], Range]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": lambda a, b: _corners(lambda x, y: x * y, a, b),
    "max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "min": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
}


def _of_bits(op: str, a: Range, b: Range) -> Range | None:
    """Bits of numbers that are not negative; of an `and` one such is enough."""
    if op == "shr":
        return (a[0] >> b[0 if a[0] < 0 else 1], a[1] >> b[1 if a[1] < 0 else 0])
    most = [high for low, high in (a, b) if low >= 0]
    if op == "and" and most:
        return 0, min(most)
    if len(most) < 2:
        return None
    return 0, 2 ** max(most).bit_length() - 1


def range_of(node: Node, ranges: Mapping[int, Range]) -> Range | None:
    """What an op can yield if its type holds it, given its operands' ranges; None: unknown."""
    op = node.op
    if op in ("argmax", "argmin"):
        return 0, _extent(node) - 1
    if op == "mod":
        divisor = ranges.get(node.inputs[1].id)
        return (0, divisor[1] - 1) if divisor is not None and divisor[0] > 0 else None
    values = (
        node.inputs[1:] if op == "select" else node.inputs[:1] if op == "gather" else node.inputs
    )
    if op in ("max", "min", "and", "shr", "relu"):  # one bounded side bounds the result
        ranges = {v.id: _of_dtype(v) for v in values if is_integer(v.dtype)} | dict(ranges)
    known = [ranges[v.id] for v in values if v.id in ranges]
    if len(known) != len(values):
        return None
    if op in _ARITHMETIC:
        return _ARITHMETIC[op](known[0], known[1])
    if op == "shr" and known[1][0] < 0:
        return None
    if op == "bit_not":
        return ~known[0][1], ~known[0][0]
    if op == "shl" and known[0][0] >= 0 and 0 <= known[1][0] <= known[1][1] < 32:
        return 0, known[0][1] << known[1][1]
    if op in ("and", "or", "xor", "shr"):
        return _of_bits(op, known[0], known[1])
    if op == "div" and known[1][0] > 0:
        largest = max(abs(known[0][0]), abs(known[0][1]))
        return (-largest if known[0][0] < 0 else 0), largest
    if op == "neg":
        return -known[0][1], -known[0][0]
    if op == "abs":
        return 0, max(abs(known[0][0]), abs(known[0][1]))
    if op == "sign":
        return -1, 1
    if op in ("select", "concat"):
        return _union(known)
    if op == "pad":
        value = node.attrs["value"]
        assert isinstance(value, int | float)
        return _union([known[0], (int(value), int(value))])
    if op == "relu":
        return max(0, known[0][0]), max(0, known[0][1])
    if op in _MOVES or op == "topk" or (op == "reduce" and node.attrs["kind"] in ("max", "min")):
        return known[0]
    if op == "cast":
        return known[0] if is_integer(node.output.dtype) and fits(known[0], node.output) else None
    if op == "cumsum" or (op == "reduce" and node.attrs["kind"] == "sum"):
        count = max(1, node.inputs[0].size // max(1, _kept(node)))
        return count * min(0, known[0][0]), count * max(0, known[0][1])
    return None


def _kept(node: Node) -> int:
    """How many sums there are of how many elements each."""
    return node.output.size if node.op == "reduce" else node.inputs[0].size // max(1, _extent(node))


def fits(found: Range, value: Value) -> bool:
    bounds = np.iinfo(value.dtype)
    return bool(bounds.min <= found[0] and found[1] <= bounds.max)


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
