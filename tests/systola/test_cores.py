"""Several cores at the front door: bench, run and compile, on copies and as a pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import systola
import systola.cli
from isa.errors import SystolaError
from isa.hardware import load_target
from systola.report import of_file
from systola.throughput import is_pipeline, items_of, pipeline_lines
from tests.systola.conftest import DIGITS

HW = load_target("inf1")


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    code = systola.cli.run([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_copies_share_the_chip(capsys: pytest.CaptureFixture[str]) -> None:
    code, one = call(capsys, "bench", DIGITS)
    assert code == 0
    (alone,) = one["device"]
    (four,) = call(capsys, "bench", DIGITS, "--cores", 4)[1]["device"]
    items = alone["items_per_run"]
    assert alone["items_per_s"] == pytest.approx(items / alone["beat_s"])
    assert four["cores"] == 4
    assert four["chips"] == 1
    assert four["beat_s"] >= alone["beat_s"]
    assert alone["items_per_s"] < four["items_per_s"] <= 4 * alone["items_per_s"] * 1.0001
    assert four["dram_share"] <= 1
    (five,) = call(capsys, "bench", DIGITS, "--cores", 5, "--items", 7)[1]["device"]
    assert five["chips"] == 2
    assert five["items_per_s"] == pytest.approx(5 * 7 / four["beat_s"])


def test_a_pipeline_is_compiled_saved_and_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, trace = tmp_path / "p.neff", tmp_path / "t.npz"
    code, report = call(capsys, "compile", DIGITS, "--pipeline-cores", 3, "-o", path)
    assert code == 0
    assert report["pipeline"]["cores"] == 3
    assert all(s["streamed_bytes"] == 0 for s in report["pipeline"]["stages"])
    code, ran = call(capsys, "run", path, "--trace", trace)
    assert code == 0
    found = ran["throughput"]
    assert found["pipeline"]
    assert found["latency_s"] == pytest.approx(sum(found["core_s"]))
    assert found["beat_s"] == pytest.approx(report["time_s"])
    code, told = call(capsys, "explain", path, "--no-what-if")
    assert code == 0
    assert len(told["sections"]) == 3
    assert call(capsys, "plot", trace, "-o", tmp_path / "t.png")[0] == 0
    code, refused = call(capsys, "bench", path, "--cores", 2)
    assert code == 3
    assert refused["error"]["code"] == "SYS-U020"
    assert systola.cli.run(["bench", str(path)]) == 0
    assert "pipeline over 3 cores" in capsys.readouterr().out


def test_every_way_of_running_gives_the_same_bits() -> None:
    made = [
        systola.compile(DIGITS, auto_cast="none", **options)
        for options in ({}, {"pin_weights": True}, {"pipeline_cores": 4})
    ]
    first, pinned, cut = (m.run(seed=5) for m in made)
    (name,) = first.outputs
    assert np.array_equal(pinned.outputs[name], first.outputs[name])
    assert np.allclose(cut.outputs[name], first.outputs[name], atol=1e-5)
    copied = made[0].run(seed=5, cores=4)
    assert np.array_equal(copied.outputs[name], first.outputs[name])
    assert copied.report["throughput"]["cores"] == 4
    assert copied.report["cycles"] >= first.report["cycles"]
    assert len(cut.trace.events) > 0


def test_a_file_may_say_anything_of_its_pipeline() -> None:
    sound = systola.compile(DIGITS, pipeline_cores=2).report["pipeline"]
    assert is_pipeline(sound)
    assert [name for name, _ in pipeline_lines(sound)] == [
        *("pipeline", "stages", "weights", "handed on")
    ]
    wrongs: tuple[object, ...] = (
        *(None, 3, "x", [], {}, {**sound, "stages": []}, {**sound, "stages": [1]}),
        *({**sound, "latency_s": "soon"}, {**sound, "stages": [{"cycles": None}]}),
    )
    for wrong in wrongs:
        assert not is_pipeline(wrong)
    kept = of_file({"report": {"pipeline": 7, "throughput": "much"}})
    assert "pipeline" not in kept
    assert "throughput" not in kept


def test_items_are_the_batch_where_there_is_one() -> None:
    model = systola.compile(DIGITS, must_compile=True)
    assert items_of(model.inputs, model.outputs) == 50
    assert items_of(model.inputs, ()) == 50
    assert items_of((), ()) == 1
    with pytest.raises(SystolaError, match="SYS-U020"):
        model.throughput(0)
