"""The first layers of a batch image by image."""

from __future__ import annotations

import numpy as np

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import Graph, Value
from compiler.graph.verify import verify
from compiler.graph_passes.apart import borders, images_apart

BUDGET = 1 << 20
FP32 = np.dtype(np.float32)


def value_bytes(value: Value) -> int:
    """As with eight partitions, a channel each."""
    return int(np.prod(value.shape)) * 4 // 8


def shrinking(batch: int) -> Graph:
    """Three times a convolution, a ReLU, a shuffle of channels and a maximum; then a product."""
    b, rng = GraphBuilder("g"), np.random.default_rng(0)
    y = b.input("x", (batch, 8, 16, 16), FP32)
    order = b.constant(np.array([1, 0, 3, 2, 5, 4, 7, 6]), np.dtype(np.int64))
    for name in ("w16", "w8", "w4"):
        w = b.constant(rng.standard_normal((8, 8, 3, 3)).astype(np.float32) / 8, FP32, name)
        y = b.emit("conv", y, w, strides=(1, 1), pads=((1, 1), (1, 1)), dilations=(1, 1), groups=1)
        y = b.emit("gather", b.emit("relu", y), order, axis=1)
        y = b.emit("reduce_window", y, kind="max", window=(2, 2), strides=(2, 2),
                   pads=((0, 0), (0, 0)), dilations=(1, 1))  # fmt: skip
    y = b.emit("reshape", y, shape=(batch, 32))
    w = b.constant(rng.standard_normal((32, 5)).astype(np.float32), FP32, "w")
    b.output(b.emit("matmul", y, w), "y")
    return b.finish()


def test_borders_are_where_little_is_live() -> None:
    graph = shrinking(4)
    nodes = [graph.nodes[level[0]].op for level in borders(graph, value_bytes, BUDGET)]
    assert nodes == ["reduce_window"] * 3


def test_one_image_has_no_borders() -> None:
    assert borders(shrinking(1), value_bytes, BUDGET) == []


def test_layers_in_front_of_a_border_are_one_by_one() -> None:
    graph = shrinking(4)
    last = borders(graph, value_bytes, BUDGET)[1][0]
    batches = {
        n.inputs[0].shape[2]: n.output.shape[0]
        for n in images_apart(graph, last).nodes
        if n.op == "conv"
    }
    assert batches == {16: 1, 8: 1, 4: 4}


def test_the_meaning_stays() -> None:
    graph = shrinking(3)
    x = {"x": np.random.default_rng(1).standard_normal((3, 8, 16, 16)).astype(np.float32)}
    for level in borders(graph, value_bytes, BUDGET):
        parted = images_apart(graph, level[0])
        verify(parted)
        np.testing.assert_allclose(
            evaluate(parted, x)["y"], evaluate(graph, x)["y"], rtol=1e-5, atol=1e-5
        )


def test_rows_of_a_matrix_are_no_images() -> None:
    b = GraphBuilder("g")
    y = b.emit("relu", b.input("x", (512, 64), FP32))
    b.output(b.emit("reduce", y, kind="sum", axes=(1,), keepdims=True), "y")
    assert borders(b.finish(), value_bytes, BUDGET) == []


def test_no_border_is_crossed_by_more_than_half_of_the_budget() -> None:
    graph = shrinking(4)
    crossing = 4 * 8 * 8 * 8 * 4 // 8
    assert len(borders(graph, value_bytes, 2 * crossing)) == 3
    assert len(borders(graph, value_bytes, 2 * crossing - 1)) == 2


def test_a_large_batch_goes_in_groups() -> None:
    graph = shrinking(20)
    last = borders(graph, value_bytes, BUDGET)[1][0]
    parted = images_apart(graph, last)
    verify(parted)
    late = [n for n in parted.nodes if n.op == "conv" and n.inputs[0].shape[2] == 4]
    assert [n.output.shape[0] for n in late] == [6, 7, 7]
    x = {"x": np.random.default_rng(1).standard_normal((20, 8, 16, 16)).astype(np.float32)}
    np.testing.assert_allclose(
        evaluate(parted, x)["y"], evaluate(graph, x)["y"], rtol=1e-5, atol=1e-5
    )
