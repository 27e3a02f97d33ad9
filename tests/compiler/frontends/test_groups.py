"""Convolutions in groups whose weights are computed: one for each group, joined."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from tests.compiler.frontends.single_node import check_node, node_model

RANDOM = np.random.Generator(np.random.PCG64(3))


def drawn(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_a_convolution(groups: int) -> None:
    weights = drawn(12, 6 // groups, 3, 3)
    for constants, pieces in ((), groups), ((1,), 1):
        graph = check_node(
            "Conv", [drawn(2, 6, 5, 5), weights], 11, constants, group=groups, pads=[1, 1, 1, 1]
        )
        assert sum(n.op == "conv" for n in graph.nodes) == pieces


@pytest.mark.parametrize("groups", [2, 3])
def test_a_transposed_convolution(groups: int) -> None:
    operands = [drawn(1, 6, 4, 4), drawn(6, 2, 3, 3)]
    model = node_model("ConvTranspose", operands, 11, group=groups, strides=[2, 2])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    wanted = session.run(None, {"x0": operands[0], "x1": operands[1]})  # the reference is wrong
    graph = check_node("ConvTranspose", operands, 11, expected=wanted, group=groups, strides=[2, 2])
    assert sum(n.op == "conv_transpose" for n in graph.nodes) == groups
