"""Fourier transforms as products with a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compiler.errors import UnsupportedError
from compiler.frontends.onnx import import_onnx
from tests.compiler.frontends.single_node import check_node, node_model

RNG = np.random.default_rng(23)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("length", [None, 7, 12])
@pytest.mark.parametrize(("inverse", "onesided"), [(0, 0), (1, 0), (0, 1)])
def test_transforms(parts: int, length: int | None, inverse: int, onesided: int) -> None:
    if parts == 2 and onesided:
        return
    size = None if length is None else np.asarray(length, np.int64)
    check_node(
        "DFT", [normal(2, 10, 3, parts), size, np.asarray(1, np.int64)], 20,
        constants=[i for i in (1, 2) if i == 2 or size is not None], atol=1e-5,
        inverse=inverse, onesided=onesided,
    )  # fmt: skip
    check_node(
        "DFT", [normal(2, 10, 3, parts), size], 17, constants=[1] if length else [], atol=1e-5,
        axis=2, inverse=inverse, onesided=onesided,
    )  # fmt: skip


def test_half_a_spectrum_gives_numbers_back() -> None:
    check_node("DFT", [normal(2, 6, 2)], 20, atol=1e-5, inverse=1, onesided=1)


def test_frames_of_a_signal() -> None:
    step, size = np.asarray(3, np.int64), np.asarray(8, np.int64)
    window = np.hanning(8).astype(np.float32)
    for onesided in (0, 1):
        check_node(
            "STFT", [normal(2, 30, 1), step, window, size], 17, constants=[1, 3], atol=1e-5,
            onesided=onesided,
        )  # fmt: skip


def test_a_transform_too_long_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="a transform of length 5000"):
        import_onnx(node_model("DFT", [np.zeros((1, 5000, 1), np.float32)], 20))
