"""NeuronCore: one program in one core, ready to run any number of times.

In    a program, a target, the bytes of its constants
Out   what a run computes (`simulator.functional`) and when (`simulator.timing`); the two share
      nothing, since time does not depend on data
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isa.errors import TrapError
from isa.hardware import Hardware
from isa.memory import Memory
from isa.program import BufferKind, DramBuffer, Program
from isa.state import State
from simulator.functional import FunctionalProgram, FunctionalRun
from simulator.functional import prepare as prepare_function
from simulator.functional import simulate as simulate_function
from simulator.timing import Timing, TimingProgram
from simulator.timing import prepare as prepare_timing
from simulator.timing import simulate as simulate_timing

Bytes = NDArray[np.uint8]


class NeuronCore:
    """A core with a program in it.

    Attributes:
        program, hw: what it runs, and as what.
        dram: uint8, the program's DRAM window.
    """

    def __init__(
        self, program: Program, hw: Hardware, constants: Mapping[str, Bytes] | None = None
    ) -> None:
        """Raises TrapError SYS-R026 when the host has no memory for the DRAM window."""
        self.program, self.hw = program, hw
        self._buffers = {b.name: b for b in program.buffers}
        self._constants = dict(constants or {})
        try:
            self.dram = np.zeros(program.dram_bytes, np.uint8)
        except (MemoryError, ValueError):
            raise TrapError(
                "SYS-R026",
                "the program's DRAM window fits in the memory of this computer",
                found=f"{program.dram_bytes} bytes",
            ) from None
        self._place_constants()

    def buffer(self, name: str) -> DramBuffer:
        """A buffer of the program. Raises KeyError."""
        return self._buffers[name]

    def view(self, name: str) -> Bytes:
        """The bytes of a buffer, as they are in the window: uint8 [size_bytes]."""
        buffer = self._buffers[name]
        view: Bytes = self.dram[buffer.address : buffer.end]
        return view

    def clear(self) -> None:
        """Everything as it was before the first run: zeros, and the constants."""
        for buffer in self.program.buffers:
            if buffer.kind is not BufferKind.CONSTANT:
                self.view(buffer.name)[:] = 0
        self._place_constants()

    def execute(self) -> FunctionalRun:
        """Run the program on what the window holds. Raises TrapError as the reference does."""
        state = State(self.hw)
        state.memories[Memory.DRAM] = self.dram
        if self.loaded is not None:
            state.memories[Memory.SBUF][:] = self.loaded
        return simulate_function(self.tables, state)

    @cached_property
    def loaded(self) -> Bytes | None:
        """SBUF as the pinned transfers leave it; None where there are none. Raises TrapError."""
        if not len(self.program.pinned):
            return None
        state = State(self.hw)
        state.memories[Memory.DRAM] = self.dram
        simulate_function(prepare_function(self.program.loading, self.hw), state)
        return state.sbuf

    @cached_property
    def loading(self) -> Timing:
        """When the pinned transfers happen, once, on a core alone on its chip."""
        return simulate_timing(prepare_timing(self.program.loading, self.hw))

    @cached_property
    def tables(self) -> FunctionalProgram:
        """The decoded program. Raises MalformedError, IllegalError S-1."""
        return prepare_function(self.program, self.hw)

    @cached_property
    def timing_program(self) -> TimingProgram:
        """The program as the timing model sees it. Raises TrapError, for one that branches too."""
        return prepare_timing(self.program, self.hw)

    @cached_property
    def timing(self) -> Timing:
        """When everything happens on a core alone on its chip. Raises TrapError."""
        return simulate_timing(self.timing_program)

    def _place_constants(self) -> None:
        for name, data in self._constants.items():
            view = self.view(name)
            if not np.array_equal(view, data):
                view[:] = data
