"""Every bad model through `systola compile`: a code, one screen, nothing written, little used."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import systola.cli
from tests.systola.bad_models import CASES, LEGAL, Case

MOST_LINES = 20
MOST_SECONDS = 20.0  # a bound against hanging, on a busy machine
MOST_BYTES = 300 << 20  # more in memory at once than before


def resident(key: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) << 10
    pytest.skip("no such figure here")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_bad_model_is_refused_and_leaves_nothing(
    case: Case, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, out, cache = (tmp_path / name for name in ("given", "out", "cache"))
    given.mkdir()
    out.mkdir()
    monkeypatch.setenv("SYSTOLA_CACHE", str(cache))
    monkeypatch.delenv("SYSTOLA_DEBUG", raising=False)
    arguments = case.write(given)
    files = sorted(given.rglob("*"))
    clear = Path("/proc/self/clear_refs")
    clear.write_text("5")  # the high-water mark starts again
    before, begun = resident("VmRSS"), time.monotonic()
    code = systola.cli.run(["compile", *arguments, "-o", str(out / "m.neff")])
    took, grown = time.monotonic() - begun, resident("VmHWM") - before
    shown = capfd.readouterr()
    print(case.name, "|", code, "|", shown.err, f"{took:.2f} s, {grown >> 20} MB")
    assert "Traceback" not in shown.err + shown.out
    assert took < MOST_SECONDS
    assert grown < MOST_BYTES
    assert sorted(given.rglob("*")) == files
    assert not cache.exists()
    if case.code == LEGAL:
        assert (code, [p.name for p in out.iterdir()]) == (0, ["m.neff"]), shown.err
        return
    assert code in (2, 3)
    assert f": {case.code}: " in shown.err
    assert len(shown.err.splitlines()) <= MOST_LINES
    wanted = ("Usage: ",) if case.code == "SYS-U000" else ("found  ", "do     ")
    assert all(word in shown.err for word in wanted)
    assert not list(out.iterdir())


REAL = ("no file", "cut short", "data behind a link", "an enormous shape", "noise")


@pytest.mark.parametrize("case", [c for c in CASES if c.name in REAL], ids=lambda case: case.name)
def test_a_process_of_its_own_says_the_same(case: Case, tmp_path: Path) -> None:
    goal = tmp_path / "out.neff"
    command = [sys.executable, "-m", "systola", "compile", *case.write(tmp_path), "-o", str(goal)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert f": {case.code}: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not goal.exists()


def test_a_model_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "m.onnx"
    path.write_bytes(b"")
    monkeypatch.setattr(Path, "open", refuse)
    assert systola.cli.run(["compile", str(path), "-o", str(tmp_path / "out.neff")]) == 3
    assert "SYS-F001" in capsys.readouterr().err


def test_there_are_many_kinds() -> None:
    bad = {case.name for case in CASES if case.code != LEGAL}
    assert len(CASES) == len({case.name for case in CASES})
    assert len(bad) >= 120
