"""Control flow: the instructions that each stream executes, in order."""

from __future__ import annotations

from isa.program import Program
from isa.verify.accesses import Ints


def paths_of(program: Program) -> dict[int, Ints]:
    """Stream -> indices in executed order, for streams that have branches."""
    return {}
