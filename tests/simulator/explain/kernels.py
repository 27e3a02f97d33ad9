"""Small programs in each of which one cause keeps the tensor engine waiting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from isa.alu import AluOp
from isa.dtypes import DType
from isa.encoding import encode_all
from isa.instructions.dma import DmaCopy
from isa.instructions.tensor import LoadStationary, MultiplyMoving
from isa.instructions.vector import TensorTensor
from isa.memory import DRAM, PSUM, SBUF
from isa.program import BufferKind, DramBuffer, Program
from isa.spec import Instruction, Signal, Wait
from isa.tiles import DmaTile, Tile, contiguous
from tests.simulator.timing_programs import ACT, DVE, PE, Q0, Q1, activate

BUFFER = 1 << 26
ROUNDS = 24


def tile(memory: Any, address: int, free: int, dtype: DType = DType.BF16) -> Tile:
    """All 128 partitions of SBUF, 64 of PSUM."""
    partitions = 128 if memory is SBUF else 64
    return Tile(memory, 0, partitions, address, dtype, contiguous(free))


def multiply(bank: int = 0, free: int = 512, at: int = 0x4000, **header: Any) -> MultiplyMoving:
    """A matmul into a PSUM bank, from SBUF at an address."""
    to = tile(PSUM, 2048 * bank, free, DType.FP32)
    return MultiplyMoving(to, tile(SBUF, at, free), start=True, stop=True, **header)


def drain_bank(bank: int, free: int = 512, to: int = 0x8000, **header: Any) -> Instruction:
    """ACT copies a bank to SBUF."""
    source = tile(PSUM, 2048 * bank, free, DType.FP32)
    return activate(Tile(SBUF, 0, 64, to, DType.BF16, contiguous(free)), source, **header)


def copy_in(size_bytes: int, at: int, rows: int = 128, far: int = 0, **header: Any) -> DmaCopy:
    """DRAM to SBUF: a run of bytes for each of `rows` partitions."""
    near = DmaTile(SBUF, at, DType.UINT8, contiguous(size_bytes), partitions=rows)
    source = DmaTile(DRAM, far, DType.UINT8, ((2 * size_bytes, rows), (1, size_bytes)))
    return DmaCopy(near, source, **header)


def of(streams: dict[int, list[Instruction]], kind: BufferKind = BufferKind.CONSTANT) -> Program:
    """A program whose DRAM is one buffer; its layers are the streams."""
    numbers = sorted(streams)
    return Program(
        {s: encode_all(streams[s]) for s in numbers},
        (DramBuffer("data", kind, 0, BUFFER),),
        {s: np.full(len(streams[s]), k, np.int32) for k, s in enumerate(numbers)},
        tuple(f"stream {s}" for s in numbers),
    )


def weights_stream(rounds: int = ROUNDS, size_bytes: int = 8192) -> Program:
    """Each round multiplies by weights that have just come; two buffers, DMA never rests."""
    loads: list[Instruction] = []
    work: list[Instruction] = []
    for i in range(rounds):
        waits = (Wait(PE, i - 1),) if i >= 2 else ()
        at = 0x8000 + size_bytes * (i % 2)
        loads.append(copy_in(size_bytes, at, waits=waits, signal=Signal(Q0, 1)))
        stationary = tile(SBUF, at, 64)
        work.append(LoadStationary(stationary, waits=(Wait(Q0, i + 1),)))
        work.append(multiply(i % 8, signal=Signal(PE, 1)))
    return of({PE: work, Q0: loads})


def one_buffer(
    rounds: int = ROUNDS, size_bytes: int = 1024, matmuls: int = 8, after: int = 0
) -> Program:
    """The same with one buffer: the next weights may not come before these have been used. `after`
    that there are as many matmuls by other weights."""
    loads: list[Instruction] = []
    work: list[Instruction] = []
    for i in range(rounds):
        waits = (Wait(PE, i),) if i else ()
        loads.append(copy_in(size_bytes, 0x8000, waits=waits, signal=Signal(Q0, 1)))
        work.append(LoadStationary(tile(SBUF, 0x8000, 64), waits=(Wait(Q0, i + 1),)))
        work += [multiply(k) for k in range(matmuls - 1)]
        work.append(multiply(7, signal=Signal(PE, 1)))
        if after:
            work.append(LoadStationary(tile(SBUF, 0x4000, 64)))
            work += [multiply(k % 8) for k in range(after)]
    return of({PE: work, Q0: loads})


def one_bank(rounds: int = ROUNDS, banks: int = 1, reads: int = 1) -> Program:
    """ACT empties each product `reads` times; the next one goes `banks` further."""
    work: list[Instruction] = []
    empties: list[Instruction] = []
    for i in range(rounds):
        waits = (Wait(ACT, i + 1 - banks),) if i >= banks else ()
        work.append(multiply(i % banks, waits=waits, signal=Signal(PE, 1)))
        for k in range(reads):
            waits = (Wait(PE, i + 1),) if k == 0 else ()
            signal = Signal(ACT, 1) if k == reads - 1 else None
            empties.append(drain_bank(i % banks, waits=waits, signal=signal))
    return of({PE: work, ACT: empties})


def ping_pong(rounds: int = ROUNDS) -> Program:
    """Each matmul multiplies what ACT made of the one before: a chain of tiny steps."""
    work: list[Instruction] = []
    acts: list[Instruction] = []
    for i in range(rounds):
        waits = (Wait(ACT, i),) if i else ()
        work.append(multiply(0, 64, at=0x8000, waits=waits, signal=Signal(PE, 1)))
        acts.append(drain_bank(0, 64, waits=(Wait(PE, i + 1),), signal=Signal(ACT, 1)))
    return of({PE: work, ACT: acts})


def vector_only(rounds: int = ROUNDS) -> Program:
    """DVE adds long tiles; one matmul at the end."""
    a, b = tile(SBUF, 0x8000, 2048), tile(SBUF, 0xA000, 2048)
    adds: list[Instruction] = [TensorTensor(a, a, b, op=AluOp.ADD) for _ in range(rounds - 1)]
    adds.append(TensorTensor(a, a, b, op=AluOp.ADD, signal=Signal(DVE, 1)))
    return of({PE: [multiply(at=0x8000, waits=(Wait(DVE, 1),))], DVE: adds})


def small_descriptors(size_bytes: int, rows: int, count: int = 4) -> Program:
    """A matmul waits for transfers of `rows` descriptors each."""
    copies: list[Instruction] = [
        copy_in(size_bytes, 0x8000, rows, signal=Signal(Q0, 1)) for _ in range(count)
    ]
    return of({PE: [multiply(at=0x8000, waits=(Wait(Q0, count),))], Q0: copies})


def two_queues() -> Program:
    """Two transfers at once, each a matmul's."""
    return of(
        {
            PE: [
                multiply(0, at=0x8000, waits=(Wait(Q0, 1),)),
                multiply(1, at=0xC000, waits=(Wait(Q1, 1),)),
            ],
            Q0: [copy_in(4096, 0x8000, signal=Signal(Q0, 1))],
            Q1: [copy_in(8192, 0xC000, far=1 << 22, signal=Signal(Q1, 1))],
        }
    )


def with_buffer(program: Program, kind: BufferKind) -> Program:
    """The program, its DRAM of another kind."""
    return replace(program, buffers=(DramBuffer("data", kind, 0, BUFFER),))
