"""Auto-cast: which values are stored narrow, and which stay FP32."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.errors import UsageError
from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import BF16, FP16, FP32, Graph
from compiler.graph.verify import verify
from compiler.graph_passes import auto_cast


def softmax_of_a_product() -> Graph:
    """y = softmax(x w + b), the names as in the formula."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("g")
    x = b.input("x", (8, 16), FP32)
    w = b.constant(rng.standard_normal((16, 32)).astype(np.float32), name="w")
    bias = b.constant(rng.standard_normal(32).astype(np.float32), name="bias")
    product = b.emit("matmul", x, w)
    b.rename(product, "product")
    logits = b.emit("add", product, bias)
    b.rename(logits, "logits")
    top = b.emit("reduce", logits, kind="max", axes=(1,), keepdims=True)
    b.rename(top, "top")
    raised = b.emit("exp", b.emit("sub", logits, top))
    b.rename(raised, "raised")
    total = b.emit("reduce", raised, kind="sum", axes=(1,), keepdims=True)
    inverse = b.emit("reciprocal", total)
    b.rename(inverse, "inverse")
    b.output(b.emit("mul", raised, inverse), "y")
    return b.finish()


X = {"x": np.random.default_rng(1).standard_normal((8, 16)).astype(np.float32)}


@pytest.mark.parametrize("narrow", [BF16, FP16])
def test_all_keeps_inputs_outputs_statistics_and_vectors(narrow: np.dtype[np.float16]) -> None:
    graph = auto_cast(softmax_of_a_product(), "all", narrow)
    verify(graph)
    dtype = {v.name: v.dtype for v in graph.values()}
    for name in ("x", "y", "top", "inverse", "bias"):
        assert dtype[name] == FP32, name
    for name in ("product", "logits", "raised"):
        assert dtype[name] == narrow, name
    (product,) = [n for n in graph.nodes if n.op == "matmul"]
    assert {v.dtype for v in product.inputs} == {narrow}


def test_matmult_casts_the_operands_of_products_only() -> None:
    graph = auto_cast(softmax_of_a_product(), "matmult")
    narrow = [v for v in graph.values() if v.dtype == BF16]
    (product,) = [n for n in graph.nodes if n.op == "matmul"]
    assert {v.id for v in narrow} == {v.id for v in product.inputs}
    assert product.output.dtype == FP32


def test_none_changes_nothing() -> None:
    graph = softmax_of_a_product()
    assert auto_cast(graph, "none") is graph


def test_the_evaluator_rounds_on_store() -> None:
    graph = auto_cast(softmax_of_a_product(), "all")
    exact = evaluate(softmax_of_a_product(), X)["y"]
    found = evaluate(graph, X, intermediates=True)
    product = found["product"]
    wide = X["x"].astype(BF16).astype(np.float32) @ found["w/cast"].astype(np.float32) if (
        "w/cast" in found
    ) else product.astype(np.float32)  # fmt: skip
    np.testing.assert_array_equal(product, wide.astype(BF16))
    assert 0 < np.abs(found["y"] - exact).max() < 0.02


def test_a_rearranged_output_is_cast_after_the_move() -> None:
    b = GraphBuilder("g")
    x = b.input("x", (8, 16), FP32)
    y = b.emit("matmul", x, b.constant(np.ones((16, 4), np.float32)))
    b.output(b.emit("reshape", y, shape=(4, 8)), "y")
    graph = auto_cast(b.finish(), "all")
    verify(graph)
    assert [(n.op, n.output.dtype) for n in graph.nodes[-2:]] == [("reshape", BF16), ("cast", FP32)]


def test_integers_and_the_models_own_fp16_are_left_alone() -> None:
    b = GraphBuilder("g")
    x, i = b.input("x", (4, 4), FP16), b.input("i", (4,), np.dtype(np.int32))
    b.output(b.emit("exp", b.emit("matmul", x, x)), "y")
    b.output(b.emit("add", i, i), "j")
    graph = auto_cast(b.finish(), "all", "bf16")
    assert {v.dtype for v in graph.values()} == {FP16, np.dtype(np.int32)}


def test_wrong_modes_are_refused() -> None:
    with pytest.raises(UsageError, match="SYS-G210"):
        auto_cast(softmax_of_a_product(), "some")
    with pytest.raises(UsageError, match="SYS-G211"):
        auto_cast(softmax_of_a_product(), "all", FP32)


def test_a_mask_beyond_fp16_stays_finite() -> None:
    """(1 - mask) * -1e9 + s, all of it masked: a softmax of only infinities would be NaN."""
    b = GraphBuilder("g")
    mask, s = b.input("mask", (2, 8), FP32), b.input("s", (2, 8), FP32)
    one, least = b.constant(np.float32(1)), b.constant(np.float32(-1e9))
    away = b.emit("mul", b.emit("sub", one, mask), least)
    b.rename(away, "away")
    b.output(b.emit("add", b.emit("relu", s), away), "y")
    graph = auto_cast(b.finish(), "all", FP16)
    verify(graph)
    given = {"mask": np.zeros((2, 8), np.float32), "s": np.ones((2, 8), np.float32)}
    given["mask"][1] = 1
    found = evaluate(graph, given)["y"]
    assert np.isfinite(found).all()
    assert (found[0] < -65000).all()
    np.testing.assert_array_equal(found[1], given["s"][1])
