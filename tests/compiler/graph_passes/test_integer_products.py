"""Integer products in floating point: the same integers, and only where that is proved."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import BF16, FP32, INT32, Graph
from compiler.graph.verify import verify
from compiler.graph_passes import auto_cast
from compiler.graph_passes.integer_products import integer_products

RANDOM = np.random.Generator(np.random.PCG64(5))


def convolution(weights: int, channels: int = 8, kind: str = "uint8") -> Graph:
    """An 8-bit image less its zero point, convolved with whole numbers up to `weights`."""
    b = GraphBuilder("g")
    x = b.emit("cast", b.input("x", (1, channels, 6, 6), np.dtype(kind)), to=INT32)
    x = b.emit("sub", x, b.constant(np.int32(128)))
    w = b.constant(RANDOM.integers(-weights, weights + 1, (4, channels, 3, 3)).astype(np.int32))
    y = b.emit("conv", x, w, strides=(1, 1), pads=((1, 1), (1, 1)), dilations=(1, 1), groups=1)
    b.output(y, "y")
    return b.finish()


def product(depth: int) -> Graph:
    b = GraphBuilder("g")
    a, c = b.input("a", (3, depth), np.dtype(np.int8)), b.input("c", (depth, 5), np.dtype(np.uint8))
    b.output(b.emit("matmul", b.emit("cast", a, to=INT32), b.emit("cast", c, to=INT32)), "y")
    return b.finish()


@pytest.mark.parametrize("weights", [127, 256, 1000])
@pytest.mark.parametrize("mode", ["none", "all"])
def test_the_same_integers(weights: int, mode: str) -> None:
    graph = convolution(weights)
    made = integer_products(graph)
    verify(made)
    (node,) = [n for n in made.nodes if n.op == "conv"]
    assert node.inputs[0].dtype == (BF16 if weights <= 256 else FP32)
    x = RANDOM.integers(0, 256, (1, 8, 6, 6)).astype(np.uint8)
    found = evaluate(auto_cast(made, mode), {"x": x})["y"]
    np.testing.assert_array_equal(found, evaluate(graph, {"x": x})["y"])


def test_what_is_not_proved_stays() -> None:
    for graph in (convolution(100_000), convolution(127, kind="int32"), product(1000)):
        assert integer_products(graph) is graph
    assert integer_products(product(500)) is not product(500)


def test_depth_bounds_what_is_computed_on_both_sides() -> None:
    graph = product(512)
    made = integer_products(graph)
    assert made is not graph
    a = np.full((3, 512), -128, np.int8)
    c = np.full((512, 5), 255, np.uint8)
    found = evaluate(made, {"a": a, "c": c})["y"]
    assert found[0, 0] == -128 * 255 * 512
