"""The table of operators: the page says what the table says, and the table what is tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import systola.cli
from compiler.frontends.onnx.registry import supported_operators
from systola.operators import page, table
from systola.operators.samples import TYPES

ROOT = Path(__file__).parents[2]


def test_the_page_shows_the_table() -> None:
    assert (ROOT / "docs" / "operators.md").read_text(encoding="utf-8") == page(table())


def test_every_operator_that_is_imported_is_in_the_table() -> None:
    rows = table()["inf1"]
    listed = {(r["domain"], r["op"]) for r in rows}
    missing = {(d, op) for d, op in supported_operators() if d in ("", "ai.onnx.ml")} - listed
    assert missing <= {("", "Upsample"), ("", "Scatter")}  # deprecated
    assert all(set(r["types"]) <= set(TYPES) for r in rows)


def test_what_is_not_on_the_device_says_why() -> None:
    for rows in table().values():
        for r in rows:
            assert r["reasons"] or r["on_device"] == r["tried"]
            assert r["on_device"] <= r["tried"]


def test_the_command_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*arguments: str) -> Any:
        assert systola.cli.run(["operators", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    found = shown("MatMul")["operators"]
    assert [r["types"]["float32"] for r in found] == ["device"]
    assert shown("NonZero", "--target", "inf2")["operators"][0]["types"]["float32"] == "host"
    assert len(shown()["operators"]) > 200
    assert systola.cli.run(["operators", "Softmax"]) == 0
    assert "Softmax" in capsys.readouterr().out
    assert systola.cli.run(["operators", "nobody"]) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_table_is_what_is_found_by_trying() -> None:
    from systola.operators.samples import samples
    from systola.operators.survey import survey

    known = samples()
    for target, rows in table().items():
        assert survey(known, target) == rows, "python -m systola.operators makes it anew"
