"""Leaving out an optimisation changes time and traffic, never a result."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.errors import UnsupportedError
from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import FP32, Graph, Value
from compiler.options import PASSES
from tests.compiler.device_run import compiled, error_on_device
from tests.compiler.random_graphs import ELEMENTWISE, MOVES, SUMS, random_graph

FOUR = ("fuse-loops", "tensorize", "schedule", "plan-memory")


def images() -> Graph:
    """Convolutions with padding, a value with two readers, a concatenation, a reshape."""
    rng = np.random.default_rng(2)
    b = GraphBuilder("images")
    x = b.input("x", (1, 3, 24, 24), FP32)

    def conv(value: Value, rows: int, columns: int) -> Value:
        weight = rng.standard_normal((rows, columns, 3, 3)).astype(np.float32) / 8
        pads = ((1, 1), (1, 1))
        return b.emit("conv", value, b.constant(weight), strides=(1, 1), pads=pads,
                      dilations=(1, 1), groups=1)  # fmt: skip

    first = b.emit("relu", conv(x, 20, 3))
    both = b.emit("concat", conv(first, 24, 20), b.emit("sigmoid", first), axis=1)
    last = b.emit("add", conv(both, 16, 44), b.constant(np.float32(0.5)))
    b.output(b.emit("reshape", last, shape=(16, 576)), "y")
    return b.finish()


@pytest.mark.parametrize("off", sorted(PASSES))
def test_results_stay(off: str) -> None:
    inputs = {"x": np.random.default_rng(1).standard_normal((1, 3, 24, 24)).astype(np.float32)}
    assert error_on_device(images(), inputs, without=frozenset([off])) < 1e-5


@pytest.mark.parametrize("off", FOUR)
def test_results_of_random_graphs_stay(off: str) -> None:
    draws = (*ELEMENTWISE, *MOVES, *SUMS)
    for seed in range(40):
        graph, inputs = random_graph(1000 + seed, 6, draws)
        try:
            error = error_on_device(graph, inputs, without=frozenset([off]))
        except UnsupportedError:
            continue
        assert error < 1e-4, seed


@pytest.mark.parametrize("off", FOUR)
def test_each_of_the_four_costs_time(off: str) -> None:
    whole, part = (compiled(images(), without=frozenset(w)).report for w in ([], [off]))
    assert part["cycles"] > whole["cycles"]


def test_values_that_are_not_kept_on_chip_go_through_dram() -> None:
    whole, part = (compiled(images(), without=frozenset(w)).report for w in ([], ["plan-memory"]))
    stored_and_loaded = 2 * 4 * 24 * 24 * (20 + 24 + 20 + 44)
    assert part["dram_bytes"] - whole["dram_bytes"] >= stored_and_loaded
