"""Time, by discrete events at instruction grain: `prepare` a program, then `simulate` it.

    tables.py      what time depends on, as arrays: of a program, and of the machine
    prepare.py     program -> tables; semaphores.py and hazards.py work out who waits for whom
    loop.py        the event loop; streams.py, transfers.py and sharing.py are its parts
    result.py      Timing: what happened, as arrays and sums
    reference.py   the same machine in plain Python, for the tests; steps.py is what it reads

The model is in `docs/timing.md`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isa.hardware import Hardware
from simulator.timing.deadlock import deadlock, overflow
from simulator.timing.loop import run
from simulator.timing.prepare import prepare
from simulator.timing.result import Cause, Timing, timing_of
from simulator.timing.state import ROW, start_queues, start_record, start_state
from simulator.timing.tables import END, TimingProgram, machine_of, merge

__all__ = ["Cause", "Timing", "TimingProgram", "prepare", "simulate", "simulate_chip"]


def simulate(program: TimingProgram, hw: Hardware | None = None) -> Timing:
    """When each instruction of a core alone on its chip runs.

    Args:
        hw: the target; that of the program when None. Another one may differ in DRAM rate, DMA
            start-up and completion, semaphore latency and table load only: all else is already
            in the program's tables.
    Raises:
        TrapError: SYS-R010 a deadlock, with its cycle; SYS-R011 a semaphore overflows.
    """
    return simulate_chip([program], hw)[0]


def simulate_chip(programs: Sequence[TimingProgram], hw: Hardware | None = None) -> list[Timing]:
    """The same for several cores that start together and share a chip's DMA engines and DRAM.

    Semaphores are each core's own. Raises as `simulate`.
    """
    cores = list(programs)
    tables = merge(cores)
    n, cores_and_queues = len(tables.rows), len(cores) + tables.slots.shape[1]
    record, live = start_record(n), start_state(tables)
    row = run(
        tables.rows,
        tables.counted,
        tables.dma,
        machine_of(hw or cores[0].hw),
        live,
        record,
        start_queues(tables),
        np.zeros(1 + sum(p.semaphores for p in cores), np.int64),
        np.zeros((3, cores_and_queues), np.int64),
    )
    if row >= 0:
        raise overflow(cores[0].hw, tables, int(row))
    if (live[ROW] < live[END]).any():
        raise deadlock(cores, tables, live[ROW].tolist())
    last = np.cumsum([len(core) for core in cores])
    return [
        timing_of(core, record[end - len(core) : end], int(end) - len(core))
        for core, end in zip(cores, last, strict=True)
    ]
