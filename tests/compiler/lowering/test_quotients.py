"""Quotients that are rounded to integers: ties are ties, as with one FP32 division."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import systola

Array = NDArray[np.float32]
ROWS, COLUMNS = 8, 256
SCALES = np.array([0.1, 5 / 255, 0.0235, 1 / 3, 7.0, 3e-5, 1e6, 0.7], np.float32)


def near_ties(scale: Array) -> Array:
    """Numbers whose quotient is k + 1/2, one of its neighbours, or something large."""
    k = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS) % 400 - 200
    ties: Array = (k + np.float32(0.5)) * scale
    ties[:, 1::3] = np.nextafter(ties[:, 1::3], np.float32(np.inf))
    ties[:, 2::3] = np.nextafter(ties[:, 2::3], np.float32(-np.inf))
    ties[0, :6] = np.inf, -np.inf, 3e38, -3e38, 0.0, -0.0
    return ties


def model(constant: bool, shape: tuple[int, ...], axis: int) -> onnx.ModelProto:
    kind = f"float[{shape[0]}] s" if shape else "float s"
    takes = "float[8,256] x" if constant else f"float[8,256] x, {kind}"
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> agraph ({takes}) => (uint8[8,256] y) '
        f"<uint8[{shape[0] if shape else 1}] z> {{ y = QuantizeLinear<axis = {axis}>(x, s, z) }}"
    )
    zero = np.full(shape, 128, np.uint8)
    del proto.graph.initializer[:], proto.graph.value_info[:]
    proto.graph.initializer.append(onnx.numpy_helper.from_array(zero, "z"))
    return proto


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(("shape", "axis"), [((), 0), ((ROWS,), 0), ((COLUMNS,), 1)])
def test_ties_are_those_of_one_division(constant: bool, shape: tuple[int, ...], axis: int) -> None:
    scale = np.resize(SCALES, shape)
    spread = scale.reshape(-1, 1) if shape == (ROWS,) else scale
    x, proto = near_ties(spread), model(constant, shape, axis)
    inputs = {"x": x}
    if constant:
        proto.graph.initializer.append(onnx.numpy_helper.from_array(scale, "s"))
    else:
        inputs["s"] = scale
    found = systola.compile(proto, auto_cast="none").run(inputs).outputs["y"]
    with np.errstate(over="ignore"):
        wanted = np.clip(np.rint(x / spread) + 128, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("way", ["number", "column", "row", "tile"])
def test_quotients_are_those_of_one_division(way: str) -> None:
    shape = {"number": (), "column": (ROWS, 1), "row": (COLUMNS,), "tile": (ROWS, COLUMNS)}[way]
    rng = np.random.default_rng(7)
    x = np.exp(rng.normal(0, 9, (ROWS, COLUMNS))).astype(np.float32)
    x[:, ::3] = rng.integers(1, 999, x[:, ::3].shape)  # 4 / 255: next to a tie of the last place
    x[-1, :3], x[-2, :9] = (np.inf, -np.inf, np.nan), 0
    y = rng.integers(1, 999, shape) * rng.choice([-1.0, 1.0], shape)
    if shape:
        y.reshape(-1)[1:4] = np.inf, -np.inf, 0
    kind = f"float{list(shape) or ''}"
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> agraph (float[8,256] x, {kind} y) '
        "=> (float[8,256] d, float[8,256] r) { d = Div(x, y) r = Round(d) }"
    )
    inputs = {"x": x, "y": y.astype(np.float32)}
    found = systola.compile(proto, auto_cast="none").run(inputs).outputs["d"]
    with np.errstate(all="ignore"):
        wanted = x / inputs["y"]
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted) & ~np.isnan(wanted))


def test_the_scale_of_dynamic_quantization_is_divided_once() -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> agraph (float[130,5] x) '
        "=> (uint8[130,5] y, float s, uint8 z) { y, s, z = DynamicQuantizeLinear(x) }"
    )
    x = np.clip(np.random.default_rng(1).normal(0, 1, (130, 5)), -2, 2).astype(np.float32)
    x[0, :2] = -2, 2  # the zero point is next to a tie: 127.49999 as onnx has it
    outputs = systola.compile(proto, auto_cast="none").run({"x": x}).outputs
    scale = np.float32(4) / np.float32(255)
    assert outputs["s"] == scale
    assert outputs["z"] == np.rint(np.float32(2) / scale)
    np.testing.assert_array_equal(outputs["y"], np.clip(np.rint(x / scale) + 127, 0, 255))
