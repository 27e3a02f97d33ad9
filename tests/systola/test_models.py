"""Real trained models, all the way: compile, verify, run, compare with their references.

With auto-cast none, every output is within 1e-3 of its range; with all, predictions are the same.
A few reference cases of some models run by default; everything in the slow suite.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import systola
from isa.verify import verify
from systola.accuracy import fp32_values
from tests.systola.reference import NAMES, Case, load, worst_of_range
from traces.utilization import disagreements

QUICK = ("digits_cnn_b50", "mnist8", "squeezenet_fp32", "stories260k_prefill64")
CASES = [
    pytest.param(name, mode, marks=() if name in QUICK and mode != "matmult" else pytest.mark.slow)
    for name in NAMES
    for mode in ("none", "matmult", "all")
]


def most_cases(name: str) -> int:
    return 2 if name in QUICK else 10


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_a_model_matches_its_reference(models_dir: Path, name: str, mode: str) -> None:
    case = load(models_dir, name)
    model = systola.compile(case.path, auto_cast=mode, shapes=case.shapes)
    assert verify(model.neff.program, model.hw) == []
    changed = 0
    for given, exact in list(zip(case.inputs, case.outputs, strict=True))[: most_cases(name)]:
        result = model.run(given)
        assert result.report["cycles"] == model.report["cycles"]
        if mode == "none":
            assert worst_of_range(result.outputs, exact) <= 1e-3
        found, wanted = case.prediction(result.outputs), case.prediction(exact)
        assert found.shape == wanted.shape
        changed += int((found != wanted).sum())
    assert changed <= (case.may_change if mode != "none" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_trace_adds_up(models_dir: Path, name: str) -> None:
    case = load(models_dir, name)
    result = systola.compile(case.path, shapes=case.shapes).run(case.inputs[0])
    trace = result.trace
    assert disagreements(trace) == []
    assert trace.cycles == result.report["cycles"]
    moved = int(trace.events.read_bytes.sum() + trace.events.written_bytes.sum())
    assert moved == result.report["dram_bytes"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits_cnn_b50", "squeezenet_fp32", "super_resolution"])
def test_fp16_is_closer_than_bf16(models_dir: Path, name: str) -> None:
    case = load(models_dir, name)
    errors = []
    for kind in ("bf16", "fp16"):
        model = systola.compile(case.path, auto_cast_type=kind, shapes=case.shapes)
        errors.append(worst_of_range(model.run(case.inputs[0]).outputs, case.outputs[0]))
    assert errors[1] < errors[0]


def test_the_references_are_what_onnxruntime_computes(models_dir: Path) -> None:
    case: Case = load(models_dir, "digits_cnn_b50")
    exact = fp32_values(case.path, case.inputs[0], ["logits"])
    assert worst_of_range(exact, case.outputs[0]) < 1e-5
