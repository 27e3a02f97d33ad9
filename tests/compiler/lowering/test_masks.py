"""Masks by the least FP32 number, which rounds to minus infinity in 16 bits."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import parser

import systola

TEXT = """
    <ir_version: 8, opset_import: ["" : 17]>
    mask (int64[2,1,1,12] mask, float[2,3,12,12] x) => (float[2,3,12,12] y)
    <float one = {1}, float least = {-3.4028234663852886e38}>
    {
        kept = Cast <to = 1> (mask)
        hidden = Sub (one, kept)
        added = Mul (hidden, least)
        scores = Add (x, added)
        y = Softmax <axis = -1> (scores)
    }
"""


@pytest.mark.parametrize("target", ["inf1", "inf2"])
def test_a_mask_by_the_least_number_hides_and_no_more(target: str) -> None:
    mask = np.ones((2, 1, 1, 12), np.int64)
    mask[..., -2:] = 0
    inputs: dict[str, np.ndarray] = {"mask": mask, "x": np.zeros((2, 3, 12, 12), np.float32)}
    found = systola.compile(parser.parse_model(TEXT), target=target).run(inputs).outputs["y"]
    np.testing.assert_allclose(found[..., :10], 0.1, rtol=1e-2)
    assert not found[..., 10:].any()
