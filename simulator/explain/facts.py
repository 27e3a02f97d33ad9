"""What the walk reads of each row, as one table of whole numbers; times in ticks."""

from __future__ import annotations

import numpy as np

from isa.columns import bits
from isa.memory import FIRST_QUEUE, Engine
from isa.program import Program
from isa.spec import REGISTRY
from isa.timing import StreamCosts, engine_work
from simulator.explain.causes import ENGINE_CAUSES, Cause
from simulator.explain.releases import Words, rates, releases, rooms, stream_of_rows
from simulator.explain.transfers import Sharing, sharing_of
from simulator.timing import Timing
from simulator.timing.tables import (
    END,
    FIRST,
    KIND,
    LATENCY,
    LOAD,
    OCCUPANCY,
    TRANSFER,
    WORK,
    Ints,
)

CONTROL = sorted(code for code, kind in REGISTRY.items() if Engine.SYNC in kind.engines)
"""Opcodes of control instructions: what the sync sequencer runs too."""

FACTS = 17
(
    BEGUN,
    ENDED,
    READY,
    VISIBLE,
    WAIT,  # why it started no sooner: timing.result.Cause
    WAIT_ROW,  # and for which row
    RELEASE,  # row whose signal let it start, or be triggered; -1
    ROOM,  # cause of that wait if it was for room; -1
    OWNER,  # row whose end made its completion, in order, as late as it was
    BEFORE,  # last row in front of it in its stream that is no load of weights; -1
    BUSY,  # cause that its own ticks count under
    LIMITED,  # of a transfer: ticks in which the DMA engines' rate was all used
    DESCRIPTOR_WORK,  # engine time that goes to descriptors as such
    ENGINE_WORK,  # engine time in all; 0 of a row that moves nothing
    WORKED,  # ticks that its stream was busy before it
    SLOT,  # place of its stream among the program's streams
    TURN,  # of a queue: least ticks from its trigger to the next
) = range(FACTS)


def facts_of(program: Program, words: Words, timing: Timing) -> tuple[Ints, Sharing]:
    """The table, shape [n, FACTS], and the DMA engines over time."""
    tables, stream = timing.program.tables, stream_of_rows(timing)
    kind, slots = tables.rows[:, KIND], tables.slots
    lengths = slots[END] - slots[FIRST]
    slot = np.repeat(np.arange(len(lengths)), lengths)
    facts = np.zeros((len(words), FACTS), np.int64)
    facts[:, BEGUN], facts[:, ENDED] = timing.start, timing.end
    facts[:, READY], facts[:, VISIBLE] = timing.ready, timing.visible
    facts[:, WAIT], facts[:, WAIT_ROW] = timing.cause, timing.cause_row
    facts[:, RELEASE] = releases(timing)
    facts[:, ROOM] = rooms(words, timing, facts[:, RELEASE])
    facts[:, OWNER] = _owners(timing)
    facts[:, BEFORE] = _before(timing, slot)
    facts[:, BUSY] = _busy_causes(program, words, timing, stream)
    moves = kind == TRANSFER
    facts[moves, DESCRIPTOR_WORK] = _descriptor_work(words[moves], timing)
    sharing = sharing_of(timing, facts[:, BUSY].copy(), facts[:, DESCRIPTOR_WORK].copy())
    facts[:, LIMITED] = sharing.limited
    facts[:, ENGINE_WORK] = tables.dma[:, WORK]
    facts[:, WORKED] = _worked(timing, slots[FIRST], slot)
    facts[:, SLOT], facts[:, TURN] = slot, tables.rows[:, OCCUPANCY]
    return facts, sharing


def _owners(timing: Timing) -> Ints:
    """For each row the last one up to it that completed when it did by its own latency."""
    tables = timing.program.tables
    completion = timing.hw.ns_to_ticks(timing.hw.dma_completion_ns)
    latency = np.where(tables.rows[:, KIND] == TRANSFER, completion, tables.rows[:, LATENCY])
    own = timing.end + latency == timing.visible
    return np.maximum.accumulate(np.where(own, np.arange(len(own)), 0))


def _before(timing: Timing, slot: Ints) -> Ints:
    tables = timing.program.tables
    works = tables.rows[:, KIND] != LOAD
    upto = np.maximum.accumulate(np.where(works, np.arange(len(works)), -1))
    before = np.concatenate([[-1], upto[:-1]]) if len(upto) else upto
    return np.where(before >= tables.slots[FIRST][slot], before, -1)


def _busy_causes(program: Program, words: Words, timing: Timing, stream: Ints) -> Ints:
    kind = timing.program.tables.rows[:, KIND]
    engine = np.array([*map(int, ENGINE_CAUSES), int(Cause.CONTROL)])
    busy = engine[np.minimum(stream, FIRST_QUEUE)]
    busy[np.isin(bits(words, 0, 0, 8), CONTROL)] = Cause.CONTROL
    busy[kind == LOAD] = Cause.STATIONARY
    return np.where(kind == TRANSFER, rates(program, words, timing), busy)


def _descriptor_work(words: Words, timing: Timing) -> Ints:
    """Engine time for descriptors alone, whatever they move."""
    costs = StreamCosts(words, FIRST_QUEUE, timing.hw)
    count = costs.dma.descriptors
    return engine_work(count, np.zeros_like(count), timing.hw)


def _worked(timing: Timing, first: Ints, slot: Ints) -> Ints:
    """Ticks that each row's stream was busy before it; loads of weights are not counted."""
    works = timing.program.tables.rows[:, KIND] != LOAD
    spent = np.where(works, timing.end - timing.start, 0)
    total = np.concatenate([[0], np.cumsum(spent)])
    return total[:-1] - total[first[slot]] if len(slot) else total[:-1]
