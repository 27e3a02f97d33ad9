"""Random programs for the timing tests: legal enough to be timed, and never in a deadlock.

They are written down as one sequence, in which an instruction waits only for signals in front of
it; so executing it in that order is always possible, whatever streams the instructions go to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.encoding import encode_all
from isa.hardware import Hardware
from isa.instructions.dma import DmaCopy
from isa.instructions.scalar import Activation
from isa.instructions.sync import Drain, Nop
from isa.instructions.tensor import LoadStationary, MultiplyMoving
from isa.instructions.vector import TensorReduce, TensorScalar, TensorTensor
from isa.memory import DRAM, PSUM, SBUF, Memory
from isa.program import Program
from isa.spec import Instruction, Signal, Wait
from isa.tiles import Column, DmaTile, Immediate, Tile, contiguous

PE, ACT, DVE, POOL, SP, Q0, Q1, Q2 = range(8)
FUNCTIONS = (ActivationFunction.RELU, ActivationFunction.EXP, ActivationFunction.GELU)


def tile(
    memory: Memory, address: int, free: int, dtype: DType = DType.FP32, partitions: int = 64
) -> Tile:
    """Partitions 0 to `partitions`, `free` elements in a row."""
    return Tile(memory, 0, partitions, address, dtype, contiguous(free))


def load(columns: int = 64, **header: Any) -> LoadStationary:
    """A load of so many stationary columns."""
    return LoadStationary(tile(SBUF, 0x4000, columns, DType.BF16), **header)


def multiply(free: int = 512, **header: Any) -> MultiplyMoving:
    """A matmul of so many moving columns."""
    moving = tile(SBUF, 0x5000, free, DType.BF16)
    return MultiplyMoving(tile(PSUM, 0, free), moving, start=True, **header)


def activate(
    to: Tile, of: Tile, function: ActivationFunction = ActivationFunction.RELU, **header: Any
) -> Activation:
    """An activation; `relu` needs no table."""
    return Activation(to, of, function=function, **header)


def copy_in(size_bytes: int, rows: int = 1, at: int = 0, **header: Any) -> DmaCopy:
    """DRAM to SBUF: `rows` descriptors of `size_bytes` each."""
    near = DmaTile(SBUF, at, DType.UINT8, contiguous(size_bytes), partitions=rows)
    far = DmaTile(DRAM, 0, DType.UINT8, ((2 * size_bytes, rows), (1, size_bytes)))
    return DmaCopy(near, far, **header)


def program(streams: Mapping[int, Sequence[Instruction]]) -> Program:
    """Encoded, by stream."""
    return Program({stream: encode_all(steps) for stream, steps in streams.items()})


def random_program(rng: Random, hw: Hardware, length: int, own_semaphores: bool) -> Program:
    """`length` instructions. With own semaphores each has one signaller, else some have several."""
    streams: dict[int, list[Instruction]] = {}
    given: Counter[int] = Counter()
    choices = [PE, PE, ACT, ACT, DVE, DVE, SP, Q0, Q1, Q2] + [POOL] * hw.has_gpsimd
    for _ in range(length):
        stream = rng.choice(choices)
        waits = tuple(
            Wait(s, rng.randint(0, given[s]))
            for s in rng.sample(range(8), 2)
            if rng.random() < 0.25
        )
        signal = None
        if rng.random() < 0.5:
            signal = Signal(stream if own_semaphores else rng.randrange(8), rng.randint(1, 3))
            given[signal.semaphore] += signal.amount
        step = _random_step(rng, stream)
        streams.setdefault(stream, []).append(_with(step, waits, signal))
    return program(streams)


def _with(step: Instruction, waits: tuple[Wait, ...], signal: Signal | None) -> Instruction:
    return replace(step, waits=waits, signal=signal)


def _random_step(rng: Random, stream: int) -> Instruction:
    if rng.random() < 0.15 or stream == SP:
        return Drain() if rng.random() < 0.2 else Nop()
    free = rng.choice((1, 16, 64, 100, 300))

    def operand() -> Tile:
        memory = SBUF if stream == POOL else rng.choice((SBUF, PSUM))
        return tile(memory, rng.choice((0, 512, 1024, 4096)), free)

    if stream == PE:
        return load(rng.choice((1, 32, 64))) if rng.random() < 0.5 else multiply(free)
    if stream == ACT:
        return activate(operand(), operand(), rng.choice(FUNCTIONS))
    if stream in (DVE, POOL):
        if rng.random() < 0.3:
            column = Column(SBUF, 0, rng.choice((0, 512)))
            return TensorScalar(operand(), operand(), column, Immediate.of(2.0), op0=AluOp.MULTIPLY)
        if rng.random() < 0.2 and stream == DVE:
            return TensorReduce(tile(SBUF, 0, 1), operand(), op=AluOp.ADD)
        return TensorTensor(operand(), tile(SBUF, rng.choice((0, 512)), free), operand())
    return _random_copy(rng)


def _random_copy(rng: Random) -> DmaCopy:
    size, rows = rng.choice((64, 500, 4096, 20000)), rng.choice((1, 3, 7, 64, 128))
    kind = rng.random()
    if kind < 0.5:
        return copy_in(size, rows, rng.choice((0, 1024)))
    if kind < 0.75:
        goal, source = (
            DmaTile(SBUF, rng.choice((0, 1024)), DType.UINT8, contiguous(size), partitions=rows)
            for _ in range(2)
        )
        return DmaCopy(goal, source)
    far = DmaTile(DRAM, 0, DType.UINT8, contiguous(rows, size))
    other = DmaTile(DRAM, 1 << 24, DType.UINT8, contiguous(rows, size))
    return DmaCopy(other, far)
