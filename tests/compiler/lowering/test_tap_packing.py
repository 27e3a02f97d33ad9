"""Convolutions of few channels, with several taps a pass, compute what convolutions mean."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph
from compiler.lowering.context import Lowering
from compiler.lowering.tap_packing import NONE, Packing, choose
from isa.hardware import load_target
from isa.kernel import Kernel
from tests.compiler.device_run import error_on_device

FP32 = np.dtype(np.float32)
CASES = (
    # channels, outputs, kernel, strides, pads, size, batch
    (16, 64, (3, 3), (1, 1), 1, 20, 1),
    (32, 128, (3, 3), (1, 1), 1, 27, 1),
    (24, 64, (5, 5), (1, 1), 2, 14, 2),
    (48, 130, (3, 3), (1, 1), 1, 13, 1),
    (64, 64, (3, 3), (2, 2), 1, 29, 1),
    (64, 70, (3, 3), (1, 1), 0, 17, 2),
    (20, 40, (1, 4), (1, 1), 0, 30, 1),
)


def two_convs(
    channels: int,
    outputs: int,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pad: int,
    size: int,
    batch: int,
) -> tuple[Graph, dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]:
    """A 1x1 convolution to few channels, ReLU, and the convolution of interest."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("two")
    shape = (batch, 96, size, size)
    x = b.input("x", shape, FP32)
    none, around = ((0, 0), (0, 0)), ((pad, pad), (pad, pad))
    first = rng.standard_normal((channels, 96, 1, 1)).astype(np.float32) / 10
    w = b.constant(first, FP32, "w")
    y = b.emit("conv", x, w, strides=(1, 1), pads=none, dilations=(1, 1), groups=1)
    second = rng.standard_normal((outputs, channels, *kernel)).astype(np.float32) / 10
    v = b.constant(second, FP32, "v")
    y = b.emit("relu", y)
    z = b.emit("conv", y, v, strides=strides, pads=around, dilations=(1, 1), groups=1)
    b.output(z, "z")
    return b.finish(), {"x": rng.standard_normal(shape).astype(np.float32)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("cast", "bound"), [("none", 1e-5), ("all", 2.0**-5)])
def test_packed_taps_convolve_as_they_should(
    case: tuple[int, int, tuple[int, int], tuple[int, int], int, int, int], cast: str, bound: float
) -> None:
    graph, inputs = two_convs(*case)
    assert error_on_device(graph, inputs, auto_cast=cast) <= bound


@pytest.mark.parametrize("channels", [8, 16, 32, 48, 64])
def test_few_channels_are_packed_and_fit_the_array(channels: int) -> None:
    hw = load_target("inf1")
    lo = Lowering(two_convs(*CASES[0])[0], hw, Kernel(hw))
    packing = choose(lo, channels, (3, 3), 3025, 2 * 57 * 57, 2)
    assert packing != NONE
    assert (packing.taps - 1) * packing.grain + channels <= hw.pe_rows


@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (1, 7)])
def test_every_tap_is_in_one_pass(kernel: tuple[int, int]) -> None:
    packing = Packing(2, 2, 32, True)
    taps = [
        (r + t // packing.columns, c + t % packing.columns)
        for r, c, held in packing.blocks(kernel)
        for t in held
    ]
    assert sorted(taps) == [(r, c) for r in range(kernel[0]) for c in range(kernel[1])]


@pytest.mark.parametrize("kernel", [(3, 3), (5, 3), (3, 5), (5, 5), (2, 3)])
@pytest.mark.parametrize("pair", [(1, 2), (2, 1)])
def test_crossed_pairs_hold_every_tap_once(kernel: tuple[int, int], pair: tuple[int, int]) -> None:
    packing = Packing(*pair, 64, engines=True, crossed=True)
    found = [
        (r0 + r + place // part.columns, c0 + c + place % part.columns)
        for part, (r0, c0), size in packing.parts(kernel)
        for r, c, held in part.blocks(size)
        for place in held
    ]
    assert sorted(found) == [(r, c) for r in range(kernel[0]) for c in range(kernel[1])]
    assert packing.steps(kernel) <= Packing(*pair, 64, engines=True).steps(kernel)
