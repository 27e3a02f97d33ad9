"""Look-ups and scatters whose places, and whose integers, are known at run time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

import systola
from compiler.frontends.onnx import import_onnx
from compiler.graph.evaluate import evaluate
from tests.compiler.frontends.single_node import check_node, node_model

RNG = np.random.default_rng(26)
TYPES = ["int8", "uint16", "int32", "uint32", "int64", "bool"]


def numbers(kind: str, *shape: int) -> Any:
    """Of every magnitude; 64-bit ones fit in 32 bits."""
    if kind == "bool":
        return RNG.integers(0, 2, shape).astype(bool)
    if kind == "float32":
        return RNG.standard_normal(shape).astype(np.float32)
    bounds = np.iinfo("int32" if kind == "int64" else kind)
    made = RNG.integers(bounds.min, bounds.max, shape, np.int64, endpoint=True)
    return (made >> RNG.integers(0, 32, shape)).astype(kind)


def on_device(
    op: str, operands: list[Any], opset: int, cast: str = "all", **attributes: Any
) -> Any:
    model = node_model(op, operands, opset, **attributes)
    feeds = {f"x{i}": x for i, x in enumerate(operands)}
    made = systola.compile(model, auto_cast=cast, must_compile=True)
    wanted: Any = ReferenceEvaluator(model).run(None, feeds)
    return made.run(feeds).outputs["y0"], wanted[0]


@pytest.mark.parametrize("kind", TYPES)
def test_integers_are_looked_up_exactly(kind: str) -> None:
    table, rows = numbers(kind, 7, 20), RNG.integers(-7, 7, (3, 4))
    check_node("Gather", [table, rows], 13)
    check_node("GatherElements", [table, RNG.integers(0, 20, (7, 5))], 13, axis=1)
    check_node("GatherND", [table, RNG.integers(0, 7, (6, 2))], 13)
    found, wanted = on_device("Gather", [table, rows], 13)
    np.testing.assert_array_equal(found, wanted)


def test_a_known_table_of_large_integers_is_one_too() -> None:
    table = np.array([2**31 - 1, -(2**31), 2**24 + 1, 5], np.int32)
    model = node_model("Gather", [table, np.array([2, 0, 1, 3, 2])], 13, constants=[0])
    made = systola.compile(model, must_compile=True)
    found = made.run({"x1": np.array([2, 0, 1, 3, 2])}).outputs["y0"]
    assert found.tolist() == table[[2, 0, 1, 3, 2]].tolist()


@pytest.mark.parametrize("kind", ["float32", "int8", "int32", "bool"])
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatters(kind: str, reduction: str) -> None:
    if kind == "bool" and reduction != "none":
        return
    x, rows = numbers(kind, 6, 5), np.array([[1], [4], [1], [0]])
    updates = numbers(kind, 4, 5)
    graph = check_node("ScatterND", [x, rows, updates], 18, reduction=reduction)
    assert all(n.op != "scatter" for n in graph.nodes)
    wide, columns = numbers(kind, 3, 9), np.array([[8, 0, 8], [1, 2, -1], [5, 5, 5]])
    given = [wide, columns, numbers(kind, 3, 3)]
    check_node("ScatterElements", given, 18, axis=1, reduction=reduction)
    found, wanted = on_device("ScatterND", [x, rows, updates], 18, "none", reduction=reduction)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_large_scatter_is_a_product() -> None:
    x, updates = numbers("float32", 64, 300), numbers("float32", 80, 300)
    rows = RNG.integers(0, 64, (80, 1))
    for reduction in ("none", "add"):
        model = node_model("ScatterND", [x, rows, updates], 18, reduction=reduction)
        graph = import_onnx(model)
        assert {n.op for n in graph.nodes} & {"gather", "matmul"}
        feeds = {"x0": x, "x1": rows, "x2": updates}
        wanted: Any = ReferenceEvaluator(model).run(None, feeds)
        np.testing.assert_allclose(evaluate(graph, feeds)["y0"], wanted[0], rtol=1e-4, atol=1e-5)
        found, _ = on_device("ScatterND", [x, rows, updates], 18, "none", reduction=reduction)
        np.testing.assert_allclose(found, wanted[0], rtol=1e-4, atol=1e-5)


def test_infinities_are_scattered_as_they_are() -> None:
    x, rows = numbers("float32", 6, 4), np.array([[1], [5]])
    updates = np.array([[1, -np.inf, 2, np.inf], [-np.inf, 0, 3, 4]], np.float32)
    for reduction in ("none", "add"):
        found, wanted = on_device("ScatterND", [x, rows, updates], 18, "none", reduction=reduction)
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_a_cache_is_written_from_a_place_on(mode: str) -> None:
    start = np.array([3, 1], np.int64) if mode == "linear" else np.array([4, 1], np.int64)
    for shape, axis in (((2, 3, 6, 4), -2), ((2, 6, 4), 1), ((2, 3, 4, 6), -1)):
        cut = list(shape)
        cut[axis] = 3
        operands = [numbers("float32", *shape), numbers("float32", *cut), start]
        check_node("TensorScatter", operands, 24, axis=axis, mode=mode)
        found, wanted = on_device("TensorScatter", operands, 24, "none", axis=axis, mode=mode)
        np.testing.assert_array_equal(found, wanted)
