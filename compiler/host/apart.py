"""Host sections in another process, so that its end is not ours.

One worker serves all sections of this process; starting one takes a second, most of it for the
frameworks' own imports. When it ends, what it ran is an error here, and the next section that is
asked starts another. Messages are pickled, in both directions between two processes of the same
program: nothing that comes from a file is unpickled. The worker ends when its input does, and is
ended when an answer takes too long.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from compiler.host.engines import Feeds
from isa.errors import TrapError

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 600.0
"""What a section may take where nobody says more: a loop that never ends must not hold us."""


class FailedError(Exception):
    """A section did not run; the worker's own words."""


class _Worker:
    """The other process, and the way to ask it."""

    def __init__(self) -> None:
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "compiler.host.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        )
        self._one_at_a_time = threading.Lock()
        self.end = weakref.finalize(self, _end, self._process)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self.end.alive and self._process.poll() is None

    def ask(self, message: object, timeout_s: float = TIMEOUT_S) -> Any:
        """The answer; 0 waits for ever.

        Raises:
            FailedError: the worker's own words.
            TrapError: SYS-H003, the process ended; SYS-H004, no answer in time.
        """
        sent, received = self._process.stdin, self._process.stdout
        assert sent is not None, "it was opened with pipes"
        assert received is not None, "it was opened with pipes"
        late = threading.Event()
        try:
            with self._one_at_a_time, _alarm(timeout_s, self._process, late):
                send(sent, message)
                done, answer = pickle.load(received)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self._late(timeout_s) if late.is_set() else self._ended() from None
        except BaseException:  # stopped between question and answer: the next would get this one's
            self.end()
            raise
        if not done:
            raise FailedError(answer)
        return answer

    def _ended(self) -> TrapError:
        code = self._process.wait()
        self.end()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return TrapError(
            "SYS-H003",
            "the host's framework survives the part of the model that it is given",
            found=f"its process ended with {how}",
            at="host section",
            hint="look for a window that is larger than its padded input, or a shape of zero",
        )

    def _late(self, timeout_s: float) -> TrapError:
        self._process.wait()
        self.end()
        return TrapError(
            "SYS-H004",
            "a section of the host ends in the time that it has",
            found=f"no answer after {timeout_s:g} s; its process was ended",
            at="host section",
            hint="a loop that never ends reads like this; --host-timeout S gives more time, 0 any",
        )


@contextlib.contextmanager
def _alarm(
    timeout_s: float, process: subprocess.Popen[bytes], late: threading.Event
) -> Iterator[None]:
    """Ends the process, which ends its answer, when the time is over."""
    if timeout_s <= 0:
        yield
        return

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(timeout_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_keys = itertools.count()
_workers: list[_Worker] = []  # at most one


def _worker() -> _Worker:
    if not _workers or not _workers[0].alive:
        _workers[:] = [_Worker()]
    return _workers[0]


class Apart:
    """A section of the worker's."""

    def __init__(self, model: bytes, engine: str) -> None:
        """Raises FailedError when the engine does not take the model, and TrapError SYS-H003."""
        self._key, self._opening = next(_keys), (engine, model)
        self._at = self._open()

    def _open(self) -> _Worker:
        worker = _worker()
        worker.ask(("open", self._key, *self._opening))
        return worker

    def run(self, feeds: Feeds, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """The outputs by name. Raises as `_Worker.ask`."""
        if not self._at.alive:
            self._at = self._open()
        found: dict[str, Any] = self._at.ask(("run", self._key, dict(feeds)), timeout_s)
        return found

    def close(self) -> None:
        """Forget the model."""
        if self._at.alive:
            self._at.ask(("close", self._key))


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
        process.wait(timeout=0.2)
        return
    process.kill()
    process.wait()
