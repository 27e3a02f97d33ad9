"""Mistakes of the first hour, and what the command line says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import systola
import systola.cli
from tests.systola.conftest import DIGITS


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    code = systola.cli.run([str(a) for a in arguments])
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_the_name_alone_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys)
    assert code == 2
    assert "Error" not in text
    assert "compile " in text


@pytest.mark.parametrize(
    ("start", "kind", "advice"),
    [
        (b"PK\x03\x04", "a zip archive", "export the model to ONNX"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "export the model to ONNX"),
        (b"\x80\x02}q", "a Python pickle", "export the model to ONNX"),
        (b"\x1c\0\0\0TFL3", "a TensorFlow Lite model", "export the model to ONNX"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "git lfs pull"),
    ],
)
def test_another_files_kind_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, start: bytes, kind: str, advice: str
) -> None:
    (tmp_path / "m").write_bytes(start.ljust(200, b"\xff"))
    code, text = said(capsys, "compile", tmp_path / "m", "-o", tmp_path / "out.neff")
    assert code == 3
    assert "SYS-F002" in text
    assert f"200 bytes: {kind}" in text
    assert advice in text


def test_a_neff_is_not_compiled_again(
    capsys: pytest.CaptureFixture[str], digits_neff: Path, tmp_path: Path
) -> None:
    code, text = said(capsys, "compile", digits_neff, "-o", tmp_path / "again.neff")
    assert code == 3
    assert "a NEFF, which is compiled already" in text


def test_outputs_are_an_archive(
    capsys: pytest.CaptureFixture[str], digits_neff: Path, tmp_path: Path
) -> None:
    code, text = said(capsys, "run", digits_neff, "--outputs", tmp_path / "out.csv")
    assert code == 2
    assert "outputs are an archive of arrays, .npz" in text


def test_a_type_to_cast_to_needs_something_that_is_cast(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cast = ("--auto-cast", "none", "--auto-cast-type", "fp16")
    code, text = said(capsys, "compile", DIGITS, "-o", tmp_path / "m.neff", *cast)
    assert code == 2
    assert "--auto-cast none casts nothing" in text


def test_a_complaint_is_free_of_the_parsers_own_terms(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, text = said(capsys, "compile", DIGITS, "-o", tmp_path / "m.neff", "--auto-cast", "bf16")
    assert code == 2
    assert "Value error" not in text
    assert "'bf16' is not one of 'all', 'matmult', 'none'" in text


def test_on_another_target_the_report_says_nothing_of_the_first(digits_neff: Path) -> None:
    here, there = systola.load(digits_neff), systola.load(digits_neff, target="inf2")
    assert here.report["bound_cycles"] > 0
    report = there.run(seed=1).report
    assert report["cycles"] > 0
    assert report["bound_cycles"] is report["pe_utilization"] is report["bound_ratio"] is None
    assert "explain" not in report
    assert report["notes"] == ["compiled for inf1: its bound on inf2 is not known"]
