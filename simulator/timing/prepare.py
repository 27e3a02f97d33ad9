"""Program -> TimingProgram: every fact that time depends on, worked out in columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.columns import bits
from isa.errors import TrapError
from isa.hardware import Hardware
from isa.memory import FIRST_QUEUE, Engine, stream_name
from isa.program import Program
from isa.spec import BY_MNEMONIC
from isa.timing import WORK_SHIFT, StreamCosts, moves_data
from simulator.timing.hazards import writers
from simulator.timing.semaphores import resolve
from simulator.timing.tables import (
    DMA_COLUMNS,
    DRAIN,
    KIND,
    LATENCY,
    LOAD,
    OCCUPANCY,
    ORDINARY,
    PORT,
    PSUM_PORT,
    ROW_COLUMNS,
    SBUF_PORT,
    SIGNALLERS,
    TABLE,
    TRAFFIC,
    TRANSFER,
    WIDEST,
    WORK,
    WRITER,
    Ints,
    Tables,
    TimingProgram,
)

Words = NDArray[np.uint64]

PORTS = (
    ("psum_port_shared", Engine.SCALAR, Engine.VECTOR),
    ("sbuf_port_shared", Engine.VECTOR, Engine.GPSIMD),
)
"""Who excludes whom where the target says so: first on PSUM, then on SBUF."""


def prepare(program: Program, hw: Hardware) -> TimingProgram:
    """The timing tables of a program on a target. The program is legal (`isa.legality`).

    Raises:
        TrapError: SYS-R011 a semaphore overflows; SYS-R014 the program branches: its time depends
            on data, unroll it first.
        IllegalError: SYS-M001 a transfer longer than the clock can count.
    """
    numbers = sorted(s for s, words in program.streams.items() if len(words))
    streams = [program.streams[s] for s in numbers]
    if not streams:
        streams, numbers = [np.zeros((0, 16), np.uint64)], [int(Engine.SYNC)]
    firsts = np.cumsum([0, *(len(words) for words in streams)], dtype=np.int64)
    n = int(firsts[-1])
    rows, dma, dram = (np.zeros((n, k), np.int64) for k in (ROW_COLUMNS, DMA_COLUMNS, 2))
    for number, words, first in zip(numbers, streams, firsts.tolist(), strict=False):
        _straight(words, number)
        here = slice(first, first + len(words))
        costs = StreamCosts(words, number, hw)
        if number >= FIRST_QUEUE:
            _fill_queue(costs, rows[here], dma[here], dram[here])
        else:
            _fill_engine(costs, rows[here])
        rows[here, WRITER] += np.where(rows[here, WRITER] >= 0, first, 0)
    semaphores = resolve(streams, numbers, hw)
    rows[:, SIGNALLERS : SIGNALLERS + 2] = semaphores.signaller
    rivals = [_rivals(numbers, hw, *port) for port in PORTS]
    slots = np.stack(
        [firsts[:-1], firsts[1:], np.array(numbers), np.zeros(len(numbers), np.int64), *rivals]
    )
    return TimingProgram(
        hw=hw,
        tables=Tables(slots=slots, rows=rows, counted=semaphores.counted, dma=dma),
        semaphores=semaphores.used,
        wait_semaphore=semaphores.wait_semaphore,
        wait_value=semaphores.wait_value,
        read_bytes=dram[:, 0],
        written_bytes=dram[:, 1],
    )


def _straight(words: Words, stream: int) -> None:
    branch = BY_MNEMONIC.get("branch")
    if branch is None:
        return
    at = np.flatnonzero(bits(words, 0, 0, 8) == branch.opcode)
    if len(at):
        raise TrapError(
            "SYS-R014",
            "a program is timed in the order in which it runs",
            found="a branch: which way it goes depends on registers",
            at=f"stream {stream_name(stream)}, instruction {int(at[0])}",
            hint="unroll the program first",
        )


def _fill_engine(costs: StreamCosts, rows: Ints) -> None:
    """Fill a compute stream's rows, all but the signallers; writers are counted from its first."""
    rows[:, OCCUPANCY] = costs.occupancy
    rows[:, LATENCY] = costs.latency
    rows[:, KIND] = _kinds(costs)
    if costs.stream in (Engine.SCALAR, Engine.VECTOR, Engine.GPSIMD):
        rows[:, PORT] = _ports(costs)
        rows[:, TABLE] = costs.table_sets
    rows[:, WRITER] = writers(costs, costs.occupancy, costs.latency)


def _fill_queue(costs: StreamCosts, rows: Ints, dma: Ints, dram: Ints) -> None:
    """The same for a queue, with its DMA work and DRAM bytes (read, written)."""
    work, hw = costs.dma, costs.hw
    rows[:, OCCUPANCY] = costs.occupancy
    rows[:, KIND] = _kinds(costs)
    dma[:, WORK] = work.engine_work
    dma[:, WIDEST] = np.minimum(work.descriptors, hw.dma_engines) << WORK_SHIFT
    dma[:, TRAFFIC] = work.traffic
    dram[:, 0], dram[:, 1] = work.read_bytes, work.written_bytes
    seen = np.where(rows[:, KIND] == TRANSFER, hw.ns_to_ticks(hw.dma_completion_ns), 0)
    rows[:, WRITER] = writers(costs, work.alone_ticks(hw), seen)


def _kinds(costs: StreamCosts) -> Ints:
    """What each instruction is to the event loop."""
    kinds = np.full(costs.n, ORDINARY, np.int64)
    for kind, index, _ in costs.kinds:
        if kind.mnemonic == "load_stationary" and costs.stream == Engine.TENSOR:
            kinds[index] = LOAD
        elif costs.stream >= FIRST_QUEUE and moves_data(kind):
            kinds[index] = TRANSFER
        elif kind.mnemonic == "drain":
            kinds[index] = DRAIN
    return kinds


def _ports(costs: StreamCosts) -> Ints:
    """Bits of the ports that another engine may hold while the instruction wants them."""
    sbuf, psum = costs.touches
    port = np.zeros(costs.n, np.int64)
    for touched, bit, (shared, *rivals) in (
        (psum, PSUM_PORT, PORTS[0]),
        (sbuf, SBUF_PORT, PORTS[1]),
    ):
        if getattr(costs.hw, shared) and costs.stream in rivals:
            port |= np.where(touched, bit, 0)
    return port


def _rivals(numbers: list[int], hw: Hardware, shared: str, one: Engine, other: Engine) -> Ints:
    """Slot that shares a port with each slot; the slot itself where none does."""
    rivals = np.arange(len(numbers))
    if getattr(hw, shared) and one in numbers and other in numbers:
        a, b = numbers.index(one), numbers.index(other)
        rivals[a], rivals[b] = b, a
    return rivals
