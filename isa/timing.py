"""Costs as columns, derived from the declarations: what simulator and scheduler both read.

In    the words of one stream, uint64 [n, 16]
Out   for each instruction its occupancy and latency in ticks, its DMA work, the ports it touches
Read  `docs/timing.md` for how the simulator puts them together

Engine time of a DMA is fixed point: `WORK_SCALE` units are one engine for one tick, so that equal
shares of engines are whole numbers and every machine computes the same times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import isa.instructions  # noqa: F401  (fills the registry)
from isa.activation.functions import FACTS, ActivationFunction
from isa.columns import BoolColumn, Columns, IntColumn, Words, by_kind
from isa.errors import IllegalError
from isa.footprints import operands
from isa.hardware import Hardware
from isa.instructions.dma import descriptors
from isa.memory import DRAM, PSUM, SBUF
from isa.spec import BitsField, DmaField, Instruction, Role

WORK_SHIFT = 20
WORK_SCALE = 1 << WORK_SHIFT
"""Units of engine time in one engine-tick."""

_MOST_WORK = 1 << 62


def occupancy_ticks(words: Words, stream: int, hw: Hardware) -> IntColumn:
    """Ticks for which each instruction keeps its engine from the next. Shape [n].

    For a DMA it is the interval between two triggers of its queue.
    """
    ticks = np.zeros(len(words), np.int64)
    for _, index, columns in by_kind(words):
        ticks[index] = columns.occupancy(hw)
    return ticks * hw.ticks_per_cycle(stream)


def latency_ticks(words: Words, stream: int, hw: Hardware) -> IntColumn:
    """Ticks from the end of its occupancy until an instruction's result can be read. Shape [n].

    Instructions that write no memory (control, loads of the stationary tile) have none.
    """
    ticks = np.zeros(len(words), np.int64)
    for kind, index, _ in by_kind(words):
        if writes_memory(kind):
            ticks[index] = hw.latency(stream) * hw.ticks_per_cycle(stream)
    return ticks


def writes_memory(kind: type[Instruction]) -> bool:
    """Whether instructions of a kind have a result in memory."""
    return any(
        not isinstance(spec, BitsField) and spec.role is Role.RESULT
        for spec in kind.fields.values()
    )


def table_sets(words: Words) -> IntColumn:
    """The activation table set that each instruction needs; 0 when it needs none. Shape [n]."""
    groups = np.zeros(1 + max(ActivationFunction), np.int64)
    for function, facts in FACTS.items():
        groups[function] = int(facts.group)
    sets = np.zeros(len(words), np.int64)
    for kind, index, columns in by_kind(words):
        spec = kind.fields.get("function")
        if isinstance(spec, BitsField) and spec.enum is ActivationFunction:
            codes = columns.function
            sets[index] = groups[np.minimum(codes, len(groups) - 1)]
    return sets


def touches(words: Words) -> tuple[BoolColumn, BoolColumn]:
    """Whether each instruction reads or writes (SBUF, PSUM). Shape [n] each."""
    sbuf, psum = np.zeros(len(words), bool), np.zeros(len(words), bool)
    for _, index, columns in by_kind(words):
        for operand in operands(columns):
            sbuf[index] |= operand.present & (operand.memory == SBUF)
            psum[index] |= operand.present & (operand.memory == PSUM)
    return sbuf, psum


@dataclass(frozen=True)
class DmaWork:
    """What each instruction asks of the DMA engines; zeros for one that moves nothing. [n] each.

    Attributes:
        descriptors: contiguous runs to move; at most as many engines work on the instruction.
        size_bytes: bytes moved (of a casting copy, those of its larger side).
        read_bytes: bytes read from DRAM.
        written_bytes: bytes written to DRAM.
        engine_work: engine time in all, in `WORK_SCALE`-ths of an engine-tick.
    """

    descriptors: IntColumn
    size_bytes: IntColumn
    read_bytes: IntColumn
    written_bytes: IntColumn
    engine_work: IntColumn

    def alone_ticks(self, hw: Hardware) -> IntColumn:
        """Ticks of the data transfer when no other uses the engines or DRAM. Shape [n]."""
        engines = np.maximum(1, np.minimum(hw.dma_engines, self.descriptors))
        busy = -(-self.engine_work // (engines << WORK_SHIFT))
        dram: IntColumn = dram_ticks(self.read_bytes + self.written_bytes, hw)
        return np.maximum(busy, dram)


def dma_work(words: Words, hw: Hardware) -> DmaWork:
    """The DMA work of a queue's instructions. A kind may bring its own `descriptors` method.

    Raises IllegalError SYS-M001 for a transfer that would take longer than the clock can count.
    """
    n = len(words)
    count, size, read, written = (np.zeros(n, np.int64) for _ in range(4))
    for kind, index, columns in by_kind(words):
        if not any(isinstance(spec, DmaField) for spec in kind.fields.values()):
            continue
        own = getattr(kind, "descriptors", None)
        each: IntColumn
        count[index], each = (own or descriptors)(columns, hw)
        size[index] = count[index] * each
        read[index] = _dram_bytes(columns, Role.SOURCE)
        written[index] = _dram_bytes(columns, Role.RESULT)
    return DmaWork(count, size, read, written, engine_work(count, size, hw))


def engine_work(count: IntColumn, size_bytes: IntColumn, hw: Hardware) -> IntColumn:
    """Engine time of `count` descriptors that move `size_bytes` in all, in `WORK_SCALE`-ths."""
    scaled = hw.ticks_per_s << WORK_SHIFT
    a_descriptor = -(-hw.dma_descriptor_ns * scaled // 10**9)
    a_byte = -(-scaled // hw.dma_engine_bytes_per_s)
    most = int(count.max(initial=0)) * a_descriptor + int(size_bytes.max(initial=0)) * a_byte
    if most >= _MOST_WORK:
        raise IllegalError(
            "SYS-M001",
            "a transfer ends within the range of the clock",
            found=f"up to {int(size_bytes.max())} bytes in {int(count.max())} descriptors",
            hint="split the copy",
        )
    return count * a_descriptor + size_bytes * a_byte


def _dram_bytes(columns: Columns, role: Role) -> IntColumn:
    total = np.zeros(len(columns), np.int64)
    for name, spec in columns.kind.fields.items():
        if isinstance(spec, DmaField) and spec.role is role:
            end: Any = getattr(columns, name)
            total += np.where(end.present & (end.memory == DRAM), end.elements * end.size_bytes, 0)
    return total


def dram_ticks(size_bytes: Any, hw: Hardware) -> Any:
    """Ticks that DRAM needs for so many bytes at its full rate, rounded up. Columnar."""
    a_byte = -(-(hw.ticks_per_s << WORK_SHIFT) // hw.dram_bytes_per_s)
    return -(-size_bytes * a_byte // WORK_SCALE)
