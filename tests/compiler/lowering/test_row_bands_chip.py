"""Convolutions of images in SBUF whose rows are put on partitions compute what they mean."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph
from compiler.lowering import convolution, row_bands_chip
from compiler.lowering.context import Lowering
from compiler.tiles.view import View
from tests.compiler.device_run import error_on_device

FP32 = np.dtype(np.float32)
CASES = (
    # channels, outputs, kernel, pad, size
    (16, 64, (3, 3), 1, (21, 20)),
    (16, 70, (5, 5), 2, (14, 27)),
    (8, 140, (3, 3), 1, (19, 23)),
    (8, 32, (5, 3), 0, (33, 18)),
    (32, 64, (3, 3), 1, (13, 40)),
    (32, 16, (4, 1), 0, (30, 30)),
    (16, 16, (2, 5), 1, (9, 90)),
)
Case = tuple[int, int, tuple[int, int], int, tuple[int, int]]


def squeezed(
    case: Case,
) -> tuple[Graph, dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]:
    """A 1x1 convolution to few channels, ReLU, and a 1x1 and the convolution of interest."""
    channels, outputs, kernel, pad, size = case
    rng = np.random.default_rng(channels)
    b = GraphBuilder("squeezed")
    x = b.input("x", (1, 40, *size), FP32)
    none, around = ((0, 0), (0, 0)), ((pad, pad), (pad, pad))
    w = b.constant(rng.standard_normal((channels, 40, 1, 1)).astype(np.float32) / 8, FP32)
    y = b.emit("conv", x, w, strides=(1, 1), pads=none, dilations=(1, 1), groups=1)
    y = b.emit("relu", y)
    for name, k, pads in (("one", (1, 1), none), ("all", kernel, around)):
        v = b.constant(rng.standard_normal((outputs, channels, *k)).astype(np.float32) / 8, FP32)
        z = b.emit("conv", y, v, strides=(1, 1), pads=pads, dilations=(1, 1), groups=1)
        b.output(z, name)
    return b.finish(), {"x": rng.standard_normal((1, 40, *size)).astype(np.float32)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("cast", "bound"), [("none", 1e-5), ("all", 2.0**-5)])
def test_bands_on_chip_convolve_as_they_should(
    case: Case, cast: str, bound: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, inputs = squeezed(case)
    chosen = []

    def whatever_it_costs(lo: Lowering, node: object, view: View, _: float) -> object:
        bands = row_bands_chip.bands_on_chip(lo, node, view, math.inf)  # type: ignore[arg-type]
        chosen.append(bands)
        return bands

    monkeypatch.setattr(convolution, "bands_on_chip", whatever_it_costs)
    assert error_on_device(graph, inputs, auto_cast=cast) <= bound
    assert any(bands is not None for bands in chosen)
