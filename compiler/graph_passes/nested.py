"""A batch cut as finely as each of its layers needs, and no finer.

Before                          After, where the last layers fit with half of the images
    x [10] -> a -> b -> y           two parts of 5 images; in each, `a` once for 2 and once for 3
                                    images, `b` once for all 5

Early layers have large values and few weights, late ones the opposite. Each part of a span loads
the span's weights again, so a span is halved, and only what is still too large inside a half is
halved again. What is too large of one image is cut into strips of rows.

Needs, Leaves    as `stripe.py`, which does the cutting.
"""

from __future__ import annotations

from collections.abc import Callable

from compiler.graph.graph import Graph
from compiler.graph_passes.by_image import images_of
from compiler.graph_passes.spans import Bytes, Region, find_region, profile
from compiler.graph_passes.stripe import stripe

ROWS = (2, 3, 4, 6, 8, 12, 16)
"""Strips of rows of one image, the first that fit."""

MOST_CUTS = 40
"""Cuts after which the spans are not of the kind that halving makes fit."""


def cut_as_needed(
    graph: Graph, budget_bytes: int, bytes_for: Callable[[Graph], Bytes]
) -> Graph | None:
    """Every span of a batch that exceeds the budget in parts that fit, the last span first.

    None where nothing is cut between images, or too much.
    """
    if not any(images_of(graph, i, i) > 1 for i in range(len(graph.nodes))):
        return None
    before: int | None = None
    by_image = False
    for _ in range(MOST_CUTS):
        region = find_region(graph, budget_bytes, bytes_for(graph), before)
        if region is None:
            return graph if by_image else None
        behind = len(graph.nodes) - region.last - 1
        if _between_images(graph, region):
            graph, by_image = stripe(graph, region, 2), True
            before = len(graph.nodes) - behind
        else:
            graph, before = _in_rows(graph, region, budget_bytes, bytes_for), region.first
    return None


def _between_images(graph: Graph, region: Region) -> bool:
    """Whether the region is cut between images, and has several."""
    return not any(region.dims.values()) and images_of(graph, region.first, region.last) > 1


def _in_rows(
    graph: Graph, region: Region, budget_bytes: int, bytes_for: Callable[[Graph], Bytes]
) -> Graph:
    """The region in as few strips of rows as fit, or in the most."""
    behind = len(graph.nodes) - region.last - 1
    whole = max(profile(graph, bytes_for(graph))[region.first : region.last + 1])
    finer = graph
    for parts in [p for p in ROWS if p * budget_bytes >= whole] or ROWS[-1:]:
        finer = stripe(graph, region, parts)
        inside = slice(region.first, len(finer.nodes) - behind)
        if max(profile(finer, bytes_for(finer))[inside]) <= budget_bytes:
            break
    return finer
