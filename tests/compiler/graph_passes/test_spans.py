"""Spans of products reach from one narrow border to the next."""

from __future__ import annotations

import numpy as np

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Graph, Value
from compiler.graph.verify import verify
from compiler.graph_passes.spans import Region, find_region
from compiler.graph_passes.stripe import stripe_everywhere
from tests.compiler.device_run import error_on_device

IMAGES, PATCHES, WIDTH = 4, 4, 64
BUDGET = IMAGES * PATCHES * 2 * WIDTH


def value_bytes(value: Value) -> int:
    return value.size


def vision_block() -> Graph:
    """Patches of images, a token before them, a perceptron around which they are added; of the
    result only that token is read."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("vision")

    def weights(*shape: int) -> Value:
        return b.constant(rng.standard_normal(shape).astype(np.float32) / 8)

    x = b.input("x", (IMAGES, 4, 8, 8), FP32)
    y = b.emit("reshape", x, shape=(IMAGES, 4, 2, 4, 2, 4))
    y = b.emit("transpose", y, perm=(0, 2, 4, 1, 3, 5))
    y = b.emit("reshape", y, shape=(IMAGES, PATCHES, WIDTH))
    y = b.emit("matmul", y, weights(WIDTH, WIDTH))
    y = b.emit("concat", weights(IMAGES, 1, WIDTH), y, axis=1)
    mean = b.emit("reduce", y, kind="mean", axes=(2,), keepdims=True)
    up = b.emit("gelu", b.emit("matmul", b.emit("sub", y, mean), weights(WIDTH, 4 * WIDTH)))
    y = b.emit("add", b.emit("matmul", up, weights(4 * WIDTH, WIDTH)), y)
    y = b.emit("slice", y, starts=(0, 0, 0), sizes=(IMAGES, 1, WIDTH), steps=(1, 1, 1))
    b.output(b.emit("matmul", y, weights(WIDTH, 32)), "y")
    return b.finish()


def region_of(graph: Graph) -> Region:
    region = find_region(graph, BUDGET, value_bytes)
    assert region is not None
    return region


def test_a_span_of_products_leaves_what_dram_can_cut_and_ends_where_little_is_read() -> None:
    graph = vision_block()
    region = region_of(graph)
    assert set(region.dims.values()) == {0}
    assert [n.op for n in graph.nodes[: region.first]] == ["reshape", "transpose", "reshape"]
    assert "slice" in [n.op for n in graph.nodes[: region.last + 1]]


def test_strips_load_their_own_images_and_mean_the_same_on_the_device() -> None:
    graph = vision_block()
    cut = stripe_everywhere(graph, BUDGET, lambda _: value_bytes, 2)
    assert cut is not None
    verify(cut)
    x = {"x": np.random.default_rng(1).standard_normal((IMAGES, 4, 8, 8)).astype(np.float32)}
    np.testing.assert_array_equal(evaluate(cut, x)["y"], evaluate(graph, x)["y"])
    assert [n.op for n in cut.nodes[:5]].count("slice") == 1, "images are cut behind the movements"
    assert error_on_device(cut, x, auto_cast="none") < 1e-5
    assert error_on_device(cut, x) < 0.05


def perceptron(images: int, rows: int, width: int) -> Graph:
    """An input that is normalised, and added again: read twice. The output is as large."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("perceptron")
    up = b.constant(rng.standard_normal((width, 4 * width)).astype(np.float32) / 16)
    down = b.constant(rng.standard_normal((4 * width, width)).astype(np.float32) / 32)
    x = b.input("x", (images, rows, width), FP32)
    mean = b.emit("reduce", x, kind="mean", axes=(2,), keepdims=True)
    hidden = b.emit("gelu", b.emit("matmul", b.emit("sub", x, mean), up))
    b.output(b.emit("add", b.emit("matmul", hidden, down), x), "y")
    return b.finish()


def test_an_input_that_is_read_twice_is_read_by_strips_alone() -> None:
    graph = perceptron(4, 256, 512)
    budget = 4 * 256 * 512 * 3
    region = find_region(graph, budget, value_bytes)
    assert region is not None
    assert (region.first, region.last) == (0, len(graph.nodes) - 1)
    cut = stripe_everywhere(graph, budget, lambda _: value_bytes, 2)
    assert cut is not None
    x = {"x": np.random.default_rng(1).standard_normal((4, 256, 512)).astype(np.float32)}
    assert {n.op for n in cut.consumers()[cut.inputs[0].id]} == {"slice"}
    assert error_on_device(cut, x) < 1e-5
