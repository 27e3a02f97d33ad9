"""The benchmarks' tables say what their rows say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import ablation
from benchmarks.zoo import page
from benchmarks.zoo.entries import ENTRIES, chosen
from benchmarks.zoo.measure import Request, bound_by, measured

ROW: dict[str, Any] = {
    "cycles": 1200, "time_s": 1.2e-6, "bound_cycles": 1000, "bound_ratio": 1.2, "finite_ratio": 1.1,
    "column_ratio": 1.15,
    "bound_by": "PE", "pe_utilization": 0.5, "dram_ratio": 1.0, "predicted_error": 0.001,
    "dram_bytes": 4000,
    "sbuf_peak_bytes": 2**20, "compile_s": 1.0, "rss_bytes": 1e8, "host_share": 0.0, "host_ops": [],
}  # fmt: skip
REFUSED = {"refused": "SYS-S001", "found": "too large"}


def test_a_ratio_above_what_is_asked_stands_out() -> None:
    assert "**1.200**" in page.line(ENTRIES["resnet50-b1"], ROW)
    assert "| 1.200 |" in page.line(ENTRIES["squeezenet-b1"], ROW)
    assert "SYS-S001" in page.line(ENTRIES["squeezenet-b1"], REFUSED)


def test_every_line_has_as_many_cells_as_the_head() -> None:
    lines = [
        *page.head(),
        page.line(ENTRIES["vgg19-b1"], ROW),
        page.line(ENTRIES["vgg19-b1"], REFUSED),
    ]
    assert len({line.count("|") for line in lines}) == 1


def test_the_plot_leaves_refusals_out(tmp_path: Path) -> None:
    file = tmp_path / "images" / "zoo.png"
    page.plot({"squeezenet-b1": ROW, "vgg19-b1": REFUSED}, "inf1", file)
    assert file.stat().st_size > 1000


def test_the_larger_bound_has_its_name() -> None:
    row = {"dram_bytes_compulsory": 1000, "bound_cycles": 1000}
    assert bound_by(row, bytes_per_s=10**9, clock_hz=10**9) == "DRAM"
    assert bound_by(row, bytes_per_s=2 * 10**9, clock_hz=10**9) == "PE"


def test_means_are_geometric_and_skip_what_does_not_fit() -> None:
    slow, slower = (ROW | {"cycles": 1200 * k} for k in (2, 8))
    rows = {
        "a": {"": ROW, "schedule": slow},
        "b": {"": ROW, "schedule": slower},
        "c": {"": ROW, "schedule": REFUSED},
    }
    assert ablation.factors(rows, "schedule", "cycles") == {"a": 2, "b": 8}
    text = ablation.table(rows, ("schedule",), "cycles")
    assert "**4.00**" in text
    assert "does not fit" in text


def test_names_may_be_patterns() -> None:
    assert set(chosen(["resnet50-*"])) == {n for n in ENTRIES if n.startswith("resnet50-")}
    with pytest.raises(SystemExit, match="no model"):
        chosen(["resnet51"])


def test_a_model_is_measured_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSTOLA_ZOO", str(tmp_path))
    row = measured(Request("squeezenet-b1"))
    assert row["bound_ratio"] == row["cycles"] / row["bound_cycles"]
    assert row["host_share"] == 0
    assert measured(Request("squeezenet-b1", target="nowhere"))["refused"].startswith("SYS-")
