"""The names that we install are ours alone, the data comes along, and imports point down."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from importlib.resources import files
from pathlib import Path

import pytest

OURS = ("isa", "neff", "traces", "simulator", "compiler", "systola")
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", OURS)
def test_no_other_distribution_owns_our_import_name(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {"systola"}


def test_every_import_name_is_packaged() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = config["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {name.rstrip("*") for name in included} == set(OURS)
    assert all((ROOT / name / "__init__.py").is_file() for name in OURS)


def test_every_folder_of_code_is_a_package() -> None:
    for name in OURS:
        for path in (ROOT / name).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), f"{path.parent} would not be packaged"


def test_the_data_is_where_the_code_looks() -> None:
    data = files("systola") / "data"
    assert (data / "digits_cnn.onnx").is_file()
    assert (data / "digits_test.npz").is_file()


def test_imports_point_down() -> None:
    pytest.importorskip("importlinter", reason="in the dev extra")
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", script, "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from systola.cli import run; run(['--help']);"
        "print([m for m in ('numpy', 'numba', 'onnx', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
