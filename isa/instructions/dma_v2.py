"""What DMA queues do besides copying, from NeuronCore-v2 on: arithmetic, transposes, gathers.

Arithmetic is FP32 inside, with casts on both sides. Times follow from descriptors, as for copies.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.access import recast
from isa.alu import AluOp
from isa.alu_reference import apply
from isa.dtypes import FP32, INT32, UINT32, to_fp32
from isa.hardware import Hardware
from isa.instructions.costs import element_bytes
from isa.instructions.dma import contiguous_run
from isa.instructions.dma import descriptors as copy_descriptors
from isa.instructions.gpsimd import out_of_range
from isa.memory import DRAM, SBUF, Engine
from isa.spec import (
    DMA_RESULT_WORD,
    Instruction,
    dma_result,
    dma_source,
    flag,
    instruction,
    number,
    result,
    rule,
    scalar,
    source,
)
from isa.tiles import Column, DmaTile, Tile, padded

QUEUES = (Engine.DMA,)
V2 = (2, 3)
INDEX_DTYPES = frozenset({INT32, UINT32})
IN_DRAM, IN_SBUF = frozenset({DRAM}), frozenset({SBUF})
PERMUTATIONS = {2: (1, 0), 3: (2, 1, 0), 4: (3, 1, 2, 0)}


@instruction("dma_accumulate", opcode=0x61, engines=QUEUES, generations=V2)
class DmaAccumulate(Instruction):
    """dst := dst + src, elementwise in order, one FP32 addition each."""

    dst: DmaTile = dma_result()
    src: DmaTile = dma_source()

    @rule("dma_accumulate-C1")
    def as_many_elements(self, hw: Hardware) -> Any:
        """Source and destination have as many elements."""
        return self.dst.elements == self.src.elements

    def keeps_result(self) -> Any:
        return True

    def execute(self, state: Any) -> None:
        held = to_fp32(state.dma_read(self.dst), self.dst.dtype)
        added = to_fp32(state.dma_read(self.src), self.src.dtype)
        state.dma_write(self.dst, apply(AluOp.ADD, held, added), FP32)

    def occupancy(self, hw: Hardware) -> Any:
        return hw.control_interval


@instruction("dma_compute", opcode=0x62, engines=QUEUES, generations=V2)
class DmaCompute(Instruction):
    """dst := sum over s of src[s], elementwise, in order from the first, in FP32.

    src holds `sources` blocks one after the other in its order, so its outermost dimension counts
    them. (The documents let each source lie anywhere; an instruction of ours has one pattern.)
    """

    dst: DmaTile = dma_result()
    src: DmaTile = dma_source()
    sources: int = number(5, bit=0, default=1)

    @rule("dma_compute-C1")
    def up_to_sixteen(self, hw: Hardware) -> Any:
        """There are 1 to 16 sources."""
        return (self.sources >= 1) & (self.sources <= 16)

    @rule("dma_compute-C2")
    def as_many_elements(self, hw: Hardware) -> Any:
        """Each source has as many elements as the destination."""
        return self.dst.elements * self.sources == self.src.elements

    def execute(self, state: Any) -> None:
        terms = to_fp32(state.dma_read(self.src), self.src.dtype).reshape(self.sources, -1)
        total = terms[0]
        for term in terms[1:]:
            total = apply(AluOp.ADD, total, term)
        state.dma_write(self.dst, total, FP32)

    def descriptors(self, hw: Hardware) -> tuple[Any, Any]:
        """A descriptor for each contiguous run of the sources, cut to the destination's runs."""
        return copy_descriptors(self, hw)

    def occupancy(self, hw: Hardware) -> Any:
        return hw.control_interval


