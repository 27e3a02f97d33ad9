"""The vector engine: elementwise operations of several tensors, reductions, copies.

Arithmetic is FP32; inputs and outputs convert freely. Costs in VectorE cycles (neuron-facts 2.3):
one input about N, two inputs about 2N, with the documented fast cases.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.alu import AluOp
from isa.dtypes import BF16, FP16
from isa.hardware import Hardware
from isa.memory import PSUM, SBUF, Engine
from isa.spec import Instruction, choice, flag, instruction, number, result, rule, scalar, source
from isa.tiles import Immediate, Scalar, Tile

VECTOR_LIKE = (Engine.VECTOR, Engine.GPSIMD)


def innermost_step(tile: Any) -> Any:
    """Step of the fastest dimension that has more than one element (1 if there is none)."""
    steps, nums = np.atleast_2d(tile.steps), np.atleast_2d(tile.nums)
    step = np.ones(len(steps), dtype=np.int64)
    for d in range(steps.shape[1]):
        step = np.where(nums[:, d] > 1, steps[:, d], step)
    return step if np.ndim(tile.steps) > 1 else step[0]


def bandwidth_cost(hw: Hardware, *tiles: Any) -> Any:
    """2 where a tile's fastest stride is above `slow_stride_bytes`, else 1 (neuron-facts 3.1)."""
    slow: Any = False
    for tile in tiles:
        size = getattr(tile, "size_bytes", None)
        size = tile.dtype.size_bytes if size is None else size
        slow = slow | (np.abs(innermost_step(tile)) * size > hw.slow_stride_bytes)
    return np.where(slow, 2, 1)


def all_bf16(*tiles: Any) -> Any:
    """Whether every tile is BF16."""
    fast: Any = True
    for tile in tiles:
        fast = fast & (tile.dtype == BF16)
    return fast


@instruction("tensor_tensor", opcode=0x20, engines=VECTOR_LIKE)
class TensorTensor(Instruction):
    """dst := a op b, elementwise."""

    dst: Tile = result(SBUF, PSUM)
    a: Tile = source(SBUF, PSUM, slot="B")
    b: Tile = source(SBUF, PSUM, slot="C")
    op: AluOp = choice(AluOp, 5, bit=0)

    @rule("tensor_tensor-C1")
    def not_both_in_psum(self, hw: Hardware) -> Any:
        """The two inputs are not both in PSUM."""
        return (self.a.memory != PSUM) | (self.b.memory != PSUM)

    @rule("tensor_tensor-C2")
    def same_free_size(self, hw: Hardware) -> Any:
        """The inputs and the result have as many free elements."""
        return (self.a.free == self.dst.free) & (self.b.free == self.dst.free)

    def execute(self, state: Any) -> None:
        state.alu_tiles(self.dst, self.op, self.a, self.b)

    def occupancy(self, hw: Hardware) -> Any:
        mixed = (self.a.memory == PSUM) ^ (self.b.memory == PSUM)
        simple = np.isin(self.op, (AluOp.ADD, AluOp.SUBTRACT, AluOp.MULTIPLY))
        unit = (innermost_step(self.a) == 1) & (innermost_step(self.b) == 1)
        fast = mixed | (all_bf16(self.a, self.b, self.dst) & simple & unit)
        n = self.dst.free * np.where(fast, 1, 2) * bandwidth_cost(hw, self.a, self.b, self.dst)
        return np.maximum(hw.engine_min_interval, n)


@instruction("tensor_scalar", opcode=0x21, engines=VECTOR_LIKE)
class TensorScalar(Instruction):
    """dst := (src op0 operand0) op1 operand1, each operand an immediate or one value a partition.

    `reverse0` and `reverse1` swap the sides of their operator. Bypass as `op1` leaves the first
    result.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    operand0: Scalar = scalar(0)
    operand1: Scalar | None = scalar(1, default=None, optional=True)
    op0: AluOp = choice(AluOp, 5, bit=0)
    op1: AluOp = choice(AluOp, 5, bit=5)
    reverse0: bool = flag(bit=10)
    reverse1: bool = flag(bit=11)

    @rule("tensor_scalar-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements."""
        return self.src.free == self.dst.free

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
        n = self.src.free * bandwidth_cost(hw, self.src, self.dst)
        return np.maximum(hw.engine_min_interval, n)


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
    def not_both_in_psum(self, hw: Hardware) -> Any:
        """The two inputs are not both in PSUM."""
        return (self.src.memory != PSUM) | (self.other.memory != PSUM)

    @rule("scalar_tensor_tensor-C2")
    def same_free_size(self, hw: Hardware) -> Any:
        """The inputs and the result have as many free elements."""
        return (self.src.free == self.dst.free) & (self.other.free == self.dst.free)

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
        return np.maximum(hw.engine_min_interval, n)


@instruction("tensor_reduce", opcode=0x23, engines=(Engine.VECTOR,))
class TensorReduce(Instruction):
    """Reduce the `axes` innermost dimensions of src: dst[i] := op over j of src[i, j].

    The accumulator starts with the first element and takes the others in order, innermost fastest.
    `negate` flips the sign of each result.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    op: AluOp = choice(AluOp, 5, bit=0)
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
        return np.maximum(hw.engine_min_interval, n)


@instruction("tensor_copy", opcode=0x24, engines=VECTOR_LIKE)
class TensorCopy(Instruction):
    """dst := src; bit exact between equal types, else through FP32."""

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")

    @rule("tensor_copy-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements."""
        return self.src.free == self.dst.free

    def execute(self, state: Any) -> None:
        if self.src.dtype == self.dst.dtype:
            state.write_raw(self.dst, state.read_raw(self.src))
        else:
            state.write(self.dst, state.read(self.src))

    def occupancy(self, hw: Hardware) -> Any:
        n = self.src.free * bandwidth_cost(hw, self.src, self.dst)
        return np.maximum(hw.engine_min_interval, n)


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
        return np.maximum(hw.engine_min_interval, n)

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
        return self.src.free == self.dst.free

    def execute(self, state: Any) -> None:
        with np.errstate(all="ignore"):
            state.write(self.dst, np.float32(1) / state.read(self.src))

    def occupancy(self, hw: Hardware) -> Any:
        return np.maximum(hw.engine_min_interval, 8 * self.src.free)
