"""Strips change no value: random graphs, whatever the budget and the number of strips."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compiler.graph.evaluate import evaluate
from compiler.graph.graph import Value
from compiler.graph.verify import verify
from compiler.graph_passes import simplify
from compiler.graph_passes.stripe import stripe_everywhere
from tests.compiler import random_graphs as draw
from tests.compiler.device_run import worst

DRAWS = (draw.unary, draw.binary, draw.wider, draw.select, draw.reshape, draw.transpose, draw.conv,
         draw.conv, draw.window, draw.concat, draw.matmul, draw.broadcast, draw.slices)  # fmt: skip


def value_bytes(value: Value) -> int:
    """Bytes in all, as if on one partition."""
    return math.prod(value.shape) * 4


@pytest.mark.parametrize("part", range(4))
def test_a_striped_graph_means_the_same(part: int) -> None:
    wrong, striped = [], 0
    for seed in range(100 * part, 100 * part + 100):
        graph, inputs = draw.random_graph(seed, 8, DRAWS)
        graph = simplify(graph)
        rng = np.random.default_rng(seed)
        budget, strips = int(rng.integers(100, 6000)), int(rng.integers(2, 9))
        cut = stripe_everywhere(graph, budget, lambda _: value_bytes, strips)
        if cut is None:
            continue
        striped += 1
        verify(cut)
        if not worst(evaluate(cut, inputs), evaluate(graph, inputs)) < 1e-5:
            wrong.append(seed)
    assert not wrong
    assert striped >= 5, "some graphs have something to cut"
