"""What has no mapping to the machine, and why: asked before anything is emitted.

Integers are computed in FP32, which is exact to 2**24. What sorts, scans or divides larger ones is
refused unless the graph itself proves a range (`graph_passes/integer_ranges.py`); so is whatever
computes with 64-bit integers, or with 32-bit ones in a way that `exact_integers.py` cannot split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from compiler.errors import UnsupportedError
from compiler.graph.graph import Graph, Node, Value, is_float
from compiler.graph_passes.exact_integers import is_whole, rounds, splits
from compiler.graph_passes.integer_ranges import integer_ranges
from compiler.lowering.context import has_device_dtype
from compiler.lowering.groups import ANCHORS, MOVES, is_elementwise
from compiler.lowering.index import gather_refusal
from compiler.lowering.integers import DIVISIONS, division_refusal
from compiler.lowering.scan import scan_refusal
from compiler.lowering.scatter import scatter_refusal
from compiler.lowering.sort import sort_refusal
from isa.hardware import Hardware


class RefusedError(UnsupportedError):
    """Nodes without a mapping; `nodes` are they, each with the reason."""

    nodes: Sequence[tuple[Node, str]] = ()


def refused_nodes(bad: Sequence[tuple[Node, str]], graph: str) -> RefusedError:
    """The error that names nodes of a graph and why they are refused."""
    lines = [f"{', '.join(map(str, n.sources)) or n.op}: {reason}" for n, reason in bad]
    error = RefusedError(
        "SYS-C101",
        f"{len(bad)} operation(s) of the model have no mapping to the device",
        found="\n         ".join(lines),
        at=graph,
        hint="remove these operations, or run them outside the compiled part",
    )
    error.nodes = bad
    return error


EXACT_IN_FP32 = ("cast", "copy", *MOVES, "concat", "assemble", "pad", "gather")
"""What may have FP64 values: it only moves them, or converts at the model's border."""


def refusals(graph: Graph, hw: Hardware, mapped: frozenset[str]) -> list[tuple[Node, str]]:
    """Every node that has no mapping to the machine, with the reason.

    `mapped` names the core ops that have one beside the elementwise.
    """
    found = []
    ranges = integer_ranges(graph)
    for node in graph.nodes:
        if node.op not in mapped and not is_elementwise(node):
            found.append((node, f"the core op {node.op} has no mapping"))
            continue
        reason = (
            _type_refusal(node, hw) or _size_refusal(node, ranges) or _refusal(graph, node, ranges)
        )
        if reason:
            found.append((node, reason))
    return found


def refused_gathers(graph: Graph) -> list[tuple[Node, str]]:
    """Gathers without a mapping: what can be told of a graph as it was imported."""
    found = [(n, gather_refusal(n, graph.constants)) for n in graph.nodes if n.op == "gather"]
    return [(node, reason) for node, reason in found if reason]


def _largest(value: Value, ranges: Mapping[int, tuple[int, int]]) -> float:
    """The largest magnitude that an integer may have; 0 for floats, infinite where unknown."""
    if is_float(value.dtype):
        return 0.0
    low, high = ranges.get(value.id, (-math.inf, math.inf))
    return max(-low, high)


def _type_refusal(node: Node, hw: Hardware) -> str:
    """Why the values of a node have no place on the machine, or an empty string."""
    values = (*node.inputs, *node.outputs)
    if any(0 in v.shape for v in values):
        return "it works on a tensor without elements"
    odd = sorted({v.dtype.name for v in values if not has_device_dtype(v.dtype)})
    if odd:
        return f"the machine has no type for {', '.join(odd)}"
    if hw.generation < 2:
        narrow = sorted({v.dtype.name for v in values if v.dtype.name.startswith("float8")})
        if narrow:
            return f"{', '.join(narrow)} needs NeuronCore-v2 or later"
    if any(v.dtype.name == "float64" for v in values) and node.op not in EXACT_IN_FP32:
        return "it computes in double precision, and the machine in FP32"
    if node.op in ANCHORS and not all(is_float(v.dtype) for v in values):
        return "it multiplies integers, and only floating-point products have a mapping"
    return ""


_EXACT = 2**24  # integers up to this are exact in FP32, in which engines compute
_UNTOUCHED = (
    "cast", "copy", "concat", "assemble", "pad", "gather", "scatter", "select", "bitcast", *MOVES,
)  # fmt: skip
"""Ops that hand integers on as they are."""


def _wide(node: Node) -> list[Value]:
    return [v for v in (*node.inputs, *node.outputs) if v.dtype.name in ("int64", "uint64")]


def _size_refusal(node: Node, ranges: Mapping[int, tuple[int, int]]) -> str:
    """Why a node has no place for its 64-bit integers, or an empty string: some of them are known
    not to fit in 32 bits. (Of inputs that is asked when they come.)"""
    known = [ranges[v.id] for v in _wide(node) if v.id in ranges]
    if any(low < -(2**31) or high >= 2**31 for low, high in known):
        return "its 64-bit integers do not fit in 32 bits, which is what the device keeps"
    return ""


def _wide_refusal(node: Node, ranges: Mapping[int, tuple[int, int]]) -> str:
    """Why 64-bit integers are not computed with, or an empty string."""
    if node.op in _UNTOUCHED:
        return ""
    if any(_largest(v, ranges) > _EXACT for v in _wide(node)):
        return "it computes with 64-bit integers whose range is not proved"
    return ""


def _refusal(graph: Graph, node: Node, ranges: Mapping[int, tuple[int, int]]) -> str:
    if node.op == "gather":
        return gather_refusal(node, graph.constants)
    if node.op == "scatter" and (reason := scatter_refusal(node, graph.constants)):
        return reason
    if node.op == "cumsum":
        return scan_refusal(_largest(node.output, ranges))
    if node.op in ("argmax", "argmin", "topk"):
        return sort_refusal(node, _largest(node.inputs[0], ranges))
    grouped = node.op in ("conv", "conv_transpose") and node.attrs["groups"] != 1
    if grouped and node.inputs[1].id not in graph.constants:
        return "it has groups, and its weights are computed at run time"
    split = splits(node, graph) and is_whole(node.output)
    if node.op in DIVISIONS and not split and not is_float(node.output.dtype):
        return division_refusal(max(_largest(v, ranges) for v in node.inputs))
    if not splits(node, graph) and rounds(node, ranges):
        return "it computes with 32-bit integers that may pass 2**24, which FP32 would round"
    return _wide_refusal(node, ranges)
