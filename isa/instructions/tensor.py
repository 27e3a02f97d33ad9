"""The tensor engine: a systolic array that multiplies a moving tile by a stationary one.

The documents name FP16, BF16 and INT8 inputs for NeuronCore-v1 (neuron-facts 1.1). FP32 in four
passes, documented for v2, is assumed there too; INT8 is left out (`isa/coverage.py`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from isa.alu import AluOp
from isa.alu_reference import apply
from isa.dtypes import DType
from isa.fma import systolic_matmul
from isa.hardware import Hardware
from isa.memory import PSUM, SBUF, Engine
from isa.spec import Instruction, flag, instruction, result, rule, source
from isa.tiles import Tile

MATMUL_DTYPES = frozenset(
    {DType.BF16, DType.FP16, DType.TF32, DType.FP32, DType.FP8_E4M3, DType.FP8_E5M2}
)
FULL_WIDTH = (DType.FP32, DType.TF32)


@instruction("load_stationary", opcode=0x01, engines=(Engine.TENSOR,))
class LoadStationary(Instruction):
    """Load the stationary tile into the array: stationary[k, m] := src[k, m].

    Row k of the array takes partition k of the tile, column m its free element m. The array is
    double buffered: the tile is loaded while the matmul in front still runs.
    """

    src: Tile = source(SBUF, slot="B", dtypes=MATMUL_DTYPES)

    @rule("load_stationary-C1")
    def rows_fit_the_array(self, hw: Hardware) -> Any:
        """The stationary tile has no more partitions than the array has rows."""
        return self.src.partitions <= hw.pe_rows

    @rule("load_stationary-C2")
    def columns_fit_the_array(self, hw: Hardware) -> Any:
        """The stationary tile has no more free elements than the array has columns."""
        return self.src.free <= hw.pe_columns

    def execute(self, state: Any) -> None:
        state.stationary = state.read(self.src)
        state.stationary_tile = self.src

    def occupancy(self, hw: Hardware) -> Any:
        passes = np.where(self.src.dtype == DType.FP32, hw.pe_fp32_passes, 1)
        return -(-self.src.free * passes // hw.pe_load_speedup)


@instruction("matmul", opcode=0x02, engines=(Engine.TENSOR,))
class MultiplyMoving(Instruction):
    """Multiply by the stationary tile: dst[m, n] (+)= sum_k stationary[k, m] * moving[k, n].

    The sum runs over k in row order from +0 with a fused multiply-add in FP32. With `start` it
    overwrites dst and opens an accumulation group, without it is added to what dst holds (one FP32
    addition); `stop` closes the group, and only then may another engine read it. `transpose` is a
    tag for profiles. `onezero` promises FP32 operands one of which holds only 0 and 1, and halves
    the passes; the meaning is the same.
    """

    lanewise: ClassVar[bool] = False

    dst: Tile = result(PSUM, dtypes=frozenset({DType.FP32}))
    moving: Tile = source(SBUF, slot="B", dtypes=MATMUL_DTYPES)
    start: bool = flag(bit=0)
    stop: bool = flag(bit=1)
    transpose: bool = flag(bit=2)
    onezero: bool = flag(bit=3)

    @rule("matmul-C1")
    def contraction_fits_the_array(self, hw: Hardware) -> Any:
        """The moving tile has no more partitions than the array has rows."""
        return self.moving.partitions <= hw.pe_rows

    @rule("matmul-C2")
    def moving_fits(self, hw: Hardware) -> Any:
        """The moving tile has at most `pe_moving_max` free elements."""
        return self.moving.free <= hw.pe_moving_max

    @rule("matmul-C3")
    def product_in_one_bank(self, hw: Hardware) -> Any:
        """The product lies in one PSUM bank."""
        return self.dst.low // hw.psum_bank_bytes == (self.dst.high - 1) // hw.psum_bank_bytes

    @rule("matmul-C4")
    def product_has_the_columns(self, hw: Hardware) -> Any:
        """The product has as many free elements as the moving tile."""
        return self.dst.free == self.moving.free

    @rule("matmul-C5")
    def product_fits_the_columns(self, hw: Hardware) -> Any:
        """The product has no more partitions than the array has columns."""
        return self.dst.partitions <= hw.pe_columns

    def keeps_result(self) -> Any:
        return np.logical_not(self.start)

    def execute(self, state: Any) -> None:
        product = systolic_matmul(state.stationary_for(self), state.read(self.moving))
        held = None if self.start else state.read(self.dst)
        state.write(self.dst, product if held is None else apply(AluOp.ADD, held, product))

    def occupancy(self, hw: Hardware) -> Any:
        fp32 = np.where(self.onezero, -(-hw.pe_fp32_passes // 2), hw.pe_fp32_passes)
        passes = np.where(self.moving.dtype == DType.FP32, fp32, 1)
        return np.maximum(hw.pe_min_interval, self.moving.free) * passes
