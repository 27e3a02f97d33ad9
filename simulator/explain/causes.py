"""Why the tensor engine does not multiply: the causes between which its idle ticks are divided."""

from __future__ import annotations

from enum import IntEnum


class Cause(IntEnum):
    """What a tick of the tensor engine went to. The first one is work, all others are idle.

    The last two are causes of idle DMA engines only.
    """

    MULTIPLY = 0
    STATIONARY = 1
    WEIGHTS_RATE = 2
    INPUT_RATE = 3
    OUTPUT_RATE = 4
    SPILL_RATE = 5
    COPY_RATE = 6
    DESCRIPTORS = 7
    FEW_DESCRIPTORS = 8
    DMA_LATENCY = 9
    ACT = 10
    DVE = 11
    POOL = 12
    TABLE = 13
    PORT = 14
    PSUM_ROOM = 15
    SBUF_ROOM = 16
    DRAM_ORDER = 17
    SEMAPHORE = 18
    RESULT = 19
    CONTROL = 20
    DATA = 21
    NOTHING_LEFT = 22

    @property
    def key(self) -> str:
        """As JSON has it: `weights_rate`."""
        return self.name.lower()

    @property
    def text(self) -> str:
        """As people read it."""
        return TEXTS[self]


TEXTS = {
    Cause.MULTIPLY: "multiplying",
    Cause.STATIONARY: "loading weights into the array",
    Cause.WEIGHTS_RATE: "weights from DRAM: transfer rate",
    Cause.INPUT_RATE: "inputs from DRAM: transfer rate",
    Cause.OUTPUT_RATE: "outputs to DRAM: transfer rate",
    Cause.SPILL_RATE: "intermediate values through DRAM: transfer rate",
    Cause.COPY_RATE: "copies inside SBUF: transfer rate",
    Cause.DESCRIPTORS: "DMA: time per descriptor",
    Cause.FEW_DESCRIPTORS: "DMA: fewer descriptors than engines",
    Cause.DMA_LATENCY: "DMA: start and completion",
    Cause.ACT: "scalar engine busy",
    Cause.DVE: "vector engine busy",
    Cause.POOL: "GpSimd busy",
    Cause.TABLE: "activation table load",
    Cause.PORT: "memory port shared by two engines",
    Cause.PSUM_ROOM: "room in PSUM",
    Cause.SBUF_ROOM: "room in SBUF",
    Cause.DRAM_ORDER: "DRAM buffer still in use",
    Cause.SEMAPHORE: "semaphore latency",
    Cause.RESULT: "pipeline latency of an engine",
    Cause.CONTROL: "control instructions",
    Cause.DATA: "results not yet computed",
    Cause.NOTHING_LEFT: "nothing left to load",
}

ENGINE_CAUSES = (Cause.MULTIPLY, Cause.ACT, Cause.DVE, Cause.POOL, Cause.CONTROL)
"""What a stream's instructions are while they run, by stream number."""

LOADS = (Cause.WEIGHTS_RATE, Cause.INPUT_RATE)
"""Transfers that bring in what the model is given: they wait for no result."""

ROOM_CAUSES = (Cause.DRAM_ORDER, Cause.SBUF_ROOM, Cause.PSUM_ROOM)
"""By memory code: what an instruction waits for that may not overwrite yet."""


class Phase(IntEnum):
    """Where in the run: before the first matmul, between matmuls, after the last one."""

    START = 0
    MIDDLE = 1
    END = 2
