"""The memories an operand can name, and the streams that can name them."""

from __future__ import annotations

from enum import IntEnum


class Memory(IntEnum):
    """An address space. The value is its encoding."""

    DRAM = 0  # flat bytes; reached by DMA only
    SBUF = 1  # 128 partitions of `sbuf_partition_bytes`
    PSUM = 2  # 128 partitions of 8 banks of 2 KiB; FP32 accumulators


DRAM, SBUF, PSUM = Memory.DRAM, Memory.SBUF, Memory.PSUM


class Engine(IntEnum):
    """What executes a stream. Compute streams are numbered by it; DMA queue i is stream DMA + i."""

    TENSOR = 0
    SCALAR = 1
    VECTOR = 2
    GPSIMD = 3
    SYNC = 4
    DMA = 5

    @property
    def short_name(self) -> str:
        """The name that profiles use (neuron-facts 2.6): PE, ACT, DVE, POOL, SP; q for queues."""
        return ("PE", "ACT", "DVE", "POOL", "SP", "q")[self]


FIRST_QUEUE = int(Engine.DMA)


def stream_name(stream: int) -> str:
    """`PE`, `ACT`, `DVE`, `POOL`, `SP`, then `q0`, `q1`, ..."""
    if stream < FIRST_QUEUE:
        return Engine(stream).short_name
    return f"q{stream - FIRST_QUEUE}"


def stream_number(name: str) -> int:
    """The inverse of `stream_name`. Raises ValueError for a name that is none."""
    for engine in Engine:
        if engine is not Engine.DMA and engine.short_name == name:
            return int(engine)
    if name.startswith("q") and name[1:].isdigit():
        return FIRST_QUEUE + int(name[1:])
    raise ValueError(name)


def engine_of(stream: int) -> Engine:
    """The engine that executes a stream."""
    return Engine(min(stream, FIRST_QUEUE))
