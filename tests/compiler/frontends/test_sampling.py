"""GridSample and DeformConv: what is read where a tensor says, against onnx's reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

import systola
from compiler.errors import UnsupportedError
from compiler.frontends.onnx import import_onnx
from tests.compiler.frontends.single_node import check_node, node_model

RNG = np.random.default_rng(22)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def far(*shape: int) -> Any:
    """Points inside the image, at its border, and up to four times as far outside."""
    points = RNG.uniform(-1.1, 1.1, shape)
    points.reshape(-1)[::7] *= 4
    return points.astype(np.float32)


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_every_mode_of_a_grid(mode: str, padding: str, aligned: int) -> None:
    """As onnxruntime and PyTorch have it: the reference moves a point outside to the border before
    it looks for the four rows around."""
    x, grid = normal(2, 3, 4, 5), far(2, 6, 3, 2)
    given: Any = {"mode": mode, "padding_mode": padding, "align_corners": aligned}
    data = node_model("GridSample", [x, grid], 20, **given).SerializeToString()
    wanted = onnxruntime.InferenceSession(data).run(None, {"x0": x, "x1": grid})
    check_node("GridSample", [x, grid], 20, rtol=1e-4, atol=1e-5, expected=wanted, **given)


def test_older_names_lines_and_volumes() -> None:
    x, grid = normal(1, 2, 4, 5), far(1, 3, 3, 2)
    for old, new in (("bilinear", "linear"), ("bicubic", "cubic")):
        newer = node_model("GridSample", [x, grid], 20, mode=new)
        wanted: Any = ReferenceEvaluator(newer).run(None, {"x0": x, "x1": grid})
        check_node("GridSample", [x, grid], 16, rtol=1e-4, atol=1e-5, expected=wanted, mode=old)
    check_node("GridSample", [normal(2, 2, 9), far(2, 7, 1)], 20, mode="linear")
    check_node("GridSample", [normal(1, 2, 3, 4, 5), far(1, 2, 2, 3, 3)], 20, mode="linear")
    check_node("GridSample", [normal(1, 2, 1, 4), far(1, 5, 1, 2)], 20, align_corners=1)


def test_many_points_are_read_in_parts() -> None:
    graph = check_node(
        "GridSample", [normal(1, 2, 40, 50), far(1, 30, 30, 2)], 20, rtol=1e-3, atol=1e-4
    )
    assert sum(n.op == "matmul" for n in graph.nodes) == 3


def test_more_weights_than_can_be_made_are_refused() -> None:
    model = node_model("GridSample", [normal(1, 1, 300, 300), far(1, 100, 100, 2)], 20)
    with pytest.raises(UnsupportedError) as caught:
        import_onnx(model)
    assert "10000 points of 90000 pixels" in str(caught.value)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shares", [1, 2])
@pytest.mark.parametrize("masked", [True, False])
def test_deformed_convolutions(groups: int, shares: int, masked: bool) -> None:
    x, w = normal(2, 4, 7, 6), normal(6, 4 // groups, 3, 2)
    place = (2, -1, 4, 6)  # of pads 1, strides 2 and 1, dilations 1 and 1
    offset = far(2, shares * 6 * 2, *place[2:]) * 2
    mask = np.abs(normal(2, shares * 6, *place[2:]))
    check_node(
        "DeformConv", [x, w, offset, normal(6), *([mask] if masked else [])], 19,
        rtol=1e-4, atol=1e-4, pads=[1, 1, 1, 0], strides=[2, 1], group=groups,
        offset_group=shares,
    )  # fmt: skip


@pytest.mark.parametrize("target", ["inf1", "inf2"])
def test_they_run_on_the_device(target: str) -> None:
    cases: Any = (
        ("GridSample", [normal(2, 3, 9, 13), far(2, 6, 5, 2)], {"mode": "cubic"}),
        ("DeformConv", [normal(1, 4, 6, 6), normal(3, 4, 3, 3), far(1, 18, 4, 4)], {}),
    )
    for op, operands, attributes in cases:
        model = node_model(op, operands, 20, **attributes)
        feeds = {f"x{i}": x for i, x in enumerate(operands)}
        made = systola.compile(model, target=target, auto_cast="none", must_compile=True)
        wanted: Any = ReferenceEvaluator(model).run(None, feeds)
        np.testing.assert_allclose(made.run(feeds).outputs["y0"], wanted[0], rtol=1e-4, atol=1e-4)
