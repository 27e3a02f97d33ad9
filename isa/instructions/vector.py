"""The vector engine: elementwise operations of one or two tensors, reductions, copies.

Arithmetic is FP32; inputs and outputs convert freely. Costs in VectorE cycles (neuron-facts 2.3):
one input about N, two inputs about 2N, with the documented fast cases. Which of these NeuronCore-v1
has is not public; we assume those of v2 (every instruction here and in the other vector files).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.alu import REDUCTIONS, AluOp
from isa.alu_reference import is_bitwise
from isa.dtypes import BF16, FP16, FP32, INTEGERS
from isa.hardware import Hardware
from isa.instructions.costs import (
    VECTOR_LIKE,
    all_bf16,
    all_two_byte_floats,
    at_least,
    bandwidth_cost,
    columns_suit,
    innermost_step,
    integers_of_one_size,
    not_both_in_psum,
    one_kind,
    same_shape,
    speed_up,
)
from isa.memory import PSUM, SBUF, Engine
from isa.spec import Instruction, choice, flag, instruction, number, result, rule, scalar, source
from isa.tiles import Immediate, Scalar, Tile

OPERAND_DTYPES = INTEGERS | {FP32}


@instruction("tensor_tensor", opcode=0x20, engines=VECTOR_LIKE)
class TensorTensor(Instruction):
    """dst := a op b, elementwise.

    A bit-vector operator works on the stored patterns of integers of one size, without a cast.
    """

    dst: Tile = result(SBUF, PSUM)
    a: Tile = source(SBUF, PSUM, slot="B")
    b: Tile = source(SBUF, PSUM, slot="C")
    op: AluOp = choice(AluOp, 5, bit=0)

    @rule("tensor_tensor-C1")
    def inputs_not_both_in_psum(self, hw: Hardware) -> Any:
        """The two inputs are not both in PSUM."""
        return not_both_in_psum(self.a, self.b)

    @rule("tensor_tensor-C2")
    def same_free_size(self, hw: Hardware) -> Any:
        """The inputs and the result have as many free elements."""
        return same_shape(self.dst, self.a, self.b)

    @rule("tensor_tensor-C3")
    def bit_vectors_are_integers(self, hw: Hardware) -> Any:
        """A bit-vector operator takes and gives integers of one size."""
        return np.logical_not(is_bitwise(self.op)) | integers_of_one_size(self.dst, self.a, self.b)

    @rule("tensor_tensor-C4")
    def power_is_elsewhere(self, hw: Hardware) -> Any:
        """From NeuronCore-v2 on, power of two tensors is the gpsimd engine's `tensor_power`.

        v1 has no gpsimd engine; that its vector engine does it is assumed.
        """
        return (self.op != AluOp.POWER) | (hw.generation < 2)

    def execute(self, state: Any) -> None:
        state.alu_tiles(self.dst, self.op, self.a, self.b)

    def occupancy(self, hw: Hardware) -> Any:
        mixed = (self.a.memory == PSUM) ^ (self.b.memory == PSUM)
        simple = np.isin(self.op, (AluOp.ADD, AluOp.SUBTRACT, AluOp.MULTIPLY))
        unit = (innermost_step(self.a) == 1) & (innermost_step(self.b) == 1)
        fast = mixed | (all_bf16(self.a, self.b, self.dst) & simple & unit)
        in_sbuf = (self.a.memory == SBUF) & (self.b.memory == SBUF) & (self.dst.memory == SBUF)
        narrow = all_two_byte_floats(self.a, self.b, self.dst)
        fast = fast | ((hw.generation >= 3) & in_sbuf & narrow)  # neuron-facts 3.2
        n = self.dst.free * np.where(fast, 1, 2) * bandwidth_cost(hw, self.a, self.b, self.dst)
        return at_least(hw, n)


@instruction("tensor_scalar", opcode=0x21, engines=VECTOR_LIKE)
class TensorScalar(Instruction):
    """dst := (src op0 operand0) op1 operand1, each operand an immediate or one value a partition.

    `reverse0` and `reverse1` swap the sides of their operator. Bypass as `op1` leaves the first
    result. Bit-vector operators work on stored patterns; an immediate gives its low bits.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    operand0: Scalar = scalar(0, dtypes=OPERAND_DTYPES)
    operand1: Scalar | None = scalar(1, default=None, optional=True, dtypes=OPERAND_DTYPES)
    op0: AluOp = choice(AluOp, 5, bit=0)
    op1: AluOp = choice(AluOp, 5, bit=5)
    reverse0: bool = flag(bit=10)
    reverse1: bool = flag(bit=11)

    @rule("tensor_scalar-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements."""
        return same_shape(self.src, self.dst)

    @rule("tensor_scalar-C2")
    def operators_of_one_kind(self, hw: Hardware) -> Any:
        """Both operators are arithmetic, or both are bit-vector."""
        return one_kind(self.op0, self.op1)

    @rule("tensor_scalar-C3")
    def bit_vectors_are_integers(self, hw: Hardware) -> Any:
        """A bit-vector operator takes and gives integers of one size."""
        arithmetic = np.logical_not(is_bitwise(self.op0, self.op1))
        return arithmetic | integers_of_one_size(self.dst, self.src)

    @rule("tensor_scalar-C4")
    def columns_suit_the_operators(self, hw: Hardware) -> Any:
        """A column is FP32 for arithmetic, integers of the input's size for bit-vectors."""
        bitwise = is_bitwise(self.op0, self.op1)
        return columns_suit(self.src, bitwise, self.operand0, self.operand1)

    def steps(self) -> list[tuple[AluOp, Scalar, bool]]:
        """Operator, operand and whether the sides are swapped, in order."""
        both = (
            (self.op0, self.operand0, self.reverse0),
            (self.op1, self.operand1, self.reverse1),
        )
        return [(op, x, swap) for op, x, swap in both if x is not None]

    def execute(self, state: Any) -> None:
        state.alu_scalars(self)

    def occupancy(self, hw: Hardware) -> Any:
        n = -(-self.src.free // speed_up(hw, self.src, self.dst))
        return at_least(hw, n * bandwidth_cost(hw, self.src, self.dst))


@instruction("scalar_tensor_tensor", opcode=0x22, engines=VECTOR_LIKE)
class ScalarTensorTensor(Instruction):
    """dst := (src op0 operand0) op1 other; operand0 is an immediate or one value a partition."""

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    other: Tile = source(SBUF, PSUM, slot="C")
    operand0: Scalar = scalar(0)
    op0: AluOp = choice(AluOp, 5, bit=0)
    op1: AluOp = choice(AluOp, 5, bit=5)
    reverse0: bool = flag(bit=10)
    reverse1: bool = flag(bit=11)

    @rule("scalar_tensor_tensor-C1")
    def inputs_not_both_in_psum(self, hw: Hardware) -> Any:
        """The two inputs are not both in PSUM."""
        return not_both_in_psum(self.src, self.other)

    @rule("scalar_tensor_tensor-C2")
    def same_free_size(self, hw: Hardware) -> Any:
        """The inputs and the result have as many free elements."""
        return same_shape(self.dst, self.src, self.other)

    @rule("scalar_tensor_tensor-C3")
    def operators_are_arithmetic(self, hw: Hardware) -> Any:
        """Both operators are arithmetic."""
        return np.logical_not(is_bitwise(self.op0, self.op1))

    def execute(self, state: Any) -> None:
        state.alu_scalar_tensor(self)

    def occupancy(self, hw: Hardware) -> Any:
        fast = (
            all_bf16(self.src, self.other)
            & (self.op0 == AluOp.SUBTRACT)
            & (self.op1 == AluOp.MULTIPLY)
            & (self.src.free % 2 == 0)
        )
        n = (
            self.src.free
            * np.where(fast, 1, 2)
            * bandwidth_cost(hw, self.src, self.other, self.dst)
        )
        return at_least(hw, n)


@instruction("tensor_reduce", opcode=0x23, engines=(Engine.VECTOR,))
class TensorReduce(Instruction):
    """Reduce the `axes` innermost dimensions of src: dst[i] := op over j of src[i, j].

    The accumulator starts with the first element and takes the others in order, innermost fastest.
    `negate` flips the sign of each result.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    op: AluOp = choice(AluOp, 5, bit=0, default=AluOp.ADD)
    axes: int = number(3, bit=5, default=1)
    negate: bool = flag(bit=8)

    @rule("tensor_reduce-C1")
    def axes_in_range(self, hw: Hardware) -> Any:
        """Between one and four dimensions are reduced."""
        return (self.axes >= 1) & (self.axes <= 4)

    @rule("tensor_reduce-C2")
    def result_has_the_rest(self, hw: Hardware) -> Any:
        """The result has one element for each element of the dimensions that stay."""
        return self.dst.free == self.kept()

    @rule("tensor_reduce-C3")
    def operator_reduces(self, hw: Hardware) -> Any:
        """The operator is add, multiply, max, min, and, or, or xor."""
        return np.isin(self.op, REDUCTIONS)

    @rule("tensor_reduce-C4")
    def bit_vectors_are_integers(self, hw: Hardware) -> Any:
        """A bit-vector operator takes and gives integers of one size, and is not negated."""
        fits = integers_of_one_size(self.dst, self.src) & np.logical_not(self.negate)
        return np.logical_not(is_bitwise(self.op)) | fits

    def kept(self) -> Any:
        """Elements of the dimensions that are not reduced."""
        nums = np.atleast_2d(self.src.nums)
        axes = np.atleast_1d(self.axes)
        stays = np.arange(4)[None, :] < 4 - axes[:, None]
        kept = np.prod(np.where(stays, nums, 1), axis=1)
        return kept if np.ndim(self.axes) else int(kept[0])

    def execute(self, state: Any) -> None:
        state.reduce_tile(self)

    def occupancy(self, hw: Hardware) -> Any:
        fast = all_bf16(self.src, self.dst) & np.isin(self.op, (AluOp.ADD, AluOp.MAX))
        n = -(-self.src.free // np.where(fast, 2, 1)) * bandwidth_cost(hw, self.src)
        return at_least(hw, n)


@instruction("tensor_copy", opcode=0x24, engines=VECTOR_LIKE)
class TensorCopy(Instruction):
    """dst := src; bit exact between equal types, else through FP32."""

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")

    @rule("tensor_copy-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements."""
        return same_shape(self.src, self.dst)

    def execute(self, state: Any) -> None:
        state.write_raw(self.dst, state.read_as(self.src, self.dst.dtype))

    def occupancy(self, hw: Hardware) -> Any:
        n = -(-self.src.free // speed_up(hw, self.src, self.dst))
        return at_least(hw, n * bandwidth_cost(hw, self.src, self.dst))


@instruction("memset", opcode=0x25, engines=VECTOR_LIKE)
class Memset(Instruction):
    """dst := value, an FP32 immediate converted to the type of dst."""

    dst: Tile = result(SBUF, PSUM)
    value: Scalar = scalar(0, column=False)

    def execute(self, state: Any) -> None:
        shape = (self.dst.partitions, self.dst.free)
        state.write(self.dst, np.full(shape, state.scalar(self.value, 1)[0, 0], np.float32))

    def occupancy(self, hw: Hardware) -> Any:
        zero = self.value_bits() << 1 == 0
        half = zero & np.isin(self.dst.dtype, (BF16, FP16))
        n = -(-self.dst.free // np.where(half, 2, 1)) * bandwidth_cost(hw, self.dst)
        return at_least(hw, n)

    def value_bits(self) -> Any:
        """The immediate's 32 bits."""
        value: Any = self.value
        return value.bits if isinstance(value, Immediate) else value.immediate_bits


@instruction("reciprocal", opcode=0x26, engines=(Engine.VECTOR,))
class Reciprocal(Instruction):
    """dst := 1 / src, correctly rounded in FP32."""

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")

    @rule("reciprocal-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements."""
        return same_shape(self.src, self.dst)

    def execute(self, state: Any) -> None:
        with np.errstate(all="ignore"):
            state.write(self.dst, np.float32(1) / state.read(self.src))

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, 8 * self.src.free)
