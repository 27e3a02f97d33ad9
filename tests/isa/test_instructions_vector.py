"""The vector engine's instructions, each by an example with its result written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isa.alu import AluOp, ReduceCommand
from isa.dtypes import BF16, FP16, FP32, INT8, INT32, UINT8, UINT16, UINT32
from isa.errors import TrapError
from isa.hardware import load_target
from isa.instructions.vector import (
    Memset,
    Reciprocal,
    ScalarTensorTensor,
    TensorCopy,
    TensorReduce,
    TensorScalar,
    TensorTensor,
)
from isa.instructions.vector_move import (
    LEAVE,
    Dropout,
    Rng,
    SetRngSeed,
    StreamShuffle,
    TensorCopyDynamicDst,
    TensorCopyDynamicSrc,
    VectorTranspose,
    shuffle_words,
)
from isa.instructions.vector_reduce import (
    BnAggr,
    BnStats,
    TensorScalarCumulative,
    TensorScalarReduce,
    TensorTensorScan,
)
from isa.instructions.vector_select import (
    FillPredicated,
    FindIndex8,
    MatchReplace8,
    Max8,
    SelectReduce,
    TensorCopyPredicated,
)
from isa.memory import PSUM, SBUF, Engine
from isa.tiles import Immediate, Tile
from tests.isa.bench import Core, broken_rules, column, cycles, tile

INF, NAN = math.inf, math.nan
ONE, TWO = Immediate.of(1.0), Immediate.of(2.0)


@pytest.fixture
def core() -> Core:
    return Core("trn1")


# --- elementwise ---------------------------------------------------------------------------------


def test_two_tensors_meet_elementwise_and_round_to_the_result(core: Core) -> None:
    a, b = (
        core.put(tile(0, 2, 2), [[1, 2], [3, 256]]),
        core.put(tile(64, 2, 2), [[10, 20], [30, 1]]),
    )
    dst = tile(128, 2, 2, dtype=BF16)
    core.run(TensorTensor(dst, a, b, AluOp.ADD))
    assert core.get(dst) == [[11, 22], [33, 256]]  # 257 is a tie in BF16: to even


def test_bit_vector_operators_do_not_cast(core: Core) -> None:
    a = core.put(tile(0, 1, 2, dtype=INT32), [[-1, 0x01234567]])
    b = core.put(tile(64, 1, 2, dtype=INT32), [[0x01234567, 0x0000FFFF]])
    core.run(TensorTensor(a, a, b, AluOp.AND))
    assert core.bits(a) == [[0x01234567, 0x4567]]


def test_scalars_apply_in_order_and_swap_sides(core: Core) -> None:
    src, dst = core.put(tile(0, 2, 2), [[1, 2], [3, 4]]), tile(64, 2, 2)
    core.put(tile(128, 2, 1), [[10], [20]])
    core.run(
        TensorScalar(dst, src, column(128), TWO, AluOp.SUBTRACT, AluOp.MULTIPLY, reverse0=True)
    )
    assert core.get(dst) == [[18, 16], [34, 32]]


def test_a_bit_vector_immediate_gives_its_low_bits(core: Core) -> None:
    src = core.put(tile(0, 1, 3, dtype=UINT8), [[0x81, 0x7F, 0x00]])
    shift = TensorScalar(
        src, src, Immediate(1), Immediate(0xFFFFFF0F), AluOp.RIGHT_SHIFT, AluOp.XOR
    )
    core.run(shift)
    assert core.bits(src) == [[0x40 ^ 0x0F, 0x3F ^ 0x0F, 0x0F]]


def test_bit_vector_and_arithmetic_do_not_mix() -> None:
    hw, t = load_target("inf1"), tile(0, 1, 4, dtype=INT32)
    mixed = TensorScalar(t, t, ONE, ONE, AluOp.AND, AluOp.ADD)
    assert broken_rules(mixed, hw) == ["tensor_scalar-C2"]
    floats = TensorScalar(tile(0, 1, 4), tile(0, 1, 4), ONE, op0=AluOp.AND)
    assert broken_rules(floats, hw) == ["tensor_scalar-C3"]
    fp32_column = TensorScalar(t, t, column(64), op0=AluOp.AND)
    assert broken_rules(fp32_column, hw) == ["tensor_scalar-C4"]
    assert broken_rules(TensorScalar(t, t, column(64, INT32), op0=AluOp.AND), hw) == []


def test_a_scalar_then_a_tensor(core: Core) -> None:
    x, y = core.put(tile(0, 1, 3), [[5, 6, 7]]), core.put(tile(64, 1, 3), [[1, 2, 3]])
    core.run(ScalarTensorTensor(x, x, y, Immediate.of(4.0), AluOp.SUBTRACT, AluOp.MULTIPLY))
    assert core.get(x) == [[1, 4, 9]]


def test_reduction_keeps_the_outer_dimensions_and_folds_in_order(core: Core) -> None:
    src = core.put(tile(0, 1, 2, 3), [[2.0**24, 1, 1, 1, 1, 2.0**24]])
    dst = tile(64, 1, 2)
    core.run(TensorReduce(dst, src, AluOp.ADD, 1))
    assert core.get(dst) == [[2.0**24, 2.0**24 + 2]]
    core.run(TensorReduce(tile(96, 1, 1), src, AluOp.MAX, 2, negate=True))
    assert core.get(tile(96, 1, 1)) == [[-(2.0**24)]]


def test_copy_between_equal_types_keeps_every_bit(core: Core) -> None:
    core.put(tile(0, 1, 2, dtype=UINT32), [[0x7F800001, 0xFFFFFFFF]])
    core.run(TensorCopy(tile(64, 1, 2), tile(0, 1, 2)))
    assert core.bits(tile(64, 1, 2)) == [[0x7F800001, 0xFFFFFFFF]]
    core.run(TensorCopy(tile(64, 1, 2, dtype=BF16), tile(0, 1, 2)))
    assert core.bits(tile(64, 1, 2, dtype=BF16)) == [[0x7FC0, 0x7FC0]]


def test_memset_converts_its_immediate(core: Core) -> None:
    core.run(Memset(tile(0, 2, 2, dtype=INT8), Immediate.of(300.0)))
    assert core.get(tile(0, 2, 2, dtype=INT8)) == [[127, 127], [127, 127]]


def test_reciprocal_is_correctly_rounded(core: Core) -> None:
    src = core.put(tile(0, 1, 4), [[3.0, -0.0, INF, 2.0**-127]])
    core.run(Reciprocal(src, src))
    assert core.get(src) == [[float(np.float32(1 / 3)), -INF, 0.0, 2.0**127]]


def test_repeated_result_elements_keep_the_last_write(core: Core) -> None:
    src = core.put(tile(0, 1, 4), [[1, 2, 3, 4]])
    core.run(TensorCopy(Tile(SBUF, 0, 1, 64, FP32, ((0, 2), (1, 2))), src))
    assert core.get(tile(64, 1, 2)) == [[3, 4]]


def test_inputs_are_read_before_the_result_is_written(core: Core) -> None:
    src = core.put(tile(0, 1, 4), [[1, 2, 3, 4]])
    core.run(TensorCopy(tile(4, 1, 4), src))
    assert core.get(tile(0, 1, 5)) == [[1, 1, 2, 3, 4]]


def test_fast_cases_cost_half() -> None:
    hw = load_target("trn1")
    bf16, fp32 = tile(0, 128, 256, dtype=BF16), tile(0, 128, 256)
    psum = tile(0, 128, 256, memory=PSUM)
    assert cycles(TensorTensor(bf16, bf16, bf16, AluOp.ADD), hw) == 256
    assert cycles(TensorTensor(bf16, bf16, bf16, AluOp.MAX), hw) == 512
    assert cycles(TensorTensor(fp32, fp32, psum, AluOp.MAX), hw) == 256
    assert cycles(TensorTensor(fp32, fp32, fp32, AluOp.ADD), hw) == 512
    assert cycles(Memset(bf16, Immediate.of(0.0)), hw) == 128
    assert cycles(Memset(bf16, ONE), hw) == 256
    assert cycles(TensorReduce(tile(0, 128, 1, dtype=BF16), bf16, AluOp.ADD), hw) == 128
    assert cycles(Reciprocal(fp32, fp32), hw) == 2048


def test_v3_takes_several_narrow_elements_a_cycle() -> None:
    v2, v3 = load_target("trn1"), load_target("trn2")
    narrow, wide = tile(0, 128, 1024, dtype=FP16), tile(0, 128, 1024)
    psum = tile(0, 128, 1024, dtype=FP16, memory=PSUM)
    strided = Tile(SBUF, 0, 128, 0, FP16, ((2, 1024),))
    for dst, src, expected in (
        (narrow, narrow, 256),
        (narrow, psum, 512),
        (psum, psum, 1024),
        (narrow, strided, 512),
        (narrow, wide, 1024),
    ):
        assert cycles(TensorCopy(dst, src), v3) == expected
        assert cycles(TensorCopy(dst, src), v2) == 1024
        assert cycles(TensorScalar(dst, src, ONE, op0=AluOp.ADD), v3) == expected
    assert cycles(TensorTensor(narrow, narrow, narrow, AluOp.MAX), v3) == 1024
    assert cycles(TensorTensor(narrow, narrow, narrow, AluOp.MAX), v2) == 2048


# --- accumulators, scans, statistics -------------------------------------------------------------


def test_a_row_reduction_starts_goes_on_and_loads(core: Core) -> None:
    src, dst = core.put(tile(0, 2, 3), [[1, 2, 3], [4, 5, 6]]), tile(64, 2, 3)
    sums = tile(128, 2, 1)
    core.run(TensorScalarReduce(dst, src, sums, TWO, op0=AluOp.MULTIPLY))
    assert core.get(dst) == [[2, 4, 6], [8, 10, 12]]
    assert core.get(sums) == [[12], [30]]
    core.run(
        TensorScalarReduce(
            dst, src, sums, ONE, op0=AluOp.MULTIPLY, reduce_op=AluOp.MAX,
            command=ReduceCommand.REDUCE,
        )
    )  # fmt: skip
    assert core.get(sums) == [[12], [30]]
    core.run(
        TensorScalarReduce(
            dst, src, sums, ONE, Immediate.of(100.0), command=ReduceCommand.LOAD_REDUCE
        )
    )
    assert core.get(sums) == [[106], [115]]
    assert core.state.reduce[Engine.VECTOR][:2].tolist() == [106, 115]


def test_load_reduce_needs_what_it_loads() -> None:
    hw, t, s = load_target("inf1"), tile(0, 1, 4), tile(64, 1, 1)
    load, reset = ReduceCommand.LOAD_REDUCE, ReduceCommand.RESET_REDUCE
    label = ["tensor_scalar_reduce-C3"]
    assert broken_rules(TensorScalarReduce(t, t, s, ONE, command=load), hw) == label
    assert broken_rules(TensorScalarReduce(t, t, s, ONE, ONE, command=reset), hw) == label
    assert broken_rules(TensorScalarReduce(t, t, s, ONE, command=ReduceCommand.IDLE), hw) == label


def test_a_running_sum_along_the_row(core: Core) -> None:
    src, dst = core.put(tile(0, 1, 4), [[1, 2, 3, 4]]), tile(64, 1, 4)
    core.run(TensorScalarCumulative(dst, src, TWO, op0=AluOp.MULTIPLY))
    assert core.get(dst) == [[2, 6, 12, 20]]
    core.run(
        TensorScalarCumulative(
            dst, src, Immediate.of(0.0), Immediate.of(10.0), AluOp.ADD, AluOp.SUBTRACT,
            ReduceCommand.LOAD_REDUCE,
        )
    )  # fmt: skip
    assert core.get(dst) == [[1 - 10, 2 + 9, 3 - 11, 4 + 8]]
    assert core.state.reduce[Engine.VECTOR][0] == 12


def test_a_recurrence_keeps_fp32_while_it_stores_less(core: Core) -> None:
    a, b = core.put(tile(0, 1, 3), [[2, 2, 2]]), core.put(tile(64, 1, 3), [[1, 1, 1]])
    dst = tile(128, 1, 3, dtype=INT8)
    start = Immediate.of(0.25)
    core.run(TensorTensorScan(dst, a, b, start, AluOp.MULTIPLY, AluOp.ADD))
    assert core.get(dst) == [[2, 4, 9]]  # 1.5, 4, 9


def test_batch_statistics_of_even_and_odd_elements(core: Core) -> None:
    src, dst = core.put(tile(0, 1, 5), [[1, 10, 2, 20, 6]]), tile(64, 1, 6)
    core.run(BnStats(dst, src))
    assert core.get(dst) == [[3, 3, 14, 2, 15, 50]]
    core.run(BnStats(dst, core.put(tile(0, 1, 1), [[7]])))
    assert core.get(dst) == [[1, 7, 0, 0, 0, 0]]


def test_statistics_aggregate_to_mean_and_variance(core: Core) -> None:
    src = core.put(tile(0, 1, 6), [[3, 3, 14, 2, 15, 50]])
    core.run(BnAggr(tile(64, 1, 2), src))
    mean, variance = core.get(tile(64, 1, 2))[0]
    assert mean == np.float32(39 / 5)
    assert variance == pytest.approx(np.var([1, 10, 2, 20, 6]), rel=1e-6)
    assert broken_rules(BnAggr(tile(0, 1, 2), tile(0, 1, 4)), core.hw) == ["bn_aggr-C1"]


# --- choosing ------------------------------------------------------------------------------------


def test_a_predicate_chooses_what_is_copied(core: Core) -> None:
    src, dst = core.put(tile(0, 1, 4), [[1, 2, 3, 4]]), core.put(tile(64, 1, 4), [[9, 9, 9, 9]])
    mask = core.put(tile(128, 1, 4, dtype=UINT8), [[0, 1, 255, 0]])
    core.run(TensorCopyPredicated(dst, src, mask))
    assert core.get(dst) == [[9, 2, 3, 9]]
    core.run(FillPredicated(dst, mask, Immediate.of(-1.0), inverse=True))
    assert core.get(dst) == [[-1, 2, 3, -1]]
    copy = TensorCopyPredicated(dst, src, mask)
    assert copy.keeps_result()


def test_selection_reduces_to_the_row_maximum(core: Core) -> None:
    src, dst = core.put(tile(0, 1, 4), [[1, 20, 3, 4]]), tile(64, 1, 4, dtype=BF16)
    mask = core.put(tile(128, 1, 4, dtype=INT8), [[1, 0, -1, 1]])
    core.run(SelectReduce(dst, src, mask, Immediate.of(-5.0), reduce=True))
    assert core.get(dst) == [[1, -5, 3, 4]]
    assert core.state.reduce[Engine.VECTOR][0] == 4


def test_the_eight_greatest_and_where_they_stand(core: Core) -> None:
    values = [3, -0.0, NAN, 7, 7, INF, -INF, 0.0, 1, 2]
    src, top = core.put(tile(0, 1, 10), [values]), tile(64, 1, 8)
    core.run(Max8(top, src))
    found = core.get(top)[0]
    assert math.isnan(found[0])
    assert found[1:] == [INF, 7, 7, 3, 2, 1, 0]
    assert math.copysign(1, found[7]) == 1
    index = tile(128, 1, 8, dtype=UINT16)
    core.run(FindIndex8(index, src, top))
    assert core.get(index) == [[65535, 5, 3, 3, 0, 9, 8, 1]]


def test_repeated_values_replace_repeated_elements(core: Core) -> None:
    src = core.put(tile(0, 1, 9), [[5, 1, 5, 2, 5, 3, 4, 6, 7]])
    values = core.put(tile(64, 1, 8), [[5, 5, 7, 99, 98, 97, 96, 95]])
    core.run(MatchReplace8(tile(128, 1, 9), src, values, Immediate.of(0.0)))
    assert core.get(tile(128, 1, 9)) == [[0, 1, 0, 2, 5, 3, 4, 6, 0]]


# --- movement ------------------------------------------------------------------------------------


def test_a_small_tile_is_transposed_whole(core: Core) -> None:
    src = core.put(tile(0, 2, 3, dtype=FP16), [[1, 2, 3], [4, 5, 6]])
    core.run(VectorTranspose(tile(64, 3, 2, dtype=FP16), src))
    assert core.get(tile(64, 3, 2, dtype=FP16)) == [[1, 4], [2, 5], [3, 6]]


def test_large_tiles_are_transposed_block_by_block(core: Core) -> None:
    values = np.arange(64 * 96, dtype=np.float32).reshape(64, 96)
    src, dst = core.put(tile(0, 64, 96), values), tile(1024, 64, 96)
    core.run(VectorTranspose(dst, src))
    found = np.array(core.get(dst))
    for r in (0, 32):
        for c in (0, 32, 64):
            block = slice(r, r + 32), slice(c, c + 32)
            assert np.array_equal(found[block], values[block].T)
    wrong = VectorTranspose(tile(0, 96, 64), tile(0, 64, 96))
    assert broken_rules(wrong, core.hw) == ["vector_transpose-C1"]


def test_a_shuffle_moves_within_each_quadrant(core: Core) -> None:
    src = core.put(tile(0, 64, 1), np.arange(64)[:, None])
    dst = core.put(tile(64, 64, 1), np.full((64, 1), -1))
    mask = [0] * 32
    mask[1], mask[2] = 31, LEAVE
    core.run(StreamShuffle(dst, src, *shuffle_words(mask)))
    found = [row[0] for row in core.get(dst)]
    assert found[:4] == [0, 31, -1, 0]
    assert found[32:36] == [32, 63, -1, 32]


def test_a_shuffle_entry_names_a_partition_or_leaves() -> None:
    hw, t = load_target("inf1"), tile(0, 32, 1)
    mask = [0] * 31 + [32]
    assert broken_rules(StreamShuffle(t, t, *shuffle_words(mask)), hw) == ["stream_shuffle-C3"]
    assert not StreamShuffle(t, t, *shuffle_words([5] * 32)).keeps_result()
    assert StreamShuffle(t, t, *shuffle_words([5] * 31 + [LEAVE])).keeps_result()


def test_a_register_chooses_the_place_that_is_copied(core: Core) -> None:
    core.put(tile(0, 1, 6), [[0, 1, 2, 3, 4, 5]])
    three_pairs = Tile(SBUF, 0, 1, 0, FP32, ((2, 3), (0, 1), (0, 1), (1, 2)))
    core.state.registers[Engine.VECTOR, 7] = 2
    core.run(TensorCopyDynamicSrc(tile(64, 1, 2), three_pairs, 7))
    assert core.get(tile(64, 1, 2)) == [[4, 5]]
    core.state.registers[Engine.VECTOR, 7] = 1
    core.run(TensorCopyDynamicDst(three_pairs, tile(64, 1, 2), 7))
    assert core.get(tile(0, 1, 6)) == [[0, 1, 4, 5, 4, 5]]
    core.state.registers[Engine.VECTOR, 7] = 3
    with pytest.raises(TrapError, match="SYS-R005"):
        core.run(TensorCopyDynamicSrc(tile(64, 1, 2), three_pairs, 7))


# --- random numbers ------------------------------------------------------------------------------


def test_random_bits_follow_the_seed(core: Core) -> None:
    core.put(tile(0, 1, 1, dtype=UINT32), [[12345]])
    draws = []
    for place in (64, 128):
        core.run(SetRngSeed(tile(0, 1, 1, dtype=UINT32)))
        core.run(Rng(tile(place, 4, 8, dtype=UINT32)))
        draws.append(core.bits(tile(place, 4, 8, dtype=UINT32)))
    assert draws[0] == draws[1]
    assert len({v for row in draws[0] for v in row}) == 32


def test_the_generator_is_the_stated_one(core: Core) -> None:
    core.run(Rng(tile(0, 1, 3, dtype=UINT32)))  # lanes start at 1
    assert core.bits(tile(0, 1, 3, dtype=UINT32)) == [[270369, 67634689, 2647435461]]


def test_dropout_drops_about_the_stated_share(core: Core) -> None:
    core.put(tile(0, 1, 1, dtype=UINT32), [[1]])
    core.run(SetRngSeed(tile(0, 1, 1, dtype=UINT32)))
    src = core.put(tile(0, 128, 64), np.ones((128, 64)))
    core.run(Dropout(tile(1024, 128, 64), src, Immediate.of(0.25)))
    kept = np.mean(core.get(tile(1024, 128, 64)))
    assert 0.72 < kept < 0.78
    for probability, expected in ((0.0, 1.0), (1.0, 0.0), (NAN, 1.0)):
        core.run(Dropout(tile(1024, 128, 64), src, Immediate.of(probability)))
        assert np.mean(core.get(tile(1024, 128, 64))) == expected
