"""Program -> TimingProgram: every fact that time depends on, worked out in columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.columns import bits
from isa.errors import TrapError
from isa.hardware import Hardware
from isa.memory import FIRST_QUEUE, Engine, stream_name
from isa.program import Program
from isa.spec import BY_MNEMONIC, REGISTRY, DmaField, Instruction
from isa.timing import (
    WORK_SCALE,
    WORK_SHIFT,
    dma_work,
    latency_ticks,
    occupancy_ticks,
    table_sets,
    touches,
)
from simulator.timing.hazards import writers
from simulator.timing.semaphores import resolve
from simulator.timing.tables import (
    DMA_COLUMNS,
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
        TrapError: SYS-R011 a semaphore overflows; SYS-R013 the program branches: its time depends
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
        if number >= FIRST_QUEUE:
            _fill_queue(words, number, hw, rows[here], dma[here], dram[here])
        else:
            _fill_engine(words, number, hw, rows[here])
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
            "SYS-R013",
            "a program is timed in the order in which it runs",
            found="a branch: which way it goes depends on registers",
            at=f"stream {stream_name(stream)}, instruction {int(at[0])}",
            hint="unroll the program first",
        )


def _fill_engine(words: Words, stream: int, hw: Hardware, rows: Ints) -> None:
    """Fill a compute stream's rows, all but the signallers; writers are counted from its first."""
    rows[:, OCCUPANCY] = occupancy_ticks(words, stream, hw)
    rows[:, LATENCY] = latency_ticks(words, stream, hw)
    rows[:, KIND] = _kinds(words, stream)
    if stream in (Engine.SCALAR, Engine.VECTOR, Engine.GPSIMD):
        rows[:, PORT] = _ports(words, stream, hw)
        rows[:, TABLE] = table_sets(words)
    rows[:, WRITER] = writers(words, stream, rows[:, OCCUPANCY], rows[:, LATENCY])


def _fill_queue(words: Words, stream: int, hw: Hardware, rows: Ints, dma: Ints, dram: Ints) -> None:
    """The same for a queue, with its DMA work and DRAM bytes (read, written)."""
    work = dma_work(words, hw)
    rows[:, OCCUPANCY] = occupancy_ticks(words, stream, hw)
    rows[:, KIND] = _kinds(words, stream)
    dma[:, WORK] = work.engine_work
    dma[:, WIDEST] = np.minimum(work.descriptors, hw.dma_engines) << WORK_SHIFT
    dma[:, TRAFFIC] = _traffic(work.read_bytes + work.written_bytes, work.engine_work)
    dram[:, 0], dram[:, 1] = work.read_bytes, work.written_bytes
    seen = np.where(rows[:, KIND] == TRANSFER, hw.ns_to_ticks(hw.dma_completion_ns), 0)
    rows[:, WRITER] = writers(words, stream, work.alone_ticks(hw), seen)


def _kinds(words: Words, stream: int) -> NDArray[np.int8]:
    """What each instruction is to the event loop, by opcode."""
    kind_of = np.full(256, ORDINARY, np.int8)
    for opcode, kind in REGISTRY.items():
        if kind.mnemonic == "load_stationary" and stream == Engine.TENSOR:
            kind_of[opcode] = LOAD
        elif stream >= FIRST_QUEUE and _moves(kind):
            kind_of[opcode] = TRANSFER
    kinds: NDArray[np.int8] = kind_of[bits(words, 0, 0, 8)]
    return kinds


def _moves(kind: type[Instruction]) -> bool:
    return any(isinstance(spec, DmaField) for spec in kind.fields.values())


def _ports(words: Words, stream: int, hw: Hardware) -> NDArray[np.int8]:
    """Bits of the ports that another engine may hold while the instruction wants them."""
    sbuf, psum = touches(words)
    port = np.zeros(len(words), np.int8)
    for touched, bit, (shared, *rivals) in (
        (psum, PSUM_PORT, PORTS[0]),
        (sbuf, SBUF_PORT, PORTS[1]),
    ):
        if getattr(hw, shared) and stream in rivals:
            port |= np.where(touched, bit, 0).astype(np.int8)
    return port


def _rivals(numbers: list[int], hw: Hardware, shared: str, one: Engine, other: Engine) -> Ints:
    """Slot that shares a port with each slot; the slot itself where none does."""
    rivals = np.arange(len(numbers))
    if getattr(hw, shared) and one in numbers and other in numbers:
        a, b = numbers.index(one), numbers.index(other)
        rivals[a], rivals[b] = b, a
    return rivals


def _traffic(dram_bytes: Ints, work: Ints) -> Ints:
    """DRAM bytes in an engine-tick, in WORK_SCALE-ths, never too few."""
    exact = dram_bytes * float(WORK_SCALE) * WORK_SCALE / np.maximum(work, 1)
    return np.where(dram_bytes > 0, exact.astype(np.int64) + 1, 0)
