"""What kind of work a row is, for colours and sums: a handful of classes over all opcodes."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from isa.memory import FIRST_QUEUE, Engine
from traces.trace import Trace


class WorkClass(IntEnum):
    """A class of work; the order is that of legends."""

    MATMUL = 0
    WEIGHTS = 1
    ACTIVATION = 2
    ARITHMETIC = 3
    MOVEMENT = 4
    DMA_READ = 5
    DMA_WRITE = 6
    DMA_LOCAL = 7
    CONTROL = 8

    @property
    def text(self) -> str:
        """As legends show it."""
        return _TEXTS[self]


_TEXTS = {
    WorkClass.MATMUL: "matmul",
    WorkClass.WEIGHTS: "weight load",
    WorkClass.ACTIVATION: "activation",
    WorkClass.ARITHMETIC: "vector arithmetic",
    WorkClass.MOVEMENT: "copy, fill, transpose",
    WorkClass.DMA_READ: "DMA from DRAM",
    WorkClass.DMA_WRITE: "DMA to DRAM",
    WorkClass.DMA_LOCAL: "DMA on chip",
    WorkClass.CONTROL: "control",
}
_MOVES = ("copy", "memset", "transpose", "shuffle", "fill", "gather", "select", "iota")
_CONTROLS = ("nop", "sem", "reg", "branch", "wait", "jump", "halt", "set_rng")


def work_classes(trace: Trace) -> NDArray[np.int8]:
    """The class of each row, int8 [n]."""
    e = trace.events
    of_opcode = np.array([_of_name(trace.mnemonic(code)) for code in range(256)], np.int8)
    found = of_opcode[e.opcode]
    plain = found != WorkClass.CONTROL
    on_pe = (e.stream == Engine.TENSOR) & plain & (found != WorkClass.WEIGHTS)
    found[on_pe] = WorkClass.MATMUL
    on_queue = (e.stream >= FIRST_QUEUE) & plain
    found[on_queue] = WorkClass.DMA_LOCAL
    found[on_queue & (e.read_bytes > 0)] = WorkClass.DMA_READ
    found[on_queue & (e.written_bytes > 0)] = WorkClass.DMA_WRITE
    return np.asarray(found, dtype=np.int8)


def _of_name(name: str) -> WorkClass:
    if name == "load_stationary":
        return WorkClass.WEIGHTS
    if name.startswith("activation"):
        return WorkClass.ACTIVATION
    if name.startswith(_CONTROLS):
        return WorkClass.CONTROL
    return WorkClass.MOVEMENT if any(m in name for m in _MOVES) else WorkClass.ARITHMETIC
