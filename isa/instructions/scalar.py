"""The scalar (activation) engine: one input element for one output element, through a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.activation.functions import ActivationFunction
from isa.activation.reference import evaluate
from isa.alu import ReduceCommand
from isa.hardware import Hardware
from isa.memory import PSUM, SBUF, Engine
from isa.spec import Instruction, choice, instruction, number, result, scalar, source
from isa.tiles import Immediate, Scalar, Tile


@instruction("activation", opcode=0x10, engines=(Engine.SCALAR,))
class Activation(Instruction):
    """dst := function(src * scale + bias), elementwise; optionally summed over the free axes.

    `scale` and `bias` are FP32 immediates or one value a partition; the product rounds, then the
    sum. `alpha` (FP32 bits) is the parameter of prelu. With a reduce command other than idle, the
    row sums of the unrounded FP32 results, in element order, go to the engine's reduce registers.
    """

    dst: Tile = result(SBUF, PSUM)
    src: Tile = source(SBUF, PSUM, slot="B")
    scale: Scalar = scalar(0, default=Immediate.of(1.0))
    bias: Scalar | None = scalar(1, default=None, optional=True)
    function: ActivationFunction = choice(ActivationFunction, 6, bit=0)
    reduce: ReduceCommand = choice(ReduceCommand, 3, bit=8)
    alpha: int = number(32, bit=0, word=15)

    def execute(self, state: Any) -> None:
        x = state.read(self.src) * state.scalar(self.scale, self.src.partitions)
        if self.bias is not None:
            x = x + state.scalar(self.bias, self.src.partitions)
        y = evaluate(self.function, x, Immediate(self.alpha).value)
        state.reduce_registers(Engine.SCALAR, self.reduce, y)
        state.write(self.dst, y)

    def occupancy(self, hw: Hardware) -> Any:
        return np.maximum(hw.engine_min_interval, self.src.free)
