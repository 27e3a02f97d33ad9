"""Spans of a batch are cut between images."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import Graph, Value
from compiler.graph.verify import verify
from compiler.graph_passes.by_image import batch_dims, images_of
from compiler.graph_passes.spans import Region, find_region
from compiler.graph_passes.stripe import stripe, stripe_everywhere

FP32 = np.dtype(np.float32)
BUDGET = 4 * 6 * 8 * 10 * 10


def value_bytes(value: Value) -> int:
    return math.prod(value.shape) * 4


def residual(images: int, grows: bool) -> Graph:
    """Two convolutions around which their operand is added, then pooling to little."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("residual")
    x = b.input("x", (images, 8, 10, 10), FP32)
    y = x
    for name in "vw":
        w = b.constant(rng.standard_normal((8, 8, 3, 3)).astype(np.float32) / 8, FP32, name)
        y = b.emit("conv", y, w, strides=(1, 1), pads=((1, 1), (1, 1)), dilations=(1, 1), groups=1)
        y = b.emit("relu", y)
    y = b.emit("add", x, y)
    y = b.emit("reduce_window", y, kind="max", window=(5, 5), strides=(5, 5),
               pads=((0, 0), (0, 0)), dilations=(1, 1))  # fmt: skip
    if grows:  # a sum over the batch: images are no longer by themselves
        y = b.emit("reduce", y, kind="sum", axes=(0,), keepdims=True)
    b.output(y, "y")
    return b.finish()


@pytest.mark.parametrize("grows", [False, True])
@pytest.mark.parametrize("strips", [2, 3, 8])
def test_the_meaning_stays(strips: int, grows: bool) -> None:
    graph = residual(6, grows)
    x = {"x": np.random.default_rng(1).standard_normal((6, 8, 10, 10)).astype(np.float32)}
    cut = stripe_everywhere(graph, BUDGET, lambda _: value_bytes, strips)
    assert cut is not None
    verify(cut)
    np.testing.assert_array_equal(evaluate(cut, x)["y"], evaluate(graph, x)["y"])


def test_a_span_ends_where_little_crosses_and_each_image_is_by_itself() -> None:
    graph = residual(6, grows=True)
    region = find_region(graph, BUDGET, value_bytes)
    assert region is not None
    assert graph.nodes[region.last].op == "reduce_window"
    assert set(region.dims.values()) == {0}
    assert images_of(graph, region.first, region.last) == 6
    assert images_of(graph, region.first, len(graph.nodes) - 1) == 1


def test_one_image_is_cut_in_rows() -> None:
    region = find_region(residual(1, grows=False), BUDGET // 6, value_bytes)
    assert region is not None
    assert set(region.dims.values()) == {2}


def moved(images: int) -> Graph:
    """An image padded, cut, reshaped and scaled by the sum of its rows."""
    b = GraphBuilder("moved")
    x = b.input("x", (images, 8, 10, 10), FP32)
    y = b.emit("relu", x)
    y = b.emit("pad", y, pads=((0, 0), (0, 0), (1, 1), (0, 0)))
    y = b.emit("slice", y, starts=(0, 0, 2, 0), sizes=(images, 8, 10, 10), steps=(1, 1, 1, 1))
    y = b.emit("reshape", y, shape=(images, 80, 10))
    y = b.emit("mul", y, b.emit("reduce", y, kind="sum", axes=(2,), keepdims=True))
    b.output(b.emit("relu", y), "y")
    return b.finish()


def test_what_moves_within_an_image_is_cut_between_images() -> None:
    graph = moved(6)
    assert images_of(graph, 0, len(graph.nodes) - 1) == 6
    region = Region(0, len(graph.nodes) - 1, batch_dims(graph, 0, len(graph.nodes) - 1))
    cut = stripe(graph, region, 3)
    verify(cut)
    assert all(n.output.shape[0] == 2 for n in cut.nodes if n.op == "reshape")
    x = {"x": np.random.default_rng(1).standard_normal((6, 8, 10, 10)).astype(np.float32)}
    np.testing.assert_array_equal(evaluate(cut, x)["y"], evaluate(graph, x)["y"])
