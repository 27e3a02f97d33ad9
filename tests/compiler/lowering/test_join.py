"""Joins on the array where the parts lie in different factors."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper, parser

import systola


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("auto_cast", ["none", "all"])
def test_a_resized_part_joins_one_that_is_not(scale: int, auto_cast: str) -> None:
    """The resized part repeats rows without storing them: two factors where the other has one."""
    size = 2 * scale
    text = f"""
        <ir_version: 8, opset_import: ["" : 17]>
        join (float[1,16,2,2] a, float[1,16,{size},{size}] b) => (float[1,24,{size},{size}] y)
        <float[4] scales = {{1, 1, {scale}, {scale}}}>
        {{
            small = Relu (a)
            large = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
                            nearest_mode = "floor"> (small, , scales)
            other = Relu (b)
            joined = Concat <axis = 1> (large, other)
            y = Conv (joined, w)
        }}
    """
    rng = np.random.default_rng(1)
    weights = (rng.standard_normal((24, 32, 1, 1)) / 6).astype(np.float32)
    model = parser.parse_model(text)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    inputs = {
        "a": rng.standard_normal((1, 16, 2, 2), np.float32),
        "b": rng.standard_normal((1, 16, size, size), np.float32),
    }
    want = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)[0]
    got = systola.compile(model, auto_cast=auto_cast, must_compile=True).run(inputs).outputs["y"]
    limit = 1e-6 if auto_cast == "none" else 1e-2
    assert np.abs(got - want).max() < limit * np.ptp(want)
