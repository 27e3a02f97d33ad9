"""Columns read from words what decoding gives one by one; footprints say what `execute` touches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.assembly import assemble
from isa.columns import Columns, DmaColumns, Header, ScalarColumns, TileColumns, by_kind
from isa.encoding import decode_all, encode_all
from isa.examples import legal_rows, streams_of
from isa.footprints import accesses, main_operand
from isa.hardware import load_target
from isa.memory import DRAM, PSUM, SBUF
from isa.spec import REGISTRY, BitsField, Instruction, ScalarField
from isa.tiles import Column, DmaTile, Immediate, Tile
from tests.strategies import instructions

KINDS = [REGISTRY[opcode] for opcode in sorted(REGISTRY)]
HW = load_target("trn2")


@settings(max_examples=150, deadline=None)
@given(st.lists(instructions, min_size=1, max_size=4))
def test_columns_hold_what_the_instructions_hold(several: list[Instruction]) -> None:
    words = encode_all(several)
    seen = 0
    for kind, index, columns in by_kind(words):
        for row, i in enumerate(index.tolist()):
            assert type(several[i]) is kind
            for name in kind.fields:
                assert_same(getattr(columns, name), row, getattr(several[i], name))
            seen += 1
    assert seen == len(several)


def same(column: object, row: int, value: object, *names: str) -> None:
    assert [getattr(column, n)[row] for n in names] == [getattr(value, n) for n in names]


def assert_same(column: object, row: int, value: object) -> None:
    if isinstance(column, TileColumns):
        assert bool(column.present[row]) == (value is not None)
        if isinstance(value, Tile | DmaTile):
            assert isinstance(column, DmaColumns) == isinstance(value, DmaTile)
            same(column, row, value, "memory", "start", "partitions", "address", "dtype")
            assert list(zip(column.steps[row], column.nums[row], strict=True)) == list(value.dims)
            assert column.size_bytes[row] == value.dtype.size_bytes
            if value.free < 1 << 62 and isinstance(value, Tile):
                assert (column.free[row], column.low[row], column.high[row]) == (
                    value.free, value.low, value.high)  # fmt: skip
    elif isinstance(column, ScalarColumns):
        assert bool(column.present[row]) == (value is not None)
        assert bool(column.is_immediate[row]) == isinstance(value, Immediate)
        assert bool(column.is_column[row]) == isinstance(value, Column)
        if isinstance(value, Immediate):
            assert column.immediate_bits[row] == value.bits
        elif isinstance(value, Column):
            same(column, row, value, "memory", "start", "address", "dtype")
    else:
        assert isinstance(column, np.ndarray)
        assert column[row] == value


@settings(max_examples=50, deadline=None)
@given(instructions)
def test_the_header_holds_waits_and_signal(instruction: Instruction) -> None:
    h = Header(encode_all([instruction]))
    waits = [(int(s), int(v)) for on, s, v in zip(
        h.wait_on[0], h.wait_semaphore[0], h.wait_value[0], strict=True) if on]  # fmt: skip
    assert waits == [(w.semaphore, w.value) for w in instruction.waits]
    signal = instruction.signal
    assert bool(h.signal_on[0]) == (signal is not None)
    if signal is not None:
        assert (h.signal_semaphore[0], h.signal_amount[0]) == (signal.semaphore, signal.amount)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.mnemonic)
def test_costs_of_columns_are_those_of_instructions(kind: type[Instruction]) -> None:
    words = legal_rows(kind, streams_of(kind, HW)[0], HW, seed=4, n=20)
    together = np.broadcast_to(kind.occupancy(Columns(words, kind), HW), len(words))  # type: ignore[arg-type]  # columns stand in for an instruction
    alone = [int(np.asarray(i.occupancy(HW)).reshape(-1)[0]) for i in decode_all(words)]
    assert together.tolist() == alone
    assert min(alone) > 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.mnemonic)
def test_footprints_are_the_operands(kind: type[Instruction]) -> None:
    words = legal_rows(kind, streams_of(kind, HW)[0], HW, seed=5, n=10)
    found = accesses(words, HW)
    for i, instruction in enumerate(decode_all(words)):
        mine = np.flatnonzero(found.instruction == i)
        assert found.is_write[mine].tolist() == sorted(found.is_write[mine].tolist())
        expected = sorted(operand_accesses(instruction))
        boxes = zip(
            found.is_write[mine].tolist(), found.memory[mine].tolist(), found.start[mine].tolist(),
            found.partitions[mine].tolist(), found.low[mine].tolist(), found.high[mine].tolist(),
            strict=True,
        )  # fmt: skip
        assert sorted(boxes) == expected


def operand_accesses(instruction: Instruction) -> list[tuple[bool, int, int, int, int, int]]:
    """(write, memory, start, partitions, low, high) of every operand in memory."""
    kind = type(instruction)
    made = []
    keeps = bool(np.all(instruction.keeps_result()))
    for name, spec in kind.fields.items():
        value = getattr(instruction, name)
        if isinstance(spec, BitsField) or value is None or isinstance(value, Immediate):
            continue
        if isinstance(spec, ScalarField):
            partitions = getattr(instruction, main_operand(kind)).partitions
            box = (value.start, partitions, value.address, value.address + value.dtype.size_bytes)
        else:
            box = (value.start, value.partitions, value.low, value.high)
        is_write = spec.role.name == "RESULT"
        made.append((is_write, int(value.memory), *box))
        if is_write and keeps:
            made.append((False, int(value.memory), *box))
    return made


def test_an_accumulating_matmul_reads_its_result() -> None:
    words = assemble(
        ".stream PE\n"
        "matmul psum:fp32[0..64 @0x40; 8], sbuf:bf16[0..128 @0x0; 4, 2:5], start\n"
        "matmul psum:fp32[0..64 @0x40; 8], sbuf:bf16[0..128 @0x0; 4, 2:5]\n"
    ).streams[0]
    found = accesses(words, HW)
    assert found.instruction.tolist() == [0, 0, 1, 1, 1]
    assert found.is_write.tolist() == [False, True, False, False, True]
    assert found.memory.tolist() == [SBUF, PSUM, PSUM, SBUF, PSUM]
    assert found.steps[0].tolist() == [0, 0, 0, 2, 5]
    assert (found.low[0], found.high[0]) == (0, 2 * (3 * 2 + 5 + 1))
    assert found.of(PSUM).sum() == 3
    assert not found.of(DRAM).any()
    assert found.elements.tolist() == [8] * 5


def test_a_column_is_as_many_partitions_as_the_main_operand() -> None:
    words = assemble(
        ".stream DVE\n"
        "tensor_scalar sbuf:fp32[0..32 @0x0; 8], sbuf:fp32[32..64 @0x100; 8], "
        "sbuf:fp32[64.. @0x40], op0=add\n"
    ).streams[2]
    found = accesses(words, HW)
    assert found.start.tolist() == [32, 64, 0]
    assert found.partitions.tolist() == [32, 32, 32]
    assert (found.low[1], found.high[1]) == (0x40, 0x44)


def test_a_stream_without_instructions_accesses_nothing() -> None:
    assert len(accesses(np.zeros((0, 16), np.uint64), HW)) == 0
