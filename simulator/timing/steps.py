"""A program as the plain timing model reads it: decoded, with what each instruction touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isa.activation.functions import FACTS, ActivationFunction, ActivationSet
from isa.dtypes import SIZE_BY_CODE
from isa.encoding import decode_all
from isa.footprints import main_operand
from isa.hardware import Hardware
from isa.memory import FIRST_QUEUE
from isa.program import Program
from isa.spec import BitsField, Instruction, Role
from isa.tiles import Column, Immediate
from isa.timing import WORK_SCALE, dma_work, moves_data

Box = tuple[int, int, int, int, int]
"""memory, first partition, one past the last, first byte, one past the last"""


@dataclass
class Step:
    """An instruction and what became of it, in ticks."""

    instruction: Instruction
    reads: list[Box]
    writes: list[Box]
    work: int = 0
    widest: int = 0
    traffic: int = 0
    ready: int = -1
    start: int = -1
    end: int = -1
    visible: int = -1

    @property
    def moves(self) -> bool:
        """Whether it is a DMA."""
        return moves_data(type(self.instruction))


def steps_of(program: Program, number: int, hw: Hardware) -> list[Step]:
    """A stream's instructions, with their DMA work if it is a queue."""
    words = program.streams[number]
    steps = [Step(i, _boxes(i, number, False), _boxes(i, number, True)) for i in decode_all(words)]
    if number >= FIRST_QUEUE:
        work = dma_work(words, hw)
        for k, step in enumerate(steps):
            step.work = int(work.engine_work[k])
            step.widest = min(int(work.descriptors[k]), hw.dma_engines) * WORK_SCALE
            moved = int(work.read_bytes[k] + work.written_bytes[k])
            if moved:
                step.traffic = int(moved * float(WORK_SCALE) * WORK_SCALE / step.work) + 1
    return steps


def _boxes(instruction: Instruction, number: int, writes: bool) -> list[Box]:
    """Bounding boxes of what an instruction writes, or reads."""
    found = []
    for name, spec in instruction.fields.items():
        operand = getattr(instruction, name)
        if isinstance(spec, BitsField) or operand is None or isinstance(operand, Immediate):
            continue
        also_read = number >= FIRST_QUEUE and bool(instruction.keeps_result())
        if (spec.role is Role.RESULT) == writes or (not writes and also_read):
            found.append(_box(instruction, operand))
    return found


def _box(instruction: Instruction, operand: Any) -> Box:
    if isinstance(operand, Column):
        partitions = getattr(instruction, main_operand(type(instruction))).partitions
        low, high = operand.address, operand.address + int(SIZE_BY_CODE[operand.dtype])
    else:
        partitions, low, high = operand.partitions, operand.low, operand.high
    return int(operand.memory), operand.start, operand.start + partitions, low, high


def needed(earlier: list[Step], step: Step) -> list[Step]:
    """Earlier steps that write what this one reads."""
    return [s for s in earlier if any(_overlap(r, w) for r in step.reads for w in s.writes)]


def _overlap(a: Box, b: Box) -> bool:
    return a[0] == b[0] and a[1] < b[2] and b[1] < a[2] and a[3] < b[4] and b[3] < a[4]


def touches(step: Step, memory: int) -> bool:
    """Whether an operand of the step lies in a memory."""
    return any(box[0] == memory for box in (*step.reads, *step.writes))


def table_of(instruction: Instruction) -> ActivationSet:
    """The table set that must be loaded."""
    function = getattr(instruction, "function", None)
    if not isinstance(function, ActivationFunction):
        return ActivationSet.EVERY
    return FACTS[function].group
