"""Statistics of groups of channels are taken where the channels lie, and mean what they meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Graph
from compiler.graph_passes import auto_cast, simplify
from compiler.graph_passes.group_statistics import group_statistics

RNG = np.random.default_rng(4)


def normalised(shape: tuple[int, ...], row: tuple[int, ...], *, leak: bool = False) -> Graph:
    """(x - mean) * scale a group, over its standard deviation, by way of rows of `row`."""
    b = GraphBuilder("groups")
    x = b.input("x", shape, FP32)
    r = b.emit("reshape", x, shape=row)
    over: dict[str, Any] = {"axes": tuple(range(2, len(row))), "keepdims": True}
    centred = b.emit("sub", r, b.emit("reduce", r, kind="mean", **over))
    variance = b.emit("reduce", b.emit("mul", centred, centred), kind="mean", **over)
    inverse = b.emit("rsqrt", b.emit("add", variance, b.constant(np.float32(1e-3))))
    scale = RNG.standard_normal((row[1], *(1,) * (len(row) - 2))).astype(np.float32)
    y = b.emit("mul", b.emit("mul", centred, inverse), b.constant(scale))
    b.output(b.emit("reshape", y, shape=shape), "y")
    if leak:
        b.output(inverse, "inverse")
    return b.finish()


CASES = [
    ((1, 12, 4, 5), (1, 3, 80)),
    ((2, 16, 6), (2, 1, 96)),
    ((3, 160, 2, 3), (3, 32, 5, 6)),
    ((1, 8, 2, 3, 2), (1, 4, 2, 2, 3, 2)),
]


@pytest.mark.parametrize(("shape", "row"), CASES)
def test_groups_mean_the_same(shape: tuple[int, ...], row: tuple[int, ...]) -> None:
    graph = normalised(shape, row)
    made = simplify(graph)
    assert not [n for n in made.nodes if n.output.shape == row]
    x = {"x": RNG.standard_normal(shape).astype(np.float32) + 1}
    np.testing.assert_allclose(evaluate(made, x)["y"], evaluate(graph, x)["y"], atol=2e-6)


def test_their_statistics_stay_in_single_precision() -> None:
    made = auto_cast(simplify(normalised(*CASES[0])))
    products = [n for n in made.nodes if n.op == "conv"]
    assert products
    assert all(v.dtype == FP32 for n in products for v in (*n.inputs, *n.outputs))


def test_a_statistic_that_others_read_is_left_where_it_is() -> None:
    graph = normalised(*CASES[0], leak=True)
    assert group_statistics(graph) is graph
