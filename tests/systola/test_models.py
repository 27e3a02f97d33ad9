"""Real trained models, all the way: compile, verify, run, compare with their references.

With auto-cast none, every output is within 1e-3 of its range; with all, predictions are the same.
A few reference cases of some models run by default; everything in the slow suite.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import neff
import systola
from isa.memory import stream_name
from isa.verify import verify
from systola.accuracy import fp32_values
from tests.systola.reference import NAMES, Case, load, worst_of_range
from tests.traces.test_viewers import read_back
from traces import save
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
    model = systola.compile(case.path, auto_cast=mode, shapes=case.shapes, must_compile=True)
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


def test_squeezenets_trace_adds_up_for_readers_that_are_not_ours(
    models_dir: Path, tmp_path: Path
) -> None:
    """Perfetto's own format through Google's protobuf library, its JSON through the json module."""
    case = load(models_dir, "squeezenet_fp32")
    result = systola.compile(case.path).run(case.inputs[0])
    timing, report = result.timing, result.report
    found = read_back(result.trace)
    busy: Counter[str] = Counter()
    notes = []
    for uuid, slices in found["slices"].items():
        for _, begun, ended, note in slices:
            busy[found["tracks"][uuid].name] += ended - begun
            notes.append(note)
    assert len(notes) == report["instructions"]
    assert sum(n.get("DRAM bytes read", 0) for n in notes) == report["dram_read_bytes"]
    assert sum(n.get("DRAM bytes written", 0) for n in notes) == report["dram_written_bytes"]
    assert timing.hw.ticks_per_s == 10**9, "a tick of inf1 is a nanosecond"
    assert busy.pop("PE weights") == timing.load_ticks
    assert dict(busy) == {stream_name(s): n for s, n in timing.busy_ticks.items()}
    save(result.trace, tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    durations = sum(round(1000 * e["dur"]) for e in events if e["ph"] == "X")
    assert durations == sum(timing.busy_ticks.values()) + timing.load_ticks


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_another_process_compiles_the_same_bytes(models_dir: Path, name: str) -> None:
    case = load(models_dir, name)
    script = (
        "import hashlib, json, sys, neff, systola;"
        "m = systola.compile(sys.argv[1], shapes=json.loads(sys.argv[2]), must_compile=True);"
        "print(hashlib.sha256(neff.to_bytes(m.neff)).hexdigest())"
    )
    here = systola.compile(case.path, shapes=case.shapes, must_compile=True)
    for seed in ("1", "99"):
        done = subprocess.run(
            [sys.executable, "-c", script, str(case.path), json.dumps(case.shapes)],
            cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == hashlib.sha256(neff.to_bytes(here.neff)).hexdigest()
