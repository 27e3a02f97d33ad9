"""A file is there whole or not at all, whenever its writer dies."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import isa.files
from isa.errors import SystolaError
from isa.files import whole_file

OLD, NEW = b"old" * 1000, b"new" * 5000
CHUNKS = [NEW[i : i + 1000] for i in range(0, len(NEW), 1000)]


@pytest.fixture(params=["unnamed", "hidden"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, on a system with and without files that have no name."""
    if request.param == "hidden":
        monkeypatch.setattr(isa.files, "_open_without_name", lambda folder: None)
    return tmp_path


def write(goal: Path, stop: Callable[[int], None] = lambda i: None) -> None:
    with whole_file(goal) as file:
        for i, chunk in enumerate(CHUNKS):
            stop(i)
            file.write(chunk)
            file.flush()
        stop(len(CHUNKS))


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked process, and give its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


@pytest.mark.parametrize("before", [None, OLD])
def test_a_new_file_takes_the_place_of_the_old(folder: Path, before: bytes | None) -> None:
    goal = folder / "a.bin"
    if before is not None:
        goal.write_bytes(before)
    write(goal)
    assert goal.read_bytes() == NEW
    assert os.listdir(folder) == ["a.bin"]


@pytest.mark.parametrize("before", [None, OLD])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_an_exception_leaves_the_folder_as_it_was(
    folder: Path, before: bytes | None, error: type[BaseException]
) -> None:
    goal = folder / "a.bin"
    if before is not None:
        goal.write_bytes(before)

    def fail(i: int) -> None:
        if i == 3:
            raise error

    with pytest.raises(SystolaError if error is OSError else error):
        write(goal, fail)
    assert os.listdir(folder) == ([] if before is None else ["a.bin"])
    assert before is None or goal.read_bytes() == before


@pytest.mark.parametrize("at", range(len(CHUNKS) + 1))
def test_a_process_that_ends_at_any_chunk_leaves_no_part(tmp_path: Path, at: int) -> None:
    goal = tmp_path / "a.bin"
    goal.write_bytes(OLD)
    child = in_child(lambda: write(goal, lambda i: os._exit(9) if i == at else None))
    os.waitpid(child, 0)
    assert goal.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_process_killed_at_a_random_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    goal = tmp_path / "a.bin"
    goal.write_bytes(OLD)

    def for_ever() -> None:
        while True:
            write(goal)

    moments = random.Random(1)
    for _ in range(40):
        child = in_child(for_ever)
        time.sleep(moments.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert goal.read_bytes() in (OLD, NEW)
        for spare in set(os.listdir(tmp_path)) - {"a.bin"}:
            assert (tmp_path / spare).read_bytes() == NEW  # complete, on its way to its name


def test_a_folder_in_the_way_is_an_error(folder: Path) -> None:
    (folder / "a.bin").mkdir()
    with pytest.raises(SystolaError) as caught:
        write(folder / "a.bin")
    assert caught.value.code == "SYS-F001"
    assert os.listdir(folder) == ["a.bin"]
