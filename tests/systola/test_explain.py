"""`systola explain`: its numbers add up, and what-ifs are measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import systola
import systola.cli
from isa.hardware import load_target, numbers, parse_target
from systola.explain import Explanation, draw, explain, recompiled, target_text
from tests.systola.conftest import DIGITS


@pytest.fixture(scope="module")
def found(digits: systola.CompiledModel) -> Explanation:
    return explain(digits)


def emitted(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    code = systola.cli.run([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_every_share_adds_up(found: Explanation, digits: systola.CompiledModel) -> None:
    told = found.to_json()
    idle = sum(c["ticks"] for c in told["pe_idle"])
    assert told["cycles"] == digits.report["cycles"]
    assert idle + told["pe_multiplying_ticks"] == told["ticks"]
    assert sum(layer["ticks"] for layer in told["layers"]) == told["ticks"]
    assert sum(c["share_of_idle"] for c in told["pe_idle"]) == pytest.approx(1)
    assert sum(c["share_of_run"] for c in told["dma"]) == pytest.approx(1)
    beyond = sum(part["ticks"] for part in told["bound"]["beyond"])
    assert told["bound"]["ticks"] + beyond == told["ticks"]
    assert told["bound"]["ticks"] == digits.report["bound_cycles"] * told["ticks_per_cycle"]


def test_layers_are_the_models_own(found: Explanation, digits: systola.CompiledModel) -> None:
    names = {layer["name"] for layer in found.to_json()["layers"]}
    values = {v.name for node in digits.graph.nodes for v in node.outputs}
    known = values | {v.name for v in (*digits.graph.inputs, *digits.graph.outputs)}
    assert names & known
    assert all(layer["binding"] for layer in found.to_json()["layers"])


def test_the_compile_report_says_the_same(
    found: Explanation, digits: systola.CompiledModel
) -> None:
    told, kept = found.to_json(), digits.report["explain"]
    assert kept["pe_idle_ticks"] == {c["cause"]: c["ticks"] for c in told["pe_idle"]}
    assert kept["ticks"] == sum(layer["ticks"] for layer in kept["layers"])
    names = ("name", "ticks", "binding")
    assert kept["layers"] == [{n: layer[n] for n in names} for layer in told["layers"]]


def test_what_ifs_come_with_the_greatest_gain_first(found: Explanation) -> None:
    gains = [w.gain for w in found.what_ifs]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 0


def test_a_changed_target_is_a_target_file() -> None:
    for name in ("inf1", "trn2"):
        hw = load_target(name)
        again = parse_target(target_text(hw), "test")
        assert all(getattr(again, n) == getattr(hw, n) for n in numbers())


def test_recompilation_asks_for_each_changed_machine() -> None:
    hw, seen = load_target("inf1"), []

    def cycles(path: str) -> int:
        other = load_target(path)
        seen.append([n for n in numbers() if getattr(other, n) != getattr(hw, n)])
        return 50

    gains = recompiled(cycles, hw, 100)
    assert seen == [["sbuf_partition_bytes"], ["psum_partition_bytes"], ["pe_columns"]]
    assert [g.gain for g in gains] == [0.5] * 3
    assert all(g.recompiled for g in gains)


def test_the_command_explains_a_model_and_its_neff_alike(
    capsys: pytest.CaptureFixture[str], digits_neff: Path
) -> None:
    one = emitted(capsys, "explain", DIGITS, "--no-what-if")
    other = emitted(capsys, "explain", digits_neff, "--no-what-if")
    assert one == other
    assert one[0] == 0


def test_the_text_names_causes_layers_and_gains(
    capsys: pytest.CaptureFixture[str], digits_neff: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "why.svg"
    code = systola.cli.run(["explain", str(digits_neff), "--plot", str(picture)])
    shown = capsys.readouterr().out
    assert code == 0
    for text in ("the compiler predicted", "of idle", "bound by", "What if", "tensor engine x 2"):
        assert text in shown
    assert picture.stat().st_size > 10_000


def test_a_neff_cannot_be_recompiled(capsys: pytest.CaptureFixture[str], digits_neff: Path) -> None:
    assert emitted(capsys, "explain", digits_neff, "--recompile")[0] == 2


def test_the_picture_is_the_same_each_time(found: Explanation, tmp_path: Path) -> None:
    paths = [tmp_path / f"{k}.png" for k in range(2)]
    for path in paths:
        draw(found, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
