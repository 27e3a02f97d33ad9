"""Folding rows keeps the meaning, folds only what may be, and the device agrees."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Graph, Value
from compiler.graph.verify import verify
from compiler.graph_passes.fold_rows import fold_rows
from tests.compiler.device_run import compiled, run, worst


def chain(
    channels: int = 24,
    kernel: int = 3,
    stride: int = 1,
    *,
    pads: tuple[int, int] = (1, 1),
    read_outside: bool = False,
) -> Graph:
    """Convolution, depthwise, one tap, a sum, one tap: the start of a small network."""
    rng = np.random.default_rng(channels)
    b = GraphBuilder("chain")

    def conv(x: Value, out: int, k: int, groups: int = 1, step: int = 1) -> Value:
        w = rng.standard_normal((out, x.shape[1] // groups, k, k)).astype(np.float32)
        pad = pads if k == 3 else (k // 2, k // 2)
        y = b.emit(
            "conv",
            x,
            b.constant(w / np.float32(np.sqrt(w[0].size))),
            strides=(step, step),
            dilations=(1, 1),
            pads=(pad, pad),
            groups=groups,
        )
        bias = rng.standard_normal((1, out, 1, 1)).astype(np.float32)
        return b.emit("relu", b.emit("add", y, b.constant(bias)))

    x = b.input("x", (1, 3, 128, 64), FP32)
    a = conv(x, channels, 3, step=2 if pads == (0, 1) else 1)
    d = conv(a, channels, kernel, groups=channels, step=stride)
    e = conv(d, 16, 1)
    f = conv(e, 16, 1)
    b.output(conv(b.emit("add", e, f), 40, 1), "y")
    if read_outside:
        b.output(b.emit("reduce", d, axes=(1,), kind="max", keepdims=True), "z")
    return b.finish()


CASES = [chain(), chain(32, 5), chain(24, 3, 2), chain(16, 3, pads=(0, 1), stride=2)]


@pytest.mark.parametrize("graph", CASES)
def test_folding_keeps_the_meaning(graph: Graph) -> None:
    folded = fold_rows(graph)
    verify(folded)
    kinds = {n.attrs["folds"] for n in folded.nodes if n.op == "conv"}
    assert kinds == {(1, 4), (4, 4), (4, 1)}
    x = {"x": np.random.default_rng(0).standard_normal((1, 3, 128, 64)).astype(np.float32)}
    exact = evaluate(graph, x)
    assert worst(evaluate(folded, x), exact) < 1e-6
    assert worst(run(compiled(graph), x), exact) < 1e-5


def test_what_others_read_stays_whole() -> None:
    folded = fold_rows(chain(read_outside=True))
    kinds = [n.attrs["folds"] for n in folded.nodes if n.op == "conv"]
    assert kinds[1] == (1, 1)  # its result is read by a reduction


def test_many_channels_stay_whole() -> None:
    graph = chain(40)
    kinds = [n.attrs["folds"] for n in fold_rows(graph).nodes if n.op == "conv"]
    assert kinds[:2] == [(1, 1), (1, 1)]


def test_blocks_of_a_large_image_are_read_when_all_of_it_is_there() -> None:
    rng = np.random.default_rng(5)
    b = GraphBuilder("large")
    value = b.input("x", (1, 3, 112, 112), FP32)
    for out, k in ((32, 3), (16, 1)):
        weight = rng.standard_normal((out, value.shape[1], k, k)).astype(np.float32) / 8
        pad = (k // 2, k // 2)
        value = b.emit("conv", value, b.constant(weight), strides=(1, 1), dilations=(1, 1),
                       pads=(pad, pad), groups=1)  # fmt: skip
    b.output(value, "y")
    graph = b.finish()
    inputs = {"x": rng.standard_normal((1, 3, 112, 112)).astype(np.float32)}
    assert worst(run(compiled(graph), inputs), evaluate(graph, inputs)) < 1e-5
