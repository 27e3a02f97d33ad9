"""Explain: where a compiled model's time goes, what binds each layer, and what would gain how much.

In    a model that is compiled (or loaded), and of the what-ifs that need a compilation, its source
Out   `Explanation`: plain numbers, as `systola explain --json` prints them
Read  `docs/explain.md` for the rules, `simulator/explain/` for how
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.hardware import Hardware, numbers
from simulator.explain import Attribution, Cause, attribute
from simulator.explain.summary import (
    Difference,
    array_use,
    difference,
    dma_table,
    idle_table,
    layer_table,
)
from simulator.explain.whatif import RECOMPILED, WhatIf, changed, gained, what_ifs
from simulator.timing import Timing, prepare, simulate
from systola.models import Model

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Explanation:
    """One program's time, taken apart.

    Attributes:
        name: of the model, or of its section.
        report: of the compilation; what a file does not say is None.
        found: the attribution. what_ifs: measured by simulation, most gain first.
    """

    name: str
    report: dict[str, Any]
    found: Attribution
    what_ifs: tuple[WhatIf, ...]

    @property
    def timing(self) -> Timing:
        """The run."""
        return self.found.timing

    @cached_property
    def difference(self) -> Difference | None:
        """What fills the run beyond its bound; None where the bound is not known."""
        macs, size = self.report.get("macs"), self.report.get("dram_bytes_compulsory")
        if macs is None or size is None:
            return None
        return difference(self.found, int(macs), int(size))

    @property
    def prediction_error(self) -> float | None:
        """The compiler's prediction of the cycles against the simulated ones: 0.01 is 1 % more."""
        predicted = self.report.get("predicted_cycles")
        cycles = self.timing.cycles
        return None if predicted is None or not cycles else predicted / cycles - 1

    def to_json(self) -> dict[str, Any]:
        """Every number."""
        beyond, hw = self.difference, self.found.hw
        multiplying = self.timing.total_ticks - sum(e["ticks"] for e in idle_table(self.found))
        return {
            "model": self.name,
            "target": hw.name,
            "cycles": self.timing.cycles,
            "time_s": self.timing.time_s,
            "ticks": self.timing.total_ticks,
            "ticks_per_cycle": hw.ticks_per_s // hw.base_clock_hz,
            "predicted_cycles": self.report.get("predicted_cycles"),
            "prediction_error": self.prediction_error,
            "bound_cycles": self.report.get("bound_cycles"),
            "bound": beyond
            and {
                "resource": beyond.resource,
                "ticks": beyond.bound,
                "beyond": [{"text": text, "ticks": ticks} for text, ticks in beyond.parts],
            },
            "pe_multiplying_ticks": multiplying,
            "macs": self.report.get("macs"),
            **array_use(self.found),
            "pe_idle": idle_table(self.found),
            "dma": dma_table(self.found),
            "layers": layer_table(self.found),
            "what_if": [what_if_json(w) for w in self.what_ifs],
        }


def what_if_json(w: WhatIf) -> dict[str, Any]:
    """One what-if, and how it was measured."""
    return {
        "change": w.change,
        "numbers": w.numbers,
        "time_s": w.time_s,
        "gain": w.gain,
        "by": "compilation for the changed machine" if w.recompiled else "the same program",
    }


def silent(_: str) -> None:
    """Progress that nobody wants to see."""


def explain(model: Model, *, what_if: bool = True, progress: Progress = silent) -> Explanation:
    """Explain a model's program on its target.

    Args:
        what_if: run it on changed machines, too.
        progress: called with the name of each step.
    """
    program, hw = model.neff.program, model.hw
    progress("time")
    timing = simulate(prepare(program, hw))
    progress("attribute")
    found = attribute(program, timing)
    gains: list[WhatIf] = []
    if what_if:
        progress("what if")
        gains = what_ifs(program, hw, timing.total_ticks)
    return Explanation(model.neff.name, model.report, found, tuple(gains))


def draw(explanation: Explanation, path: str | Path) -> None:
    """Write a picture. Raises SystolaError SYS-F001 when the file cannot be written."""
    from traces.explanation import plot_explanation

    plot_explanation(explanation.to_json(), _segments(explanation.found), path)


def _segments(found: Attribution) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Begin, end and cause of every stretch of the tensor engine's time."""
    return found.begin, found.end, np.array([c.key for c in Cause])[found.cause]


def recompiled(
    compile_for: Callable[[str], int],
    hw: Hardware,
    cycles: int,
    progress: Progress = silent,
) -> list[WhatIf]:
    """The what-ifs that need a compilation.

    Args:
        compile_for: target file -> cycles of the program compiled for it.
        cycles: on `hw` itself.
    Raises as the compilation does.
    """
    found = []
    now = Fraction(cycles, hw.base_clock_hz)
    with tempfile.TemporaryDirectory() as folder:
        for k, (change, numbers_of) in enumerate(RECOMPILED):
            other, new = changed(hw, numbers_of)
            if not new:
                continue
            progress(f"compile with {change}")
            path = Path(folder) / f"{k}.toml"
            path.write_text(target_text(other), encoding="utf-8")
            then = Fraction(compile_for(str(path)), other.base_clock_hz)
            found.append(gained(change, new, then, now, recompiled=True))
    return found


def target_text(hw: Hardware) -> str:
    """A target file with these numbers."""
    values = [f"{name} = {getattr(hw, name)}" for name in numbers()]
    return "\n".join([f'name = "{hw.name}"', f'summary = "{hw.name}, changed"', *values]) + "\n"
