"""The Python API, determinism across processes, and the demo."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import neff
import systola
import systola.demo
from systola.accuracy import difference
from tests.systola.conftest import DIGITS
from traces.utilization import disagreements

ROOT = Path(__file__).parents[2]


def test_a_saved_model_runs_as_the_compiled_one(
    digits: systola.CompiledModel, digits_neff: Path
) -> None:
    loaded = systola.load(digits_neff)
    assert [(t.name, t.shape) for t in loaded.inputs] == [("x", (50, 1, 8, 8))]
    first, second = digits.run(), loaded.run()
    assert first.drawn_inputs == second.drawn_inputs == ("x",)
    np.testing.assert_array_equal(first.outputs["logits"], second.outputs["logits"])
    assert first.timing.cycles == second.timing.cycles == digits.report["cycles"]


def test_a_traces_sums_are_the_counters(digits: systola.CompiledModel) -> None:
    trace = digits.run().trace
    assert trace.counters
    assert disagreements(trace) == []
    assert trace.cycles == digits.report["cycles"]
    moved = int(trace.events.read_bytes.sum() + trace.events.written_bytes.sum())
    assert moved == digits.report["dram_bytes"]
    assert set(trace.layers) >= {"/3/Conv", "/18/Gemm"}


def test_compiling_in_another_process_gives_the_same_bytes(
    digits: systola.CompiledModel,
) -> None:
    script = (
        "import sys, hashlib, systola, neff;"
        "m = systola.compile(sys.argv[1], must_compile=True);"
        "print(hashlib.sha256(neff.to_bytes(m.neff)).hexdigest(), m.report['cycles'])"
    )
    wanted = hashlib.sha256(neff.to_bytes(digits.neff)).hexdigest()
    done = subprocess.run(
        [sys.executable, "-c", script, str(DIGITS)], cwd=ROOT, capture_output=True, text=True,
        check=True, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert done.stdout.split() == [wanted, str(digits.report["cycles"])]


def test_the_demo_is_accurate_and_leaves_a_trace_and_a_picture(tmp_path: Path) -> None:
    found = systola.demo.run(tmp_path)
    assert found.images == 500
    assert found.fp32 == 99.4
    assert abs(found.device - found.fp32) <= 0.3
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "digits_cnn.neff", "plot.png", "trace.json",
    ]  # fmt: skip
    assert found.to_json()["accuracy_device"] == found.device / 100


def test_a_difference_is_measured_against_the_exact_values() -> None:
    exact = np.array([[1.0, 3.0], [5.0, 2.0]], np.float32)
    found = exact + np.array([[0.0, 0.0], [0.5, 4.0]], np.float32)
    d = difference("t", found, exact)
    assert (d.max_abs, d.relative_max, d.argmax_agreement) == (4.0, 1.0, 0.5)
    assert difference("t", exact, exact).relative_rms == 0.0
    assert difference("t", exact * np.nan, exact).relative_max != 0.0


def test_the_classes_of_a_picture_are_its_last_long_axis() -> None:
    exact = np.arange(6.0).reshape(1, 6, 1, 1)
    assert difference("t", exact, exact).argmax_agreement == 1.0
    assert difference("t", exact[:, ::-1], exact).argmax_agreement == 0.0
    assert difference("t", np.ones(()), np.ones(())).argmax_agreement is None
