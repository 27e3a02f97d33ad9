"""The one door from the compiler to the simulator: what a program costs, measured.

`CostModel` is all that the rest of the compiler knows of it.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from isa.hardware import Hardware
from isa.program import Program
from neff.model import Neff
from simulator.chips import Throughput, link_ticks, simulate_chips
from simulator.explain import attribute
from simulator.explain.summary import compact
from simulator.timing import Timing, prepare, simulate

__all__ = ["CostModel", "Simulated", "Throughput", "Timing"]


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

    def pipeline(self, model: Neff, hw: Hardware) -> Throughput:
        """The sections of a model at work together, each on an item of its own."""
        programs = [prepare(section.program, hw) for section in model.sections]
        return Throughput(simulate_chips(programs, hw), link_ticks(model, hw))

    def explanation(
        self, program: Program, timing: Timing, macs: int, dram_bytes: int, predicted: int
    ) -> dict[str, Any]:
        """Where the time went, as the report has it: idle causes, layers, what fills the bound.

        Args:
            macs, dram_bytes: what the model needs at least.
            predicted: ticks that the schedule expected.
        """
        return compact(attribute(program, timing), macs, dram_bytes, predicted)


def clock_sources() -> Path:
    """The folder of all that a simulated time depends on, besides the specification."""
    return Path(inspect.getfile(prepare)).parents[1]
