"""Folding a pooled convolution keeps the meaning, and the device agrees."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Graph, Value
from compiler.graph.verify import verify
from compiler.graph_passes.fold_pooled import fold_pooled
from tests.compiler.device_run import compiled, run, worst


def stem(
    channels: int = 64,
    size: int = 47,
    *,
    inputs: int = 3,
    window: int = 3,
    pad: int = 0,
    read_outside: bool = False,
    averaged: bool = False,
) -> Graph:
    """Convolution, bias, ReLU, pooling, two convolutions of one tap; maybe another pooling."""
    rng = np.random.default_rng(channels + size)
    b = GraphBuilder("stem")

    def conv(x: Value, out: int, k: int, step: int) -> Value:
        w = rng.standard_normal((out, x.shape[1], k, k)).astype(np.float32)
        y = b.emit(
            "conv",
            x,
            b.constant(w / np.float32(np.sqrt(w[0].size))),
            strides=(step, step),
            dilations=(1, 1),
            pads=((0, 0), (0, 0)),
            groups=1,
        )
        bias = rng.standard_normal((out, 1, 1)).astype(np.float32)
        return b.emit("relu", b.emit("add", y, b.constant(bias)))

    x = b.input("x", (1, inputs, size, size), FP32)
    y = conv(x, channels, 3, 2)
    pooled = b.emit(
        "reduce_window",
        y,
        kind="max",
        window=(window, window),
        strides=(2, 2),
        dilations=(1, 1),
        pads=((pad, pad), (pad, pad)),
    )
    b.output(conv(pooled, 16, 1, 1), "y")
    b.output(conv(pooled, 70, 1, 1), "z")
    if read_outside:
        b.output(y, "whole")
    if averaged:
        pads = ((1, 1), (1, 1))
        twos = {"strides": (2, 2), "dilations": (1, 1)}
        summed = b.emit("reduce_window", pooled, kind="sum", window=(3, 3), pads=pads, **twos)
        b.output(b.emit("mul", summed, b.constant(np.float32(1 / 9))), "means")
    return b.finish()


FOLDED = [
    stem(size=71),  # 35 rows, 17 pooled: both odd
    stem(48, 65, window=2),  # windows that do not overlap
    stem(64, 67, inputs=40),  # the image does not come from DRAM in bands
    stem(33, 75),
    stem(64, 73, pad=1),  # the first window begins in the padding
    stem(24, 129, pad=1),  # four blocks
    stem(20, 131, averaged=True),
    stem(32, 129, inputs=40, pad=1, averaged=True),
]


@pytest.mark.parametrize("graph", FOLDED)
def test_folding_keeps_the_meaning(graph: Graph) -> None:
    folded = fold_pooled(graph)
    verify(folded)
    into, *out = [n.attrs["folds"] for n in folded.nodes if n.op == "conv"]
    blocks = 2 if graph.constants[graph.nodes[0].inputs[1].id].shape[0] > 32 else 4
    assert into == (1, blocks)
    assert set(out) == {(blocks, 1)}
    shape = graph.inputs[0].shape
    x = {"x": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    exact = evaluate(graph, x)
    assert worst(evaluate(folded, x), exact) < 1e-6
    assert worst(run(compiled(graph), x), exact) < 1e-5


@pytest.mark.parametrize(
    "graph",
    [
        stem(32, 71),
        stem(70, 71),
        stem(pad=1, size=71),
        stem(size=71, read_outside=True),
        stem(size=23),
    ],
)
def test_what_cannot_be_folded_stays(graph: Graph) -> None:
    assert fold_pooled(graph) is graph
