"""The ranges of integers: what the graph proves of every value, for the passes that choose types.

Ranges come from constants, from what an op can yield (an arg-max, a remainder), and for a model
input from its use as an index: any other value would be refused anyway. They are followed through
moves and arithmetic, and through floating-point values that hold whole numbers exactly.

Read  `narrow_integers.py`, `wrap_integers.py` and `exact_integers.py`, which decide by them
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import TypeAlias

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
)
from compiler.graph_passes.product_bounds import largest_of, product_bound

Range: TypeAlias = tuple[int, int]  # least and greatest, both possible
_MOVES = ("copy", "reshape", "transpose", "broadcast_to", "slice", "gather")
_WHOLE_MOVES = ("copy", "reshape", "transpose", "broadcast_to", "cast")  # every element survives


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
    elif node.op in (*_MOVES, "concat", "assemble", "pad") and node.op != "gather":
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


_OF_ONE: dict[str, Callable[[Range], Range]] = {
    "neg": lambda a: (-a[1], -a[0]),
    "abs": lambda a: (0, max(abs(a[0]), abs(a[1]))),
    "sign": lambda _: (-1, 1),
    "relu": lambda a: (max(0, a[0]), max(0, a[1])),
    "bit_not": lambda a: (~a[1], ~a[0]),
}


def _of_bits(op: str, a: Range, b: Range) -> Range | None:
    """Bits of numbers that are not negative; of an `and` one such is enough."""
    if op == "shl":
        return (0, a[1] << b[1]) if a[0] >= 0 and 0 <= b[0] <= b[1] < 32 else None
    if op == "shr":
        if b[0] < 0:
            return None
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
    known = _operands(node, ranges)
    if known is None:
        return None
    if op in _ARITHMETIC:
        return _ARITHMETIC[op](known[0], known[1])
    if op in _OF_ONE:
        return _OF_ONE[op](known[0])
    if op in ("and", "or", "xor", "shr", "shl"):
        return _of_bits(op, known[0], known[1])
    if op == "div" and known[1][0] > 0:
        largest = max(abs(known[0][0]), abs(known[0][1]))
        return (-largest if known[0][0] < 0 else 0), largest
    return _of_elements(node, known)


def _operands(node: Node, ranges: Mapping[int, Range]) -> list[Range] | None:
    """The ranges of the operands that a result's elements are made of; None if one is unknown."""
    values = {"select": node.inputs[1:], "gather": node.inputs[:1]}.get(node.op, node.inputs)
    if node.op in ("max", "min", "and", "shr", "relu"):  # one bounded side bounds the result
        ranges = {v.id: _of_dtype(v) for v in values if is_integer(v.dtype)} | dict(ranges)
    known = [ranges[v.id] for v in values if v.id in ranges]
    return known if len(known) == len(values) else None


def _of_elements(node: Node, known: list[Range]) -> Range | None:
    """What becomes of elements that are moved, joined or summed."""
    op, kind = node.op, node.attrs.get("kind")
    if op in ("select", "concat", "assemble"):
        return _union(known)
    if op == "pad":
        value = node.attrs["value"]
        assert isinstance(value, int | float)
        return _union([known[0], (int(value), int(value))])
    if op in _MOVES or op == "topk" or (op == "reduce" and kind in ("max", "min")):
        return known[0]
    if op == "cast":
        return known[0] if is_integer(node.output.dtype) and fits(known[0], node.output) else None
    if op == "cumsum" or (op == "reduce" and kind == "sum"):
        count = max(1, node.inputs[0].size // max(1, _kept(node)))
        return count * min(0, known[0][0]), count * max(0, known[0][1])
    return None


def _kept(node: Node) -> int:
    """How many sums there are of how many elements each."""
    return node.output.size if node.op == "reduce" else node.inputs[0].size // max(1, _extent(node))


def fits(found: Range, value: Value) -> bool:
    bounds = np.iinfo(value.dtype)
    return bool(bounds.min <= found[0] and found[1] <= bounds.max)
