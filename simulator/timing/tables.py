"""What the event loop reads: a program's timing facts as arrays, one row an instruction.

Streams stand one after the other; stream number k of the tables (its *slot*) owns the rows
[FIRST, END) of its column in `slots`. Several cores are several groups of slots in one table. All
arrays are int64 with named columns, since the compiled loop passes plain arrays around fastest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.errors import IllegalError
from isa.hardware import Hardware
from isa.timing import WORK_SHIFT

Ints = NDArray[np.int64]

NEVER = -2
"""As a dependency: a wait that no signal ever satisfies. -1 is no dependency."""

# Columns of `Tables.rows`. Times in ticks.
OCCUPANCY, LATENCY = 0, 1
SIGNALLERS = 2  # and 3: rows whose signals satisfy the waits; -1, NEVER
WRITER = 4  # last earlier row of the stream that writes what this one reads; -1
KIND = 5  # ORDINARY, LOAD, TRANSFER, DRAIN
PORT = 6  # bits PSUM_PORT, SBUF_PORT
TABLE = 7  # activation table set; 0 for none
ROW_COLUMNS = 8

ORDINARY, LOAD, TRANSFER, DRAIN = range(4)
PSUM_PORT, SBUF_PORT = 1, 2

# Columns of `Tables.counted`: semaphores with several signallers, and cleared ones; -1 for none.
WAIT_SEMAPHORES, WAIT_VALUES = 0, 2  # and 1, 3
SIGNAL_SEMAPHORE, SIGNAL_AMOUNT, CLEAR_SEMAPHORE = 4, 5, 6
COUNTED_COLUMNS = 7

# Columns of `Tables.dma`; zeros but for transfers.
WORK = 0  # engine time, in isa.timing.WORK_SCALE-ths of an engine-tick
WIDEST = 1  # engines that can work on it, in WORK_SCALE-ths
TRAFFIC = 2  # DRAM bytes an engine-tick, in WORK_SCALE-ths
DMA_COLUMNS = 3

# Rows of `Tables.slots`, a column a slot.
FIRST, END, STREAM, CORE = range(4)
PSUM_RIVAL, SBUF_RIVAL = 4, 5  # slot that shares a port; the slot itself where none does
SLOT_ROWS = 6

# Entries of the machine's numbers: ticks, and WORK_SCALE-ths of engines and of bytes a tick.
SEMAPHORE_LATENCY, SEMAPHORE_MAX, TABLE_LOAD, DMA_START_UP, DMA_COMPLETION = range(5)
CORE_ENGINES, CHIP_ENGINES, DRAM_RATE = range(5, 8)


@dataclass(frozen=True)
class Tables:
    """A program, or the programs of several cores.

    Attributes:
        slots: [6, slots]. rows: [n, 8]. dma: [n, 3].
        counted: [n, 7], or [0, 7] when no semaphore has to be counted while running.
    """

    slots: Ints
    rows: Ints
    counted: Ints
    dma: Ints


@dataclass(frozen=True)
class TimingProgram:
    """The tables of one core's program, and what the report of a run wants besides.

    Attributes:
        hw: the target that the ticks are of.
        semaphores: one past the greatest that is counted while running.
        wait_semaphore, wait_value: the waits as written, -1 for none. Shapes [n, 2].
        read_bytes, written_bytes: DRAM bytes of each instruction. Shape [n].
    """

    hw: Hardware
    tables: Tables
    semaphores: int
    wait_semaphore: NDArray[np.int32]
    wait_value: Ints
    read_bytes: Ints
    written_bytes: Ints

    def __len__(self) -> int:
        return len(self.tables.rows)

    @property
    def streams(self) -> list[int]:
        """Stream numbers, in order."""
        streams: list[int] = self.tables.slots[STREAM].tolist()
        return streams

    def rows(self, stream: int) -> slice:
        """The rows of a stream; none for one that the program does not have."""
        if stream not in self.streams:
            return slice(0, 0)
        k = self.streams.index(stream)
        return slice(int(self.tables.slots[FIRST, k]), int(self.tables.slots[END, k]))


def merge(programs: list[TimingProgram]) -> Tables:
    """The tables of several cores as one: rows, slots and semaphores of each after the last's."""
    if len(programs) == 1:
        return programs[0].tables
    slots, rows, counted = [], [], []
    any_counted = any(len(p.tables.counted) for p in programs)
    row = slot = semaphore = 0
    for core, program in enumerate(programs):
        t = program.tables
        offsets = np.array([row, row, 0, core, slot, slot], np.int64)
        slots.append(t.slots + offsets[:, None])
        rows.append(_shifted(t.rows, (SIGNALLERS, SIGNALLERS + 1, WRITER), row))
        if any_counted:
            one = t.counted if len(t.counted) else no_counts(len(program))
            columns = (WAIT_SEMAPHORES, WAIT_SEMAPHORES + 1, SIGNAL_SEMAPHORE, CLEAR_SEMAPHORE)
            counted.append(_shifted(one, columns, semaphore))
        row, slot = row + len(program), slot + t.slots.shape[1]
        semaphore += program.semaphores
    return Tables(
        slots=np.concatenate(slots, axis=1),
        rows=np.concatenate(rows),
        counted=np.concatenate([no_counts(0), *counted]),
        dma=np.concatenate([p.tables.dma for p in programs]),
    )


def no_counts(n: int) -> Ints:
    """`Tables.counted` of rows that neither wait on counted semaphores nor signal them."""
    return np.tile(np.array([-1, -1, 0, 0, -1, 0, -1], np.int64), (n, 1))


def _shifted(table: Ints, columns: tuple[int, ...], offset: int) -> Ints:
    """A copy in which one core's row or semaphore numbers are the chip's; negative ones stay."""
    table = table.copy()
    for column in columns:
        table[:, column] += np.where(table[:, column] >= 0, offset, 0)
    return table


def machine_of(hw: Hardware) -> Ints:
    """The hardware's numbers as the event loop counts.

    Raises IllegalError SYS-M002 for rates whose product the loop's 64 bits cannot hold.
    """
    engines = hw.dma_engines << WORK_SHIFT
    fastest = max(hw.dram_bytes_per_s, hw.dma_engine_bytes_per_s) << WORK_SHIFT
    if engines * (1 + fastest // hw.ticks_per_s) >= 1 << 62:
        raise IllegalError(
            "SYS-M002",
            "DMA engines times bytes a tick is within the range of the clock",
            found=f"{hw.dma_engines} engines, {fastest >> WORK_SHIFT} bytes/s, "
            f"{hw.ticks_per_s} ticks/s",
            hint="the target's rates are far beyond its clocks: check their units",
        )
    return np.array(
        [
            hw.ns_to_ticks(hw.semaphore_latency_ns),
            hw.semaphore_max,
            hw.ns_to_ticks(hw.act_table_load_ns),
            hw.ns_to_ticks(hw.dma_start_ns),
            hw.ns_to_ticks(hw.dma_completion_ns),
            engines,
            hw.dma_engines_per_chip << WORK_SHIFT,
            (hw.dram_bytes_per_s << WORK_SHIFT) // hw.ticks_per_s,
        ],
        np.int64,
    )
