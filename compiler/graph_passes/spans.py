"""Spans of nodes whose values do not fit: what `stripe.py` is to cut.

In    a graph, the bytes a partition of each value, a budget
Out   `Region`: the last span that exceeds the budget, with the neighbours that belong to it
Read  `strip_dims.py` for the dimension of each value, `by_image.py` for batches
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from compiler.graph.attrs import integers
from compiler.graph.graph import Graph, Node, Value
from compiler.graph.ops import CORE_OPS, Family
from compiler.graph_passes.by_image import (
    SMALL,
    batch_dims,
    image_span,
    images_of,
    least_between,
)
from compiler.graph_passes.strip_dims import dims_of, has_product
from compiler.lowering.groups import Group, ends_in_dram, group, never_whole
from compiler.lowering.layout import read_in_parts

VIEWS = ("reshape", "transpose", "slice", "broadcast_to")
FEWER = 16
"""A border between products may be crossed by so many times fewer bytes than one of images."""


@dataclass(frozen=True)
class Region:
    """Nodes [first, last] of a graph, and the striped dimension of each value they touch.

    `unit[v]` rows of v's dimension belong to one row of the region's own count.
    """

    first: int
    last: int
    dims: Mapping[int, int]


Bytes = Callable[[Value], int]
"""Bytes a partition that a value takes in the layout it will have."""


def profile(graph: Graph, bytes_of: Bytes, groups: Sequence[Group] | None = None) -> list[int]:
    """Bytes a partition that are live while each node runs; weights are not counted, nor what is
    fused away."""
    groups = group(graph) if groups is None else groups
    stored = ends_in_dram(graph, groups)
    fused = never_whole(graph, groups) | stored
    last = {v.id: len(graph.nodes) for v in graph.outputs}
    for i, node in enumerate(graph.nodes):
        if node.op == "concat" and node.output.id in stored:
            continue  # its parts go there one by one, when they are made
        for v in node.inputs:
            last[v.id] = max(last.get(v.id, -1), i)
    for node in reversed(graph.nodes):  # operands stay until what they are fused into is made
        seen = {v.id for v in node.outputs if v.id in fused or node.op in VIEWS}  # or seen through
        for end in [last[v] for v in seen - stored if v in last]:
            for v in node.inputs:
                last[v.id] = max(last.get(v.id, -1), end)
    live = {v.id: bytes_of(v) for v in graph.inputs}
    parted, out = read_in_parts(graph), []
    for i, node in enumerate(graph.nodes):
        if node.op == "slice" and node.inputs[0].id in parted:  # loaded when its reader runs
            out.append(sum(live.values()))
            live[node.output.id] = bytes_of(node.output)
            continue
        moves = CORE_OPS[node.op].family is Family.MOVE and node.op not in ("concat", "pad")
        for v in node.outputs:
            live[v.id] = 0 if moves or v.id in fused else bytes_of(v)
        out.append(sum(live.values()))
        for vid in [k for k in live if last.get(k, -1) <= i]:
            del live[vid]
    return out


def find_region(
    graph: Graph, budget_bytes: int, bytes_of: Bytes, before: int | None = None
) -> Region | None:
    """The last span of nodes in front of `before` that exceeds the budget and can be striped."""
    end = len(graph.nodes) if before is None else before
    groups = group(graph)
    live = profile(graph, bytes_of, groups)
    over = [i for i in range(end) if live[i] > budget_bytes]
    while over:
        last = first = over.pop()
        while over and over[-1] >= first - 1:
            first = over.pop()
        first, last = _whole_groups(graph, groups, first, last, end)
        over = [i for i in over if i < first]
        if images_of(graph, first, last) > 1:
            small = SMALL * budget_bytes
            while (
                over
                and images_of(graph, over[-1], last) > 1
                and least_between(graph, over[-1], first, bytes_of) > small
            ):
                first = over.pop()
            first, last = image_span(graph, first, last, budget_bytes, bytes_of, end)
            return Region(first, last, batch_dims(graph, first, last))
        dims = dims_of(graph, first, last)
        if dims:
            return _widened(graph, Region(first, last, dims), budget_bytes // 4, bytes_of, end)
    return None


def _whole_groups(
    graph: Graph, groups: Sequence[Group], first: int, last: int, end: int
) -> tuple[int, int]:
    """The span with the rest of every product that it cuts: what is fused has no border inside."""
    at = {id(n): i for i, n in enumerate(graph.nodes)}
    spans = [
        (min(places), max(places))
        for members in groups
        if members.anchor.op == "matmul"
        for places in [[at[id(n)] for n in members.nodes]]
    ]
    for a, z in spans:
        if a <= last and z >= first and z < end:
            first, last = min(first, a), max(last, z)
    return first, _to_the_reader(graph, last, end, dict(spans))


def _to_the_reader(graph: Graph, last: int, end: int, spans: Mapping[int, int]) -> int:
    """Further, through transposes and reshapes of a product, to the product that reads them."""
    at = last
    while at + 1 < end and graph.nodes[at + 1].op in ("transpose", "reshape"):
        if graph.nodes[at + 1].inputs[0] is not graph.nodes[at].output:
            return last
        at += 1
    reads = at > last and at + 1 < end and graph.nodes[at].output in graph.nodes[at + 1].inputs
    return spans[at + 1] if reads and at + 1 in spans else last


def _widened(graph: Graph, region: Region, small_bytes: int, bytes_of: Bytes, end: int) -> Region:
    """The region with neighbours taken in as long as what crosses its border is large."""
    if has_product(graph, region.first, region.last):
        return _widened_products(graph, region, small_bytes // FEWER, bytes_of, end)
    first, last, dims = region.first, region.last, region.dims
    while first > 0 and any(bytes_of(v) > small_bytes for v in graph.nodes[first].inputs):
        wider = dims_of(graph, first - 1, last)
        if not wider:
            break
        first, dims = first - 1, wider
    producers = graph.producers()
    while last + 1 < end and bytes_of(_held(producers, graph.nodes[last].output)) > small_bytes:
        wider = dims_of(graph, first, last + 1)
        if not wider:
            break
        last, dims = last + 1, wider
    return Region(first, last, dims)


def _widened_products(
    graph: Graph, region: Region, small_bytes: int, bytes_of: Bytes, end: int
) -> Region:
    """The region up to where little is whole: its weights are read again in every strip anyway."""
    first, last, dims = region.first, region.last, region.dims
    across = _across(graph, bytes_of, _left_in_dram(graph) if set(dims.values()) == {0} else set())
    while first > 0 and across[first] > small_bytes:
        wider = dims_of(graph, first - 1, last)
        if not wider:
            break
        first, dims = first - 1, wider
    while last + 1 < end and across[last + 1] > small_bytes:
        wider = dims_of(graph, first, last + 1)
        if not wider:
            break
        last, dims = last + 1, wider
    return Region(first, last, dims)


def _across(graph: Graph, bytes_of: Bytes, outside: set[int]) -> list[int]:
    """Bytes of the values made in front of each node and read from it on; of those `outside` if
    they are read in front, too, where they are whole."""
    made = {v.id: (i + 1, v) for i, node in enumerate(graph.nodes) for v in node.outputs}
    made |= {v.id: (0, v) for v in graph.inputs}
    read = {v.id: i for i, node in enumerate(graph.nodes) for v in node.inputs}
    read |= {v.id: len(graph.nodes) for v in graph.outputs}
    for i, node in reversed(list(enumerate(graph.nodes))):
        made |= {v.id: (i + 1, v) for v in node.inputs if v.id in outside}
    change = [0] * (len(graph.nodes) + 2)
    for i, (first, value) in made.items():
        if i in read:
            change[first] += bytes_of(value)
            change[read[i] + 1] -= bytes_of(value)
    return list(accumulate(change))


def _left_in_dram(graph: Graph) -> set[int]:
    """The inputs, and what movements alone make of them, that lie image by image: each strip loads
    its own images from DRAM."""
    found = {v.id for v in graph.inputs}
    readers = graph.consumers()
    for node in graph.nodes:
        if node.op not in ("reshape", "transpose") or node.inputs[0].id not in found:
            continue
        x = node.inputs[0]
        kept = node.op == "reshape" or integers(node, "perm")[0] == 0
        if kept and x.shape[:1] == node.output.shape[:1] and len(readers[x.id]) == 1:
            found.add(node.output.id)
    return found


def _held(producers: dict[int, Node], value: Value) -> Value:
    """The value whose bytes a view shows."""
    node = producers.get(value.id)
    while node is not None and node.op in VIEWS:
        value = node.inputs[0]
        node = producers.get(value.id)
    return value
