"""Timing: what a run did and when, as arrays and sums."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from isa.hardware import Hardware
from isa.memory import FIRST_QUEUE, Engine
from simulator.timing import state
from simulator.timing.tables import KIND, LOAD, Ints, TimingProgram


class Cause(IntEnum):
    """Why an instruction did not start as soon as its stream allowed: what it last waited for."""

    NOTHING = state.NOTHING
    SEMAPHORE = state.SEMAPHORE
    RESULT = state.RESULT  # of an earlier instruction of its own stream
    WEIGHTS = state.WEIGHTS  # the stationary tile was still being loaded
    TABLE = state.TABLE_LOADING  # an activation table was being loaded
    DMA_START = state.DMA_START  # from trigger to first byte
    PORT = 6  # the other engine held the SBUF or PSUM port


@dataclass(frozen=True)
class Timing:
    """A core's run. Arrays have a row an instruction, streams one after the other; times in ticks.

    Attributes:
        program: what ran; `program.rows(stream)` are a stream's rows.
        ready: when all but a port was there; of a DMA, its trigger.
        start, end: while it keeps its engine busy; of a DMA, while its data move.
        visible: when its result can be read and its signal leaves.
        wait: start less the earliest time that the stream itself allowed.
        cause: `Cause` of the wait up to `ready` (of a DMA, up to `start`); start - ready of a
            compute instruction is the wait for a port.
        cause_row: the row it waited for, -1 where there is none.
    """

    program: TimingProgram
    ready: Ints
    start: Ints
    end: Ints
    visible: Ints
    wait: Ints
    cause: Ints
    cause_row: Ints

    @property
    def hw(self) -> Hardware:
        """The target."""
        return self.program.hw

    @cached_property
    def total_ticks(self) -> int:
        """When the last instruction has completed."""
        return int(self.visible.max(initial=0))

    @property
    def cycles(self) -> int:
        """The same in cycles of the base clock, rounded up."""
        return -(-self.total_ticks // (self.hw.ticks_per_s // self.hw.base_clock_hz))

    @property
    def time_s(self) -> float:
        """The same in seconds."""
        return self.total_ticks / self.hw.ticks_per_s

    @cached_property
    def busy_ticks(self) -> dict[int, int]:
        """By stream, ticks in which it worked: of PE multiplying, of a queue moving data."""
        return {s: int(self._durations(s).sum()) for s in self.program.streams}

    @cached_property
    def load_ticks(self) -> int:
        """Ticks in which PE loaded stationary tiles, hidden or not."""
        rows = self.program.rows(Engine.TENSOR)
        loads = self.program.tables.rows[rows, KIND] == LOAD
        return int((self.end[rows] - self.start[rows])[loads].sum())

    def _durations(self, stream: int) -> Ints:
        rows = self.program.rows(stream)
        worked = self.program.tables.rows[rows, KIND] != LOAD
        return np.where(worked, self.end[rows] - self.start[rows], 0)

    def waits(self, stream: int) -> dict[Cause, int]:
        """By cause, ticks that a stream stood idle in front of its instructions.

        Together with `busy_ticks` they are the time until the stream's last instruction has ended
        (of PE: until its last matmul has). A wait for a stationary load counts as `WEIGHTS` for as
        long as the load took, and what the load itself waited for beyond that under its cause.
        """
        rows = self.program.rows(stream)
        counts = self.program.tables.rows[rows, KIND] != LOAD
        wait = np.where(counts, self.wait[rows], 0)
        port = np.zeros_like(wait)
        if stream < FIRST_QUEUE:
            port = np.where(counts, self.start[rows] - self.ready[rows], 0)
        cause, idle = self.cause[rows], wait - port
        by_cause = np.zeros(len(Cause), np.int64)
        held = np.flatnonzero((cause == Cause.WEIGHTS) & (idle > 0))
        load = self.cause_row[rows][held]
        late = np.maximum(0, idle[held] - (self.end[load] - self.start[load]))
        idle[held] -= late
        why = np.where(self.cause[load] == Cause.NOTHING, Cause.WEIGHTS, self.cause[load])
        np.add.at(by_cause, why, late)
        np.add.at(by_cause, cause, idle)
        by_cause[Cause.PORT] += port.sum()
        return {cause: int(by_cause[cause]) for cause in Cause if by_cause[cause]}

    @property
    def dram_read_bytes(self) -> int:
        """Bytes that DMA read from DRAM."""
        return int(self.program.read_bytes.sum())

    @property
    def dram_written_bytes(self) -> int:
        """Bytes that DMA wrote to DRAM."""
        return int(self.program.written_bytes.sum())


def timing_of(program: TimingProgram, record: Ints, first: int) -> Timing:
    """A core's part of the record, whose first row is the chip's row `first`."""
    cause_row = record[:, state.CAUSE_ROW]
    return Timing(
        program,
        ready=record[:, state.READY],
        start=record[:, state.BEGUN],
        end=record[:, state.ENDED],
        visible=record[:, state.VISIBLE],
        wait=record[:, state.WAIT],
        cause=record[:, state.CAUSE],
        cause_row=cause_row - first * (cause_row >= 0) if first else cause_row,
    )
