"""A value under the name of a tensor is that tensor, whatever a pass has made of its channels."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.evaluate import evaluate
from compiler.graph.graph import Graph
from compiler.graph_passes.fold_shuffles import fold_shuffles
from compiler.graph_passes.place_channels import place_channels
from compiler.graph_passes.shift_clips import shift_clips
from systola.accuracy import last_made
from tests.compiler.graph_passes.test_fold_shuffles import unit
from tests.compiler.graph_passes.test_place_channels import stages
from tests.compiler.graph_passes.test_shift_clips import blocks

CASES = {
    "shift-clips": (blocks(40, 18, low=-2.0, stride=2), shift_clips),
    "fold-shuffles": (unit(24, 3), fold_shuffles),
    "place-channels": (stages((24, 112)), place_channels),
}


@pytest.mark.parametrize("name", CASES)
def test_a_tensors_name_is_no_other_values(name: str) -> None:
    graph, run = CASES[name]
    made: Graph = run(graph)
    assert made is not graph
    shape = graph.inputs[0].shape
    inputs = {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
    want, got = (evaluate(g, inputs, intermediates=True) for g in (graph, made))
    compared = 0
    for tensor, node in last_made(made, want.keys()).items():
        found = got[node.output.name]
        if found.shape == want[tensor].shape:
            np.testing.assert_allclose(found, want[tensor], rtol=1e-3, atol=1e-3, err_msg=tensor)
            compared += 1
    assert compared >= 1
