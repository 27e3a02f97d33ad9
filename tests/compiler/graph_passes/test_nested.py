"""A batch in as many parts as each layer needs."""

from __future__ import annotations

import numpy as np

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import Graph, Value
from compiler.graph.verify import verify
from compiler.graph_passes.nested import cut_as_needed
from compiler.graph_passes.spans import profile

FP32 = np.dtype(np.float32)
BUDGET = 4000


def value_bytes(value: Value) -> int:
    """As with eight partitions, a channel each; the input is read from DRAM."""
    return 0 if value.name == "x" else int(np.prod(value.shape)) * 4 // 8


def shrinking(batch: int) -> Graph:
    """Convolutions of 20 x 20, 10 x 10 and 5 x 5, each with a ReLU and a maximum behind."""
    b, rng = GraphBuilder("g"), np.random.default_rng(0)
    y = b.input("x", (batch, 8, 20, 20), FP32)
    for name in ("w20", "w10", "w5"):
        w = b.constant(rng.standard_normal((8, 8, 3, 3)).astype(np.float32) / 8, FP32, name)
        y = b.emit("conv", y, w, strides=(1, 1), pads=((1, 1), (1, 1)), dilations=(1, 1), groups=1)
        y = b.emit("relu", y)
        y = b.emit("reduce_window", y, kind="max", window=(2, 2), strides=(2, 2),
                   pads=((0, 0), (0, 0)), dilations=(1, 1))  # fmt: skip
    b.output(y, "y")
    return b.finish()


def parts(graph: Graph, rows: int) -> int:
    """Convolutions whose image has so many rows."""
    return sum(n.op == "conv" and n.inputs[0].shape[3] == rows for n in graph.nodes)


def test_early_layers_have_more_parts_than_late_ones() -> None:
    graph = shrinking(8)
    cut = cut_as_needed(graph, BUDGET, lambda _: value_bytes)
    assert cut is not None
    verify(cut)
    assert parts(cut, 20) > parts(cut, 10) >= parts(cut, 5)
    assert max(profile(cut, value_bytes)) <= BUDGET < max(profile(graph, value_bytes))


def test_the_meaning_stays() -> None:
    graph = shrinking(6)
    x = {"x": np.random.default_rng(1).standard_normal((6, 8, 20, 20)).astype(np.float32)}
    cut = cut_as_needed(graph, BUDGET, lambda _: value_bytes)
    assert cut is not None
    np.testing.assert_allclose(evaluate(cut, x)["y"], evaluate(graph, x)["y"], rtol=1e-5, atol=1e-5)


def test_nothing_is_cut_where_there_is_one_image_or_room() -> None:
    assert cut_as_needed(shrinking(1), BUDGET, lambda _: value_bytes) is None
    assert cut_as_needed(shrinking(8), 1 << 20, lambda _: value_bytes) is None
