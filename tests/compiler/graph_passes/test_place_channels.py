"""Concatenations that residual sums read are placed, and mean what they meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Graph, Value
from compiler.graph_passes import simplify
from compiler.graph_passes.place_channels import place_channels
from tests.compiler.device_run import error_on_device

RNG = np.random.default_rng(9)


def conv(b: GraphBuilder, x: Value, outputs: int, groups: int = 1, kernel: int = 1) -> Value:
    """A convolution and a bias; an odd kernel keeps the image's size."""
    shape = (outputs, x.shape[1] // groups, kernel, kernel)
    w = RNG.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))
    pads = (((kernel - 1) // 2, (kernel - 1) // 2),) * 2
    attrs: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "pads": pads, "groups": groups}
    bias = b.constant(RNG.standard_normal((outputs, 1, 1)).astype(np.float32))
    return b.emit("add", b.emit("conv", x, b.constant(w), **attrs), bias)


def pooled(b: GraphBuilder, x: Value) -> Value:
    """The means of windows of 2 x 2, by a factor that differs along the rows."""
    ones: dict[str, Any] = {"dilations": (1, 1), "pads": ((0, 0), (0, 0))}
    made = b.emit("reduce_window", x, kind="sum", window=(2, 2), strides=(1, 1), **ones)
    scale = RNG.uniform(0.2, 0.3, (1, 1, *made.shape[2:])).astype(np.float32)
    return b.emit("mul", made, b.constant(scale))


def stages(channels: tuple[int, ...], *, flat: bool = False) -> Graph:
    """Stages of a residual network, each of which begins with a concatenation of a convolution and
    the pooled stage before."""
    b = GraphBuilder("stages")
    x: Value = b.input("x", (1, channels[0], 8, 8), FP32)
    x = b.emit("relu", conv(b, x, channels[0]))
    for made in channels[1:]:
        first = conv(b, x, made, kernel=2)
        x = b.emit("relu", b.emit("concat", first, pooled(b, x), axis=1))
        inner = conv(b, conv(b, x, x.shape[1]), x.shape[1], x.shape[1], 3)
        x = b.emit("relu", b.emit("add", conv(b, inner, x.shape[1]), x))
    rows = (1, x.shape[1], x.shape[2] * x.shape[3])
    b.output(b.emit("reshape", x, shape=rows) if flat else conv(b, x, 20), "y")
    return simplify(b.finish())


def image(graph: Graph) -> dict[str, np.ndarray]:
    shape = graph.inputs[0].shape
    return {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}


CASES = [(24, 112), (24, 112, 136), (40, 30, 70), (136, 136, 272)]


@pytest.mark.parametrize("channels", CASES)
@pytest.mark.parametrize("flat", [False, True])
def test_placed_concatenations_mean_the_same(channels: tuple[int, ...], flat: bool) -> None:
    graph = stages(channels, flat=flat)
    placed = place_channels(graph)
    want, got = (evaluate(g, image(graph))["y"] for g in (graph, placed))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    assert flat or placed is not graph


@pytest.mark.parametrize("channels", CASES[:3])
def test_parts_begin_where_engines_may(channels: tuple[int, ...]) -> None:
    for node in place_channels(stages(channels)).nodes:
        if node.op == "concat":
            starts = np.cumsum([v.shape[1] for v in node.inputs[:-1]])
            assert not (starts % 32).any()


@pytest.mark.parametrize("channels", [CASES[0], CASES[2]])
@pytest.mark.parametrize("flat", [False, True])
def test_stages_are_exact_to_rounding(channels: tuple[int, ...], flat: bool) -> None:
    graph = stages(channels, flat=flat)
    assert error_on_device(graph, image(graph)) < 1e-4


def test_a_number_beside_a_vector_is_left_alone() -> None:
    """A model with placed concatenations may do anything else, with scalars and short shapes."""
    b = GraphBuilder("stages")
    v = b.input("v", (1,), FP32)
    b.output(b.emit("mul", v, b.constant(np.float32(3.0))), "scaled")
    x = b.input("x", (1, 24, 8, 8), FP32)
    x = b.emit("concat", conv(b, x, 30, kernel=2), pooled(b, x), axis=1)
    b.output(conv(b, b.emit("add", conv(b, x, x.shape[1]), x), 20), "y")
    graph = simplify(b.finish())
    inputs = {
        "x": RNG.standard_normal((1, 24, 8, 8)).astype(np.float32),
        "v": np.full(1, 2, np.float32),
    }
    placed = place_channels(graph)
    assert placed is not graph
    want, got = (evaluate(g, inputs) for g in (graph, placed))
    for name in ("y", "scaled"):
        np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-4)


def test_every_result_of_a_node_has_its_successor() -> None:
    """A model with placed concatenations may take the places of its largest values, not these."""
    b = GraphBuilder("stages")
    x = b.input("x", (1, 24, 8, 8), FP32)
    x = b.emit("concat", conv(b, x, 30, kernel=2), pooled(b, x), axis=1)
    y = conv(b, b.emit("add", conv(b, x, x.shape[1]), x), 20)
    b.output(y, "y")
    rows = b.emit("reshape", y, shape=(20, 49))
    attrs = {"axis": 1, "k": 3, "largest": True}
    kinds = [FP32, np.dtype(np.int32)]
    b.output(b.emit_all("topk", [rows], attrs, kinds)[1], "places")
    graph = simplify(b.finish())
    placed = place_channels(graph)
    assert placed is not graph
    want, got = (evaluate(g, image(graph))["places"] for g in (graph, placed))
    np.testing.assert_array_equal(got, want)
