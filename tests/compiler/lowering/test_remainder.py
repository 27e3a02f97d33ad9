"""Remainders of floating-point numbers: those of C and of Python, to the last bit."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import helper

import systola
from tests.compiler.frontends.single_node import node_model

RANDOM = np.random.Generator(np.random.PCG64(37))
COUNT = 2048
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.5, 5.0]


def numbers(dtype: Any) -> Any:
    """Every magnitude and sign, denormal ones among them."""
    word = np.dtype(f"u{np.dtype(dtype).itemsize}")
    made = RANDOM.integers(0, np.iinfo(word).max, COUNT, word, endpoint=True).view(dtype)
    made[: COUNT // 4] = (RANDOM.standard_normal(COUNT // 4) * 50).astype(dtype)
    return made


def wanted(a: Any, b: Any, fmod: int) -> Any:
    wide = [v.astype(np.float32) for v in (a, b)]
    with np.errstate(all="ignore"):
        return (np.fmod if fmod else np.mod)(*wide).astype(a.dtype).astype(np.float32)


@pytest.mark.parametrize("fmod", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_every_number_by_every_other(dtype: Any, fmod: int) -> None:
    a, b = numbers(dtype), numbers(dtype)
    few = np.array(SPECIAL, dtype)
    a[:64], b[:64] = np.repeat(few, 8), np.tile(few, 8)
    with np.errstate(all="ignore"):
        b[500:600], a[600:700] = a[500:600] * dtype(0.5), b[600:700] * dtype(3)
    made = systola.compile(
        node_model("Mod", [a, b], 17, fmod=fmod), auto_cast="none", must_compile=True
    )
    found = made.run({"x0": a, "x1": b}).outputs["y0"]
    np.testing.assert_array_equal(found.astype(np.float32), wanted(a, b, fmod))
    if fmod:
        finite = np.isfinite(found.astype(np.float32))
        np.testing.assert_array_equal(np.signbit(found[finite]), np.signbit(a[finite]))


def test_a_known_divisor_takes_fewer_steps() -> None:
    a, turn = numbers(np.float32), np.asarray(2 * np.pi, np.float32)
    made = [
        systola.compile(
            node_model("Mod", [a, turn], 17, constants, fmod=1),
            auto_cast="none", must_compile=True,
        )
        for constants in ([1], [])
    ]  # fmt: skip
    first, second = (m.report["instructions"] for m in made)
    assert first < 0.6 * second
    found = made[0].run({"x0": a}).outputs["y0"]
    np.testing.assert_array_equal(found, wanted(a, turn, 1))


@pytest.mark.parametrize("kinds", [("float32", "int32"), ("uint16", "int16"), ("int32", "float32"),
                                   ("bool", "uint8"), ("float16", "uint16")])  # fmt: skip
def test_bits_are_read_as_another_type(kinds: tuple[str, str]) -> None:
    given, to = (np.dtype(k) for k in kinds)
    x = RANDOM.integers(0, 256, (6, 40 * given.itemsize)).astype(np.uint8).view(given)
    x = x.view(np.uint8).astype(bool) if kinds[0] == "bool" else x
    model = node_model("BitCast", [x], 26, to=helper.np_dtype_to_tensor_dtype(to))
    found = systola.compile(model, auto_cast="none", must_compile=True).run({"x0": x})
    np.testing.assert_array_equal(found.outputs["y0"].view(given), x)
