"""A bias in front of a clip moves behind the next convolution: same values, one instruction."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Attr, Graph, Value
from compiler.graph.text import constants_by_digest, parse_graph, print_graph
from compiler.graph.verify import verify
from compiler.graph_passes.shift_clips import shift_clips
from tests.compiler.device_run import compiled, run, worst


def blocks(
    channels: int, size: int, *, bias: float = 1.0, low: float = 0.0, stride: int = 1
) -> Graph:
    """Expand, depthwise, reduce, as an inverted residual has it; y = clip(conv + b) twice."""
    rng = np.random.default_rng(channels)
    b = GraphBuilder("blocks")

    def conv(x: Value, out: int, k: int, groups: int = 1, step: int = 1) -> Value:
        w = rng.standard_normal((out, x.shape[1] // groups, k, k)).astype(np.float32)
        y = b.emit(
            "conv",
            x,
            b.constant(3 * w / np.float32(np.sqrt(w[0].size))),
            strides=(step, step),
            dilations=(1, 1),
            pads=((k // 2, k // 2),) * 2,
            groups=groups,
        )
        column = bias * rng.uniform(-1, 1, (1, out, 1, 1))
        return b.emit("add", y, b.constant(column.astype(np.float32)))

    def clip(x: Value) -> Value:
        least = b.constant(np.float32(low))
        return b.emit("min", b.emit("max", x, least), b.constant(np.float32(6.0)))

    x = b.input("x", (1, 16, size, size), FP32)
    inner = clip(conv(clip(conv(x, channels, 1)), channels, 3, channels, stride))
    b.output(conv(inner, 16, 1), "y")
    return b.finish()


def image(size: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).standard_normal((1, 16, size, size)).astype(np.float32)}


@pytest.mark.parametrize(
    ("graph", "size"),
    [
        (blocks(144, 12), 12),
        (blocks(40, 18, low=-2.0, stride=2), 18),
        (blocks(24, 128), 128),  # few channels: folded
    ],
)
def test_the_shift_keeps_the_meaning(graph: Graph, size: int) -> None:
    shifted = shift_clips(graph)
    verify(shifted)
    assert [n.op for n in shifted.nodes] == ["conv", "max", "min"] * 2 + ["conv", "add"]
    exact = evaluate(graph, image(size))
    assert worst(evaluate(shifted, image(size)), exact) < 1e-6
    assert worst(run(compiled(graph), image(size)), exact) < 1e-5
    assert worst(run(compiled(graph, auto_cast="all"), image(size)), exact) < 2e-2


def test_a_bias_far_beyond_the_clip_stays() -> None:
    graph = blocks(24, 6, bias=100.0)
    assert shift_clips(graph) is graph


def test_what_others_read_stays() -> None:
    b = GraphBuilder("read twice")
    x = b.input("x", (1, 4, 6, 6), FP32)
    w = b.constant(np.ones((4, 4, 1, 1), np.float32))
    plain: dict[str, Attr] = {
        "strides": (1, 1),
        "dilations": (1, 1),
        "pads": ((0, 0), (0, 0)),
        "groups": 1,
    }
    y = b.emit("add", b.emit("conv", x, w, **plain), b.constant(np.ones((1, 4, 1, 1), np.float32)))
    y = b.emit("min", b.emit("relu", y), b.constant(np.float32(6.0)))
    b.output(b.emit("conv", y, w, **plain), "a")
    b.output(b.emit("reduce", y, axes=(1,), kind="max", keepdims=True), "b")
    graph = b.finish()
    assert shift_clips(graph) is graph


def test_the_filling_is_printed_and_read() -> None:
    graph = shift_clips(blocks(24, 6))
    again = parse_graph(print_graph(graph), constants_by_digest(graph))
    assert [n.attrs for n in again.nodes] == [n.attrs for n in graph.nodes]
