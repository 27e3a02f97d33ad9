"""The vector engine's row-wise instructions: accumulators, scans, statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.alu import AluOp, ReduceCommand
from isa.alu_reference import apply, is_bitwise
from isa.dtypes import FLOATS, INT32, UINT32
from isa.hardware import Hardware
from isa.instructions.costs import (
    at_least,
    bandwidth_cost,
    not_both_in_psum,
    present,
    same_shape,
)
from isa.memory import PSUM, SBUF, Engine
from isa.spec import Instruction, choice, flag, instruction, result, rule, scalar, source
from isa.statistics import aggregate, statistics
from isa.tiles import Scalar, Tile

FOLDS = (AluOp.ADD, AluOp.MULTIPLY, AluOp.MAX, AluOp.MIN)
STARTS = (ReduceCommand.RESET_REDUCE, ReduceCommand.REDUCE, ReduceCommand.LOAD_REDUCE)


def has_what_it_loads(command: Any, initial: Any) -> Any:
    """Whether `initial` is there exactly when the command loads it."""
    return present(initial) == (command == ReduceCommand.LOAD_REDUCE)


@instruction("tensor_scalar_reduce", opcode=0x27, engines=(Engine.VECTOR,))
class TensorScalarReduce(Instruction):
    """dst := src op0 operand0; sums[p] := reduce_op over the row p of that.

    The row runs through reduce register p, in element order, on FP32 results before they round to
    dst. It starts from the operator's identity (reset_reduce), from what the register holds
    (reduce) or from `initial` (load_reduce), and leaves its end there and in sums.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    sums: Tile = result(SBUF, PSUM, slot="C")
    operand0: Scalar = scalar(0)
    initial: Scalar | None = scalar(1, default=None, optional=True)
    op0: AluOp = choice(AluOp, 5, bit=0)
    reduce_op: AluOp = choice(AluOp, 5, bit=5, default=AluOp.ADD)
    reverse0: bool = flag(bit=10)
    command: ReduceCommand = choice(ReduceCommand, 3, bit=11, default=ReduceCommand.RESET_REDUCE)

    @rule("tensor_scalar_reduce-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements, the sums have one."""
        return same_shape(self.src, self.dst) & (self.sums.free == 1)

    @rule("tensor_scalar_reduce-C2")
    def operators_fit(self, hw: Hardware) -> Any:
        """The first operator is arithmetic, the second add, multiply, max or min."""
        return np.logical_not(is_bitwise(self.op0)) & np.isin(self.reduce_op, FOLDS)

    @rule("tensor_scalar_reduce-C3")
    def command_reduces(self, hw: Hardware) -> Any:
        """The command reduces, and `initial` is there exactly when it is load_reduce."""
        return np.isin(self.command, STARTS) & has_what_it_loads(self.command, self.initial)

    def execute(self, state: Any) -> None:
        x, operand = state.read(self.src), state.scalar(self.operand0, self.src.partitions)
        y = apply(self.op0, operand, x) if self.reverse0 else apply(self.op0, x, operand)
        state.load_registers(Engine.VECTOR, self.initial, len(y))
        state.reduce_registers(Engine.VECTOR, self.command, y, self.reduce_op)
        state.write(self.dst, y)
        state.write(self.sums, state.reduce[Engine.VECTOR][: len(y), None])

    def occupancy(self, hw: Hardware) -> Any:
        n = self.src.free * bandwidth_cost(hw, self.src, self.dst)
        return at_least(hw, n) + hw.engine_min_interval


@instruction("tensor_scalar_cumulative", opcode=0x28, engines=(Engine.VECTOR,))
class TensorScalarCumulative(Instruction):
    """reg := (src[i] op0 operand0) op1 reg; dst[i] := reg, along each row.

    `reg` is the row's FP32 reduce register: at the start the identity of op1 (0 for subtract) with
    reset_reduce, what it holds with reduce, `initial` with load_reduce.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    operand0: Scalar = scalar(0)
    initial: Scalar | None = scalar(1, default=None, optional=True)
    op0: AluOp = choice(AluOp, 5, bit=0)
    op1: AluOp = choice(AluOp, 5, bit=5, default=AluOp.ADD)
    command: ReduceCommand = choice(ReduceCommand, 3, bit=11, default=ReduceCommand.RESET_REDUCE)

    @rule("tensor_scalar_cumulative-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements."""
        return same_shape(self.src, self.dst)

    @rule("tensor_scalar_cumulative-C2")
    def operators_fit(self, hw: Hardware) -> Any:
        """The first operator is arithmetic, the second add, subtract, multiply, max or min."""
        second = np.isin(self.op1, (*FOLDS, AluOp.SUBTRACT))
        return np.logical_not(is_bitwise(self.op0)) & second

    @rule("tensor_scalar_cumulative-C3")
    def command_reduces(self, hw: Hardware) -> Any:
        """The command reduces, and `initial` is there exactly when it is load_reduce."""
        return np.isin(self.command, STARTS) & has_what_it_loads(self.command, self.initial)

    @rule("tensor_scalar_cumulative-C4")
    def no_wide_integers(self, hw: Hardware) -> Any:
        """Neither the input nor the result is a 32-bit integer."""
        wide = (INT32, UINT32)
        return ~(np.isin(self.src.dtype, wide) | np.isin(self.dst.dtype, wide))

    def execute(self, state: Any) -> None:
        x = apply(self.op0, state.read(self.src), state.scalar(self.operand0, self.src.partitions))
        held = state.reduce[Engine.VECTOR][: len(x)]
        state.load_registers(Engine.VECTOR, self.initial, len(x))
        if self.command is ReduceCommand.RESET_REDUCE:
            state.reduce_registers(Engine.VECTOR, ReduceCommand.RESET, x, self.op1)
        y = np.empty_like(x)
        for j in range(x.shape[1]):
            held[:] = apply(self.op1, x[:, j], held)
            y[:, j] = held
        state.write(self.dst, y)

    def occupancy(self, hw: Hardware) -> Any:
        # not published; assumed as tensor_tensor_scan, which has the same dependency along the row
        return at_least(hw, 2 * self.src.free * bandwidth_cost(hw, self.src, self.dst))


@instruction("tensor_tensor_scan", opcode=0x29, engines=(Engine.VECTOR,))
class TensorTensorScan(Instruction):
    """dst[i] := (a[i] op0 dst[i-1]) op1 b[i] along each row, dst[-1] being `initial`.

    The running value stays in FP32; only what is stored rounds to dst. `reverse0` and `reverse1`
    swap the sides of their operator.
    """

    dst: Tile = result(SBUF, PSUM)
    a: Tile = source(SBUF, PSUM, slot="B")
    b: Tile = source(SBUF, PSUM, slot="C")
    initial: Scalar = scalar(0)
    op0: AluOp = choice(AluOp, 5, bit=0)
    op1: AluOp = choice(AluOp, 5, bit=5)
    reverse0: bool = flag(bit=10)
    reverse1: bool = flag(bit=11)

    @rule("tensor_tensor_scan-C1")
    def inputs_not_both_in_psum(self, hw: Hardware) -> Any:
        """The two inputs are not both in PSUM."""
        return not_both_in_psum(self.a, self.b)

    @rule("tensor_tensor_scan-C2")
    def same_free_size(self, hw: Hardware) -> Any:
        """The inputs and the result have as many free elements."""
        return same_shape(self.dst, self.a, self.b)

    @rule("tensor_tensor_scan-C3")
    def operators_are_arithmetic(self, hw: Hardware) -> Any:
        """Both operators are arithmetic."""
        return np.logical_not(is_bitwise(self.op0, self.op1))

    def execute(self, state: Any) -> None:
        a, b = state.read(self.a), state.read(self.b)
        running = state.scalar(self.initial, len(a))[:, 0]
        y = np.empty_like(a)
        for j in range(a.shape[1]):
            left = (running, a[:, j]) if self.reverse0 else (a[:, j], running)
            inner = apply(self.op0, *left)
            right = (b[:, j], inner) if self.reverse1 else (inner, b[:, j])
            running = y[:, j] = apply(self.op1, *right)
        state.write(self.dst, y)

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, 2 * self.a.free * bandwidth_cost(hw, self.a, self.b, self.dst))


