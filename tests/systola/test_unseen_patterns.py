"""What models that nobody here had seen brought up: each a few nodes, against onnxruntime."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper, parser

import systola

LIMITS = {"none": 1e-5, "all": 2e-2}
"""Of the output's range."""


def model_of(text: str, **weights: NDArray[Any]) -> ModelProto:
    """A model of opset 17 (IR 8) from ONNX's own text, with these initializers."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')
    model.graph.initializer.extend(numpy_helper.from_array(w, k) for k, w in weights.items())
    return model


def drawn(model: ModelProto, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Normal numbers for every input."""
    rng = np.random.default_rng(seed)
    shapes = {
        v.name: tuple(int(d.dim_value) for d in v.type.tensor_type.shape.dim)
        for v in model.graph.input
    }
    return {k: rng.standard_normal(shape, np.float32) for k, shape in shapes.items()}


def weights(*shape: int, seed: int = 2) -> NDArray[np.float32]:
    """Normal numbers over the root of what an output sums."""
    made = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return made / np.float32(math.sqrt(math.prod(shape[1:])))


def agrees(
    model: ModelProto, inputs: dict[str, NDArray[Any]], auto_cast: str, target: str = "inf1"
) -> dict[str, Any]:
    """Wholly on the device, and equal to what onnxruntime says; the report."""
    want = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)
    made = systola.compile(model, auto_cast=auto_cast, target=target, must_compile=True)
    got = made.run(inputs).outputs.values()
    for a, b in zip(got, want, strict=True):
        assert np.abs(a - b).max() <= LIMITS[auto_cast] * np.ptp(b)
    return dict(made.report)


@pytest.mark.parametrize("auto_cast", ["none", "all"])
@pytest.mark.parametrize("outputs", [False, True])
def test_means_over_channels_join_channels(outputs: bool, auto_cast: str) -> None:
    """An optical flow's correlations: sums are in FP32 where what they join is in BF16."""
    last = "y = Identity (joined)" if outputs else "y = Conv (joined, w)"
    channels = 42 if outputs else 8
    model = model_of(
        f"""correlations (float[1,40,6,8] a, float[1,40,6,8] b) => (float[1,{channels},6,8] y) {{
            p = Mul (a, b)
            m = ReduceMean <axes = [1], keepdims = 1> (p)
            q = Mul (p, b)
            n = ReduceMean <axes = [1], keepdims = 1> (q)
            joined = Concat <axis = 1> (m, n, a)
            {last}
        }}""",
        w=weights(8, 42, 1, 1),
    )
    agrees(model, drawn(model), auto_cast)
