"""A host section, opened: in this process or in another."""

from __future__ import annotations

from typing import Any, Protocol

from compiler.host.apart import TIMEOUT_S, Apart, FailedError
from compiler.host.engines import Feeds, opened
from isa.errors import TrapError


class Section(Protocol):
    """What runs a section."""

    def run(self, feeds: Feeds, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """The section's outputs by name; 0 seconds are any time.

        Raises:
            TrapError: SYS-H002 .. SYS-H004. What runs in this process is not timed.
        """
        ...

    def close(self) -> None:
        """Ends what was opened for it."""
        ...


class _Here:
    """A section in this process."""

    def __init__(self, model: bytes, engine: str) -> None:
        self._run = opened(model, engine)

    def run(self, feeds: Feeds, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        try:
            return self._run(feeds)
        except Exception as error:  # the engines' own kinds share no base
            raise _failed(error) from None

    def close(self) -> None:
        """Nothing was opened that would not end by itself."""


class _There:
    """A section in the other process."""

    def __init__(self, model: bytes, engine: str) -> None:
        self._apart = Apart(model, engine)

    def run(self, feeds: Feeds, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        try:
            return self._apart.run(feeds, timeout_s)
        except FailedError as error:
            raise _failed(error) from None

    def close(self) -> None:
        self._apart.close()


def _failed(error: Exception) -> TrapError:
    """The error of an engine that could not run a section on what it was given."""
    return TrapError(
        "SYS-H002",
        "the part of the model that is on the host runs",
        found=" ".join(str(error).split())[:400],
        at="host section",
        hint="run the model in onnxruntime on the same inputs: it says the same",
    )


def open_section(model: bytes, engine: str, apart: bool) -> Section:
    """Open a serialised model.

    Raises:
        Exception: the engine does not take the model; TrapError SYS-H003 where its process ended.
    """
    return _There(model, engine) if apart else _Here(model, engine)
