"""The gpsimd engine's instructions, each by an example with its result written out."""

from __future__ import annotations

import numpy as np
import pytest

from isa.alu import AluOp
from isa.dtypes import BF16, FP32, INT8, INT32, UINT16, UINT32
from isa.errors import TrapError
from isa.instructions.gpsimd import (
    LocalGather,
    NGather,
    SequenceBounds,
    TensorPartitionReduce,
    TensorPower,
    TopK,
)
from isa.instructions.gpsimd_affine import AffineSelect, Iota
from isa.instructions.gpsimd_integer import IntegerTensorScalar, IntegerTensorTensor
from isa.memory import SBUF
from isa.tiles import Immediate, Tile, contiguous
from tests.isa.bench import Core, broken_rules, column, cycles, tile


@pytest.fixture
def core() -> Core:
    return Core("trn1")


def test_iota_counts_partitions_and_dimensions(core: Core) -> None:
    dst = tile(0, 2, 2, 3, dtype=INT32)
    core.run(Iota(dst, offset=-1, multiplier=100, step2=10, step3=1))
    assert core.get(dst) == [[-1, 0, 1, 9, 10, 11], [99, 100, 101, 109, 110, 111]]


def test_iota_wraps_then_fits_its_type(core: Core) -> None:
    wide, narrow, real = tile(0, 1, 2, dtype=INT32), tile(64, 1, 2, dtype=INT8), tile(128, 1, 2)
    for dst in (wide, narrow, real):
        core.run(Iota(dst, offset=2**31 - 1, step3=1))
    assert core.get(wide) == [[2**31 - 1, -(2**31)]]
    assert core.get(narrow) == [[127, -128]]
    assert core.get(real) == [[2.0**31, -(2.0**31)]]


def test_affine_selection_draws_a_triangle(core: Core) -> None:
    src, dst = core.put(tile(0, 3, 3), np.ones((3, 3))), tile(64, 3, 3)
    causal = AffineSelect(
        dst, src, Immediate.of(-9.0), AluOp.GREATER_EQUAL, multiplier=1, step3=-1
    )  # p - i >= 0
    core.run(causal)
    assert core.get(dst) == [[1, -9, -9], [1, 1, -9], [1, 1, 1]]
    sums = AffineSelect(dst, src, Immediate.of(0.0), AluOp.ADD)
    assert broken_rules(sums, core.hw) == ["affine_select-C2"]
    assert cycles(causal, core.hw) == 153


def test_sixteen_partitions_share_their_indices(core: Core) -> None:
    values = np.arange(32 * 8, dtype=np.float32).reshape(32, 8)
    src = core.put(tile(0, 32, 8), values)
    places = np.zeros((32, 2), np.uint16)
    places[0, 0], places[1, 0], places[0, 1] = 3, 1, 2  # the group's indices 0, 1 and 16
    places[16, 0] = 1
    index = core.put(tile(64, 32, 2, dtype=UINT16), places)
    dst = tile(128, 32, 34)
    core.run(LocalGather(dst, src, index, block=2, valid=17))
    found = np.array(core.get(dst))
    assert found[5, :4].tolist() == [46, 47, 42, 43]
    assert found[5, 32:].tolist() == [44, 45]
    assert found[20, :4].tolist() == [162, 163, 160, 161]
    core.put(index, np.full((32, 2), 4))
    with pytest.raises(TrapError, match="SYS-R005"):
        core.run(LocalGather(dst, src, index, block=2, valid=17))


def test_each_partition_gathers_with_its_own_indices(core: Core) -> None:
    src = core.put(tile(0, 2, 3, dtype=BF16), [[1, 2, 3], [4, 5, 6]])
    index = core.put(tile(64, 2, 2, dtype=UINT32), [[2, 0], [1, 1]])
    dst = tile(128, 2, 2, dtype=BF16)
    core.run(NGather(dst, src, index))
    assert core.get(dst) == [[3, 1], [5, 5]]
    core.put(index, [[3, 0], [0, 0]])
    with pytest.raises(TrapError, match="SYS-R005"):
        core.run(NGather(dst, src, index))


def test_partitions_reduce_to_one_row(core: Core) -> None:
    src, dst = core.put(tile(0, 4, 2), [[1, 8], [2, 7], [3, 6], [6, 5]]), tile(64, 1, 2)
    core.run(TensorPartitionReduce(dst, src))
    assert core.get(dst) == [[12, 26]]
    core.run(TensorPartitionReduce(dst, src, average=True))
    assert core.get(dst) == [[3, 6.5]]
    core.run(TensorPartitionReduce(dst, src, AluOp.MAX))
    assert core.get(dst) == [[6, 8]]
    bits = core.put(tile(0, 2, 1, dtype=UINT32), [[0xF0], [0xFF000080]])
    core.run(TensorPartitionReduce(tile(64, 1, 1, dtype=UINT32), bits, AluOp.AND))
    assert core.bits(tile(64, 1, 1, dtype=UINT32)) == [[0x80]]


