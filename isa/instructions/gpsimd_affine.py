"""The gpsimd engine's affine patterns: numbers and masks computed from where an element stands."""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.alu import AluOp
from isa.alu_reference import apply
from isa.hardware import Hardware
from isa.instructions.costs import same_shape
from isa.instructions.gpsimd import GPSIMD, V2
from isa.memory import SBUF
from isa.spec import Instruction, choice, instruction, number, result, rule, scalar, source
from isa.tiles import Scalar, Tile

COMPARISONS = tuple(range(AluOp.EQUAL, AluOp.LESS + 1))


def affine(i: Any, tile: Tile) -> Any:
    """offset + p * multiplier + sum over d of step_d * i_d, modulo 2^32, as int32 [P, N]."""
    value = np.zeros(1, np.int64)
    for step, num in zip((i.step0, i.step1, i.step2, i.step3), tile.nums, strict=True):
        value = (value[:, None] + step * np.arange(num, dtype=np.int64)).reshape(-1)
    rows = i.offset + i.multiplier * np.arange(tile.partitions, dtype=np.int64)
    return (rows[:, None] + value).astype(np.int32)


@instruction("iota", opcode=0x40, engines=GPSIMD, generations=V2)
class Iota(Instruction):
    """dst[p, i] := offset + p*multiplier + sum over d of step_d * i_d, in int32 modulo 2^32.

    p counts the tile's own partitions from 0, i_d its four dimensions, outermost first. An integer
    result saturates, INT32 and UINT32 take the 32 bits, a float result rounds through FP32.
    """

    dst: Tile = result(SBUF)
    offset: int = number(32, bit=0, word=12, signed=True)
    multiplier: int = number(32, bit=32, word=12, signed=True)
    step0: int = number(32, bit=0, word=10, signed=True)
    step1: int = number(32, bit=32, word=10, signed=True)
    step2: int = number(32, bit=0, word=11, signed=True)
    step3: int = number(32, bit=32, word=11, signed=True)

    def execute(self, state: Any) -> None:
        state.write_integers(self.dst, affine(self, self.dst))

    def occupancy(self, hw: Hardware) -> Any:
        return hw.pool_start + self.dst.free


@instruction("affine_select", opcode=0x41, engines=GPSIMD, generations=V2)
class AffineSelect(Instruction):
    """dst := src where (the affine value of `iota`) op 0, else fill; op is a comparison.

    The affine value counts the dimensions of src.
    """

    dst: Tile = result(SBUF)
    src: Tile = source(SBUF, slot="B")
    fill: Scalar = scalar(0, column=False)
    op: AluOp = choice(AluOp, 5, bit=0, default=AluOp.EQUAL)
    offset: int = number(32, bit=0, word=12, signed=True)
    multiplier: int = number(32, bit=32, word=12, signed=True)
    step0: int = number(32, bit=0, word=10, signed=True)
    step1: int = number(32, bit=32, word=10, signed=True)
    step2: int = number(32, bit=0, word=11, signed=True)
    step3: int = number(32, bit=32, word=11, signed=True)

    @rule("affine_select-C1")
    def same_free_size(self, hw: Hardware) -> Any:
        """The input and the result have as many free elements."""
        return same_shape(self.src, self.dst)

    @rule("affine_select-C2")
    def operator_compares(self, hw: Hardware) -> Any:
        """The operator is a comparison."""
        return np.isin(self.op, COMPARISONS)

    def execute(self, state: Any) -> None:
        signs = np.sign(affine(self, self.src)).astype(np.float32)
        chosen = apply(self.op, signs, np.zeros_like(signs)) != 0
        fill = state.scalar(self.fill, self.src.partitions)
        state.write(self.dst, np.where(chosen, state.read(self.src), fill))

    def occupancy(self, hw: Hardware) -> Any:
        return hw.pool_start + self.src.free
