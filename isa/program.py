"""Program: one instruction stream an engine or queue, and the DRAM buffers they may touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from isa.dtypes import DType
from isa.memory import FIRST_QUEUE

Words = NDArray[np.uint64]


class BufferKind(Enum):
    """What a DRAM buffer holds. Constants are read-only; inputs and constants are written by the
    host before the program runs."""

    INPUT = "input"
    OUTPUT = "output"
    CONSTANT = "constant"
    SCRATCH = "scratch"


@dataclass(frozen=True)
class DramBuffer:
    """A named span of the program's DRAM window: bytes [address, address + size_bytes)."""

    name: str
    kind: BufferKind
    address: int
    size_bytes: int
    dtype: DType = DType.UINT8
    shape: tuple[int, ...] = ()

    @property
    def end(self) -> int:
        """One past its last byte."""
        return self.address + self.size_bytes


@dataclass(frozen=True)
class Program:
    """What a core executes.

    Attributes:
        streams: stream number (isa.memory) -> words, uint64 [n, 16].
        buffers: the DRAM window's buffers, in address order, none overlapping.
        debug: stream number -> int32 [n], an index into `layers` for each instruction; -1 for none.
        layers: names of the model's own layers.
        pinned: DMA instructions, uint64 [n, 16], that one queue runs once, when the program is
            loaded: constants to SBUF. The streams find those bytes written and leave them as they
            are, so that the program can run any number of times.
    """

    streams: dict[int, Words]
    buffers: tuple[DramBuffer, ...] = ()
    debug: dict[int, NDArray[np.int32]] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    pinned: Words = field(default_factory=lambda: np.zeros((0, 16), np.uint64), compare=False)

    @property
    def loading(self) -> Program:
        """What loading runs: the pinned transfers on the first queue, with constants alone."""
        constants = tuple(b for b in self.buffers if b.kind is BufferKind.CONSTANT)
        return Program({FIRST_QUEUE: self.pinned}, constants)

    @property
    def instructions(self) -> int:
        """Instructions of a run, all streams together."""
        return sum(len(words) for words in self.streams.values())

    @property
    def dram_bytes(self) -> int:
        """Size of the DRAM window."""
        return max((b.end for b in self.buffers), default=0)