@instruction("dma_transpose", opcode=0x63, engines=QUEUES, generations=V2)
class DmaTranspose(Instruction):
    """dst := src with its axes permuted: 2-D [1,0], 3-D [2,1,0] or 4-D [3,1,2,0], bit exact.

    The source's last rank - 1 dimensions are axes, all in front of them is the first axis. Before
    NeuronCore-v3 each element takes a descriptor of its own, which is very slow.
    """

    dst: DmaTile = dma_result(memories=IN_SBUF)
    src: DmaTile = dma_source()
    rank: int = number(3, bit=0, default=2)

    @rule("dma_transpose-C1")
    def rank_in_range(self, hw: Hardware) -> Any:
        """The rank is 2, 3 or 4."""
        return (self.rank >= 2) & (self.rank <= 4)

    @rule("dma_transpose-C2")
    def same_elements(self, hw: Hardware) -> Any:
        """Source and destination have as many elements, of one data type."""
        return (self.dst.elements == self.src.elements) & (self.dst.dtype == self.src.dtype)

    def execute(self, state: Any) -> None:
        inner = self.src.nums[len(self.src.nums) - self.rank + 1 :]
        x = state.dma_read(self.src).reshape(-1, *inner)
        turned = np.ascontiguousarray(x.transpose(PERMUTATIONS[self.rank]))
        state.dma_write(self.dst, turned.reshape(-1), self.src.dtype)

    def descriptors(self, hw: Hardware) -> tuple[Any, Any]:
        """One an element before v3; from v3 on (assumed) as a copy of the source's runs."""
        if hw.generation < 3:
            return self.src.elements, element_bytes(self.src) + 0 * self.src.elements
        run = contiguous_run(np.atleast_2d(self.src.nums), np.atleast_2d(self.src.steps))
        size = run * element_bytes(self.src)
        pieces = -(-size // hw.dma_max_descriptor_bytes)
        return self.src.elements // run * pieces, -(-size // pieces)

    def occupancy(self, hw: Hardware) -> Any:
        return hw.control_interval


def row_descriptors(table: Any, tile: Any, hw: Hardware) -> tuple[Any, Any]:
    """One descriptor a row, or more for long ones: (count, bytes each) of a gather or scatter."""
    size = tile.free * np.maximum(element_bytes(table), element_bytes(tile))
    pieces = -(-size // hw.dma_max_descriptor_bytes)
    return tile.partitions * pieces, -(-size // pieces)


def row_of(state: Any, table: DmaTile, place: int) -> DmaTile:
    """Row `place` of a table whose outermost dimension counts its rows."""
    step, _ = table.dims[0]
    address = table.address + place * step * table.dtype.size_bytes
    return DmaTile(table.memory, address, table.dtype, padded(table.dims[1:], 4))


def places(state: Any, i: Any, partitions: int) -> list[int]:
    """The row numbers in an index column; raises TrapError SYS-R005 unless `skip` forgives."""
    rows = i.table.dims[0][1]
    found = [int(v) for v in state.column_integers(i.index, partitions)]
    for place in found:
        if not (0 <= place < rows or i.skip):
            raise out_of_range("row", place, rows)
    return found


@instruction("dma_gather", opcode=0x64, engines=QUEUES, generations=V2)
class DmaGather(Instruction):
    """dst[p, :] := table[index[p], :]; the table's outermost of five dimensions counts its rows.

    The whole table is the declared extent. With `skip`, a row number outside it leaves its
    partition alone; else it is a fault.
    """

    table: DmaTile = dma_source(at=DMA_RESULT_WORD, memories=IN_DRAM)
    dst: Tile = result(SBUF, slot="C")
    index: Column = scalar(0, immediate=False, dtypes=INDEX_DTYPES)
    skip: bool = flag(bit=0)

    @rule("dma_gather-C1")
    def a_row_a_partition(self, hw: Hardware) -> Any:
        """A row of the table has as many elements as a partition of the result."""
        return self.table.elements == rows_of(self.table) * self.dst.free

    def keeps_result(self) -> Any:
        return self.skip

    def execute(self, state: Any) -> None:
        y = state.read_raw(self.dst)
        for p, place in enumerate(places(state, self, self.dst.partitions)):
            if 0 <= place < self.table.dims[0][1]:
                row = state.dma_read(row_of(state, self.table, place))
                y[p] = recast(row, self.table.dtype, self.dst.dtype)
        state.write_raw(self.dst, y)

    def descriptors(self, hw: Hardware) -> tuple[Any, Any]:
        """One a row."""
        return row_descriptors(self.table, self.dst, hw)

    def occupancy(self, hw: Hardware) -> Any:
        return hw.control_interval


@instruction("dma_scatter", opcode=0x65, engines=QUEUES, generations=V2)
class DmaScatter(Instruction):
    """table[index[p], :] := src[p, :], or += with `accumulate`; partitions in order.

    The outermost of the table's five dimensions counts its rows; rows that no index names stay.
    With `skip`, a row number outside the table is passed over; else it is a fault.
    """

    table: DmaTile = dma_result(memories=IN_DRAM)
    src: Tile = source(SBUF, slot="C")
    index: Column = scalar(0, immediate=False, dtypes=INDEX_DTYPES)
    skip: bool = flag(bit=0)
    accumulate: bool = flag(bit=1)

    @rule("dma_scatter-C1")
    def a_row_a_partition(self, hw: Hardware) -> Any:
        """A row of the table has as many elements as a partition of the source."""
        return self.table.elements == rows_of(self.table) * self.src.free

    def keeps_result(self) -> Any:
        return True

    def execute(self, state: Any) -> None:
        x = state.read(self.src)
        raw = state.read_raw(self.src)
        for p, place in enumerate(places(state, self, self.src.partitions)):
            if not 0 <= place < self.table.dims[0][1]:
                continue
            row = row_of(state, self.table, place)
            if self.accumulate:
                held = to_fp32(state.dma_read(row), row.dtype)
                state.dma_write(row, apply(AluOp.ADD, held, x[p]), FP32)
            else:
                state.dma_write(row, raw[p], self.src.dtype)

    def descriptors(self, hw: Hardware) -> tuple[Any, Any]:
        """One a row."""
        return row_descriptors(self.table, self.src, hw)

    def occupancy(self, hw: Hardware) -> Any:
        return hw.control_interval


def rows_of(table: Any) -> Any:
    """Rows of a table: its outermost dimension."""
    return table.nums[..., 0] if isinstance(table.nums, np.ndarray) else table.nums[0]
