"""Compiled models through the reference interpreter and the fast simulator: the same window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.options import Options
from compiler.pipeline import compile_model
from isa.hardware import load_target
from isa.semantics import run_reference
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
    loaded = Device(hw).load(model, check=False)
    loaded.run(seed=1, function_only=True)
    (core,) = loaded.cores
    window = np.zeros_like(core.dram)
    for name in [t.buffer for t in model.inputs] + list(model.constants):
        buffer = core.buffer(name)
        window[buffer.address : buffer.end] = core.view(name)
    assert np.array_equal(run_reference(model.program, hw, window).dram, core.dram)
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
