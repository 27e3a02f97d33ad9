"""Residuals are added before biases where a ReLU follows, and mean the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Graph
from compiler.graph_passes.bias_last import bias_last
from tests.compiler.device_run import error_on_device

ATTRS: dict[str, Any] = {
    "strides": (1, 1),
    "dilations": (1, 1),
    "pads": ((0, 0), (0, 0)),
    "groups": 1,
}


def block(bias: tuple[int, ...], *, swapped: bool = False, read_twice: bool = False) -> Graph:
    """relu((conv(x, w) + b) + x)."""
    rng = np.random.default_rng(3)
    b = GraphBuilder("block")
    x = b.input("x", (1, 40, 6, 7), FP32)
    w = b.constant(rng.standard_normal((40, 40, 1, 1)).astype(np.float32) / 6)
    made = b.emit("add", b.emit("conv", x, w, **ATTRS), b.constant(rng.random(bias, np.float32)))
    total = b.emit("add", x, made) if swapped else b.emit("add", made, x)
    out = b.emit("relu", total)
    b.output(b.emit("mul", out, made) if read_twice else out, "y")
    return b.finish()


def image() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).standard_normal((1, 40, 6, 7)).astype(np.float32)}


@pytest.mark.parametrize("swapped", [False, True])
def test_the_bias_comes_last_and_the_sum_is_the_same(swapped: bool) -> None:
    graph = block((40, 1, 1), swapped=swapped)
    turned = bias_last(graph)
    assert graph.constant_values[-1].shape in [v.shape for v in turned.nodes[-2].inputs]
    want, got = (evaluate(g, image())["y"] for g in (graph, turned))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    assert error_on_device(graph, image()) < 1e-5


@pytest.mark.parametrize("graph", [block((6, 7)), block((40, 1, 1), read_twice=True)])
def test_other_sums_stay(graph: Graph) -> None:
    assert [n.op for n in bias_last(graph).nodes] == [n.op for n in graph.nodes]
    want, got = (evaluate(g, image())["y"] for g in (graph, bias_last(graph)))
    np.testing.assert_array_equal(got, want)
