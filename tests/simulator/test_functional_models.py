"""Compiled models through the reference interpreter and the fast simulator: the same window."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.zoo import proof
from compiler.options import Options
from compiler.pipeline import compile_model
from isa.hardware import load_target
from simulator.functional import prepare
from simulator.runtime import Device

SMALL = [("digits_cnn/digits_cnn_s0_b1.onnx", "none"), ("digits_cnn/digits_cnn_s0_b1.onnx", "all")]
LARGER = [("mnist8/*.onnx", "all"), ("squeezenet/*fp32.onnx", "all")]


def same_window(models_dir: Path, pattern: str, auto_cast: str) -> None:
    """Run a model's drawn inputs both ways and compare its DRAM window to the byte."""
    (path, *_) = sorted(models_dir.glob(pattern))
    options = Options("inf1", auto_cast, "bf16", {})
    model = compile_model(str(path), options, lambda _: None).neff
    hw = load_target("inf1")
    assert proof.same_window(model, hw, Device(hw).load(model, check=False))
    assert prepare(model.program, hw).native == 1.0


@pytest.mark.parametrize(("pattern", "auto_cast"), SMALL)
def test_a_small_model_leaves_the_same_window(
    models_dir: Path, pattern: str, auto_cast: str
) -> None:
    same_window(models_dir, pattern, auto_cast)


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "auto_cast"), LARGER)
def test_a_larger_model_leaves_the_same_window(
    models_dir: Path, pattern: str, auto_cast: str
) -> None:
    same_window(models_dir, pattern, auto_cast)
