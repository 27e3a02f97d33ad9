"""Load: a section of a NEFF -> a core ready to run it; what is not sound is refused.

A sound program breaks no rule of its target, has no race, no deadlock and no stray access
(`isa.verify`), so it has one result, and the simulators need not look out for any of it.
"""

from __future__ import annotations

from pathlib import Path

from isa.hardware import Hardware
from isa.legality import require_legal
from isa.verify import require_sound
from neff import Neff, Section, read
from simulator.core import NeuronCore


def load_core(section: Section, hw: Hardware, *, check: bool = True) -> NeuronCore:
    """A core with the section's program and constants.

    Args:
        check: prove the program legal and sound first; without, it is the caller who knows.
    Raises:
        MalformedError: a word row that is no instruction.
        IllegalError: the first rule or proof that fails, by its label.
        TrapError: SYS-R026, no memory for the DRAM window.
    """
    if check:
        require_legal(section.program, hw)
        require_sound(section.program, hw)
    return NeuronCore(section.program, hw, section.constants)


def load_cores(model: Neff, hw: Hardware, *, check: bool = True) -> tuple[NeuronCore, ...]:
    """A core for each section. Raises as `load_core`."""
    return tuple(load_core(section, hw, check=check) for section in model.sections)


def as_neff(model: Neff | str | Path) -> Neff:
    """A model, or the one in a file. Raises as `neff.read`."""
    return model if isinstance(model, Neff) else read(model)
