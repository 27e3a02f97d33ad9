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
