"""Compiling the simulator's loops in a second process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import systola.warm
from systola.warm import is_cold, warm, warming


def test_after_a_run_the_loops_are_there() -> None:
    warm()
    assert not is_cold()


def test_a_cold_machine_gets_a_second_process_and_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
        assert arguments[1:] == ["-m", "systola.warm"]
        process: subprocess.Popen[bytes] = popen([sys.executable, "-c", "pass"], **options)
        started.append(process)
        return process

    monkeypatch.setattr(systola.warm, "is_cold", lambda: True)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(subprocess, "Popen", start)
    with warming():
        assert len(started) == 1
    assert started[0].returncode == 0


def test_an_interrupted_compilation_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        process: subprocess.Popen[bytes] = popen(command, **options)
        started.append(process)
        return process

    monkeypatch.setattr(systola.warm, "is_cold", lambda: True)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt), warming():
        raise KeyboardInterrupt
    assert started[0].returncode is not None


def test_the_second_process_finds_the_package(tmp_path: Path) -> None:
    root = str(Path(systola.warm.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", "import systola.warm"], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert done.returncode == 0
