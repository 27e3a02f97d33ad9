"""Pin weights: loaded into SBUF once, kept there over all runs.

Before                                         After
    loading:  -                                    loading:  sbuf[w] := dram[w]
    a run:    sbuf[w] := dram[w]                   a run:    use sbuf[w]
              use sbuf[w]

In    a VirtualProgram; how many bytes a partition may be pinned
Out   `Pinned`: what loading runs, what every run runs, addresses of the pinned buffers

A buffer can be pinned when only transfers from constants write it. Pinned buffers stand at the top
of SBUF, in skylines of the four quadrants of partitions; below them the run is planned as on a
machine with that much less SBUF (`below`). Where not all fit, those that are used first are pinned:
the others stream in while these are at work.

The verifier (`isa.verify`) proves both parts: loading by itself, and of a run that it finds what it
reads and leaves what loading wrote, so that it can run any number of times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compiler.errors import CapacityError
from compiler.schedule.costs import costs_of
from compiler.schedule.demand import QUADRANTS
from compiler.schedule.plan import Plan, ScheduleOptions, plan
from compiler.schedule.tables import base_demand, tables_of
from compiler.schedule.units import units_of
from isa.hardware import Hardware
from isa.kernel.dependencies import Dependencies, dependencies
from isa.kernel.synchronize import placed_words
from isa.kernel.virtual import Buffer, VirtualProgram
from isa.memory import DRAM, FIRST_QUEUE, SBUF
from isa.program import BufferKind, Words

Ints = NDArray[np.int64]
GRANULE = 64
QUADRANT = 32


@dataclass(frozen=True)
class Pinned:
    """A program parted.

    Attributes:
        run, loads: its two parts, on the same buffers.
        address: int64 [buffers], the first byte of each pinned buffer; -1 of the others.
        partition_bytes: bytes of every partition, at the top of SBUF, that are set aside.
        constant_bytes: DRAM bytes that no run has to read.
        total_bytes: DRAM bytes of all that could be pinned.
        needed: bytes a partition that a run holds besides, at least, were all of that pinned.
    """

    run: VirtualProgram
    loads: VirtualProgram
    address: Ints
    partition_bytes: int
    constant_bytes: int
    total_bytes: int
    needed: int = 0

    def below(self, hw: Hardware) -> Hardware:
        """The target without what is set aside."""
        return replace(hw, sbuf_partition_bytes=hw.sbuf_partition_bytes - self.partition_bytes)

    def completed(self, plan: Plan) -> Plan:
        """A plan of the run with the addresses of the pinned buffers."""
        address = np.where(self.address >= 0, self.address, plan.address)
        peak = plan.sbuf_peak_bytes + self.partition_bytes
        return replace(plan, address=address, sbuf_peak_bytes=peak)

    def words(self, plan: Plan) -> Words:
        """The transfers that loading runs, with the addresses of a completed plan."""
        return placed_words(self.loads, plan.address)


def pin(program: VirtualProgram, hw: Hardware, room: int) -> Pinned:
    """Part a program, so that at most `room` bytes a partition are set aside."""
    loads = pinnable(program)
    offset = _skyline(program, program.operands[loads, 0], room)
    pinned = offset >= 0
    kept = loads[pinned[program.operands[loads, 0]]]
    top = max(
        (int(offset[b.id]) + b.size_bytes for b in program.buffers if pinned[b.id]), default=0
    )
    aside = -(-top // GRANULE) * GRANULE
    address = np.where(pinned, hw.sbuf_partition_bytes - aside + offset, -1)
    buffers = tuple(replace(b, pinned=True) if pinned[b.id] else b for b in program.buffers)
    rest = np.ones(len(program), bool)
    rest[kept] = False
    return Pinned(
        run=replace(_part(program, np.flatnonzero(rest)), buffers=buffers),
        loads=replace(_part(program, kept), streams=np.full(len(kept), FIRST_QUEUE, np.int32)),
        address=address,
        partition_bytes=aside,
        constant_bytes=_dram_bytes(program, kept),
        total_bytes=_dram_bytes(program, loads),
    )


SHARES = (1.0, 0.97, 0.94, 0.9, 0.8, 0.6, 0.3, 0.0)
"""Parts of the room that are tried, until the run that is left finds places for all it holds."""


def plan_pinned(
    program: VirtualProgram, hw: Hardware, options: ScheduleOptions
) -> tuple[Pinned, Dependencies, Plan]:
    """Pin as much as there is room for, and plan the run beside it.

    Raises:
        CapacityError: as `compiler.schedule.plan`, when the program does not fit with nothing
            pinned.
    """
    every = pin(program, hw, hw.sbuf_partition_bytes)
    deps = dependencies(every.run)
    needed = most_held(every.run, deps, hw)
    room = max(0, hw.sbuf_partition_bytes - needed)
    for share in SHARES:
        pinned = pin(program, hw, int(room * share))
        deps = dependencies(pinned.run)
        try:
            planned = plan(pinned.run, deps, pinned.below(hw), options)
        except CapacityError:
            if share == SHARES[-1]:
                raise
            continue
        return replace(pinned, needed=needed), deps, pinned.completed(planned)
    raise AssertionError("the last share gives a plan or raises")


def most_held(program: VirtualProgram, deps: Dependencies, hw: Hardware) -> int:
    """Bytes a partition that the canonical order of a program holds at the fullest moment."""
    costs = costs_of(program, hw)
    tables = tables_of(program, units_of(program, deps, costs), costs)
    return int(base_demand(tables)[:QUADRANTS].max(initial=0))


def pinnable(program: VirtualProgram) -> Ints:
    """The loads, in program order, whose buffers nothing but loads of constants writes."""
    boxes, operands = program.boxes, program.operands
    kinds = [(b.memory, b.kind) for b in program.buffers]
    constant = np.array([k == (DRAM, BufferKind.CONSTANT) for k in kinds] + [False])
    on_chip = np.array([k[0] is SBUF for k in kinds] + [False])
    on_queue = program.streams >= FIRST_QUEUE
    is_load = on_queue & constant[operands[:, 1]] & on_chip[operands[:, 0]]
    spoiled = np.zeros(len(program.buffers) + 1, bool)
    spoiled[boxes.buffer[boxes.write & ~is_load[boxes.instruction]]] = True
    found: Ints = np.flatnonzero(is_load & ~spoiled[operands[:, 0]])
    return found


def _skyline(program: VirtualProgram, wanted: Ints, room: int) -> Ints:
    """Offset of each buffer, -1 of those that find no place. Chosen in the order given; placed on
    the highest of the quadrants that each takes, those that take all of them first."""
    buffers = [program.buffers[b] for b in dict.fromkeys(wanted.tolist())]
    chosen = _stacked(buffers, room)
    buffers.sort(key=lambda b: _quadrants(b) != slice(0, QUADRANTS))
    found = _stacked([b for b in buffers if b.id in chosen], room)
    offset = np.full(len(program.buffers), -1, np.int64)
    for b, at in found.items():
        offset[b] = at
    return offset


def _stacked(buffers: list[Buffer], room: int) -> dict[int, int]:
    """Buffer id -> offset, of those that fit one on the other."""
    height = np.zeros(QUADRANTS, np.int64)
    found: dict[int, int] = {}
    for b in buffers:
        align = max(GRANULE, b.align)
        at = -(-int(height[_quadrants(b)].max()) // align) * align
        if at + b.size_bytes <= room:
            found[b.id] = at
            height[_quadrants(b)] = at + b.size_bytes
    return found


def _quadrants(b: Buffer) -> slice:
    return slice(b.start // QUADRANT, -(-(b.start + b.partitions) // QUADRANT))


def _dram_bytes(program: VirtualProgram, loads: Ints) -> int:
    """Bytes of the constants that loads read, each once."""
    homes = np.unique(program.operands[loads, 1])
    return sum(program.buffers[b].size_bytes for b in homes.tolist())


def _part(program: VirtualProgram, index: Ints) -> VirtualProgram:
    return replace(
        program,
        words=program.words[index],
        streams=program.streams[index],
        operands=program.operands[index],
        layer=program.layer[index],
    )
