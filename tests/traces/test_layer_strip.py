"""Which layer's name stands over which part of a timeline."""

from __future__ import annotations

import numpy as np

from tests.traces.synthetic import pipelined
from traces.lanes import lanes
from traces.layer_strip import layer_of_columns, runs_with_names, short


def test_few_layers_have_their_own_names() -> None:
    layer = np.array([-1, 0, 0, 1, 1, 1, 0])
    expected = [(1, 3, "a/x"), (3, 6, "b"), (6, 7, "a/x")]
    assert runs_with_names(layer, ("/a/x", "b", "unused")) == expected


def test_many_layers_have_the_names_of_their_groups() -> None:
    names = tuple(f"/block{i // 10}/conv{i % 10}" for i in range(100))
    expected = [(10 * i, 10 * i + 10, f"block{i}") for i in range(10)]
    assert runs_with_names(np.arange(100), names) == expected


def test_names_without_a_path_stay_as_they_are() -> None:
    names = tuple(f"conv{i}" for i in range(100))
    assert len(runs_with_names(np.arange(100), names)) == 100


def test_no_layer_has_no_name() -> None:
    assert runs_with_names(np.full(5, -1), ()) == []


def test_columns_belong_to_what_computes_or_is_waited_for() -> None:
    trace = pipelined(60)
    layer = layer_of_columns(trace, lanes(trace))
    assert np.all(np.abs(np.diff(layer[layer >= 0])) <= 1)
    assert layer[0] == 0
    assert layer[-1] == -1


def test_a_name_keeps_its_end() -> None:
    assert short("block/conv", 20) == "block/conv"
    assert short("block/conv", 5) == "…conv"
