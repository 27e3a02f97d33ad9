"""Architectures that nothing was tuned for: the device and the framework agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.zoo.check import LIMIT, check
from benchmarks.zoo.entries import ENTRIES
from benchmarks.zoo.measure import Request, measure

UNSEEN = [n for n, e in ENTRIES.items() if e.source == "unseen"]
QUICK = {"unseen-graph", "unseen-detector-open"}


@pytest.mark.parametrize("target", ["inf1", "inf2"])
@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in UNSEEN]
)
def test_unseen_architectures_agree(
    name: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    monkeypatch.setenv("SYSTOLA_ZOO", str(tmp_path))
    row = measure(Request(name, target))
    assert "refused" not in row
    assert row["host_share"] <= 0.01
    found = check(name, target)
    assert found["error_none"] < LIMIT
    assert found["error_all"] < 0.05
