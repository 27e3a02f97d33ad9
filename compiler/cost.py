"""The one door from the compiler to the simulator: what a program costs, measured.

`CostModel` is all that the rest of the compiler knows of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from isa.hardware import Hardware
from isa.program import Program
from simulator.timing import Timing, prepare, simulate


class CostModel(Protocol):
    """Says how long a program takes."""

    def ticks(self, program: Program, hw: Hardware) -> int:
        """Ticks from start to the last completion."""


@dataclass(frozen=True)
class Simulated:
    """The simulator's clock."""

    def ticks(self, program: Program, hw: Hardware) -> int:
        """Ticks from start to the last completion. Raises TrapError on a deadlock."""
        return self.timing(program, hw).total_ticks

    def timing(self, program: Program, hw: Hardware) -> Timing:
        """When everything happens."""
        return simulate(prepare(program, hw))
