"""A product read in slices becomes a product a slice, with the same values."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Graph, Value
from compiler.graph_passes import simplify
from compiler.graph_passes.split_products import split_products
from tests.compiler.device_run import error_on_device


def joint(read_whole: bool = False, turned: bool = False) -> Graph:
    """q, k and v as thirds of one product with a bias, behind a reshape."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("joint")
    x = b.input("x", (6, 8), FP32)
    w = rng.standard_normal((12, 8) if turned else (8, 12)).astype(np.float32)
    y = b.emit("matmul", x, b.constant(w), transpose_b=turned)
    y = b.emit("reshape", y, shape=(2, 3, 12))
    y = b.emit("add", y, b.constant(rng.standard_normal(12).astype(np.float32)))
    for i, name in enumerate("qkv"):
        b.output(b.emit("slice", y, starts=(0, 0, 4 * i), sizes=(2, 3, 4), steps=(1, 1, 1)), name)
    if read_whole:
        b.output(b.emit("relu", y), "whole")
    return b.finish()


@pytest.mark.parametrize("turned", [False, True])
def test_three_slices_are_three_products(turned: bool) -> None:
    graph = joint(turned=turned)
    split = split_products(graph)
    assert [n.op for n in split.nodes].count("matmul") == 3
    assert not any(n.op == "slice" for n in split.nodes)
    x = {"x": np.random.default_rng(1).standard_normal((6, 8)).astype(np.float32)}
    before, after = evaluate(graph, x), evaluate(split, x)
    for name in "qkv":
        np.testing.assert_allclose(after[name], before[name], rtol=1e-6, atol=1e-6)


def test_a_product_read_as_a_whole_stays_one() -> None:
    graph = joint(read_whole=True)
    assert split_products(graph) is graph


def test_a_reshape_of_rows_moves_behind_the_product() -> None:
    b = GraphBuilder("rows")
    x = b.input("x", (1, 5, 8), FP32)
    w = b.constant(np.arange(32, dtype=np.float32).reshape(8, 4))
    made = b.emit("matmul", b.emit("reshape", x, shape=(5, 8)), w)
    b.output(b.emit("add", b.emit("reshape", made, shape=(1, 5, 4)), x_part(b, x)), "y")
    assert not any(n.op == "reshape" for n in simplify(b.finish()).nodes)


def x_part(b: GraphBuilder, x: Value) -> Value:
    """Half of x, to be added."""
    return b.emit("slice", x, starts=(0, 0, 0), sizes=(1, 5, 4), steps=(1, 1, 1))


def test_a_large_output_is_stored_tile_by_tile() -> None:
    rng = np.random.default_rng(0)
    b = GraphBuilder("head")
    x = b.input("x", (1, 130, 64), FP32)
    w = b.constant(rng.standard_normal((64, 5003)).astype(np.float32) / 8)
    bias = b.constant(rng.standard_normal(5003).astype(np.float32))
    b.output(b.emit("add", b.emit("matmul", x, w), bias), "y")
    inputs = {"x": rng.standard_normal((1, 130, 64)).astype(np.float32)}
    assert error_on_device(b.finish(), inputs) < 1e-5


def test_a_convolution_over_patches_is_a_product() -> None:
    rng = np.random.default_rng(0)
    b = GraphBuilder("patches")
    x = b.input("x", (2, 3, 64, 48), FP32)
    w = b.constant(rng.standard_normal((40, 3, 16, 16)).astype(np.float32) / 28)
    y = b.emit("conv", x, w, strides=(16, 16), pads=((0, 0), (0, 0)), dilations=(1, 1), groups=1)
    b.output(b.emit("relu", y), "y")
    graph = b.finish()
    assert [n.op for n in simplify(graph).nodes].count("matmul") == 1
    inputs = {"x": rng.standard_normal((2, 3, 64, 48)).astype(np.float32)}
    assert error_on_device(graph, inputs) < 1e-5
    assert error_on_device(graph, inputs, auto_cast="all") < 2e-2
