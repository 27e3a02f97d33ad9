"""Costs as columns are the declarations' own, instruction by instruction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isa.dtypes import DType
from isa.encoding import encode_all
from isa.hardware import load_target
from isa.instructions.dma import DmaCopy
from isa.instructions.dma_v2 import DmaAccumulate, DmaGather
from isa.memory import DRAM, SBUF, Engine
from isa.spec import REGISTRY, Instruction, ScalarField
from isa.tiles import Column, DmaTile, Tile, contiguous
from isa.timing import WORK_SCALE, StreamCosts, dram_ticks
from tests.strategies import instructions_of

INF1, TRN1 = load_target("inf1"), load_target("trn1")
KINDS = sorted(REGISTRY.values(), key=lambda kind: kind.opcode)


def well_formed(step: Instruction) -> bool:
    """Whether no column stands where only an immediate may, and its time is a number of 64 bits."""
    immediates = [n for n, s in step.fields.items() if isinstance(s, ScalarField) and not s.column]
    if any(isinstance(getattr(step, name), Column) for name in immediates):
        return False
    return int(step.occupancy(TRN1)) < 1 << 56


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.mnemonic)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_occupancy_in_columns_is_that_of_each_instruction(
    kind: type[Instruction], data: Any
) -> None:
    steps = data.draw(st.lists(instructions_of(kind).filter(well_formed), min_size=1, max_size=4))
    stream = int(min(kind.engines))
    costs = StreamCosts(encode_all(steps), stream, TRN1)
    cycles = TRN1.ticks_per_cycle(stream)
    assert costs.occupancy.tolist() == [int(s.occupancy(TRN1)) * cycles for s in steps]
    assert (costs.occupancy > 0).all()


def test_latency_is_that_of_the_engine_for_what_writes_memory() -> None:
    for kind in KINDS:
        words = np.zeros((1, 16), np.uint64)
        words[0, 0] = kind.opcode
        for engine in kind.engines - {Engine.DMA}:
            latency = StreamCosts(words, int(engine), TRN1).latency[0]
            full = TRN1.latency(engine) * TRN1.ticks_per_cycle(engine)
            assert latency in (0, full)
            if kind.mnemonic in ("nop", "load_stationary", "branch"):
                assert latency == 0
            if kind.mnemonic in ("matmul", "activation", "tensor_copy", "iota"):
                assert latency == full


def sbuf(size_bytes: int) -> DmaTile:
    return DmaTile(SBUF, 0, DType.UINT8, contiguous(size_bytes), partitions=128)


def dram(*nums: int) -> DmaTile:
    return DmaTile(DRAM, 0, DType.UINT8, contiguous(*nums))


def test_the_work_of_a_copy() -> None:
    work = StreamCosts(encode_all([DmaCopy(sbuf(4096), dram(128, 4096))]), 5, INF1).dma
    assert (work.descriptors[0], work.size_bytes[0]) == (128, 524288)
    assert (work.read_bytes[0], work.written_bytes[0]) == (524288, 0)
    assert work.engine_work[0] == (128 * 25 + 128000) * WORK_SCALE
    assert work.alone_ticks(INF1)[0] == -(-131200 // 12)


def test_adding_to_dram_reads_it_too() -> None:
    work = StreamCosts(encode_all([DmaAccumulate(dram(128, 64), sbuf(64))]), 5, TRN1).dma
    assert (work.read_bytes[0], work.written_bytes[0]) == (8192, 8192)


def test_of_a_gathered_table_the_rows_moved_count() -> None:
    table = DmaTile(DRAM, 0, DType.FP32, ((256, 30000), (0, 1), (0, 1), (0, 1), (1, 256)))
    rows = Tile(SBUF, 0, 64, 0, DType.FP32, contiguous(256))
    gather = DmaGather(table, rows, Column(SBUF, 0, 4096, DType.INT32))
    work = StreamCosts(encode_all([gather]), 5, TRN1).dma
    assert (work.descriptors[0], work.read_bytes[0]) == (64, 64 * 1024)


def test_dram_time_rounds_up() -> None:
    assert dram_ticks(50 * 1024**3, INF1) - 10**9 in range(0, 60_000)
    assert dram_ticks(1, INF1) == 1
