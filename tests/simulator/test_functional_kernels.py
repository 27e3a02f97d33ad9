"""The parts of the fast simulator, each held to the specification bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from isa.alu import ARITHMETIC, BIT_VECTOR, AluOp
from isa.alu_reference import apply, apply_bits
from isa.alu_reference import fold as reference_fold
from isa.dtypes import DType, from_fp32, to_fp32
from isa.hardware import load_target
from isa.memory import DRAM, PSUM, SBUF
from isa.state import State
from isa.tiles import DmaTile, Tile
from simulator.functional.alu import combine, combine_bits, fold
from simulator.functional.conversions import narrow, widen
from simulator.functional.patterns import (
    NUMS,
    OPERAND_COLUMNS,
    PARTITIONS,
    STEPS,
    copy,
    gather,
    scatter,
)
from simulator.functional.simulator import memories_of
from simulator.functional.stages import reduce
from simulator.functional.table import join_dimensions
from tests.simulator.random_programs import SPECIAL, awkward_words

Words = NDArray[np.uint32]
UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32}
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # Python warns where Numba is off


def awkward(n: int, seed: int = 3) -> Words:
    """Special values beside random words, and each special value's neighbours."""
    rng = np.random.default_rng(seed)
    near = np.concatenate([SPECIAL, SPECIAL + np.uint32(1), SPECIAL - np.uint32(1)])
    return np.concatenate([near, awkward_words(rng, n)])


@pytest.mark.parametrize("dtype", DType)
def test_rounding_to_a_type_is_the_specified_one(dtype: DType) -> None:
    words = awkward(3000)
    expected = from_fp32(words.view(np.float32), dtype).view(UNSIGNED[dtype.size_bytes])
    narrow(int(dtype), words, len(words))
    assert np.array_equal(words, expected.astype(np.uint32))


@pytest.mark.parametrize("dtype", DType)
def test_every_stored_pattern_widens_as_specified(dtype: DType) -> None:
    size = dtype.size_bytes
    words = awkward(3000) if size == 4 else np.arange(1 << 8 * size, dtype=np.uint32)
    expected = to_fp32(words.astype(UNSIGNED[size]).view(dtype.numpy), dtype)
    if dtype is DType.BF16:
        words = words << np.uint32(16)
    widen(int(dtype), words, len(words))
    found = words.view(np.float32)
    both_nan = np.isnan(found) & np.isnan(expected)
    assert np.all((words == expected.view(np.uint32)) | both_nan)


@pytest.mark.parametrize("op", ARITHMETIC)
def test_arithmetic_operators_are_the_specified_ones(op: AluOp) -> None:
    values = np.concatenate(
        [SPECIAL, np.array([64, -64, 65, 0.5, -3, 2], np.float32).view(np.uint32)]
    )
    rng = np.random.default_rng(int(op))
    a = np.concatenate([np.repeat(values, len(values)), awkward_words(rng, 2000)]).view(np.float32)
    b = np.concatenate([np.tile(values, len(values)), awkward_words(rng, 2000)]).view(np.float32)
    out = np.empty_like(a)
    combine(int(op), a, b, out, len(a))
    found = out.view(np.uint32)
    narrow(int(DType.FP32), found, len(found))
    assert np.array_equal(found, apply(op, a, b).view(np.uint32))


