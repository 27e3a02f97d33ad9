"""A host section in a process of its own, so that its end is not ours.

Messages are pickled, in both directions between two processes of the same program: nothing that
comes from a file is unpickled. The process ends when its input does.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import weakref
from pathlib import Path
from typing import IO, Any

from compiler.host.engines import Feeds
from isa.errors import TrapError

ROOT = Path(__file__).parents[2]


class Apart:
    """A worker with one model open."""

    def __init__(self, model: bytes, engine: str) -> None:
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "compiler.host.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        )
        self._end = weakref.finalize(self, _end, self._process)
        try:
            self._ask((engine, model))
        except BaseException:
            self.close()
            raise

    def run(self, feeds: Feeds) -> dict[str, Any]:
        """The outputs by name. Raises TrapError: SYS-H002, it failed; SYS-H003, it ended."""
        found: dict[str, Any] = self._ask(dict(feeds))
        return found

    def close(self) -> None:
        """End the process."""
        self._end()

    def _ask(self, message: object) -> Any:
        sent, received = self._process.stdin, self._process.stdout
        assert sent is not None, "it was opened with pipes"
        assert received is not None, "it was opened with pipes"
        try:
            send(sent, message)
            done, answer = pickle.load(received)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self._ended() from None
        if not done:
            from compiler.host.sections import failed

            raise failed(answer)
        return answer

    def _ended(self) -> TrapError:
        code = self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return TrapError(
            "SYS-H003",
            "the host's framework survives the part of the model that it is given",
            found=f"its process ended with {how}",
            at="host section",
            hint="look for a window that is larger than its padded input, or a shape of zero",
        )


def send(file: IO[bytes], message: object) -> None:
    """Write one message, and have it leave."""
    pickle.dump(message, file, protocol=pickle.HIGHEST_PROTOCOL)
    file.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2)
        return
    process.kill()
    process.wait()
