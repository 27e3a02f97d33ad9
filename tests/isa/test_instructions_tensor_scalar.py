"""The tensor and scalar engines' instructions, each by an example with its result written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isa.activation.functions import ActivationFunction as F
from isa.alu import AluOp, ReduceCommand
from isa.dtypes import BF16, FP16, FP32, DType
from isa.errors import TrapError
from isa.hardware import load_target
from isa.instructions.scalar import (
    Activation,
    ActivationReduce,
    ActReadAccumulator,
    ActTensorCopy,
    ActTensorScalar,
)
from isa.instructions.tensor import LoadStationary, MultiplyMoving
from isa.memory import PSUM, SBUF, Engine, Memory
from isa.tiles import Immediate, Tile
from tests.isa.bench import Core, broken_rules, column, cycles, tile

NAN = math.nan


def psum(address: int, partitions: int, *nums: int) -> Tile:
    return tile(address, partitions, *nums, memory=PSUM)


@pytest.fixture
def core() -> Core:
    return Core("inf1")


def load(core: Core, values: list[list[float]], dtype: DType = BF16) -> None:
    place = tile(0, len(values), len(values[0]), dtype=dtype)
    core.run(LoadStationary(core.put(place, values)))


# --- the tensor engine ---------------------------------------------------------------------------


def test_a_product_starts_then_accumulates(core: Core) -> None:
    load(core, [[1, 3], [2, 4]])
    moving = core.put(tile(64, 2, 2, dtype=BF16), [[5, 6], [7, 8]])
    dst = core.put(psum(0, 2, 2), [[100, 100], [100, 100]])
    core.run(MultiplyMoving(dst, moving, start=True))
    assert core.get(dst) == [[19, 22], [43, 50]]
    core.run(MultiplyMoving(dst, moving, stop=True))
    assert core.get(dst) == [[38, 44], [86, 100]]


def test_only_accumulation_reads_its_result() -> None:
    dst, moving = psum(0, 2, 2), tile(0, 2, 2)
    assert not MultiplyMoving(dst, moving, start=True).keeps_result()
    assert MultiplyMoving(dst, moving).keeps_result()


def test_the_column_adds_its_rows_in_order_from_plus_zero(core: Core) -> None:
    load(core, [[2.0**24], [1], [1], [-(2.0**24)]], FP32)
    moving = core.put(tile(64, 4, 1), [[1], [1], [1], [1]])
    core.run(MultiplyMoving(psum(0, 1, 1), moving, start=True))
    assert core.get(psum(0, 1, 1)) == [[0]]  # each 1 is lost on 2**24
    load(core, [[-0.0]], FP32)
    core.put(tile(64, 1, 1), [[1]])
    core.run(MultiplyMoving(psum(0, 1, 1), tile(64, 1, 1), start=True))
    assert core.bits(psum(0, 1, 1)) == [[0]]  # +0 + -0


def test_products_are_fused(core: Core) -> None:
    small = 1 + 2.0**-12
    load(core, [[-1.0], [small]], FP32)
    moving = core.put(tile(64, 2, 1), [[1 + 2.0**-11], [small]])
    core.run(MultiplyMoving(psum(0, 1, 1), moving, start=True))
    assert core.get(psum(0, 1, 1)) == [[2.0**-24]]  # an unfused product would give 0


def test_a_nan_product_is_canonical(core: Core) -> None:
    load(core, [[math.inf]], FP32)
    core.put(tile(64, 1, 1, dtype=DType.UINT32), [[0xFFC00123]])
    core.run(MultiplyMoving(psum(0, 1, 1), tile(64, 1, 1), start=True))
    assert core.bits(psum(0, 1, 1)) == [[0x7FC00000]]


def test_a_matmul_meets_the_stationary_it_was_given(core: Core) -> None:
    moving = tile(64, 2, 2, dtype=BF16)
    with pytest.raises(TrapError, match="SYS-R003"):
        core.run(MultiplyMoving(psum(0, 2, 2), moving, start=True))
    load(core, [[1, 3], [2, 4]])
    for wrong in (
        MultiplyMoving(psum(0, 3, 2), moving, start=True),
        MultiplyMoving(psum(0, 2, 2), tile(64, 3, 2, dtype=BF16), start=True),
        MultiplyMoving(psum(0, 2, 2), tile(64, 2, 2, dtype=BF16, start=32), start=True),
        MultiplyMoving(psum(0, 2, 2), tile(64, 2, 2), start=True),
    ):
        with pytest.raises(TrapError, match="SYS-R004"):
            core.run(wrong)


def test_the_array_bounds_its_operands() -> None:
    hw = load_target("inf1")
    assert broken_rules(LoadStationary(tile(0, 128, 65)), hw) == ["load_stationary-C2"]
    assert broken_rules(LoadStationary(tile(0, 128, 65)), load_target("trn1")) == []
    wide = MultiplyMoving(psum(0, 64, 513), tile(0, 128, 513))
    assert broken_rules(wide, hw) == ["matmul-C2", "matmul-C3"]
    astride = MultiplyMoving(psum(1024, 64, 512), tile(0, 128, 512))
    assert broken_rules(astride, hw) == ["matmul-C3"]
    uneven = MultiplyMoving(psum(0, 64, 8), tile(0, 128, 9))
    assert broken_rules(uneven, hw) == ["matmul-C4"]
    tall = MultiplyMoving(psum(0, 65, 8), tile(0, 128, 8))
    assert broken_rules(tall, hw) == ["matmul-C5"]


def test_fp32_takes_four_passes_and_two_with_ones_and_zeros() -> None:
    hw, dst = load_target("inf1"), psum(0, 64, 512)
    assert cycles(MultiplyMoving(dst, tile(0, 128, 512, dtype=BF16)), hw) == 512
    assert cycles(MultiplyMoving(dst, tile(0, 128, 512)), hw) == 2048
    assert cycles(MultiplyMoving(dst, tile(0, 128, 512), onezero=True), hw) == 1024
    assert cycles(MultiplyMoving(psum(0, 64, 8), tile(0, 128, 8, dtype=BF16)), hw) == 64
    assert cycles(LoadStationary(tile(0, 128, 64, dtype=BF16)), hw) == 16


# --- the scalar engine ---------------------------------------------------------------------------


def test_activation_scales_adds_and_applies(core: Core) -> None:
    src = core.put(tile(0, 2, 2), [[1, -2], [3, 4]])
    core.put(tile(64, 2, 1), [[2], [-1]])
    core.put(tile(68, 2, 1, dtype=BF16), [[1], [10]])
    dst = tile(128, 2, 2)
    core.run(Activation(dst, src, column(64), column(68, BF16), F.RELU))
    assert core.get(dst) == [[3, 0], [7, 6]]


def test_the_scaled_product_rounds_before_the_bias(core: Core) -> None:
    small = 1 + 2.0**-12
    src = core.put(tile(0, 1, 1), [[small]])
    bias = Immediate.of(-(1 + 2.0**-11))
    core.run(Activation(src, src, Immediate.of(small), bias, F.COPY))
    assert core.get(src) == [[0]]


def test_prelu_has_a_slope(core: Core) -> None:
    src = core.put(tile(0, 1, 3), [[-4, 4, -0.0]])
    core.run(Activation(src, src, function=F.PRELU, alpha=Immediate.of(0.25).bits))
    assert core.get(src) == [[-1, 4, 0]]


def test_row_sums_gather_in_the_reduce_registers(core: Core) -> None:
    src, dst = core.put(tile(0, 2, 2), [[1, 2], [3, 4]]), tile(64, 2, 2)
    reset, reduce = ReduceCommand.RESET_REDUCE, ReduceCommand.REDUCE
    core.run(Activation(dst, src, function=F.COPY, reduce=reset))
    core.run(Activation(dst, src, function=F.COPY, reduce=reduce))
    core.run(Activation(dst, src, function=F.SQUARE))
    core.run(ActReadAccumulator(tile(128, 2, 1)))
    assert core.get(tile(128, 2, 1)) == [[6], [14]]
    core.run(Activation(dst, src, function=F.COPY, reduce=ReduceCommand.RESET))
    assert core.state.reduce[Engine.SCALAR][:2].tolist() == [0, 0]


def test_row_sums_are_of_the_unrounded_results(core: Core) -> None:
    src, dst = core.put(tile(0, 1, 2), [[257, 257]]), tile(64, 1, 2, dtype=BF16)
    core.run(ActivationReduce(dst, src, tile(128, 1, 1), function=F.COPY))
    assert core.get(dst) == [[256, 256]]
    assert core.get(tile(128, 1, 1)) == [[514]]


def test_a_nan_goes_through_and_comes_out_canonical(core: Core) -> None:
    core.put(tile(0, 1, 1, dtype=DType.UINT32), [[0xFFC00001]])
    core.run(Activation(tile(64, 1, 1, dtype=FP16), tile(0, 1, 1), function=F.COPY))
    assert core.bits(tile(64, 1, 1, dtype=FP16)) == [[0x7E00]]


def test_v2_takes_its_bias_as_a_column() -> None:
    t = tile(0, 1, 1)
    constant = Activation(t, t, bias=Immediate.of(1.0))
    turned = Activation(t, t, bias=column(64), function=F.RECIPROCAL)
    v2, v3 = load_target("trn1"), load_target("trn2")
    assert broken_rules(constant, v2) == ["activation-C3"]
    assert broken_rules(turned, v2) == ["activation-C3"]
    assert broken_rules(constant, v3) == broken_rules(turned, v3) == []
    assert broken_rules(Activation(t, t, bias=column(64)), v2) == []


def test_an_activation_has_nothing_to_load() -> None:
    t = tile(0, 1, 1)
    wrong = Activation(t, t, reduce=ReduceCommand.LOAD_REDUCE)
    assert broken_rules(wrong, load_target("inf1")) == ["activation-C2"]


def test_a_row_sum_costs_its_read_out() -> None:
    hw, t = load_target("inf1"), tile(0, 1, 100)
    assert cycles(Activation(t, t, reduce=ReduceCommand.RESET_REDUCE), hw) == 100
    assert cycles(ActivationReduce(t, t, tile(512, 1, 1)), hw) == 164
    assert cycles(ActReadAccumulator(tile(0, 1, 1)), hw) == 64


def test_v3_copies_and_scales_on_the_scalar_engine() -> None:
    core = Core("trn2")
    src = core.put(tile(0, 1, 2, dtype=DType.UINT32), [[0x7F800001, 0x40400000]])
    core.run(ActTensorCopy(tile(64, 1, 2), tile(0, 1, 2)))
    assert core.bits(tile(64, 1, 2)) == core.bits(src)
    core.put(tile(0, 1, 2), [[3, 4]])
    two, one = Immediate.of(2.0), Immediate.of(1.0)
    core.run(ActTensorScalar(tile(64, 1, 2), tile(0, 1, 2), two, one, AluOp.MULTIPLY, AluOp.ADD))
    assert core.get(tile(64, 1, 2)) == [[7, 9]]
    wrong = ActTensorScalar(tile(64, 1, 2), tile(0, 1, 2), two, op0=AluOp.MAX)
    assert broken_rules(wrong, core.hw) == ["act_tensor_scalar-C2"]


# --- operands ------------------------------------------------------------------------------------


def test_operands_may_walk_backwards_and_stand_still(core: Core) -> None:
    core.put(tile(0, 1, 4), [[1, 2, 3, 4]])
    backwards = Tile(SBUF, 0, 1, 12, FP32, ((-1, 4),))
    core.run(Activation(tile(64, 1, 4), backwards))
    assert core.get(tile(64, 1, 4)) == [[4, 3, 2, 1]]
    still = Tile(SBUF, 0, 1, 8, FP32, ((0, 3),))
    core.run(Activation(tile(64, 1, 3), still))
    assert core.get(tile(64, 1, 3)) == [[3, 3, 3]]


@pytest.mark.parametrize("memory", [SBUF, PSUM])
def test_an_operand_outside_its_memory_is_a_fault(core: Core, memory: Memory) -> None:
    end = core.hw.partition_bytes(memory)
    for wrong in (
        Tile(memory, 0, 1, end - 4, FP32, ((1, 2),)),
        Tile(memory, 0, 1, 0, FP32, ((-1, 2),)),
        Tile(memory, 96, 64, 0, FP32, ((1, 1),)),
    ):
        with pytest.raises(TrapError, match="SYS-R001"):
            core.state.read(wrong)
        with pytest.raises(TrapError, match="SYS-R001"):
            core.state.write(wrong, np.zeros((wrong.partitions, wrong.free), np.float32))
