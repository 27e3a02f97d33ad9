"""Depthwise convolutions and channel shuffles give what the graph means, on every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import FP32, Graph
from compiler.graph_passes import simplify
from compiler.lowering import depthwise, row_of_taps
from compiler.lowering.contract import Box
from compiler.lowering.row_of_taps import RowOfTaps
from isa.kernel import Ap
from isa.memory import Engine
from tests.compiler.device_run import compiled, error_on_device


def layer(
    channels: int, size: int, kernel: int, stride: int, batch: int = 1, dilation: int = 1
) -> Graph:
    """y = relu(conv(x, w) + bias), one channel a group, padded to keep the middle."""
    rng = np.random.default_rng(channels)
    b = GraphBuilder("depthwise")
    x = b.input("x", (batch, channels, size, size), FP32)
    w = b.constant(rng.standard_normal((channels, 1, kernel, kernel)).astype(np.float32))
    pad = (kernel - 1) * dilation // 2
    y = b.emit(
        "conv",
        x,
        w,
        strides=(stride, stride),
        dilations=(dilation, dilation),
        pads=((pad, pad), (pad, pad)),
        groups=channels,
    )
    bias = b.constant(rng.standard_normal((1, channels, 1, 1)).astype(np.float32))
    b.output(b.emit("relu", b.emit("add", y, bias)), "y")
    return b.finish()


def image(graph: Graph) -> dict[str, np.ndarray]:
    shape = graph.inputs[0].shape
    return {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}


@pytest.mark.parametrize(
    "shape",
    [(136, 14, 3, 1), (24, 9, 3, 2, 2), (200, 7, 7, 1), (64, 40, 5, 1), (40, 12, 3, 1, 1, 2)],
)
def test_a_depthwise_layer_is_exact_to_rounding(shape: tuple[int, ...]) -> None:
    graph = layer(*shape)
    assert error_on_device(graph, image(graph)) < 1e-5
    assert error_on_device(graph, image(graph), auto_cast="all") < 2e-2


@pytest.mark.parametrize("array", [True, False])
@pytest.mark.parametrize(
    "shape", [(200, 7, 7, 1), (64, 20, 5, 2), (32, 12, 5, 1, 1, 2), (20, 9, 3, 1)]
)
def test_either_way_alone_is_exact_to_rounding(
    shape: tuple[int, ...], array: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depthwise, "on_array", lambda tiles, *_: [array] * len(tiles))
    graph = layer(*shape)
    assert error_on_device(graph, image(graph)) < 1e-5


@pytest.mark.parametrize(
    "shape", [(136, 14, 3, 1), (144, 29, 3, 2), (150, 17, 5, 1), (137, 12, 3, 1, 1, 2)]
)
def test_a_last_block_of_few_channels_is_exact_either_way(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    emit = RowOfTaps.emit

    def noted(self: RowOfTaps, target: Ap, box: Box) -> None:
        seen.append(target.partitions)
        emit(self, target, box)

    monkeypatch.setattr(RowOfTaps, "emit", noted)
    monkeypatch.setattr(row_of_taps, "ENGINES_SHARE", 1e9)
    monkeypatch.setattr(depthwise, "on_array", lambda tiles, *_: [True] * len(tiles))
    graph = layer(*shape)
    assert error_on_device(graph, image(graph)) < 1e-5
    assert seen


def test_a_depthwise_layer_keeps_all_three_engines_busy() -> None:
    made = compiled(layer(128, 56, 3, 1), auto_cast="all")
    busy = [len(made.program.streams[e]) for e in (Engine.TENSOR, Engine.SCALAR, Engine.VECTOR)]
    assert min(busy) > 5


def shuffle(channels: int, groups: int) -> Graph:
    """y = the channels of relu(x), those of the groups in turn."""
    b = GraphBuilder("shuffle")
    x = b.emit("relu", b.emit("exp", b.input("x", (1, channels, 6, 5), FP32)))
    split = b.emit("reshape", x, shape=(1, groups, channels // groups, 6, 5))
    turned = b.emit("transpose", split, perm=(0, 2, 1, 3, 4))
    back = b.emit("reshape", turned, shape=(1, channels, 6, 5))
    b.output(b.emit("mul", back, b.constant(np.float32(2))), "y")
    return b.finish()


@pytest.mark.parametrize("case", [(136, 4), (112, 4), (96, 3), (272, 8), (320, 2)])
def test_a_channel_shuffle_is_one_gather_and_exact(case: tuple[int, int]) -> None:
    graph = shuffle(*case)
    assert "transpose" not in [n.op for n in simplify(graph).nodes]
    assert error_on_device(graph, image(graph)) < 1e-6


@pytest.mark.parametrize("sizes", [(112, 24), (24, 112, 200), (130, 7, 3), (16, 16, 40)])
def test_parts_that_begin_inside_a_quadrant_are_joined_exactly(sizes: tuple[int, ...]) -> None:
    b = GraphBuilder("join")
    x = b.input("x", (1, 40, 6, 5), FP32)
    rng = np.random.default_rng(0)
    parts = []
    for size in sizes:
        w = b.constant(rng.standard_normal((size, 40, 1, 1)).astype(np.float32) / 6)
        attrs: dict[str, Any] = {
            "strides": (1, 1),
            "dilations": (1, 1),
            "pads": ((0, 0), (0, 0)),
            "groups": 1,
        }
        parts.append(b.emit("relu", b.emit("conv", x, w, **attrs)))
    y = b.emit("concat", *parts, axis=1)
    w = b.constant(rng.standard_normal((32, sum(sizes), 1, 1)).astype(np.float32) / 12)
    b.output(b.emit("conv", y, w, **attrs), "y")
    graph = b.finish()
    assert error_on_device(graph, image(graph)) < 1e-5


@pytest.mark.parametrize(
    "shape", [(272, 136, 4, 1), (136, 272, 4, 1), (32, 64, 8, 3), (256, 256, 32, 3), (60, 36, 3, 3)]
)
def test_a_grouped_convolution_is_exact_to_rounding(shape: tuple[int, int, int, int]) -> None:
    channels, outputs, groups, kernel = shape
    rng = np.random.default_rng(0)
    b = GraphBuilder("grouped")
    x = b.input("x", (1, channels, 9, 8), FP32)
    w = rng.standard_normal((outputs, channels // groups, kernel, kernel)).astype(np.float32)
    pads = ((kernel // 2, kernel // 2),) * 2
    attrs: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "pads": pads, "groups": groups}
    y = b.emit("conv", x, b.constant(w / np.float32(np.sqrt(w[0].size))), **attrs)
    b.output(b.emit("relu", y), "y")
    graph = b.finish()
    assert error_on_device(graph, image(graph)) < 1e-5
    made = compiled(graph, auto_cast="all")
    assert made.report["dram_bytes"] < 1.05 * made.report["dram_bytes_compulsory"] + 40_000
