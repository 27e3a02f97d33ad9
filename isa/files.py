"""Files that are written whole or not at all.

The bytes go to a file without a name where the system has such files (Linux), and to a hidden one
beside the goal elsewhere. Only when they are all on the disk does the goal's name point to them: a
reader never sees a part, and a process that is killed leaves the goal as it was.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from isa.errors import SystolaError

OPEN_FILES = "/proc/self/fd"


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file to write; it takes the name `path` when the block ends without an exception.

    Raises:
        SystolaError: SYS-F001 when the folder does not exist, cannot be written, or is full.
    """
    goal = Path(path)
    try:
        with _unnamed(goal) as (file, name_it):
            yield file
            file.flush()
            os.fsync(file.fileno())
            name_it()
            _sync_folder(goal.parent)
    except OSError as error:
        raise _refused(goal, error.strerror or str(error)) from None


def require_place(path: str | Path) -> None:
    """Raise SystolaError SYS-F001 where `whole_file` could not write: asked before long work."""
    goal = Path(path)
    if goal.is_dir():
        raise _refused(goal, "it is a folder")
    if not goal.parent.is_dir():
        raise _refused(goal, f"there is no folder {str(goal.parent)!r}")
    if not os.access(goal.parent, os.W_OK | os.X_OK):
        raise _refused(goal, f"the folder {str(goal.parent)!r} may not be written")


def _refused(goal: Path, found: str) -> SystolaError:
    return SystolaError(
        "SYS-F001",
        "the file cannot be written",
        found=found,
        at=str(goal),
        hint="give a path in a folder that exists, that you may write, and that has room",
    )


@contextlib.contextmanager
def _unnamed(goal: Path) -> Iterator[tuple[BinaryIO, _Namer]]:
    if goal.is_dir():
        raise IsADirectoryError(21, "it is a folder")
    spare = goal.parent / f".{goal.name[:100]}.{secrets.token_hex(8)}.tmp"
    descriptor = _open_without_name(goal.parent)
    named = descriptor is None
    if descriptor is None:
        descriptor = os.open(spare, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "w+b") as file:
        try:
            yield file, _Namer(descriptor, spare, goal, named)
        except BaseException:
            spare.unlink(missing_ok=True)
            raise


def _open_without_name(folder: Path) -> int | None:
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None or not os.path.isdir(OPEN_FILES):
        return None
    try:
        return os.open(folder, flag | os.O_RDWR, 0o666)
    except OSError:
        return None  # the file system has no unnamed files


class _Namer:
    """Gives the written file its name, in one step."""

    def __init__(self, descriptor: int, spare: Path, goal: Path, named: bool) -> None:
        self.descriptor, self.spare, self.goal, self.named = descriptor, spare, goal, named

    def __call__(self) -> None:
        if not self.named:
            try:
                self._link(self.goal)
                return
            except FileExistsError:
                self._link(self.spare)
        os.replace(self.spare, self.goal)

    def _link(self, name: Path) -> None:
        folder = os.open(OPEN_FILES, os.O_RDONLY)
        try:  # with a folder given, `link` follows the symbolic link that stands for the file
            os.link(str(self.descriptor), name, src_dir_fd=folder)
        finally:
            os.close(folder)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system can
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
