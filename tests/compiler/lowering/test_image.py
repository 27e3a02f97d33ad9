"""Convolutions that read their image packed from DRAM compute what convolutions mean."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph
from compiler.lowering import image
from compiler.lowering.image import choose_block, find_images
from compiler.lowering.row_bands import choose_bands
from isa.hardware import load_target
from tests.compiler.device_run import error_on_device

FP32 = np.dtype(np.float32)
Case = tuple[tuple[int, ...], int, tuple[int, int], tuple[int, int], tuple[tuple[int, int], ...]]
CASES: tuple[Case, ...] = (
    # image, outputs, kernel, strides, pads
    ((1, 3, 32, 32), 16, (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((1, 3, 33, 47), 16, (7, 7), (2, 2), ((3, 3), (3, 3))),
    ((2, 3, 40, 40), 70, (5, 5), (2, 2), ((2, 2), (1, 3))),
    ((1, 3, 67, 67), 96, (11, 11), (4, 4), ((0, 0), (0, 0))),
    ((3, 4, 19, 23), 10, (3, 3), (3, 2), ((0, 2), (1, 0))),
    ((1, 2, 40, 30), 130, (4, 1), (2, 1), ((1, 1), (0, 0))),
    ((1, 3, 50, 50), 16, (3, 3), (2, 2), ((0, 1), (0, 1))),
)


def image_conv(
    case: Case,
) -> tuple[Graph, dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]:
    shape, outputs, kernel, strides, pads = case
    rng = np.random.default_rng(0)
    b = GraphBuilder("image")
    x = b.input("x", shape, FP32)
    w = b.constant(rng.standard_normal((outputs, shape[1], *kernel)).astype(np.float32), FP32, "w")
    y = b.emit("conv", x, w, strides=strides, pads=pads, dilations=(1, 1), groups=1)
    b.output(y, "y")
    return b.finish(), {"x": rng.standard_normal(shape).astype(np.float32)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("cast", "bound"), [("none", 1e-5), ("all", 2.0**-6)])
def test_a_packed_image_convolves_as_it_should(
    case: Case, cast: str, bound: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, inputs = image_conv(case)
    monkeypatch.setattr(image, "choose_way", lambda *given: choose_block(*given[:3]))
    assert find_images(graph, load_target("inf1")), "the image is packed"
    assert error_on_device(graph, inputs, auto_cast=cast) <= bound


@pytest.mark.parametrize("case", [c for c in CASES if c[2] != (11, 11)])
@pytest.mark.parametrize(("cast", "bound"), [("none", 1e-5), ("all", 2.0**-6)])
def test_bands_of_rows_convolve_as_they_should(
    case: Case, cast: str, bound: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, inputs = image_conv(case)
    monkeypatch.setattr(image, "choose_way", lambda _, node, hw, percent: choose_bands(node, hw)[0])
    assert find_images(graph, load_target("inf1")), "the image lies in bands"
    assert error_on_device(graph, inputs, auto_cast=cast) <= bound


def test_bands_hold_every_row_that_a_result_reads() -> None:
    hw = load_target("inf1")
    for case in CASES:
        graph, _ = image_conv(case)
        bands, _ = choose_bands(graph.nodes[0], hw)
        if bands is None:
            continue
        assert bands.partitions <= hw.pe_rows
        assert bands.held * bands.channels <= bands.grain
        assert bands.count * bands.rows >= bands.out[0]
        assert bands.passes * bands.columns >= bands.kernel[1]
        height = graph.inputs[0].shape[2]
        for row in range(bands.out[0]):
            band, j = divmod(row, bands.rows)
            first = row * bands.stride[0] - bands.pads[0][0]
            start = band * bands.step - bands.pads[0][0]
            low, high = bands.inside(band, height)
            wanted = {r for r in range(first, first + bands.kernel[0]) if 0 <= r < height}
            assert wanted <= set(range(start + low, start + high))
            assert first == start + j * bands.stride[0]


def test_blocks_fit_the_array_and_cover_the_kernel() -> None:
    hw = load_target("inf1")
    for case in CASES:
        graph, _ = image_conv(case)
        block = choose_block(graph, graph.nodes[0], hw)
        assert block is not None
        assert block.partitions <= hw.pe_rows
        assert block.steps[0] * block.rows >= block.kernel[0]
        assert block.steps[1] * block.columns >= block.kernel[1]


def test_an_image_read_elsewhere_is_loaded_as_any_value() -> None:
    b = GraphBuilder("twice")
    x = b.input("x", (1, 3, 16, 16), FP32)
    w = b.constant(np.ones((8, 3, 3, 3), np.float32), FP32, "w")
    y = b.emit("conv", x, w, strides=(1, 1), pads=((1, 1), (1, 1)), dilations=(1, 1), groups=1)
    b.output(y, "y")
    b.output(b.emit("relu", x), "z")
    assert not find_images(b.finish(), load_target("inf1"))
