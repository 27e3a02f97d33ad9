"""Explanations of real models add up, and predictions hold or say why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import systola
from simulator.explain import attribute
from simulator.timing import prepare, simulate
from tests.simulator.explain.test_attribution import require_exact

pytestmark = pytest.mark.slow

MODELS: dict[str, dict[str, tuple[int, ...]]] = {
    "mnist8/mnist-8.onnx": {},
    "squeezenet/SqueezeNet_fp32.onnx": {},
    "ultraface_rfb320/version-RFB-320.onnx": {},
    "super_resolution/super_resolution.onnx": {"input": (1, 1, 224, 224)},
    "zoo_random/vit-small/model.onnx": {},
    "zoo_random/convnext-small/model.onnx": {},
}


@pytest.mark.parametrize("name", MODELS)
def test_real_models_add_up(name: str, models_dir: Path) -> None:
    path = models_dir / name
    if not path.is_file():
        pytest.skip("not in this folder of models")
    model: Any = systola.compile(path, shapes=MODELS[name], must_compile=True)
    program, hw = model.neff.program, model.hw
    require_exact(attribute(program, simulate(prepare(program, hw))))
    told = model.report["explain"]
    beyond = sum(told["beyond_bound_ticks"].values())
    bound = model.report["bound_cycles"] * told["ticks_per_cycle"]
    assert bound + beyond == pytest.approx(told["ticks"], abs=told["ticks_per_cycle"])
    error = told["prediction"]["error"]
    assert abs(error) <= 0.01 or "note" in told["prediction"]
    assert abs(error) <= 0.03
