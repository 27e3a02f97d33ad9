"""Reductions of tall vectors: their blocks first, then the partitions."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from tests.compiler.device_run import error_on_device

FP32 = np.dtype(np.float32)


@pytest.mark.parametrize("kind", ["max", "min", "sum", "mean"])
@pytest.mark.parametrize("shape", [(1, 1000, 1, 1), (1, 512, 2, 3), (2, 400, 1, 1)])
def test_channels_in_several_blocks_are_reduced(shape: tuple[int, ...], kind: str) -> None:
    b = GraphBuilder("tall")
    x = b.input("x", shape, FP32)
    w = b.constant(np.ones((1, shape[1], 1, 1), np.float32) / 2, FP32)
    y = b.emit("relu", b.emit("mul", x, w))
    b.output(b.emit("reduce", y, kind=kind, axes=(1, 2, 3), keepdims=True), "y")
    inputs = {"x": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    assert error_on_device(b.finish(), inputs) <= 1e-5


@pytest.mark.parametrize("size", [96, 1000, 1100])
@pytest.mark.parametrize("without", [frozenset(), frozenset({"tensorize", "plan-memory"})])
def test_a_sum_over_partitions_may_be_read_in_psum(size: int, without: frozenset[str]) -> None:
    b = GraphBuilder("normalised")
    x = b.input("x", (1, size, 1, 1), np.dtype(np.float32))
    total = b.emit("reduce", x, axes=(1, 2, 3), kind="sum", keepdims=True)
    b.output(b.emit("mul", x, b.emit("reciprocal", total)), "y")
    b.output(b.emit("sqrt", total), "root")
    graph = b.finish()
    inputs = {"x": np.random.default_rng(size).random((1, size, 1, 1)).astype(np.float32)}
    assert error_on_device(graph, inputs, auto_cast="none", without=without) <= 1e-5


def test_channels_joined_with_positions() -> None:
    """A sum over channels and positions that a reshape joined: neighbours lie on one partition."""
    b = GraphBuilder("joined")
    x = b.input("x", (1, 256, 6, 6), FP32)
    ones, none = (1, 1), ((0, 0), (0, 0))
    pooled = b.emit(
        "reduce_window", x, kind="max", window=ones, strides=ones, dilations=ones, pads=none
    )
    line = b.emit("reshape", pooled, shape=(1, 9216))
    b.output(b.emit("reduce", line, kind="sum", axes=(1,), keepdims=False), "y")
    inputs = {"x": np.random.default_rng(4).standard_normal((1, 256, 6, 6)).astype(np.float32)}
    assert error_on_device(b.finish(), inputs) < 1e-5
