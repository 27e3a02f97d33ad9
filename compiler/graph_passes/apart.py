"""The first layers of a batch image by image, as a model of one image has them.

Before                                After, for each of N images
    a = conv(x)    [8, 32, 112, 112]      a_i = conv(x[i])     [1, 32, 112, 112]
    b = conv(a)    [8, 24, 56, 56]        b_i = conv(a_i)      [1, 24, 56, 56]
    c = conv(b)    [8, 96, 14, 14]        c = conv(concat(b_0, b_1, ..))

What only a single image can be is folded then (`fold_rows.py`, `fold_pooled.py`), and little is
live at once. Late layers, with short rows and many weights, take all images together. Where
one ends and the other begins is one of few *borders*, which drafts compare. A large batch is
first cut in groups, which go all the way.

Needs    static shapes; before the folding.
Leaves   a graph that evaluates to the same values.
"""

from __future__ import annotations

import math

from compiler.graph.graph import Graph, Value
from compiler.graph_passes.by_image import batch_dims, images_of
from compiler.graph_passes.spans import Bytes, Region
from compiler.graph_passes.stripe import stripe
from compiler.lowering.groups import group, is_elementwise, never_whole

NEAR = 4
"""Nodes from one border to the next, at least: between are those of one layer."""

TOGETHER = 8
"""Images that go through the late layers together: 7 x 7 elements of each nearly fill a tile."""

MOST_NODES = 1500
"""Nodes in front of a border, all images counted: drafts of more take too long to make."""


def borders(graph: Graph, bytes_of: Bytes, budget_bytes: int) -> list[tuple[int, ...]]:
    """Places at which images may join: levels of nodes behind which little is live, which half
    of the budget has room for.

    A level begins where half as many bytes a partition cross as anywhere before. Of each the first
    node behind which the fewest elements, of the fewest values, are live, with what is elementwise
    behind it; and, if that is another, the last.
    """
    first, end = _span(graph)
    if not any(node.op == "conv" for node in graph.nodes[first:end]):
        return []  # no images
    images = images_of(graph, first, first)
    end = min(end, first + MOST_NODES // images)
    levels: list[list[tuple[int, int, int]]] = []  # (elements, values, node)
    least = budget_bytes
    for i, crossing in enumerate(_crossing(graph, end)[first:], first):
        if crossing is None:
            continue
        held = sum(map(bytes_of, crossing)) * min(images, TOGETHER) // images
        elements = sum(math.prod(v.shape) for v in crossing)
        if 2 * held <= least:
            levels.append([])
            least = held
        if levels:
            levels[-1].append((elements, len(crossing), i))
    found: list[tuple[int, ...]] = []
    for level in levels:
        fewest = min(level)[:2]
        nodes = [i for *least, i in level if tuple(least) == fewest]
        while nodes[1:2] == [nodes[0] + 1] and is_elementwise(graph.nodes[nodes[1]]):
            del nodes[0]
        if found and nodes[0] - found[-1][0] < NEAR:
            found.pop()
        found.append(tuple(sorted({nodes[0], nodes[-1]})))
    return found


def images_apart(graph: Graph, last: int) -> Graph:
    """The graph with everything up to node `last` computed image by image.

    Of more than `TOGETHER` images so many go through the layers behind before the next.
    """
    first, end = _span(graph)
    runs = [(first, end)]
    images = images_of(graph, first, last)
    if images > TOGETHER:
        whole = Region(first, end - 1, batch_dims(graph, first, end - 1))
        grouped = stripe(graph, whole, -(-images // TOGETHER))
        found = [run for run in _runs(grouped) if run[1] - run[0] == end - first]
        if len(found) == -(-images // TOGETHER):
            graph, runs = grouped, found
    for start, _ in reversed(runs):
        stop = start + last - first
        region = Region(start, stop, batch_dims(graph, start, stop))
        graph = stripe(graph, region, images_of(graph, start, stop))
    return graph


def _span(graph: Graph) -> tuple[int, int]:
    """The first nodes [first, end) that compute every image of a batch by itself."""
    return next(iter(_runs(graph)), (len(graph.nodes), len(graph.nodes)))


def _runs(graph: Graph) -> list[tuple[int, int]]:
    """Every longest span of nodes that compute every image of one batch by itself."""
    found: list[tuple[int, int]] = []
    images = 1
    for i in range(len(graph.nodes)):
        before, images = images, images_of(graph, i, i)
        if images > 1 and images == before:
            found[-1] = found[-1][0], i + 1
        elif images > 1:
            found.append((i, i + 1))
    return found


def _crossing(graph: Graph, end: int) -> list[list[Value] | None]:
    """The values that are made up to each of the first nodes and read behind it; None where one of
    them is never whole."""
    fused = never_whole(graph, group(graph))
    used = {v.id: i for i, node in enumerate(graph.nodes) for v in node.inputs}
    used |= {v.id: len(graph.nodes) for v in graph.outputs}
    live: list[Value] = []
    found: list[list[Value] | None] = []
    for i, node in enumerate(graph.nodes[:end]):
        live = [v for v in (*live, *node.outputs) if used.get(v.id, -1) > i]
        found.append(None if any(v.id in fused for v in live) else live)
    return found
