"""What models that nobody here had seen brought up: each a few nodes, against onnxruntime."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

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


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("auto_cast", ["none", "all"])
def test_group_norms_move_nothing(groups: int, auto_cast: str) -> None:
    """As exporters write it: every group a channel of an instance norm."""
    model = model_of(
        f"""groups (float[1,16,6,8] x) => (float[1,16,6,8] y)
        <int64[3] rows = {{1, {groups}, -1}}, int64[4] image = {{1, 16, 6, 8}}> {{
            c = Conv (x, w)
            r = Reshape (c, rows)
            n = InstanceNormalization (r, ones, zeros)
            i = Reshape (n, image)
            s = Mul (i, scale)
            y = Conv (s, w)
        }}""",
        w=weights(16, 16, 1, 1),
        scale=weights(16, 1, 1),
        ones=np.ones(groups, np.float32),
        zeros=np.zeros(groups, np.float32),
    )
    report = agrees(model, drawn(model), auto_cast)
    assert report["dram_bytes"] < 1.5 * report["dram_bytes_compulsory"]


def test_a_batch_norm_in_training_uses_its_batch() -> None:
    """Weight standardisation: the batch norm of constant weights; and one of the data."""
    model = model_of(
        """standard (float[2,6,5,4] x) => (float[2,8,5,4] y, float[6] mean, float[6] variance)
        <int64[3] flat = {1, 8, -1}, int64[4] kernel = {8, 6, 1, 1}> {
            n, mean, variance = BatchNormalization <training_mode = 1, momentum = 0.7>
                (x, scale, bias, old, older)
            rows = Reshape (w, flat)
            rowed = BatchNormalization <training_mode = 1> (rows, ones, zeros, zeros, ones)
            standard = Reshape (rowed, kernel)
            y = Conv (n, standard)
        }""",
        w=weights(8, 6, 1, 1),
        scale=weights(6, seed=3),
        bias=weights(6, seed=4),
        old=weights(6, seed=5),
        older=np.abs(weights(6, seed=6)),
        ones=np.ones(8, np.float32),
        zeros=np.zeros(8, np.float32),
    )
    inputs = drawn(model)
    want = ReferenceEvaluator(model).run(None, inputs)
    got = systola.compile(model, auto_cast="none", must_compile=True).run(inputs).outputs.values()
    for a, b in zip(got, want, strict=True):
        assert np.abs(a - b).max() <= 1e-5 * np.ptp(b)
