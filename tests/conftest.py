"""Fixtures for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of real models: SYSTOLA_MODELS, else `shared/models` beside the project."""
    default = Path(__file__).parents[2] / "shared" / "models"
    folder = Path(os.environ.get("SYSTOLA_MODELS", default))
    if not (folder / "index.json").is_file():
        pytest.skip("no folder of models; set SYSTOLA_MODELS")
    return folder
