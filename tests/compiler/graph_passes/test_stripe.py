"""Strips change no value: random graphs, whatever the budget and the number of strips."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Value
from compiler.graph.verify import verify
from compiler.graph_passes import simplify
from compiler.graph_passes.stripe import stripe_everywhere
from tests.compiler.device_run import worst
from tests.compiler.random_graphs import elementwise, movement, random_graph, sums

DRAWS = (
    *(elementwise.unary, elementwise.binary, elementwise.wider, elementwise.select),
    *(movement.reshape, movement.transpose, sums.conv, sums.conv, sums.window),
    *(movement.concat, sums.matmul, movement.broadcast, movement.slices),
)


def value_bytes(value: Value) -> int:
    """Bytes in all, as if on one partition."""
    return math.prod(value.shape) * 4


@pytest.mark.parametrize("part", range(4))
def test_a_striped_graph_means_the_same(part: int) -> None:
    wrong, striped = [], 0
    for seed in range(100 * part, 100 * part + 100):
        graph, inputs = random_graph(seed, 8, DRAWS)
        graph = simplify(graph)
        rng = np.random.default_rng(seed)
        budget, strips = int(rng.integers(100, 6000)), int(rng.integers(2, 9))
        cut = stripe_everywhere(graph, budget, lambda _: value_bytes, strips)
        if cut is None:
            continue
        striped += 1
        verify(cut)
        if not worst(evaluate(cut, inputs), evaluate(graph, inputs)) < 1e-5:
            wrong.append(seed)
    assert not wrong
    assert striped >= 5, "some graphs have something to cut"


def test_rows_of_products_are_striped_without_a_border_between() -> None:
    rng = np.random.default_rng(0)
    b = GraphBuilder("perceptron")
    x = b.input("x", (4, 6, 16), FP32)
    up = b.constant(rng.standard_normal((16, 64)).astype(np.float32))
    down = b.constant(rng.standard_normal((64, 16)).astype(np.float32))
    hidden = b.emit("gelu", b.emit("matmul", x, up))
    b.output(b.emit("add", b.emit("matmul", hidden, down), x), "y")
    graph = b.finish()
    cut = stripe_everywhere(graph, 110, lambda g: lambda v: v.size // 16, 2)
    assert cut is not None
    assert [n.op for n in cut.nodes].count("matmul") == 4
    assert [n.op for n in cut.nodes].count("concat") == 1
    arrays = {"x": rng.standard_normal((4, 6, 16)).astype(np.float32)}
    np.testing.assert_allclose(
        evaluate(cut, arrays)["y"], evaluate(graph, arrays)["y"], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(2, 2, 1), (4, 2, 1), (3, 1, 2), (5, 3, 1)]
)
@pytest.mark.parametrize(("low", "high", "more"), [(0, 0, 0), (1, 1, 0), (1, 0, 1), (0, 2, 1)])
@pytest.mark.parametrize("strips", [2, 3, 7])
def test_transposed_convolutions_are_striped(
    kernel: int, stride: int, dilation: int, low: int, high: int, more: int, strips: int
) -> None:
    rng = np.random.default_rng(kernel)
    b = GraphBuilder("decoder")
    x = b.emit("relu", b.input("x", (1, 3, 6, 5), FP32))
    w = b.constant(rng.standard_normal((3, 2, kernel, 2)).astype(np.float32))
    up = b.emit(
        "conv_transpose", x, w, strides=(stride, 1), dilations=(dilation, 1), groups=1,
        pads=((low, high), (0, 0)), output_padding=(more if more < stride else 0, 0),
    )  # fmt: skip
    b.output(b.emit("relu", up), "y")
    graph = b.finish()
    cut = stripe_everywhere(graph, 100, lambda _: value_bytes, strips)
    assert cut is not None
    verify(cut)
    assert sum(n.op == "conv_transpose" for n in cut.nodes) > 1
    inputs = {"x": rng.standard_normal((1, 3, 6, 5)).astype(np.float32)}
    np.testing.assert_allclose(evaluate(cut, inputs)["y"], evaluate(graph, inputs)["y"], rtol=1e-5)
