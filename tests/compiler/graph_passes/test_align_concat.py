"""Aligned concatenations mean what they did, and lie where engines can write them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from compiler.graph.attrs import integer
from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import Graph, Value
from compiler.graph_passes.align_concat import align_concat
from compiler.tiles.iterate import legal_start
from tests.compiler.device_run import error_on_device

FP32 = np.dtype(np.float32)


def conv(b: GraphBuilder, x: Value, outputs: int, size: int, name: str) -> Value:
    rng = np.random.default_rng(len(name))
    shape = (outputs, x.shape[1], size, size)
    w = b.constant(rng.standard_normal(shape).astype(np.float32) / 8, FP32, name)
    pads = ((size // 2,) * 2,) * 2
    y = b.emit("conv", x, w, strides=(1, 1), pads=pads, dilations=(1, 1), groups=1)
    bias = b.constant(rng.standard_normal((outputs, 1, 1)).astype(np.float32), FP32)
    return b.emit("relu", b.emit("add", y, bias))


def module(parts: tuple[int, ...], pooled: bool = False, shown: bool = False) -> Graph:
    """An inception module: branches, their concatenation, perhaps pooling, a convolution."""
    b = GraphBuilder("module")
    x = b.input("x", (1, 8, 9, 9), FP32)
    y = b.emit("concat", *(conv(b, x, n, 1 + 2 * (i % 2), f"{i}") for i, n in enumerate(parts)),
               axis=1)  # fmt: skip
    if shown:
        b.output(y, "shown")
    if pooled:
        y = b.emit("reduce_window", y, kind="max", window=(3, 3), strides=(1, 1),
                   pads=((1, 1), (1, 1)), dilations=(1, 1))  # fmt: skip
    b.output(conv(b, y, 24, 1, "last"), "y")
    return b.finish()


PARTS = ((48, 208, 64), (192, 208, 48, 64), (160, 224, 64), (20, 30, 40), (96, 160, 32), (64, 7))


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("parts", PARTS)
def test_the_meaning_stays(parts: tuple[int, ...], pooled: bool) -> None:
    graph = module(parts, pooled)
    x = {"x": np.random.default_rng(0).standard_normal((1, 8, 9, 9)).astype(np.float32)}
    found, exact = evaluate(align_concat(graph), x), evaluate(graph, x)
    np.testing.assert_allclose(found["y"], exact["y"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parts", PARTS)
def test_every_part_begins_where_engines_reach_it(parts: tuple[int, ...]) -> None:
    for node in align_concat(module(parts)).nodes:
        if node.op != "concat":
            continue
        assert integer(node, "axis") == 1
        sizes = [v.shape[1] for v in node.inputs]
        for at, size in zip(itertools.accumulate(sizes, initial=0), sizes, strict=False):
            place = at % 128
            assert place == 0 or (place + size <= 128 and legal_start(place, size))


def test_nothing_is_padded_that_somebody_else_reads() -> None:
    graph = module((48, 208, 64), shown=True)
    assert align_concat(graph) is graph


@pytest.mark.parametrize("parts", [(192, 208, 48, 64), (160, 224, 64)])
def test_the_device_agrees(parts: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal((1, 8, 9, 9)).astype(np.float32)
    assert error_on_device(module(parts, pooled=True), {"x": x}) <= 1e-5
