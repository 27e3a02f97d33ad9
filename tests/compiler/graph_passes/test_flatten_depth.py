"""Convolutions of volumes become convolutions of images, and mean what they meant."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Graph
from compiler.graph_passes import simplify
from compiler.graph_passes.flatten_depth import flatten_depth
from tests.compiler.device_run import error_on_device

RNG = np.random.default_rng(6)


def volume(
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
    dilations: tuple[int, ...] = (1, 1, 1),
) -> Graph:
    b = GraphBuilder("volume")
    x = b.input("x", shape, FP32)
    w = RNG.standard_normal((5, shape[1], *kernel)).astype(np.float32)
    y = b.emit("conv", x, b.constant(w), strides=strides, pads=pads, dilations=dilations, groups=1)
    b.output(b.emit("relu", y), "y")
    return b.finish()


NONE = (0, 0)
CASES = [
    ((1, 3, 5, 6, 7), (3, 3, 3), (1, 1, 1), ((1, 1), (1, 1), (1, 0))),
    ((2, 3, 6, 6, 5), (1, 3, 2), (2, 2, 1), (NONE, (1, 1), NONE)),
    ((2, 4, 6, 8, 8), (2, 4, 4), (2, 4, 4), (NONE, NONE, NONE)),
    ((1, 2, 7, 5, 5), (2, 3, 1), (2, 1, 1), ((0, 1), (1, 1), NONE)),
    ((1, 2, 9, 5, 5), (3, 1, 3), (1, 1, 2), ((2, 0), NONE, (1, 1)), (2, 1, 1)),
]


@pytest.mark.parametrize("case", CASES)
def test_volumes_mean_the_same(case: tuple[tuple[int, ...], ...]) -> None:
    graph = volume(*case)  # type: ignore[arg-type]  # pads are pairs
    flat = simplify(graph)
    assert all(n.inputs[0].rank == 4 for n in flat.nodes if n.op == "conv")
    x = {"x": RNG.standard_normal(case[0]).astype(np.float32)}
    np.testing.assert_allclose(evaluate(flat, x)["y"], evaluate(graph, x)["y"], atol=1e-4)
    assert error_on_device(graph, x) < 1e-4


def test_a_kernel_along_the_depth_alone_stays() -> None:
    graph = volume((1, 3, 6, 4, 4), (3, 1, 1), (1, 1, 1), ((1, 1), NONE, NONE))
    assert flatten_depth(graph) is graph
