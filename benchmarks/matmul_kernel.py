"""How fast the matmul kernel is, against NumPy's single-threaded sgemm on the same tiles.

    python -m benchmarks.matmul_kernel [--json] [--runs 300]

Runs of the two alternate, so that a busy machine slows both; the figures are medians. A loop does
one layer's product as the simulator does it: tiles of 128 rows, of which the first overwrites the
result and the others add to it. NumPy has no such order of summation to keep: the ratio is what
bit-exactness costs. BLAS chooses its own code for the processor; `OPENBLAS_CORETYPE` overrides it.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported
os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np

from isa.fma import Float32Array
from simulator.kernels import matmul_tile, matmul_tile_accumulate

TILE_SHAPES = [(128, 128, 512), (128, 64, 512), (128, 64, 64), (128, 64, 16), (128, 64, 1)]
LOOP_SHAPES = [(1024, 64, 512), (1024, 1024, 1024)]
TILE_ROWS, TILE_COLUMNS, TILE_MOVING = 128, 128, 512


@dataclass(frozen=True)
class Comparison:
    """One shape: medians of the kernel and of NumPy, and NumPy's time over the kernel's."""

    name: str
    k: int
    m: int
    n: int
    kernel_us: float
    numpy_us: float
    ratio: float
    kernel_gflops: float


def main() -> None:
    parser = argparse.ArgumentParser(description="The matmul kernel against NumPy's sgemm.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--runs", type=int, default=300, help="runs of each tile")
    arguments = parser.parse_args()
    results = [compare("tile", shape, arguments.runs) for shape in TILE_SHAPES]
    results += [compare("loop", shape, max(5, arguments.runs // 20)) for shape in LOOP_SHAPES]
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
        return
    print(
        f"{'':6}{'K':>6}{'M':>6}{'N':>6}{'kernel us':>11}{'numpy us':>10}{'ratio':>7}{'GFLOP/s':>9}"
    )
    for r in results:
        print(
            f"{r.name:6}{r.k:6}{r.m:6}{r.n:6}{r.kernel_us:11.1f}{r.numpy_us:10.1f}"
            f"{r.ratio:7.2f}{r.kernel_gflops:9.1f}"
        )


def compare(name: str, shape: tuple[int, int, int], runs: int) -> Comparison:
    """Time both on operands drawn from a fixed seed."""
    k, m, n = shape
    rng = np.random.default_rng(0)
    a = rng.standard_normal((k, m), dtype=np.float32)
    b = rng.standard_normal((k, n), dtype=np.float32)
    out = np.empty((m, n), dtype=np.float32)
    if name == "tile":
        kernel, blas = partial(matmul_tile, a, b, out), partial(np.matmul, a.T, b, out)
    else:
        kernel = partial(kernel_loop, list(tiles(a, b, out)), out)
        blas = partial(numpy_loop, list(tiles(a, b, out)), out)
    kernel_s, numpy_s = interleaved_medians([kernel, blas], runs)
    gflops = 2e-9 * k * m * n / kernel_s
    ratio = numpy_s / kernel_s
    return Comparison(name, k, m, n, kernel_s * 1e6, numpy_s * 1e6, ratio, gflops)


def interleaved_medians(functions: list[Callable[[], object]], runs: int) -> list[float]:
    """Median seconds of each function, called in turn; one call each is not counted."""
    times: list[list[float]] = [[] for _ in functions]
    for run in range(runs + 1):
        for function, series in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            if run:
                series.append(time.perf_counter() - start)
    return [statistics.median(series) for series in times]


Tile = tuple[Float32Array, Float32Array, slice, slice, bool, Float32Array]


def tiles(a: Float32Array, b: Float32Array, out: Float32Array) -> Iterator[Tile]:
    """Contiguous tiles: stationary, moving, where the product goes, is it the first, its buffer."""
    for m in range(0, a.shape[1], TILE_COLUMNS):
        for n in range(0, b.shape[1], TILE_MOVING):
            rows, columns = slice(m, m + TILE_COLUMNS), slice(n, n + TILE_MOVING)
            bank = np.empty_like(out[rows, columns], order="C")
            for k in range(0, a.shape[0], TILE_ROWS):
                stationary = np.ascontiguousarray(a[k : k + TILE_ROWS, rows])
                moving = np.ascontiguousarray(b[k : k + TILE_ROWS, columns])
                yield stationary, moving, rows, columns, k == 0, bank


def kernel_loop(work: list[Tile], out: Float32Array) -> None:
    for stationary, moving, rows, columns, first, bank in work:
        if first:
            matmul_tile(stationary, moving, bank)
        else:
            matmul_tile_accumulate(stationary, moving, bank)
        out[rows, columns] = bank


def numpy_loop(work: list[Tile], out: Float32Array) -> None:
    for stationary, moving, rows, columns, first, bank in work:
        if first:
            np.matmul(stationary.T, moving, out=bank)
        else:
            bank += stationary.T @ moving
        out[rows, columns] = bank


if __name__ == "__main__":
    main()