@pytest.mark.parametrize("width", [8, 16, 32])
def test_bit_operators_are_the_specified_ones(width: int) -> None:
    rng = np.random.default_rng(width)
    kind = UNSIGNED[width // 8]
    a = rng.integers(0, 2**width, 600, dtype=np.uint64).astype(kind)
    b = np.concatenate([np.arange(40), rng.integers(0, 2**width, 560, dtype=np.uint64)]).astype(
        kind
    )
    for op in (AluOp.BYPASS, *BIT_VECTOR):
        out = np.empty(600, np.uint32)
        combine_bits(int(op), a.astype(np.uint32), b.astype(np.uint32), out, 600, width)
        assert np.array_equal(out, apply_bits(op, a, b)), op.name


@pytest.mark.parametrize("op", [AluOp.ADD, AluOp.MULTIPLY, AluOp.MAX, AluOp.MIN])
@pytest.mark.parametrize("rows", [1, 4, 7])
def test_reductions_keep_the_order(op: AluOp, rows: int) -> None:
    values = awkward_words(np.random.default_rng(rows), rows * 33).view(np.float32)
    out = np.empty(rows, np.float32)
    reduce(int(op), False, values, rows, 33, out)
    table = values.reshape(rows, 33)
    expected = reference_fold(op, table[:, 0], table[:, 1:])
    assert np.array_equal(out, expected, equal_nan=True)
    assert np.array_equal(np.signbit(out[out == 0]), np.signbit(expected[expected == 0]))
    one = fold(int(op), values[0], values, 1, 1, 32)
    assert np.array_equal(one, expected[0], equal_nan=True)


def operand_row(tile: Tile | DmaTile, pitch_bytes: int, *, join: bool = True) -> NDArray[np.int64]:
    """A tile as an operand row."""
    size = tile.dtype.size_bytes
    pitch = 0 if tile.memory is DRAM else pitch_bytes // size
    row: NDArray[np.int64] = np.zeros((1, OPERAND_COLUMNS), np.int64)
    row[0, :7] = [
        int(tile.memory),
        int(tile.dtype),
        size,
        tile.start * pitch + tile.address // size,
        pitch,
        tile.partitions,
        tile.free,
    ]
    pad = 5 - len(tile.nums)
    row[0, NUMS : NUMS + 5] = [1] * pad + list(tile.nums)
    row[0, STEPS : STEPS + 5] = [0] * pad + list(tile.steps)
    if join:
        join_dimensions(row)
    return row.reshape(-1)


WALKS = [
    ((1, 60),),
    ((12, 5), (1, 12)),
    ((1, 5), (5, 12)),
    ((-7, 3), (0, 4), (2, 5)),
    ((0, 4), (15, 3), (1, 5)),
    ((30, 2), (3, 10), (1, 3)),
    ((0, 1),),
]


def at(walk: tuple[tuple[int, int], ...], dtype: DType) -> int:
    """An address from which a walk stays inside."""
    low = sum(min(0, step * (num - 1)) for step, num in walk)
    return 64 - low * dtype.size_bytes


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("dtype", [DType.UINT8, DType.BF16, DType.FP32])
def test_elements_are_found_where_the_specification_has_them(
    walk: tuple[tuple[int, int], ...], dtype: DType
) -> None:
    hw = load_target("inf1")
    state = State(hw, 64)
    state.sbuf[:64, :1024] = np.random.default_rng(0).integers(0, 256, (64, 1024), np.uint8)
    tile = Tile(SBUF, 32, 5, at(walk, dtype), dtype, walk)
    memories, unsigned = memories_of(state), UNSIGNED[dtype.size_bytes]
    expected = state.read_raw(tile).view(unsigned).reshape(-1)
    for join in (True, False):
        row = operand_row(tile, hw.sbuf_partition_bytes, join=join)
        found = np.zeros(len(expected), np.uint32)
        gather(memories, row, found, 0)
        assert np.array_equal(found, expected)
    other = state.copy()
    values = np.arange(len(expected), dtype=np.uint32)
    raw = values.astype(unsigned).view(dtype.numpy).reshape(5, -1)
    other.write_raw(tile, raw)
    scatter(memories, operand_row(tile, hw.sbuf_partition_bytes), values)
    assert np.array_equal(state.sbuf, other.sbuf)


@pytest.mark.parametrize("source", WALKS[:6])
@pytest.mark.parametrize("target", [WALKS[0], WALKS[2], WALKS[5]])
def test_transfers_pair_elements_in_order(
    source: tuple[tuple[int, int], ...], target: tuple[tuple[int, int], ...]
) -> None:
    hw = load_target("inf1")
    state = State(hw, 4096)
    state.sbuf[:64, :1024] = np.random.default_rng(1).integers(0, 256, (64, 1024), np.uint8)
    src = DmaTile(SBUF, at(source, DType.BF16), DType.BF16, source, 3, 4)
    dst = DmaTile(DRAM, 64, DType.BF16, ((240, 4), *target))
    back = DmaTile(PSUM, 64, DType.BF16, ((1, 60),), 9, 4)
    memories = memories_of(state)
    other = state.copy()
    for to, of in ((dst, src), (back, dst)):
        other.dma_write(to, other.dma_read(of), DType.BF16)
        rows = [
            operand_row(t, 0 if t.memory is DRAM else hw.partition_bytes(t.memory))
            for t in (to, of)
        ]
        assert rows[0][PARTITIONS] == to.partitions
        copy(memories, *rows)
    assert np.array_equal(state.dram, other.dram)
    assert np.array_equal(state.psum, other.psum)