@instruction("bn_stats", opcode=0x2A, engines=(Engine.VECTOR,))
class BnStats(Instruction):
    """dst[p] := count, mean, count*variance of the row's even elements, then of its odd ones.

    All in FP32: mean = (sum in element order) / count, then the sum in order of (x - mean)^2. A row
    of one element has three zeros for its odd half.
    """

    dst: Tile = result(SBUF, PSUM, dtypes=FLOATS)
    src: Tile = source(SBUF, PSUM, slot="B", dtypes=FLOATS)

    @rule("bn_stats-C1")
    def row_fits(self, hw: Hardware) -> Any:
        """The input has at most 512 free elements."""
        return self.src.free <= 512

    @rule("bn_stats-C2")
    def six_results(self, hw: Hardware) -> Any:
        """The result has six free elements."""
        return self.dst.free == 6

    def execute(self, state: Any) -> None:
        x = state.read(self.src)
        halves = [statistics(x[:, 0::2]), statistics(x[:, 1::2])]
        state.write(self.dst, np.concatenate(halves, axis=1))

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, self.src.free * bandwidth_cost(hw, self.src))


@instruction("bn_aggr", opcode=0x2B, engines=(Engine.VECTOR,))
class BnAggr(Instruction):
    """dst[p] := mean and variance of the (count, mean, count*variance) triples in the row.

    In FP32, sums in order: mean = sum(count*mean) / sum(count), then
    variance = sum(count*variance_i + count*(mean_i - mean)^2) / sum(count).
    """

    dst: Tile = result(SBUF, PSUM, dtypes=FLOATS)
    src: Tile = source(SBUF, PSUM, slot="B", dtypes=FLOATS)

    @rule("bn_aggr-C1")
    def whole_triples(self, hw: Hardware) -> Any:
        """The input's free size is a multiple of three."""
        return self.src.free % 3 == 0

    @rule("bn_aggr-C2")
    def two_results(self, hw: Hardware) -> Any:
        """The result has two free elements."""
        return self.dst.free == 2

    def execute(self, state: Any) -> None:
        state.write(self.dst, aggregate(state.read(self.src)))

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, 13 * self.src.free // 3)
