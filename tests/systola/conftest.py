"""The built-in model, compiled once."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

import systola

DIGITS = Path(str(files("systola") / "data" / "digits_cnn.onnx"))


@pytest.fixture(scope="session")
def digits() -> systola.CompiledModel:
    return systola.compile(DIGITS, must_compile=True)


@pytest.fixture(scope="session")
def digits_neff(digits: systola.CompiledModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "digits.neff"
    digits.save(path)
    return path
