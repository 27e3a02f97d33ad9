"""Means and roots of a normalisation stay in PSUM, and are right there."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import FP32, Graph, Value
from compiler.lowering.brief import brief_values
from compiler.lowering.lower import lower
from isa.hardware import load_target
from isa.kernel import Buffer
from isa.memory import PSUM
from tests.compiler.device_run import error_on_device

WIDTH = 256


def normed(b: GraphBuilder, x: Value) -> Value:
    """(x - mean) / sqrt(variance + 1) over the last dimension, and its reader."""
    mean = b.emit("reduce", x, kind="mean", axes=(2,), keepdims=True)
    d = b.emit("sub", x, mean)
    variance = b.emit("reduce", b.emit("mul", d, d), kind="mean", axes=(2,), keepdims=True)
    one = b.constant(np.ones((), np.float32))
    return b.emit("mul", d, b.emit("rsqrt", b.emit("add", variance, one)))


def network(rows: int, twice: bool = False) -> Graph:
    rng = np.random.default_rng(0)
    b = GraphBuilder("norm")
    x = b.input("x", (2, rows, WIDTH), FP32)
    w = b.constant(rng.standard_normal((WIDTH, WIDTH)).astype(np.float32) / 16)
    y = normed(b, b.emit("matmul", x, w))
    if twice:  # a product beside a sum that stands in PSUM as well
        total = b.emit("reduce", b.emit("mul", y, y), kind="mean", axes=(2,), keepdims=True)
        b.output(b.emit("mul", b.emit("matmul", y, w), total), "z")
    b.output(b.emit("matmul", y, w), "y")
    return b.finish()


def sums(graph: Graph) -> list[Buffer]:
    """The buffers of what sums over all partitions."""
    program = lower(graph, load_target("inf1")).program
    return [b for b in program.buffers if b.name.endswith(("/sum", "rsqrt"))]


@pytest.mark.parametrize("rows", [5, 197])
@pytest.mark.parametrize("twice", [False, True])
def test_a_normalisation_is_right(rows: int, twice: bool) -> None:
    x = {"x": np.random.default_rng(1).standard_normal((2, rows, WIDTH)).astype(np.float32)}
    assert error_on_device(network(rows, twice), x) < 2e-5


def test_what_is_read_at_once_stands_in_psum() -> None:
    found = sums(network(197))
    assert len(found) == 3
    assert {b.memory for b in found} == {PSUM}


def test_what_is_large_or_read_behind_a_product_does_not() -> None:
    hw = load_target("inf1")
    assert not brief_values(network(2048), hw)
    graph = network(64, twice=True)
    total = next(n.output for n in reversed(graph.nodes) if n.op == "reduce")
    found = brief_values(graph, hw)
    assert len(found) == 4
    assert total.id not in found


def test_a_mean_that_other_partitions_read_moves_by_way_of_sbuf() -> None:
    rng = np.random.default_rng(0)
    b = GraphBuilder("turned")
    x = b.input("x", (64, 96), FP32)
    w = b.constant(rng.standard_normal((96, 96)).astype(np.float32) / 8)
    y = b.emit("matmul", x, w)
    mean = b.emit("reduce", y, kind="mean", axes=(1,), keepdims=True)
    other = b.input("other", (64, 96), FP32)
    b.output(b.emit("sub", other, mean), "z")
    b.output(b.emit("matmul", y, w), "y")
    arrays = {n: rng.standard_normal((64, 96)).astype(np.float32) for n in ("x", "other")}
    assert error_on_device(b.finish(), arrays) < 2e-5
