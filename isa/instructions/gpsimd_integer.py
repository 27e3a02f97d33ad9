"""The gpsimd engine's native 32-bit integer instructions: no operand passes through FP32."""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.alu import AluOp
from isa.dtypes import INT32, UINT32
from isa.hardware import Hardware
from isa.instructions.costs import at_least, same_shape
from isa.instructions.gpsimd import GPSIMD, V2
from isa.integer_alu import INTEGER_OPERATORS, apply_integers
from isa.memory import SBUF
from isa.spec import Instruction, choice, flag, instruction, result, rule, scalar, source
from isa.tiles import Scalar, Tile

WORDS32 = frozenset({INT32, UINT32})


@instruction("integer_tensor_tensor", opcode=0x48, engines=GPSIMD, generations=V2)
class IntegerTensorTensor(Instruction):
    """dst := a op b, elementwise on 32-bit integers, modulo 2^32."""

    dst: Tile = result(SBUF, dtypes=WORDS32)
    a: Tile = source(SBUF, slot="B", dtypes=WORDS32)
    b: Tile = source(SBUF, slot="C", dtypes=WORDS32)
    op: AluOp = choice(AluOp, 5, bit=0)

    @rule("integer_tensor_tensor-C1")
    def same_form(self, hw: Hardware) -> Any:
        """The inputs and the result have as many free elements and one data type."""
        one_type = (self.a.dtype == self.dst.dtype) & (self.b.dtype == self.dst.dtype)
        return same_shape(self.dst, self.a, self.b) & one_type

    @rule("integer_tensor_tensor-C2")
    def operator_has_integer_form(self, hw: Hardware) -> Any:
        """The operator is bypass, add to min, a comparison, and, or, xor or a shift."""
        return np.isin(self.op, INTEGER_OPERATORS)

    def execute(self, state: Any) -> None:
        a, b = state.read_raw(self.a), state.read_raw(self.b)
        state.write_raw(self.dst, apply_integers(self.op, a, b))

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, 2 * self.dst.free)


@instruction("integer_tensor_scalar", opcode=0x49, engines=GPSIMD, generations=V2)
class IntegerTensorScalar(Instruction):
    """dst := (src op0 operand0) op1 operand1 on 32-bit integers, modulo 2^32.

    An immediate is 32 bits of the input's type, a column has that type.
    """

    dst: Tile = result(SBUF, dtypes=WORDS32)
    src: Tile = source(SBUF, slot="B", dtypes=WORDS32)
    operand0: Scalar = scalar(0, dtypes=WORDS32)
    operand1: Scalar | None = scalar(1, default=None, optional=True, dtypes=WORDS32)
    op0: AluOp = choice(AluOp, 5, bit=0)
    op1: AluOp = choice(AluOp, 5, bit=5)
    reverse0: bool = flag(bit=10)
    reverse1: bool = flag(bit=11)

    @rule("integer_tensor_scalar-C1")
    def same_form(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements and one data type."""
        return same_shape(self.dst, self.src) & (self.src.dtype == self.dst.dtype)

    @rule("integer_tensor_scalar-C2")
    def operators_have_integer_form(self, hw: Hardware) -> Any:
        """The operators are bypass, add to min, a comparison, and, or, xor or a shift."""
        return np.isin(self.op0, INTEGER_OPERATORS) & np.isin(self.op1, INTEGER_OPERATORS)

    def execute(self, state: Any) -> None:
        x = state.read_raw(self.src)
        for op, operand, swap in (
            (self.op0, self.operand0, self.reverse0),
            (self.op1, self.operand1, self.reverse1),
        ):
            if operand is not None:
                other = state.scalar_bits(operand, len(x), 4).view(x.dtype)
                x = apply_integers(op, other, x) if swap else apply_integers(op, x, other)
        state.write_raw(self.dst, x)

    def occupancy(self, hw: Hardware) -> Any:
        return at_least(hw, self.src.free)
