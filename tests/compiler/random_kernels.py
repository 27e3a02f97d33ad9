"""Random kernels: loads, matmuls, elementwise work, on-chip moves and stores over small buffers."""

from __future__ import annotations

import numpy as np

from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.hardware import Hardware
from isa.kernel import Buffer, Kernel
from isa.program import BufferKind
from tests.compiler.schedule_kernels import in_dram, on_chip, tile

FP32 = DType.FP32
ROWS, FREE = 64, 16
SIZE = FREE * 4


def random_kernel(hw: Hardware, seed: int, steps: int = 40, alive: int = 6) -> Kernel:
    """`steps` operations on FP32 tiles [64, 16]; at most `alive` values are kept at a time.

    Values are read again after later ones were made, some are overwritten in place, and each is
    stored in the end or dropped.
    """
    rng = np.random.default_rng(seed)
    k = Kernel(hw)
    values: list[Buffer] = []
    for step in range(steps):
        k.set_layer(f"step{step // 5}")
        kind = rng.integers(7) if len(values) >= 2 else 0
        a, b = (values[rng.integers(len(values))] for _ in range(2)) if values else (None, None)
        made = _make(k, int(kind), step, a, b, rng)
        if made is not None:
            values.append(made)
        if len(values) > alive:
            _store(k, values.pop(int(rng.integers(len(values)))), step)
    for i, value in enumerate(values):
        _store(k, value, steps + i)
    return k


def _make(
    k: Kernel, kind: int, step: int, a: Buffer | None, b: Buffer | None, rng: np.random.Generator
) -> Buffer | None:
    if kind == 0 or a is None or b is None:
        source = k.dram(f"in{step}", ROWS * SIZE, BufferKind.CONSTANT, FP32, (ROWS, FREE))
        new = k.sbuf(ROWS, SIZE, f"load{step}")
        k.dma(on_chip(new, FP32, FREE), in_dram(source, FP32, ROWS, FREE))
        return new
    first, second = tile(a, FP32, FREE), tile(b, FP32, FREE)
    if kind == 1:
        k.tensor_tensor(first, first, second, AluOp.MAX)
        return None
    new = k.sbuf(ROWS, int(rng.choice([SIZE, 2 * SIZE])), f"value{step}")
    result = tile(new, FP32, FREE)
    if kind == 2:
        psum = k.psum(ROWS)
        product = tile(psum, FP32, FREE, partitions=FREE)
        k.matmul(product, first, second, start=True, stop=False)
        k.matmul(product, second, first, start=False, stop=True)
        k.tensor_tensor(result, first, second, AluOp.ADD)
        part = tile(new, FP32, FREE, partitions=FREE)
        k.tensor_tensor(part, part, product, AluOp.MIN)
    elif kind == 3:
        function = ActivationFunction.RELU if rng.integers(2) else ActivationFunction.TANH
        k.activation(result, first, function)
    elif kind == 4:
        k.dma(on_chip(new, FP32, FREE), on_chip(a, FP32, FREE))
    elif kind == 5:
        k.tensor_scalar(result, first, AluOp.MULTIPLY, 0.5)
    else:
        k.tensor_tensor(result, first, second, AluOp.ADD)
    return new


def _store(k: Kernel, value: Buffer, step: int) -> None:
    out = k.dram(f"out{step}", ROWS * SIZE, BufferKind.OUTPUT, FP32, (ROWS, FREE))
    k.dma(in_dram(out, FP32, ROWS, FREE), on_chip(value, FP32, FREE))