def test_segments_have_bounds_and_padding_has_none(core: Core) -> None:
    src = core.put(tile(0, 1, 9, dtype=INT32), [[0, 1, 1, 2, 2, 2, 0, 3, 3]])
    dst = tile(64, 1, 18, dtype=INT32)
    core.run(SequenceBounds(dst, src))
    assert core.get(dst) == [[9, 1, 1, 3, 3, 3, 9, 7, 7, -1, 3, 3, 6, 6, 6, -1, 9, 9]]


def test_the_k_largest_come_in_ascending_order_along_the_snake(core: Core) -> None:
    rows = np.zeros((16, 2), np.float32)
    rows[3, 0], rows[2, 1], rows[0, 1] = 50, 40, 60  # elements 3, 29 and 31
    src = core.put(tile(0, 16, 2, dtype=BF16), rows)
    values, index = tile(64, 16, 1, dtype=BF16), tile(128, 16, 1, dtype=UINT32)
    core.run(TopK(values, src, index))
    assert [row[0] for row in core.get(values)] == [0] * 13 + [40, 50, 60]
    assert [row[0] for row in core.get(index)] == [*range(3), *range(4, 14), 29, 3, 31]
    assert cycles(TopK(values, src, index), core.hw) == 4 * 32 + 16


def test_power_of_two_tensors(core: Core) -> None:
    a, b = core.put(tile(0, 1, 3), [[2, 9, -2]]), core.put(tile(64, 1, 3), [[10, 0.5, 3]])
    core.run(TensorPower(a, a, b))
    assert core.get(a) == [[1024, 3, -8]]


# fmt: off
INTEGERS = [
    (AluOp.ADD, 2**31 - 1, 1, -(2**31)), (AluOp.SUBTRACT, -(2**31), 1, 2**31 - 1),
    (AluOp.MULTIPLY, 65537, 65537, 131073), (AluOp.MAX, -1, 1, 1), (AluOp.MIN, -1, 1, -1),
    (AluOp.LESS, -1, 0, 1), (AluOp.GREATER_EQUAL, -1, 0, 0), (AluOp.EQUAL, 2**24 + 1, 2**24, 0),
    (AluOp.XOR, -1, 1, -2), (AluOp.LEFT_SHIFT, 1, 31, -(2**31)), (AluOp.RIGHT_SHIFT, -1, 31, 1),
    (AluOp.RIGHT_SHIFT, -1, 32, 0), (AluOp.LEFT_SHIFT, 1, -1, 0), (AluOp.BYPASS, 7, 9, 7),
]
# fmt: on


@pytest.mark.parametrize(("op", "a", "b", "expected"), INTEGERS)
def test_native_integers_wrap(core: Core, op: AluOp, a: int, b: int, expected: int) -> None:
    x, y = core.put(tile(0, 1, 1, dtype=INT32), [[a]]), core.put(tile(64, 1, 1, dtype=INT32), [[b]])
    core.run(IntegerTensorTensor(tile(128, 1, 1, dtype=INT32), x, y, op))
    assert core.get(tile(128, 1, 1, dtype=INT32)) == [[expected]]
    core.run(IntegerTensorScalar(x, x, Immediate(b & 0xFFFFFFFF), op0=op))
    assert core.get(x) == [[expected]]


def test_unsigned_integers_compare_without_a_sign(core: Core) -> None:
    x = core.put(tile(0, 1, 2, dtype=UINT32), [[0xFFFFFFFF, 1]])
    core.put(tile(64, 1, 1, dtype=UINT32), [[2]])
    core.run(IntegerTensorScalar(x, x, column(64, UINT32), op0=AluOp.MIN))
    assert core.bits(x) == [[2, 1]]


def test_integer_scalars_swap_sides_in_order(core: Core) -> None:
    x = core.put(tile(0, 1, 2, dtype=INT32), [[3, 4]])
    ten, two = Immediate(10), Immediate(2)
    core.run(IntegerTensorScalar(x, x, ten, two, AluOp.SUBTRACT, AluOp.MULTIPLY, reverse0=True))
    assert core.get(x) == [[14, 12]]


def test_gathering_is_for_whole_groups() -> None:
    hw = Core("trn1").hw
    t = Tile(SBUF, 0, 8, 0, FP32, contiguous(8))
    index = Tile(SBUF, 0, 8, 64, UINT16, contiguous(1))
    gather = LocalGather(Tile(SBUF, 0, 8, 128, FP32, contiguous(3)), t, index, 3, 1)
    assert broken_rules(gather, hw) == ["local_gather-C1", "local_gather-C2"]
