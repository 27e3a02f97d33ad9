"""Convolutions with two taps side by side in the array's columns compute what they mean."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph
from compiler.lowering.context import Lowering
from compiler.lowering.tap_pairs import pays
from isa.hardware import load_target
from isa.kernel import Kernel
from tests.compiler.device_run import error_on_device

FP32 = np.dtype(np.float32)
Case = tuple[int, tuple[int, int], tuple[int, int], tuple[tuple[int, int], ...], int, int]
CASES: tuple[Case, ...] = (
    # channels, kernel, strides, pads, size, batch
    (128, (3, 3), (1, 1), ((1, 1), (1, 1)), 30, 1),
    (200, (3, 3), (1, 1), ((0, 0), (0, 0)), 28, 1),
    (96, (2, 4), (1, 1), ((0, 1), (2, 1)), 40, 2),
    (130, (5, 5), (2, 1), ((2, 2), (2, 2)), 33, 1),
)


def narrow_conv(case: Case, behind: str) -> tuple[Graph, dict[str, np.ndarray]]:
    """A convolution to 32 outputs of a computed value, and what may stand behind it."""
    channels, kernel, strides, pads, size, batch = case
    rng = np.random.default_rng(0)
    b = GraphBuilder("narrow")
    shape = (batch, channels, size, size)
    x = b.input("x", shape, FP32)
    w = b.constant(rng.standard_normal((32, channels, *kernel)).astype(np.float32) / 20, FP32, "w")
    y = b.emit("relu", x)
    z = b.emit("conv", y, w, strides=strides, pads=pads, dilations=(1, 1), groups=1)
    if behind == "bias":
        bias = b.constant(rng.standard_normal((32, 1, 1)).astype(np.float32), FP32)
        z = b.emit("relu", b.emit("add", z, bias))
    if behind == "both":
        b.output(z, "z")
        z = b.emit("mul", z, b.emit("tanh", z))
    b.output(z, "y")
    return b.finish(), {"x": rng.standard_normal(shape).astype(np.float32)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("behind", ["nothing", "bias", "both"])
def test_pairs_of_taps_convolve_as_they_should(case: Case, behind: str) -> None:
    graph, inputs = narrow_conv(case, behind)
    assert error_on_device(graph, inputs) <= 1e-5


@pytest.mark.parametrize("case", CASES)
def test_the_cases_are_of_the_form(case: Case) -> None:
    hw = load_target("inf1")
    graph, _ = narrow_conv(case, "nothing")
    node = next(n for n in graph.nodes if n.op == "conv")
    assert pays(Lowering(graph, hw, Kernel(hw)), node, graph.constants[node.inputs[1].id])
