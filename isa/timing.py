"""Costs as columns, derived from the declarations: what simulator and scheduler both read.

In    the words of one stream, uint64 [n, 16]
Out   for each instruction its occupancy and latency in ticks, its DMA work, the ports it touches
Read  `docs/timing.md` for how the simulator puts them together

Engine time of a DMA is fixed point: `WORK_SCALE` units are one engine for one tick, so that equal
shares of engines are whole numbers and every machine computes the same times.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import isa.instructions  # noqa: F401  (fills the registry)
from isa.activation.functions import FACTS, ActivationFunction
from isa.columns import BoolColumn, Columns, IntColumn, Words, by_kind
from isa.errors import IllegalError
from isa.footprints import operands
from isa.hardware import Hardware
from isa.instructions.dma import descriptors
from isa.memory import DRAM, FIRST_QUEUE, PSUM, SBUF
from isa.spec import BitsField, DmaField, Instruction, Role

WORK_SHIFT = 20
WORK_SCALE = 1 << WORK_SHIFT
"""Units of engine time in one engine-tick."""

_MOST_WORK = 1 << 62

_SET_OF = np.array(
    [int(FACTS[f].group) if f in FACTS else 0 for f in map(ActivationFunction, range(len(FACTS)))]
)
"""Activation table set by function code."""


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

    @property
    def traffic(self) -> IntColumn:
        """DRAM bytes that go with an engine-tick, in `WORK_SCALE`-ths, never too few. Shape [n]."""
        dram = self.read_bytes + self.written_bytes
        exact = dram * float(WORK_SCALE) * WORK_SCALE / np.maximum(self.engine_work, 1)
        return np.where(dram > 0, exact.astype(np.int64) + 1, 0)

    def alone_ticks(self, hw: Hardware) -> IntColumn:
        """Ticks of the data transfer when no other uses the engines or DRAM. Shape [n]."""
        engines = np.maximum(1, np.minimum(hw.dma_engines, self.descriptors))
        busy = -(-self.engine_work // (engines << WORK_SHIFT))
        dram: IntColumn = dram_ticks(self.read_bytes + self.written_bytes, hw)
        return np.maximum(busy, dram)


class StreamCosts:
    """Every cost of one stream's instructions, shape [n] each, worked out when asked for."""

    def __init__(self, words: Words, stream: int, hw: Hardware) -> None:
        self.n, self.stream, self.hw = len(words), stream, hw
        self.kinds = list(by_kind(words))

    @cached_property
    def occupancy(self) -> IntColumn:
        """Ticks for which each instruction keeps its engine from the next.

        For a DMA it is the interval between two triggers of its queue.
        """
        cycles = np.zeros(self.n, np.int64)
        for _, index, columns in self.kinds:
            cycles[index] = columns.occupancy(self.hw)
        return cycles * self.hw.ticks_per_cycle(self.stream)

    @cached_property
    def latency(self) -> IntColumn:
        """Ticks from the end of its occupancy until an instruction's result can be read.

        Instructions that write no memory (control, loads of the stationary tile) have none; nor
        has a DMA here, whose completion is counted from the end of its data.
        """
        ticks = np.zeros(self.n, np.int64)
        for kind, index, _ in self.kinds:
            if writes_memory(kind):
                ticks[index] = self.hw.latency(self.stream) * self.hw.ticks_per_cycle(self.stream)
        return ticks

    @cached_property
    def table_sets(self) -> IntColumn:
        """The activation table set that each instruction needs; 0 when it needs none."""
        sets = np.zeros(self.n, np.int64)
        for kind, index, columns in self.kinds:
            spec = kind.fields.get("function")
            if isinstance(spec, BitsField) and spec.enum is ActivationFunction:
                codes: IntColumn = columns.function
                sets[index] = _SET_OF[np.minimum(codes, len(_SET_OF) - 1)]
        return sets

    @cached_property
    def touches(self) -> tuple[BoolColumn, BoolColumn]:
        """Whether each instruction reads or writes (SBUF, PSUM)."""
        sbuf, psum = np.zeros(self.n, bool), np.zeros(self.n, bool)
        for _, index, columns in self.kinds:
            for operand in operands(columns):
                sbuf[index] |= operand.present & (operand.memory == SBUF)
                psum[index] |= operand.present & (operand.memory == PSUM)
        return sbuf, psum

    @cached_property
    def dma(self) -> DmaWork:
        """The DMA work. A kind may bring its own `descriptors(self, hw)`, else those of a copy.

        Raises IllegalError SYS-M001 for a transfer that would take longer than the clock can count.
        """
        count, size, read, written = (np.zeros(self.n, np.int64) for _ in range(4))
        for kind, index, columns in self.kinds:
            if not moves_data(kind):
                continue
            own = getattr(kind, "descriptors", None)
            each: IntColumn
            count[index], each = (own or descriptors)(columns, self.hw)
            size[index] = count[index] * each
            written[index] = _dram_bytes(columns, Role.RESULT, size[index])
            read[index] = _dram_bytes(columns, Role.SOURCE, size[index])
            read[index] += np.where(_adds(columns), written[index], 0)
        return DmaWork(count, size, read, written, engine_work(count, size, self.hw))


def occupancy_ticks(words: Words, stream: int, hw: Hardware) -> IntColumn:
    """As `StreamCosts.occupancy`."""
    return StreamCosts(words, stream, hw).occupancy


def latency_ticks(words: Words, stream: int, hw: Hardware) -> IntColumn:
    """As `StreamCosts.latency`."""
    return StreamCosts(words, stream, hw).latency


def dma_work(words: Words, hw: Hardware) -> DmaWork:
    """As `StreamCosts.dma`."""
    return StreamCosts(words, FIRST_QUEUE, hw).dma


def writes_memory(kind: type[Instruction]) -> bool:
    """Whether instructions of a kind have a result in memory."""
    return any(
        not isinstance(spec, BitsField) and spec.role is Role.RESULT
        for spec in kind.fields.values()
    )


def moves_data(kind: type[Instruction]) -> bool:
    """Whether instructions of a kind give the DMA engines work."""
    return any(isinstance(spec, DmaField) for spec in kind.fields.values())


def engine_work(count: IntColumn, size_bytes: IntColumn, hw: Hardware) -> IntColumn:
    """Engine time of `count` descriptors that move `size_bytes` in all, in `WORK_SCALE`-ths.

    Raises IllegalError SYS-M001 when it is more than the clock can count.
    """
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


def dram_ticks(size_bytes: Any, hw: Hardware) -> Any:
    """Ticks that DRAM needs for so many bytes at its full rate, rounded up. Columnar."""
    a_byte = -(-(hw.ticks_per_s << WORK_SHIFT) // hw.dram_bytes_per_s)
    return -(-size_bytes * a_byte // WORK_SCALE)


def _adds(columns: Columns) -> Any:
    """Which DMAs add to their destination, and so read it. Columnar."""
    if "accumulate" in columns.kind.fields:
        return columns.accumulate
    keeps: Any = columns.kind.keeps_result
    return keeps(columns)


def _dram_bytes(columns: Columns, role: Role, size_bytes: IntColumn) -> IntColumn:
    """DRAM bytes read, or written. Of a table under an index only the rows moved count."""
    total = np.zeros(len(columns), np.int64)
    indexed = "index" in columns.kind.fields
    for name, spec in columns.kind.fields.items():
        if isinstance(spec, DmaField) and spec.role is role:
            end: Any = getattr(columns, name)
            moved = size_bytes if indexed else end.elements * end.size_bytes
            total += np.where(end.present & (end.memory == DRAM), moved, 0)
    return total
