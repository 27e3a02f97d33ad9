"""Plan a program: which queue, which order, which address. The compiler's back end in one call.

In    a VirtualProgram in a correct sequential order, its dependencies, the target
Out   `Plan`; `isa.kernel.synchronize` makes it a program
Read  `units.py` and `list_scheduler.py` for the order, `allocate.py` for addresses, `check_plan.py`
      for what a correct plan is

The scheduler counts bytes, the allocator finds places for them. Where it finds none, the program is
scheduled with another room for going ahead; at the least it runs in canonical order. A program that
does not fit even so is refused with the moment at which it is fullest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from compiler.schedule.allocate import Problem, peak, solve
from compiler.schedule.capacity import dram_overflow, no_packing, require_canonical_fits
from compiler.schedule.costs import costs_of
from compiler.schedule.list_scheduler import run
from compiler.schedule.tables import (
    COUNT,
    LANE,
    LATEST,
    MEMORY,
    NTH,
    Q0,
    Q1,
    QUEUE,
    RELEASED,
    SIZE,
    START,
    TAKEN,
    Machine,
    State,
    Tables,
    base_demand,
    machine_of,
    start_state,
    tables_of,
)
from compiler.schedule.units import Units, units_of
from isa.hardware import Hardware
from isa.kernel.dependencies import Dependencies
from isa.kernel.virtual import VirtualProgram
from isa.memory import DRAM, FIRST_QUEUE
from isa.program import BufferKind

Ints = NDArray[np.int64]

NEAR = 256
"""Units ahead of the frontier within which a load may use as much room as other work."""

MOST_COMPARED = 10_000
"""Units of the largest program that is scheduled with every room before one is chosen."""

DRAM_ORDER = (BufferKind.INPUT, BufferKind.CONSTANT, BufferKind.OUTPUT, BufferKind.SCRATCH)


@dataclass(frozen=True)
class ScheduleOptions:
    """What the scheduler may do.

    Attributes:
        reorder: run instructions ahead of program order where that fills an engine.
        prefetch: load ahead of the first use.
        queues: DMA queues to use; all that the target has where None.
        window: units of program order within which it reorders.
        prefetch_share: part of SBUF that loads far ahead of their use may fill.
        rooms: parts of the memories that may be used for going ahead. Small programs take the one
            that gives the fastest schedule whose buffers all find a place, large ones the first.
    """

    reorder: bool = True
    prefetch: bool = True
    queues: int | None = None
    window: int = 4096
    prefetch_share: float = 0.9
    rooms: tuple[float, ...] = (1.0, 0.95, 0.9, 0.8, 0.65, 0.4, 0.0)


@dataclass(frozen=True)
class Plan:
    """Where and in which order a program runs.

    Attributes:
        streams: int32 [n], the stream of each instruction; differs for DMA only.
        order: int64 [n], a linear order that respects the dependencies.
        address: int64 [buffers], each one's first byte.
        predicted_ticks: when the scheduler expects the last instruction to complete.
        predicted_start: int64 [n], when it expects each to start.
        sbuf_peak_bytes: the most bytes a partition that are taken at once.
        psum_peak_banks: the most banks that are taken at once.
        sbuf: the boxes of SBUF that were placed, in the order of their buffers' numbers.
        notes: what the planner had to give up, in sentences.
    """

    streams: NDArray[np.int32]
    order: Ints
    address: Ints
    predicted_ticks: int
    predicted_start: Ints
    sbuf_peak_bytes: int
    psum_peak_banks: int
    sbuf: Problem
    notes: tuple[str, ...] = ()

    def apply(self, program: VirtualProgram) -> VirtualProgram:
        """The program with its transfers on their queues, ready for `isa.kernel.synchronize`."""
        return replace(program, streams=self.streams)


def plan(
    program: VirtualProgram,
    deps: Dependencies,
    hw: Hardware,
    options: ScheduleOptions | None = None,
) -> Plan:
    """Queues, order and addresses of a program.

    Raises:
        CapacityError: SYS-S001 SBUF, SYS-S002 PSUM, SYS-S003 DRAM is too small, SYS-S004 what is
            live at once fits but no placement was found.
    """
    options = options or ScheduleOptions()
    costs = costs_of(program, hw)
    units = units_of(program, deps, costs)
    tables = tables_of(program, units, costs)
    demand = base_demand(tables)
    require_canonical_fits(program, units, tables, demand, hw)
    machine = machine_of(
        hw,
        window=options.window if options.reorder else 0,
        near=NEAR if options.prefetch else 0,
    )
    start = partial(
        start_state,
        waits=units.waits,
        demand=demand,
        machine=machine,
        queues=options.queues or hw.dma_queues,
    )
    notes: tuple[str, ...] = ()
    for room, state in _schedules(tables, start, machine, options, hw):
        address = _addresses(program, tables, state, hw)
        if address is not None:
            return _plan(program, units, tables, state, address, hw, notes)
        notes = (f"with {room:.0%} of the memories for going ahead, buffers found no places",)
    raise no_packing(program, units, demand, hw)


def _schedules(
    tables: Tables,
    start: Callable[..., State],
    machine: Machine,
    options: ScheduleOptions,
    hw: Hardware,
) -> Iterator[tuple[float, State]]:
    """The rooms for going ahead and the schedules they lead to. Those of a small program come
    fastest first: more room is not always faster."""
    made = _each_room(tables, start, machine, options, hw)
    if len(tables.unit) > MOST_COMPARED:
        return made
    return iter(sorted(made, key=lambda one: int(one[1].misc[LATEST])))


def _each_room(
    tables: Tables,
    start: Callable[..., State],
    machine: Machine,
    options: ScheduleOptions,
    hw: Hardware,
) -> Iterator[tuple[float, State]]:
    for room in options.rooms if options.prefetch or options.reorder else (0.0,):
        limited = tables._replace(limit=_limits(options, room, hw))
        state = start(limited)
        went = run(limited, machine, state)
        assert went, f"the scheduler stands still after {state.misc[COUNT]} units"
        yield room, state


def _limits(options: ScheduleOptions, room: float, hw: Hardware) -> Ints:
    """`Tables.limit`: bytes a partition of SBUF and PSUM."""
    capacity = np.array([hw.sbuf_partition_bytes, hw.psum_partition_bytes], np.int64)
    early = (capacity * room).astype(np.int64)
    share = options.prefetch_share if options.prefetch else 0.0
    prefetch = (early * np.array([share, 1.0])).astype(np.int64)
    return np.stack([capacity, early, prefetch])


def _lives(tables: Tables, state: State, used: Ints) -> tuple[Ints, Ints]:
    """When buffers are taken and given back, counted in units issued: half-open spans."""
    taken = state.buffer[used, TAKEN]
    return taken, np.maximum(state.buffer[used, RELEASED], taken + 1)


def _boxes(tables: Tables, state: State, used: Ints, align: Ints, capacity: int) -> Problem:
    start, end = _lives(tables, state, used)
    row = tables.buffer[used]
    return Problem(start, end, row[:, SIZE], align[used], row[:, Q0], row[:, Q1], capacity)


def _alignments(program: VirtualProgram) -> Ints:
    return np.array([max(64, b.align) for b in program.buffers], np.int64)


def _addresses(program: VirtualProgram, tables: Tables, state: State, hw: Hardware) -> Ints | None:
    address = np.zeros(len(program.buffers), np.int64)
    align = _alignments(program)
    for memory, capacity in enumerate((hw.sbuf_partition_bytes, hw.psum_partition_bytes)):
        used = _used(tables, state, memory)
        found = solve(_boxes(tables, state, used, align, capacity))
        if found is None:
            return None
        address[used] = found
    _place_dram(program, address, hw)
    return address


def _used(tables: Tables, state: State, memory: int) -> Ints:
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


def _plan(
    program: VirtualProgram,
    units: Units,
    tables: Tables,
    state: State,
    address: Ints,
    hw: Hardware,
    notes: tuple[str, ...],
) -> Plan:
    rank = np.empty(len(state.unit), np.int64)
    rank[state.unit[:, NTH]] = np.arange(len(state.unit))
    order = np.lexsort((np.arange(len(program)), rank[units.unit]))
    on_queue = tables.unit[units.unit, LANE] >= FIRST_QUEUE
    queues = FIRST_QUEUE + state.unit[units.unit, QUEUE]
    sbuf, psum = (
        _boxes(tables, state, _used(tables, state, memory), _alignments(program), capacity)
        for memory, capacity in enumerate((hw.sbuf_partition_bytes, hw.psum_partition_bytes))
    )
    return Plan(
        streams=np.where(on_queue, queues, program.streams).astype(np.int32),
        order=order.astype(np.int64),
        address=address,
        predicted_ticks=int(state.misc[LATEST]),
        predicted_start=state.unit[units.unit, START],
        sbuf_peak_bytes=peak(sbuf),
        psum_peak_banks=-(-peak(psum) // hw.psum_bank_bytes),
        sbuf=sbuf,
        notes=notes,
    )
