"""How fast the functional simulator is: matmuls against NumPy's sgemm, and nanoseconds an element.

    python -m benchmarks.functional_speed [--json] [--runs 15]

The matmul programs are whole instructions: a stationary load and a matmul for each tile of 128
rows, operands read from SBUF and converted, products summed in PSUM. NumPy multiplies the same
tiles in the same loop, contiguous FP32 in its own memory, on one thread, in any order it likes;
`kernel` is our bit-exact kernel alone on the same tiles, so that what is not kernel is instruction
handling. Runs of the three alternate, so that a busy machine slows all; the figures are medians.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported
os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np

from benchmarks.matmul_kernel import interleaved_medians
from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.encoding import encode_all
from isa.hardware import load_target
from isa.instructions.dma import DmaCopy
from isa.instructions.scalar import Activation
from isa.instructions.tensor import LoadStationary, MultiplyMoving
from isa.instructions.vector import TensorCopy, TensorReduce, TensorScalar, TensorTensor
from isa.memory import DRAM, PSUM, SBUF, Engine
from isa.program import BufferKind, DramBuffer, Program
from isa.spec import Instruction
from isa.state import State
from isa.tiles import DmaTile, Immediate, Tile, contiguous
from simulator.functional import prepare, simulate
from simulator.kernels import matmul_tile_into

HW = load_target("inf1")
ROWS, COLUMNS, MOVING, TILES = 128, 64, 512, 64
PARTITIONS, FREE, REPEATS = 128, 512, 50
DRAM_BYTES = 1 << 20
MATMUL_DTYPES = (DType.FP32, DType.BF16, DType.FP16)


def tile(address: int, columns: int, dtype: DType, rows: int = ROWS) -> Tile:
    """A contiguous tile in SBUF from partition 0."""
    return Tile(SBUF, 0, rows, address, dtype, contiguous(columns))


def places(dtype: DType) -> int:
    """How many pairs of tiles fit in SBUF: as many are used, by all."""
    return min(TILES, HW.sbuf_partition_bytes // ((COLUMNS + MOVING) * dtype.size_bytes))


def matmul_program(dtype: DType) -> list[Instruction]:
    """Products of TILES pairs of tiles, summed in one PSUM bank."""
    size, lines = dtype.size_bytes, list[Instruction]()
    product = Tile(PSUM, 0, COLUMNS, 0, DType.FP32, contiguous(MOVING))
    span = (COLUMNS + MOVING) * size
    for k in range(TILES):
        at = k % places(dtype) * span
        lines.append(LoadStationary(tile(at, COLUMNS, dtype)))
        moving = tile(at + COLUMNS * size, MOVING, dtype)
        lines.append(MultiplyMoving(product, moving, k == 0, k == TILES - 1))
    return lines


def elementwise_programs() -> dict[str, tuple[Engine, Instruction]]:
    """One instruction of each sort, over PARTITIONS x FREE elements."""
    found: dict[str, tuple[Engine, Instruction]] = {}
    for dtype in (DType.FP32, DType.BF16):
        a, b, c = (tile(i * FREE * 4, FREE, dtype, PARTITIONS) for i in range(3))
        name, vector, scalar = dtype.text, Engine.VECTOR, Engine.SCALAR
        found[f"tensor_tensor add {name}"] = (vector, TensorTensor(c, a, b, AluOp.ADD))
        one = Immediate.of(0.5)
        both = TensorScalar(c, a, one, one, AluOp.MULTIPLY, AluOp.ADD)
        found[f"tensor_scalar multiply, add {name}"] = (vector, both)
        for function in (ActivationFunction.RELU, ActivationFunction.GELU):
            line = Activation(c, a, one, one, function)
            found[f"activation {function.name.lower()} {name}"] = (scalar, line)
        column = tile(0x8000, 1, DType.FP32, PARTITIONS)
        found[f"tensor_reduce add {name}"] = (vector, TensorReduce(column, a, AluOp.ADD))
        other = DType.BF16 if dtype is DType.FP32 else DType.FP32
        cast = TensorCopy(tile(0x8000, FREE, other, PARTITIONS), a)
        found[f"tensor_copy {name} to {other.text}"] = (vector, cast)
        away = DmaTile(DRAM, 0, dtype, ((1, PARTITIONS * FREE),))
        near = DmaTile(SBUF, 0, dtype, ((1, FREE),), 0, PARTITIONS)
        found[f"dma_copy {name}"] = (Engine.DMA, DmaCopy(away, near))
        turned = DmaTile(DRAM, 0, dtype, ((1, PARTITIONS), (PARTITIONS, FREE)))
        found[f"dma_copy, turned {name}"] = (Engine.DMA, DmaCopy(turned, near))
    return found


def runner(stream: int, lines: list[Instruction]) -> Callable[[], object]:
    """A function that runs a program on memories of small numbers; tables are made once."""
    buffer = DramBuffer("out", BufferKind.SCRATCH, 0, DRAM_BYTES)
    tables = prepare(Program({stream: encode_all(lines)}, (buffer,)), HW)
    assert tables.native == 1.0
    state = State(HW, DRAM_BYTES)
    values = np.random.default_rng(0).standard_normal(HW.sbuf_bytes // 4).astype(np.float32)
    state.sbuf.reshape(-1)[:] = values.view(np.uint8)
    return lambda: simulate(tables, state)


def matmul_ratio(dtype: DType, runs: int) -> dict[str, Any]:
    """The program, NumPy on the same loop, and our kernel alone."""
    rng = np.random.default_rng(0)
    shape = (ROWS, COLUMNS + MOVING)
    both = [rng.standard_normal(shape).astype(np.float32) for _ in range(places(dtype))]
    pairs = [
        (np.ascontiguousarray(t[:, :COLUMNS]), np.ascontiguousarray(t[:, COLUMNS:])) for t in both
    ]
    work = [pairs[k % len(pairs)] for k in range(TILES)]
    out = np.zeros((COLUMNS, MOVING), np.float32)

    def numpy_loop() -> None:
        out[:] = 0
        for stationary, moving in work:
            np.add(out, stationary.T @ moving, out=out)

    def kernel_loop() -> None:
        for k, (stationary, moving) in enumerate(work):
            matmul_tile_into(stationary, moving, out, (0, 0), k > 0)

    program = runner(Engine.TENSOR, matmul_program(dtype))
    ours, blas, kernel = interleaved_medians([program, numpy_loop, kernel_loop], runs)
    flops = 2 * ROWS * COLUMNS * MOVING * TILES
    return {
        "name": f"matmul {dtype.text}",
        "ratio": blas / ours,
        "kernel_share": kernel / ours,
        "us_a_tile": ours / TILES * 1e6,
        "gflops": flops / ours * 1e-9,
    }


def element_time(name: str, stream: int, line: Instruction, runs: int) -> dict[str, Any]:
    """Nanoseconds an element of one instruction."""
    (seconds,) = interleaved_medians([runner(stream, [line] * REPEATS)], runs)
    return {"name": name, "ns_an_element": seconds / (REPEATS * PARTITIONS * FREE) * 1e9}


def main() -> None:
    parser = argparse.ArgumentParser(description="The speed of the functional simulator.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--runs", type=int, default=15, help="runs of each")
    arguments = parser.parse_args()
    matmuls = [matmul_ratio(dtype, arguments.runs) for dtype in MATMUL_DTYPES]
    elements = [
        element_time(name, stream, line, arguments.runs)
        for name, (stream, line) in elementwise_programs().items()
    ]
    if arguments.json:
        print(json.dumps({"matmul": matmuls, "elements": elements}, indent=1))
        return
    print(f"{'':14}{'of sgemm':>10}{'in kernel':>11}{'us a tile':>11}{'GFLOP/s':>9}")
    for r in matmuls:
        print(
            f"{r['name']:14}{r['ratio']:10.2f}{r['kernel_share']:11.2f}"
            f"{r['us_a_tile']:11.1f}{r['gflops']:9.1f}"
        )
    print(f"\n{'':34}{'ns an element':>14}")
    for r in elements:
        print(f"{r['name']:34}{r['ns_an_element']:14.2f}")


if __name__ == "__main__":
    main()
