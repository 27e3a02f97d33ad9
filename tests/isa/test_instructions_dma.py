"""DMA instructions, each by an example with its result written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isa.dtypes import BF16, FP32, INT32, UINT8, UINT32, DType
from isa.errors import TrapError
from isa.hardware import load_target
from isa.instructions.dma import DmaCopy
from isa.instructions.dma_v2 import (
    DmaAccumulate,
    DmaCompute,
    DmaGather,
    DmaScatter,
    DmaTranspose,
)
from isa.memory import DRAM, SBUF
from isa.tiles import UNIT, DmaTile, contiguous
from tests.isa.bench import Core, broken_rules, column, tile

QUEUE = 5


@pytest.fixture
def core() -> Core:
    return Core("trn1")


def dram(address: int, *nums: int, dtype: DType = FP32) -> DmaTile:
    return DmaTile(DRAM, address, dtype, contiguous(*nums))


def sbuf(address: int, partitions: int, *nums: int, dtype: DType = FP32, start: int = 0) -> DmaTile:
    return DmaTile(SBUF, address, dtype, contiguous(*nums), start, partitions)


def table(address: int, rows: int, columns: int, dtype: DType = FP32) -> DmaTile:
    return DmaTile(DRAM, address, dtype, ((columns, rows), UNIT, UNIT, UNIT, (1, columns)))


def fill(core: Core, place: DmaTile, values: Any) -> DmaTile:
    raw = np.asarray(values).reshape(-1).astype(place.dtype.numpy)
    core.state.dma_write(place, raw, place.dtype)
    return place


def held(core: Core, place: DmaTile) -> list[float]:
    found: list[float] = core.state.dma_read(place).astype(np.float64).tolist()
    return found


def test_a_copy_keeps_element_order_across_shapes(core: Core) -> None:
    src = fill(core, dram(0, 6), [1, 2, 3, 4, 5, 6])
    core.run(DmaCopy(sbuf(8, 3, 2), src))
    assert core.get(tile(8, 3, 2)) == [[1, 2], [3, 4], [5, 6]]
    columns_first = DmaTile(DRAM, 64, FP32, ((1, 3), (3, 2)))
    core.run(DmaCopy(columns_first, sbuf(8, 3, 2)))
    assert held(core, dram(64, 6)) == [1, 3, 5, 2, 4, 6]


def test_partitions_do_not_run_on_into_each_other(core: Core) -> None:
    end = core.hw.sbuf_partition_bytes - 4
    with pytest.raises(TrapError, match="SYS-R001"):
        core.run(DmaCopy(sbuf(end, 2, 2), dram(0, 4)))


def test_a_copy_casts_from_v2_and_never_on_v1(core: Core) -> None:
    src = fill(core, dram(0, 2), [257, 0.1])
    cast = DmaCopy(dram(64, 2, dtype=BF16), src)
    core.run(cast)
    assert held(core, dram(64, 2, dtype=BF16)) == [256, 0.10009765625]
    assert broken_rules(cast, load_target("inf1")) == ["dma_copy-C2"]


def test_bytes_copy_bit_for_bit(core: Core) -> None:
    fill(core, dram(0, 1, dtype=UINT32), [0x7F800001])
    core.run(DmaCopy(dram(64, 1), dram(0, 1)))
    assert core.state.dram[64:68].tolist() == [1, 0, 0x80, 0x7F]
    core.run(DmaCopy(dram(70, 3, dtype=UINT8), dram(1, 3, dtype=UINT8)))
    assert core.state.dram[70:73].tolist() == [0, 0x80, 0x7F]


def test_accumulation_adds_in_fp32_and_reads_its_result(core: Core) -> None:
    dst = fill(core, dram(0, 2, dtype=BF16), [256, 1])
    src = fill(core, dram(64, 2), [1.5, 2])
    add = DmaAccumulate(dst, src)
    core.run(add)
    assert held(core, dst) == [258, 3]
    assert add.keeps_result()
    assert 1 not in DmaAccumulate.generations


def test_up_to_sixteen_sources_are_summed_in_order(core: Core) -> None:
    src = fill(core, dram(0, 3, 2), [[2.0**24, 1], [1, 2], [1, 3]])
    core.run(DmaCompute(dram(64, 2), src, sources=3))
    assert held(core, dram(64, 2)) == [2.0**24, 6]
    many = DmaCompute(dram(512, 1), dram(0, 17), sources=17)
    assert broken_rules(many, core.hw) == ["dma_compute-C1"]


def test_a_transpose_permutes_its_axes(core: Core) -> None:
    src = fill(core, dram(0, 2, 3), [[1, 2, 3], [4, 5, 6]])
    core.run(DmaTranspose(sbuf(0, 3, 2), src))
    assert core.get(tile(0, 3, 2)) == [[1, 4], [2, 5], [3, 6]]
    cube = fill(core, dram(256, 2, 3, 4), np.arange(24))
    core.run(DmaTranspose(sbuf(0, 4, 3, 2), cube, rank=3))
    expected = np.arange(24).reshape(2, 3, 4).transpose(2, 1, 0).reshape(4, 6)
    assert core.get(tile(0, 4, 6)) == expected.tolist()
    four = fill(core, dram(512, 2, 3, 2, 2), np.arange(24))
    core.run(DmaTranspose(sbuf(0, 2, 12), four, rank=4))
    expected = np.arange(24).reshape(2, 3, 2, 2).transpose(3, 1, 2, 0).reshape(2, 12)
    assert core.get(tile(0, 2, 12)) == expected.tolist()


def test_a_transpose_takes_a_descriptor_an_element_before_v3() -> None:
    t = DmaTranspose(sbuf(0, 64, 64), dram(0, 64, 64))
    assert [int(x) for x in t.descriptors(load_target("trn1"))] == [4096, 4]
    count, size = t.descriptors(load_target("trn2"))
    assert int(np.ravel(count)[0]) * int(np.ravel(size)[0]) == 4096 * 4


def test_a_gather_takes_rows_by_index(core: Core) -> None:
    rows = table(0, 4, 2)
    fill(core, dram(0, 4, 2), [[0, 1], [10, 11], [20, 21], [30, 31]])
    core.put(tile(0, 3, 1, dtype=INT32), [[2], [0], [3]])
    dst = tile(64, 3, 2, dtype=BF16)
    core.run(DmaGather(rows, dst, column(0, INT32)), QUEUE)
    assert core.get(dst) == [[20, 21], [0, 1], [30, 31]]


def test_a_row_outside_the_table_is_a_fault_or_is_skipped(core: Core) -> None:
    rows = table(0, 4, 2)
    core.put(tile(0, 2, 1, dtype=INT32), [[-1], [4]])
    dst = core.put(tile(64, 2, 2), [[7, 7], [8, 8]])
    with pytest.raises(TrapError, match="SYS-R005"):
        core.run(DmaGather(rows, dst, column(0, INT32)), QUEUE)
    with pytest.raises(TrapError, match="SYS-R005"):
        core.run(DmaScatter(rows, dst, column(0, INT32)), QUEUE)
    core.run(DmaGather(rows, dst, column(0, INT32), skip=True), QUEUE)
    core.run(DmaScatter(rows, dst, column(0, INT32), skip=True), QUEUE)
    assert core.get(dst) == [[7, 7], [8, 8]]
    assert held(core, dram(0, 8)) == [0] * 8


def test_a_scatter_writes_or_adds_rows_in_order(core: Core) -> None:
    rows = table(0, 3, 2)
    core.put(tile(0, 3, 1, dtype=UINT32), [[2], [0], [2]])
    src = core.put(tile(64, 3, 2), [[1, 2], [3, 4], [5, 6]])
    core.run(DmaScatter(rows, src, column(0, UINT32)), QUEUE)
    assert held(core, dram(0, 6)) == [3, 4, 0, 0, 5, 6]
    core.run(DmaScatter(rows, src, column(0, UINT32), accumulate=True), QUEUE)
    assert held(core, dram(0, 6)) == [6, 8, 0, 0, 11, 14]


def test_rows_have_the_length_of_a_partition() -> None:
    gather = DmaGather(table(0, 4, 3), tile(0, 2, 2), column(64, INT32))
    assert broken_rules(gather, load_target("trn1")) == ["dma_gather-C1"]
