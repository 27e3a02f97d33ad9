"""Reports: every key, and nothing believed of a file."""

from __future__ import annotations

from typing import Any

import pytest

import systola
from systola import console, report


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"report": None},
        {"report": [1]},
        {"report": {"cycles": "many", "bound_cycles": "few", "host_ops": 3, "notes": 7}},
        {"report": {"bound_cycles": 0, "pe_utilization": True}},
    ],
)
def test_a_file_may_claim_anything(metadata: dict[str, Any], digits: systola.CompiledModel) -> None:
    kept = report.of_file(metadata)
    assert set(report.KEYS) <= set(kept)
    whole = report.of_run(kept, digits.run().timings, 0.5)
    assert whole["cycles"] == digits.report["cycles"]
    assert any(name == "cycles" for name, _ in report.lines(whole))


def test_what_json_has_no_number_for_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    console.emit({"a": [float("nan"), float("inf"), 1.5], "b": (1, None)})
    assert "".join(capsys.readouterr().out.split()) == '{"a":[null,null,1.5],"b":[1,null]}'
