"""Places for the buffers of schedules: the fastest schedule is worth nothing if they find none.

In    schedules by policies, the fastest first
Out   those whose buffers find places at once, and one whose do by search where that is faster
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from compiler.schedule.allocate import QUICK, SOLVERS, Problem, Solver, peak
from compiler.schedule.capacity import dram_overflow
from compiler.schedule.policies import Made, Policy
from compiler.schedule.tables import (
    LATEST,
    MEMORY,
    Q0,
    Q1,
    RELEASED,
    SIZE,
    TAKEN,
    Ints,
    State,
    Tables,
)
from isa.hardware import Hardware
from isa.kernel.virtual import VirtualProgram
from isa.memory import DRAM
from isa.program import BufferKind

SLOWER = 256
"""A schedule that is placed by a search must be faster than one placed at once by a part in so
many."""

SEARCHED, LOOSE = 3, 97
"""Schedules for whose buffers places are searched, if at most so many percent of SBUF are taken at
once: with less to spare a search hardly ever succeeds."""

REPLAYED = 3
"""Schedules that find places at once and are replayed."""

DRAM_ORDER = (BufferKind.INPUT, BufferKind.CONSTANT, BufferKind.OUTPUT, BufferKind.SCRATCH)


@dataclass(frozen=True)
class Placed:
    """A schedule whose buffers have places."""

    policy: Policy
    state: State
    address: Ints
    settled: bool = True
    times: State | None = None  # of the replay

    @property
    def ticks(self) -> int:
        return int((self.times or self.state).misc[LATEST])


def placed(
    program: VirtualProgram,
    tables: Tables,
    made: Iterable[Made],
    hw: Hardware,
    *,
    first: bool,
    thorough: bool,
) -> list[Placed]:
    """Schedules whose buffers find places at once, the fastest first, and a faster one whose do by
    search. When they are replayed, one that was not the fastest may be.

    Args:
        first: one is enough.
        thorough: search, where that can give a faster one.
    """
    found: list[Placed] = []
    faster: list[Made] = []
    for policy, state in made:
        ticks = int(state.misc[LATEST])
        if found and (len(found) == REPLAYED or ticks * SLOWER > found[0].ticks * (SLOWER + 8)):
            break
        address = _addresses(program, tables, state, hw, QUICK)
        if address is not None:
            found.append(Placed(policy, state, address, settled=not faster))
        elif not found:
            faster.append((policy, state))
        if found and first:
            break
    if not thorough:
        return found
    for policy, state in _to_search(tables, faster, hw, found[0] if found else None):
        address = _addresses(program, tables, state, hw, SOLVERS[len(QUICK) :])
        if address is not None:
            found.append(Placed(policy, state, address))
            break
    return [replace(one, settled=True) for one in found]


def _to_search(tables: Tables, faster: list[Made], hw: Hardware, best: Placed | None) -> list[Made]:
    """The schedules that are worth a search, fastest first; all of them if none is placed yet."""
    faster = sorted(faster, key=lambda one: int(one[1].misc[LATEST]))
    if best is None:
        return faster
    loose = hw.sbuf_partition_bytes * LOOSE // 100
    gain = [one for one in faster if int(one[1].misc[LATEST]) * (SLOWER + 1) < best.ticks * SLOWER]
    return [one for one in gain if _peak(tables, one[1]) <= loose][:SEARCHED]


def _peak(tables: Tables, state: State) -> int:
    """The most bytes of a partition of SBUF that are taken at once."""
    touched = used(tables, state, 0)
    return peak(boxes(tables, state, touched, tables.buffer[:, SIZE], 0))


def boxes(tables: Tables, state: State, touched: Ints, align: Ints, capacity: int) -> Problem:
    """Buffers with their lives: half-open spans, counted in units issued."""
    start = state.buffer[touched, TAKEN]
    end = np.maximum(state.buffer[touched, RELEASED], start + 1)
    row = tables.buffer[touched]
    return Problem(start, end, row[:, SIZE], align[touched], row[:, Q0], row[:, Q1], capacity)


def alignments(program: VirtualProgram) -> Ints:
    """What each buffer's first byte is a multiple of."""
    return np.array([max(64, b.align) for b in program.buffers], np.int64)


def _addresses(
    program: VirtualProgram,
    tables: Tables,
    state: State,
    hw: Hardware,
    solvers: tuple[Solver, ...],
) -> Ints | None:
    """Addresses of all buffers, by the first solver that finds any; those of PSUM by every one."""
    address = np.zeros(len(program.buffers), np.int64)
    align = alignments(program)
    for memory, capacity in enumerate((hw.sbuf_partition_bytes, hw.psum_partition_bytes)):
        touched = used(tables, state, memory)
        problem = boxes(tables, state, touched, align, capacity)
        found = None
        for solver in solvers if memory == 0 else SOLVERS:
            found = solver(problem)
            if found is not None:
                break
        if found is None:
            return None
        address[touched] = found
    _place_dram(program, address, hw)
    return address


def used(tables: Tables, state: State, memory: int) -> Ints:
    """The buffers of a memory that the program touches."""
    return np.flatnonzero((tables.buffer[:, MEMORY] == memory) & (state.buffer[:, TAKEN] >= 0))


def _place_dram(program: VirtualProgram, address: Ints, hw: Hardware) -> None:
    """DRAM buffers one after the other: inputs, constants, outputs, scratch."""
    top = 0
    for kind in DRAM_ORDER:
        for b in program.buffers:
            if b.memory is DRAM and b.kind is kind:
                align = max(64, b.align)
                address[b.id] = -(-top // align) * align
                top = int(address[b.id]) + b.size_bytes
    if top > hw.dram_bytes:
        raise dram_overflow(program, top, hw)
