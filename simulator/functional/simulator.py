"""Run a FunctionalProgram: the compiled loop on a State's own memories, the reference for the rest.

In    tables (`table.py`), and a State whose DRAM window is filled
Out   the same State as the program leaves it, and how often the reference was asked
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.activation.tables import load_tables
from isa.encoding import decode
from isa.hardware import Hardware
from isa.memory import Engine, Memory, stream_name
from isa.program import Program, Words
from isa.semantics import STEP_LIMIT, Machine
from isa.spec import BY_MNEMONIC, Instruction
from isa.state import State
from simulator.functional.loop import DEADLOCK, DONE, run
from simulator.functional.patterns import Memories
from simulator.functional.stages import (
    HELD_BY,
    HELD_COLUMNS,
    HELD_FACTS,
    HELD_ROWS,
    HELD_START,
    HELD_WIDE,
    STATIONARY,
    Scratch,
)
from simulator.functional.table import FunctionalProgram, prepare

_LOAD, _MATMUL = BY_MNEMONIC["load_stationary"], BY_MNEMONIC["matmul"]


@dataclass(frozen=True)
class FunctionalRun:
    """What a run left.

    Attributes:
        state: memories, registers, semaphores at the end.
        by_reference: mnemonic -> instructions that the reference executed.
        steps: instructions executed in all.
    """

    state: State
    by_reference: Counter[str]
    steps: int


def run_fast(
    program: Program,
    hw: Hardware,
    dram: NDArray[np.uint8] | int | None = None,
    step_limit: int = STEP_LIMIT,
) -> State:
    """The state that a program leaves; as `isa.semantics.run_reference`, and as it raises."""
    window = program.dram_bytes if dram is None else dram
    state = State(hw, window)
    return simulate(prepare(program, hw, len(state.dram)), state, step_limit).state


def simulate(
    tables: FunctionalProgram, state: State, step_limit: int = STEP_LIMIT
) -> FunctionalRun:
    """Execute a program on a state, which it changes.

    Raises:
        TrapError: SYS-R001 .. R013, whatever the reference interpreter raises.
    """
    simulation = _Simulation(tables, state, step_limit)
    try:
        return simulation.run()
    finally:
        simulation.export_stationary()


class _Stream:
    """A stream's instructions, decoded one at a time when the reference needs them."""

    def __init__(self, words: Words, stream: int) -> None:
        self._words, self._at = words, f"stream {stream_name(stream)}"

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, index: int) -> Instruction:
        return decode(self._words[index].tolist(), f"{self._at}, instruction {index}")


class _Simulation:
    def __init__(self, tables: FunctionalProgram, state: State, step_limit: int) -> None:
        self.tables, self.state, self.step_limit = tables, state, step_limit
        self.at = tables.slots[0].copy()
        self.memories = memories_of(state)
        self.scratch = _scratch(tables, state)
        self.machine = Machine({}, tables.hw, 0, step_limit)
        streams: dict[int, _Stream] = {
            s: _Stream(tables.program.streams[s], s) for s in tables.streams
        }
        self.machine.streams = streams  # type: ignore[assignment]  # indexed and counted, no more
        self.machine.state = state
        self.by_reference: Counter[str] = Counter()

    def run(self) -> FunctionalRun:
        t, activations = self.tables, load_tables()
        limits = np.array([t.hw.semaphore_max, self.step_limit], np.int64)
        while True:
            with np.errstate(all="ignore"):  # results, not faults; seen where Numba is off
                slot = run(
                    t.code,
                    t.operands,
                    t.slots[1],
                    self.at,
                    self.state.semaphores,
                    limits,
                    self.memories,
                    self.scratch,
                    activations,
                )
            if slot == DONE:
                return FunctionalRun(
                    self.state, self.by_reference, self.step_limit - int(limits[1])
                )
            self._tell_machine(limits)
            if slot == DEADLOCK:
                raise self.machine.deadlock()
            self._by_reference(int(slot), limits)

    def _tell_machine(self, limits: NDArray[np.int64]) -> None:
        first = self.tables.slots[0]
        places = (self.at - first).tolist()
        self.machine.at = dict(zip(self.tables.streams, places, strict=True))
        self.machine.steps = self.step_limit - int(limits[1])

    def _by_reference(self, slot: int, limits: NDArray[np.int64]) -> None:
        """Let the reference execute the slot's next instruction."""
        machine, stream = self.machine, self.tables.streams[slot]
        instruction = machine.next_instruction(stream)
        assert instruction is not None
        if isinstance(instruction, _MATMUL):
            self.export_stationary()
        machine.step(stream)
        if isinstance(instruction, _LOAD):
            self._import_stationary()
        self.by_reference[instruction.mnemonic] += 1
        self.at[slot] = self.tables.slots[0, slot] + machine.at[stream]
        limits[1] = self.step_limit - machine.steps

    def export_stationary(self) -> None:
        """Tell the state what the array holds, if it was loaded here."""
        held, row = self.scratch.held, int(self.scratch.held[HELD_BY])
        if row < 0:
            return
        rows, columns = int(held[HELD_ROWS]), int(held[HELD_COLUMNS])
        values = self.scratch.floats[STATIONARY][: rows * columns]
        self.state.stationary = values.reshape(rows, columns).copy()
        instruction: object = decode(self._row(row).tolist())
        self.state.stationary_tile = instruction.src  # type: ignore[attr-defined]  # it is a load

    def _import_stationary(self) -> None:
        """Take over what the reference loaded; the reference keeps the tile itself."""
        values, tile = self.state.stationary, self.state.stationary_tile
        assert values is not None
        assert tile is not None
        floats, held = self.scratch.floats, self.scratch.held
        if values.size > len(floats[STATIONARY]):
            floats = (*floats[:STATIONARY], np.zeros(values.size, np.float32))
            words = tuple(_words(f) for f in floats)
            self.scratch = self.scratch._replace(floats=floats, words=words)
        floats[STATIONARY][: values.size] = values.reshape(-1)
        held[HELD_ROWS], held[HELD_COLUMNS] = values.shape
        held[HELD_START], held[HELD_BY] = tile.start, -1
        held[HELD_WIDE] = 2 * (tile.dtype.size_bytes == 4)

    def _row(self, row: int) -> Words:
        slot = int(np.searchsorted(self.tables.slots[1], row, side="right"))
        words: Words = self.tables.program.streams[self.tables.streams[slot]]
        found: Words = words[row - int(self.tables.slots[0, slot])]
        return found


def memories_of(state: State) -> Memories:
    """A state's memories as the loop takes them. What lies past the last whole word of DRAM is
    there as bytes only; an aligned element never does."""
    flat = [state.memories[m].reshape(-1) for m in Memory]
    psum = state.psum.view(np.float32)
    return Memories(
        tuple(flat),
        tuple(a[: len(a) // 2 * 2].view(np.uint16) for a in flat),
        tuple(a[: len(a) // 4 * 4].view(np.uint32) for a in flat),
        psum,
    )


def _scratch(tables: FunctionalProgram, state: State) -> Scratch:
    size, lanes = tables.scratch, tables.hw.partitions
    lengths = (size, size, size, size, lanes, lanes, tables.stationary)
    floats = tuple(np.zeros(n, np.float32) for n in lengths)
    held = np.full(HELD_FACTS, -1, np.int64)
    return Scratch(floats, tuple(_words(f) for f in floats), held, state.reduce[Engine.SCALAR])


def _words(floats: NDArray[np.float32]) -> NDArray[np.uint32]:
    return floats.view(np.uint32)
