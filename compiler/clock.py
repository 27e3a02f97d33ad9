"""Wall time by step of a compilation, told as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Progress = Callable[[str], None]


@dataclass
class Clock:
    """Wall time by step; a step that comes again adds to its time.

    Attributes:
        about: said in front of every step, while steps come again and again.
    """

    progress: Progress
    about: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    _name: str = ""
    _since: float = 0.0

    def step(self, name: str) -> None:
        """The step before ends, `name` begins."""
        self.stop()
        self._name, self._since = name, time.perf_counter()
        self.progress(f"{self.about}{name}")

    def stop(self) -> None:
        """The last step ends."""
        if self._name:
            took = time.perf_counter() - self._since
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + took
        self._name = ""
