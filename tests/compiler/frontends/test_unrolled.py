"""Operators that are many steps of core ops: determinants, running products, n-grams, training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

import systola
from tests.compiler.frontends.single_node import check_node, node_model

RNG = np.random.default_rng(24)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_determinants(size: int) -> None:
    check_node("Det", [normal(3, 2, size, size)], 11, rtol=1e-4, atol=1e-5)
    check_node("Det", [normal(size, size)], 11, rtol=1e-4, atol=1e-5)


def test_a_pivot_is_found_and_a_singular_matrix_has_none() -> None:
    swapped = np.array([[0, 2, 1], [0, 0, 3], [4, 1, 1]], np.float32)
    singular = np.array([[1, 2, 3], [2, 4, 6], [0, 0, 1]], np.float32)
    x = np.stack([swapped, singular, np.zeros((3, 3), np.float32)])
    check_node("Det", [x], 22, expected=[np.array([24, 0, 0], np.float32)])


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("axis", [0, -1])
def test_running_products(axis: int, reverse: int, exclusive: int) -> None:
    for x in (normal(3, 7), RNG.integers(-3, 4, (5, 6)).astype(np.int32)):
        check_node(
            "CumProd", [x, np.asarray(axis, np.int32)], 26, constants=[1],
            reverse=reverse, exclusive=exclusive,
        )  # fmt: skip


@pytest.mark.parametrize("op", ["CumSum", "CumProd"])
def test_an_axis_may_come_at_run_time(op: str) -> None:
    opset = 26 if op == "CumProd" else 14
    for axis in (0, 1, 2, -1, -3):
        check_node(op, [normal(3, 4, 2), np.asarray(axis, np.int64)], opset)
    model = node_model(op, [np.ones((5,), np.int32), np.asarray(0, np.int32)], opset)
    made = systola.compile(model, must_compile=True)
    found = made.run({"x0": np.arange(1, 6, dtype=np.int32), "x1": np.asarray(-1, np.int32)})
    wanted = {"CumSum": [1, 3, 6, 10, 15], "CumProd": [1, 2, 6, 24, 120]}
    assert found.outputs["y0"].tolist() == wanted[op]


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize(("least", "most", "skips"), [(1, 1, 0), (2, 2, 0), (1, 2, 3), (2, 3, 1)])
def test_n_grams(mode: str, least: int, most: int, skips: int) -> None:
    pool = [2, 3, 5, 4, 5, 6, 7, 8, 6, 7, 2, 3, 5]  # 2, 3, 5, 4 alone; 5 6, 7 8, 6 7; 2 3 5
    attributes: Any = {
        "min_gram_length": least, "max_gram_length": most, "max_skip_count": skips, "mode": mode,
        "ngram_counts": [0, 4, 10], "ngram_indexes": [0, 2, 1, 3, 4, 6, 5, 8], "pool_int64s": pool,
    }  # fmt: skip
    if mode != "TF":
        attributes["ngram_indexes"] = list(range(8))
        attributes["weights"] = [1.0, 2.0, 0.5, 3.0, 4.0, 0.25, 7.0, 6.0]
    line = np.array([1, 1, 3, 5, 3, 7, 8, 6, 7, 2, 3, 5], np.int32)
    for x in (line, np.stack([line, line[::-1]])):
        check_node("TfIdfVectorizer", [x], 9, **attributes)


def test_n_grams_longer_than_the_line_occur_never() -> None:
    graph = check_node(
        "TfIdfVectorizer", [np.array([1, 2], np.int32)], 9, expected=[np.zeros(1, np.float32)],
        min_gram_length=3, max_gram_length=3, max_skip_count=0, mode="TF", ngram_counts=[0, 0, 0],
        ngram_indexes=[0], pool_int64s=[1, 2, 3],
    )  # fmt: skip
    assert not graph.nodes or graph.nodes[-1].op == "copy"


def test_a_normalisation_in_training_returns_the_running_statistics() -> None:
    x = normal(3, 4, 5, 2)
    given = [x, normal(4), normal(4), normal(4), np.abs(normal(4))]
    check_node("BatchNormalization", given, 15, outputs=3, atol=1e-5, training_mode=1, momentum=0.7)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_sequences_end_where_their_lengths_say(op: str, direction: str) -> None:
    """Each sequence alone, cut to its length, gives the same."""
    gates, ways = {"LSTM": 4, "GRU": 3, "RNN": 1}[op], 2 if direction == "bidirectional" else 1
    x, hidden, lengths = normal(5, 3, 2), 4, np.array([3, 5, 1], np.int32)
    w, r = normal(ways, gates * hidden, 2), normal(ways, gates * hidden, hidden)
    b = normal(ways, 2 * gates * hidden)
    y = np.zeros((5, ways, 3, hidden), np.float32)
    last = np.zeros((ways, 3, hidden), np.float32)
    for i, length in enumerate(lengths):
        alone = [x[:length, i : i + 1], w, r, b]
        for d in range(ways):
            mine = [alone[0], *(v[d : d + 1] for v in alone[1:])]
            backwards = direction == "reverse" or d == 1
            mine[0] = mine[0][::-1] if backwards else mine[0]
            model = node_model(op, mine, 14, outputs=2, hidden_size=hidden)
            feeds = {f"x{k}": v for k, v in enumerate(mine)}
            found: Any = ReferenceEvaluator(model).run(None, feeds)
            steps, end = found
            y[:length, d, i] = (steps[::-1] if backwards else steps)[:, 0, 0]
            last[d, i] = end[0, 0]
    check_node(
        op, [x, w, r, b, lengths], 14, outputs=2, expected=[y, last], atol=1e-5,
        hidden_size=hidden, direction=direction,
    )  # fmt: skip
    check_node(
        op, [x, w, r, b, lengths], 14, [4], outputs=2, expected=[y, last], atol=1e-5,
        hidden_size=hidden, direction=direction,
    )  # fmt: skip


def test_an_optional_tensor_is_there_or_not() -> None:
    check_node("OptionalGetElement", [normal(2, 3)], 18)
    check_node("OptionalHasElement", [normal(2, 3)], 18, expected=[np.asarray(True)])
