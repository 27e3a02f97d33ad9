"""The scalar (activation) engine: one input element for one output element, through a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.activation.functions import ActivationFunction
from isa.activation.reference import evaluate
from isa.alu import AluOp, ReduceCommand
from isa.dtypes import EVERY_DTYPE, FP32, TF32
from isa.hardware import Hardware
from isa.instructions.costs import at_least, is_immediate, present, same_shape
from isa.instructions.vector import TensorScalar
from isa.memory import PSUM, SBUF, Engine
from isa.spec import Instruction, choice, instruction, number, result, rule, scalar, source
from isa.tiles import Immediate, Scalar, Tile

BIAS_DTYPES = EVERY_DTYPE - {TF32}


def activate(i: Any, state: Any) -> Any:
    """function(src * scale + bias) in FP32, [P, N]."""
    partitions = i.src.partitions
    with np.errstate(all="ignore"):
        x = state.read(i.src) * state.scalar(i.scale, partitions)
        if i.bias is not None:
            x = x + state.scalar(i.bias, partitions)
    return evaluate(i.function, x, Immediate(i.alpha).value)


def bias_is_taken(i: Any, hw: Hardware) -> Any:
    """Whether the bias has a form that the generation takes (neuron-facts 2.2).

    The restriction is documented for NeuronCore-v2; v1 is not public, and assumed free of it.
    """
    constant = is_immediate(i.bias)
    refused = present(i.bias) & (i.function == ActivationFunction.RECIPROCAL)
    return (hw.generation != 2) | np.logical_not(constant | refused)


@instruction("activation", opcode=0x10, engines=(Engine.SCALAR,))
class Activation(Instruction):
    """dst := function(src * scale + bias), elementwise; optionally summed over the free axes.

    `scale` and `bias` are FP32 immediates or one value a partition; the product rounds, then the
    sum. `alpha` (FP32 bits) is the parameter of prelu. With a reduce command other than idle, the
    row sums of the unrounded FP32 results, in element order, go to the engine's reduce registers:
    register i takes row i.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    scale: Scalar = scalar(0, default=Immediate.of(1.0))
    bias: Scalar | None = scalar(1, default=None, optional=True, dtypes=BIAS_DTYPES)
    function: ActivationFunction = choice(ActivationFunction, 6, bit=0)
    reduce: ReduceCommand = choice(ReduceCommand, 3, bit=8)
    alpha: int = number(32, bit=0, word=15)

    @rule("activation-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements."""
        return same_shape(self.src, self.dst)

    @rule("activation-C2")
    def nothing_to_load(self, hw: Hardware) -> Any:
        """The reduce command is not load_reduce: there is no operand to load."""
        return self.reduce != ReduceCommand.LOAD_REDUCE

    @rule("activation-C3")
    def bias_is_a_column(self, hw: Hardware) -> Any:
        """On NeuronCore-v2 the bias is a column, and reciprocal takes none."""
        return bias_is_taken(self, hw)

    def execute(self, state: Any) -> None:
        y = activate(self, state)
        state.reduce_registers(Engine.SCALAR, self.reduce, y)
        state.write(self.dst, y)

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, self.src.free)


@instruction("activation_reduce", opcode=0x11, engines=(Engine.SCALAR,))
class ActivationReduce(Instruction):
    """dst := function(src * scale + bias); sums[p] := sum over the row p of that.

    An `activation` with reset_reduce, and the read-out of its reduce registers.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    sums: Tile = result(SBUF, PSUM, slot="C")
    scale: Scalar = scalar(0, default=Immediate.of(1.0))
    bias: Scalar | None = scalar(1, default=None, optional=True, dtypes=BIAS_DTYPES)
    function: ActivationFunction = choice(ActivationFunction, 6, bit=0)
    alpha: int = number(32, bit=0, word=15)

    @rule("activation_reduce-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements, the sums have one."""
        return same_shape(self.src, self.dst) & (self.sums.free == 1)

    @rule("activation_reduce-C2")
    def bias_is_a_column(self, hw: Hardware) -> Any:
        """On NeuronCore-v2 the bias is a column, and reciprocal takes none."""
        return bias_is_taken(self, hw)

    def execute(self, state: Any) -> None:
        y = activate(self, state)
        state.reduce_registers(Engine.SCALAR, ReduceCommand.RESET_REDUCE, y)
        state.write(self.dst, y)
        state.write(self.sums, state.reduce[Engine.SCALAR][: len(y), None])

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, self.src.free) + hw.engine_min_interval


@instruction("act_read_accumulator", opcode=0x12, engines=(Engine.SCALAR,))
class ActReadAccumulator(Instruction):
    """dst[p] := reduce register p, rounded to the type of dst."""

    dst: Tile = result(SBUF, PSUM)

    @rule("act_read_accumulator-C1")
    def one_column(self, hw: Hardware) -> Any:
        """The result has one free element."""
        return self.dst.free == 1

    def execute(self, state: Any) -> None:
        state.write(self.dst, state.reduce[Engine.SCALAR][: self.dst.partitions, None])


@instruction("act_tensor_scalar", opcode=0x13, engines=(Engine.SCALAR,), generations=(3,))
class ActTensorScalar(Instruction):
    """dst := (src op0 operand0) op1 operand1, the scalar engine's form of `tensor_scalar`.

    NeuronCore-v3 on; multiply then add, multiply alone, or add alone (neuron-facts 2.2).
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    operand0: Scalar = scalar(0, dtypes=frozenset({FP32}))
    operand1: Scalar | None = scalar(1, default=None, optional=True)
    op0: AluOp = choice(AluOp, 5, bit=0, default=AluOp.MULTIPLY)
    op1: AluOp = choice(AluOp, 5, bit=5)

    reverse0 = reverse1 = False
    steps = TensorScalar.steps

    @rule("act_tensor_scalar-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements."""
        return same_shape(self.src, self.dst)

    @rule("act_tensor_scalar-C2")
    def operators_fit(self, hw: Hardware) -> Any:
        """The operators are multiply and add, multiply alone, or add alone."""
        second = self.op1 == AluOp.BYPASS
        both = (self.op0 == AluOp.MULTIPLY) & (self.op1 == AluOp.ADD)
        return both | (second & np.isin(self.op0, (AluOp.MULTIPLY, AluOp.ADD)))

    def execute(self, state: Any) -> None:
        state.alu_scalars(self)

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, self.src.free)


@instruction("act_tensor_copy", opcode=0x14, engines=(Engine.SCALAR,), generations=(3,))
class ActTensorCopy(Instruction):
    """dst := src on the scalar engine; bit exact between equal types, else through FP32.

    NeuronCore-v3 on; before it, `activation` with copy.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")

    @rule("act_tensor_copy-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements."""
        return same_shape(self.src, self.dst)

    def execute(self, state: Any) -> None:
        state.write_raw(self.dst, state.read_as(self.src, self.dst.dtype))

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, self.src.free)
