"""Plan a program: which queue, which order, which address. The compiler's back end in one call.

In    a VirtualProgram in a correct sequential order, its dependencies, the target
Out   `Plan`; `isa.kernel.synchronize` makes it a program
Read  `units.py` and `list_scheduler.py` for the order, `policies.py` for the choice among orders,
      `allocate.py` for addresses, `check_plan.py` for what a correct plan is

The scheduler counts bytes, the allocator finds places for them. Of the schedules that policies lead
to the fastest is taken whose buffers find places; at the least the program runs in canonical order.
A program that does not fit even so is refused with the moment at which it is fullest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compiler.errors import CapacityError
from compiler.schedule.allocate import Problem, peak
from compiler.schedule.capacity import no_packing, require_canonical_fits
from compiler.schedule.costs import costs_of
from compiler.schedule.list_scheduler import run
from compiler.schedule.placing import Placed, alignments, boxes, placed, used
from compiler.schedule.policies import Policy, schedules
from compiler.schedule.replay import replay
from compiler.schedule.tables import (
    COUNT,
    LANE,
    NTH,
    QUEUE,
    START,
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
from isa.memory import FIRST_QUEUE

Ints = NDArray[np.int64]

FEW_BANKS = 50
"""Percent of room from which on all of PSUM may be used for going ahead: its buffers are mostly
whole banks, which leave no gaps."""


@dataclass(frozen=True)
class ScheduleOptions:
    """What the scheduler may do.

    Attributes:
        reorder: run instructions ahead of program order where that fills an engine.
        prefetch: load ahead of the first use.
        queues: DMA queues to use; all that the target has where None.
        policies: those to try in order, the first whose buffers find places is taken; where None,
            several are compared.
        thorough: search places for the fastest schedules; without, what finds none at once is
            passed over.
        exhaustive: compare many more policies.
    """

    reorder: bool = True
    prefetch: bool = True
    queues: int | None = None
    policies: tuple[Policy, ...] | None = None
    thorough: bool = True
    exhaustive: bool = False


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
        settled: no search for places could give a faster schedule.
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
    settled: bool = True
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

    def begin(policy: Policy) -> tuple[Tables, Machine, State]:
        machine = machine_of(
            hw,
            window=policy.window if options.reorder else 0,
            near=policy.near if options.prefetch else 0,
            horizon=policy.horizon,
        )
        limited = tables._replace(limit=_limits(options, policy, hw))
        queues = options.queues or hw.dma_queues
        return limited, machine, start_state(limited, units.waits, demand, machine, queues)

    def scheduled(policy: Policy) -> State:
        limited, machine, state = begin(policy)
        went = run(limited, machine, state)
        assert went, f"the scheduler stands still after {state.misc[COUNT]} units"
        return state

    policies = options.policies
    if not (options.prefetch or options.reorder):
        policies = (Policy(room=0),)
    if policies is None:
        made = schedules(scheduled, len(tables.unit), thorough=options.exhaustive)
    else:
        made = ((policy, scheduled(policy)) for policy in policies)
    first = policies is not None
    found = placed(program, tables, made, hw, first=first, thorough=options.thorough)
    if not found:
        raise no_packing(program, units, demand, hw)
    timed = [
        replace(one, times=replay(*begin(one.policy), one.state, one.address)) for one in found
    ]
    return _plan(program, units, tables, min(timed, key=lambda one: one.ticks), hw)


def fits(program: VirtualProgram, deps: Dependencies, hw: Hardware) -> bool:
    """Whether what is live at once has room where the program runs in the order it stands in."""
    costs = costs_of(program, hw)
    units = units_of(program, deps, costs)
    tables = tables_of(program, units, costs)
    try:
        require_canonical_fits(program, units, tables, base_demand(tables), hw)
    except CapacityError:
        return False
    return True


def _limits(options: ScheduleOptions, policy: Policy, hw: Hardware) -> Ints:
    """`Tables.limit`: bytes a partition of SBUF and PSUM."""
    capacity = np.array([hw.sbuf_partition_bytes, hw.psum_partition_bytes], np.int64)
    room = np.array([policy.room, 100 if policy.room > FEW_BANKS else policy.room])
    early = capacity * room // 100
    share = policy.far_share if options.prefetch else 0
    prefetch = early * np.array([share, 100]) // 100
    return np.stack([capacity, early, prefetch])


def _plan(
    program: VirtualProgram, units: Units, tables: Tables, found: Placed, hw: Hardware
) -> Plan:
    state, room = found.state, found.policy.room
    notes = (f"{room} % of the memories are used for going ahead",) if room < 90 else ()
    rank = np.empty(len(state.unit), np.int64)
    rank[state.unit[:, NTH]] = np.arange(len(state.unit))
    order = np.lexsort((np.arange(len(program)), rank[units.unit]))
    on_queue = tables.unit[units.unit, LANE] >= FIRST_QUEUE
    queues = FIRST_QUEUE + state.unit[units.unit, QUEUE]
    sbuf, psum = (
        boxes(tables, state, used(tables, state, memory), alignments(program), capacity)
        for memory, capacity in enumerate((hw.sbuf_partition_bytes, hw.psum_partition_bytes))
    )
    return Plan(
        streams=np.where(on_queue, queues, program.streams).astype(np.int32),
        order=order.astype(np.int64),
        address=found.address,
        predicted_ticks=found.ticks,
        predicted_start=(found.times or state).unit[units.unit, START],
        sbuf_peak_bytes=peak(sbuf),
        psum_peak_banks=-(-peak(psum) // hw.psum_bank_bytes),
        sbuf=sbuf,
        settled=found.settled,
        notes=notes,
    )
