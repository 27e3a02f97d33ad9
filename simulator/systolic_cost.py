"""The array against the instruction costs: the same load and matmul, counted both ways.

In    a target and the shape of a matmul
Out   `Comparison`: cycles of the cycle-by-cycle array, of the cost formulas, and why they differ
Read  `wavefront.py` for the array's side, `isa/instructions/tensor.py` for the formulas

The cost formulas give a matmul an occupancy, max(N, `pe_min_interval`), and a latency after it,
`pe_latency`; a load its columns over `pe_load_speedup`, hidden behind the matmul in front. With the
array's R rows and C columns (`pe_latency` is R + C on the targets) they differ for these causes:

    short     max(N, `pe_min_interval`) - N. The array takes a new matmul as soon as the moving
              values of the one in front are in; the interval of at least 64 cycles is documented
              for the engine as a whole. We put it down to what feeds the array (assumed).
    narrow    C - M. The last sum leaves from column M - 1; the formula waits for the last column
              of the array, since the latency is one number for all shapes.
    ends      `pe_latency` - (R + C - 2), so 2. From PE (0, 0) to PE (R - 1, C - 1) there are R - 1
              and C - 1 steps, not R and C. The two cycles may stand for reading SBUF and writing
              PSUM, which the array model leaves out (assumed: neither is public).

    readable, by cost - readable, by array   = short + narrow + ends
    interval, by cost - interval, by array   = max(N, `pe_min_interval`) - max(N, load of M columns)

K makes no difference to either: a sum passes through all rows whether they hold weights or not.
FP32 operands take `pe_fp32_passes` passes by the formulas; the array here makes one, as for BF16.
"""

from dataclasses import dataclass

import numpy as np

from isa.dtypes import DType
from isa.fma import systolic_matmul
from isa.hardware import Hardware
from isa.instructions.tensor import LoadStationary, MultiplyMoving
from isa.memory import PSUM, SBUF, Engine, Memory
from isa.tiles import Tile
from simulator.systolic import SystolicArray
from simulator.wavefront import Load, Multiply, run


@dataclass(frozen=True)
class Comparison:
    """Cycles, each by the array and by the cost formulas.

    readable: from the start of the load to the cycle in which the last value of the product can be
    read; interval: from one matmul to the next when each has new weights; exact: the products are
    those of `isa/fma.py`, bit for bit; the other three are the causes named above.
    """

    k: int
    m: int
    n: int
    readable_by_array: int
    readable_by_cost: int
    interval_by_array: int
    interval_by_cost: int
    short: int
    narrow: int
    ends: int
    exact: bool

    @property
    def readable_difference(self) -> int:
        return self.readable_by_cost - self.readable_by_array

    @property
    def interval_difference(self) -> int:
        return self.interval_by_cost - self.interval_by_array


def array_of(hw: Hardware) -> SystolicArray:
    """An empty array of the target's size."""
    return SystolicArray(hw.pe_rows, hw.pe_columns, hw.pe_load_speedup)


def compare(hw: Hardware, k: int, m: int, n: int) -> Comparison:
    """Run two matmuls, each with its own weights, on the array and by the formulas."""
    rng = np.random.default_rng((k, m, n))
    tiles = [
        (rng.standard_normal((k, m), dtype=np.float32), rng.standard_normal((k, n), np.float32))
        for _ in range(2)
    ]
    operations = [op for weights, moving in tiles for op in (Load(weights), Multiply(moving))]
    done = run(array_of(hw), operations)
    exact = all(
        np.array_equal(product.view(np.uint32), systolic_matmul(*tile).view(np.uint32))
        for product, tile in zip(done.products, tiles, strict=True)
    )
    load, matmul = load_cycles(hw, k, m), matmul_cycles(hw, k, m, n)
    return Comparison(
        k,
        m,
        n,
        readable_by_array=int(done.left_at[0].max()) + 1,
        readable_by_cost=load + matmul + hw.latency(Engine.TENSOR),
        interval_by_array=done.starts[3] - done.starts[1],
        interval_by_cost=max(matmul, load),
        short=matmul - n,
        narrow=hw.pe_columns - m,
        ends=hw.latency(Engine.TENSOR) - (hw.pe_rows + hw.pe_columns - 2),
        exact=exact,
    )


def load_cycles(hw: Hardware, k: int, m: int) -> int:
    """Occupancy of loading a BF16 stationary tile [k, m], by the instruction's cost."""
    return int(LoadStationary(src=_row_major(SBUF, k, m)).occupancy(hw))


def matmul_cycles(hw: Hardware, k: int, m: int, n: int) -> int:
    """Occupancy of multiplying a BF16 moving tile [k, n], by the instruction's cost."""
    product, moving = _row_major(PSUM, m, n, DType.FP32), _row_major(SBUF, k, n)
    return int(MultiplyMoving(dst=product, moving=moving, start=True).occupancy(hw))


def _row_major(memory: Memory, partitions: int, free: int, dtype: DType = DType.BF16) -> Tile:
    return Tile(memory, 0, partitions, 0, dtype, ((1, free),))
