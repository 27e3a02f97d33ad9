"""Shuffles fold into the convolutions that make the channels, and mean what they meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Graph, Value
from compiler.graph_passes import simplify
from compiler.graph_passes.fold_shuffles import best_order, fold_shuffles
from compiler.lowering.classes import Classes
from isa.program import BufferKind
from tests.compiler.device_run import compiled, error_on_device

RNG = np.random.default_rng(5)


def conv(b: GraphBuilder, x: Value, outputs: int, groups: int, kernel: int = 1) -> Value:
    """A convolution that keeps the image's size."""
    shape = (outputs, x.shape[1] // groups, kernel, kernel)
    w = RNG.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))
    pads = ((kernel // 2, kernel // 2),) * 2
    attrs: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "pads": pads, "groups": groups}
    return b.emit("conv", x, b.constant(w), **attrs)


def shuffled(b: GraphBuilder, x: Value, groups: int) -> Value:
    n, c, h, w = x.shape
    split = b.emit("reshape", x, shape=(n, groups, c // groups, h, w))
    return b.emit("reshape", b.emit("transpose", split, perm=(0, 2, 1, 3, 4)), shape=x.shape)


def unit(channels: int, groups: int, kernel: int = 1, *, also_read: bool = False) -> Graph:
    """relu(conv + bias), shuffled, depthwise, conv: a unit of ShuffleNet."""
    b = GraphBuilder("unit")
    x = b.input("x", (1, channels, 6, 7), FP32)
    bias = b.constant(RNG.standard_normal((channels, 1, 1)).astype(np.float32))
    made = b.emit("relu", b.emit("add", conv(b, x, channels, groups, kernel), bias))
    deep = conv(b, shuffled(b, made, groups), channels, channels, 3)
    out = b.emit("relu", b.emit("add", conv(b, deep, channels, groups), x))
    b.output(b.emit("add", out, made) if also_read else out, "y")
    return simplify(b.finish())


def image(graph: Graph) -> dict[str, np.ndarray]:
    shape = graph.inputs[0].shape
    return {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}


@pytest.mark.parametrize("case", [(24, 3), (136, 4), (60, 5, 3), (64, 1)])
def test_a_shuffle_behind_a_convolution_is_gone_and_means_the_same(case: tuple[int, ...]) -> None:
    graph = unit(*case)
    folded = fold_shuffles(graph)
    assert [n.op for n in folded.nodes].count("gather") == 0
    want, got = (evaluate(g, image(graph))["y"] for g in (graph, folded))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("graph", [unit(136, 4, 3), unit(24, 3, also_read=True)])
def test_what_would_cost_more_or_is_read_otherwise_stays(graph: Graph) -> None:
    assert fold_shuffles(graph) is graph


@pytest.mark.parametrize("case", [(136, 4), (272, 4), (60, 5, 3), (96, 3)])
def test_a_unit_is_exact_to_rounding_and_loads_no_zeros(case: tuple[int, ...]) -> None:
    graph = unit(*case)
    assert error_on_device(graph, image(graph)) < 1e-5
    buffers = compiled(graph, auto_cast="all").program.buffers
    loaded = sum(b.size_bytes for b in buffers if b.kind is BufferKind.CONSTANT)
    weights = sum(graph.constants[n.inputs[1].id].size for n in graph.nodes if n.op == "conv")
    assert loaded < 2.1 * weights + 45_000  # an identity, the bias, which rows a group has


@pytest.mark.parametrize("shape", [(32, 48, 4, 1), (30, 20, 5, 9), (16, 16, 16, 1)])
def test_classes_are_found_wherever_their_rows_and_columns_lie(shape: tuple[int, ...]) -> None:
    outputs, channels, groups, taps = shape
    own = RNG.permutation(np.arange(outputs) % groups)
    theirs = RNG.permutation(np.arange(channels) % groups)
    weights = RNG.standard_normal((outputs, channels, taps)).astype(np.float32)
    weights *= own[:, None, None] == theirs[None, :, None]
    found = Classes.find(weights)
    assert found is not None
    assert found.count == groups
    back = np.zeros_like(weights)
    for o in range(outputs):
        mine = found.channels == found.outputs[o]
        back[o, mine] = found.rows[mine, :, found.place[o]]
    np.testing.assert_array_equal(back, weights)


def test_dense_weights_have_no_classes() -> None:
    weights = RNG.standard_normal((64, 48, 3, 3)).astype(np.float32)
    assert Classes.find(weights) is None
    weights[:, :30] = 0  # what nobody reads is left out
    found = Classes.find(weights)
    assert found is not None
    assert (found.channels[:30] == -1).all()
    assert found.count == 1


@pytest.mark.parametrize("case", [(136, 4), (272, 4), (544, 4), (240, 3), (128, 8), (40, 5)])
def test_the_best_order_is_a_permutation_that_spares_passes(case: tuple[int, int]) -> None:
    channels, groups = case
    read = np.arange(channels) * groups // channels
    made = np.arange(channels) % groups
    order = best_order(made, read)
    assert sorted(order) == list(range(channels))
    blocks = range(0, channels, 128)
    assert sum(len(set(read[order[b : b + 128]])) for b in blocks) <= sum(
        len(set(read[b : b + 128])) for b in blocks
    )
    assert all((np.diff(made[order[b : b + 128]]) >= 0).all() for b in blocks[:-1])
