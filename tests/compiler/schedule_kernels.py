"""Kernels whose best schedule is known: bound by DMA, by PE, or by chains that must overlap."""

from __future__ import annotations

from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.hardware import Hardware
from isa.kernel import Ap, Buffer, DmaAp, Kernel
from isa.program import BufferKind

BF16, FP32 = DType.BF16, DType.FP32
RELU, EXP = ActivationFunction.RELU, ActivationFunction.EXP
M = 64  # columns of the array
K = 128  # its rows


def tile(buffer: Buffer, dtype: DType, free: int, offset: int = 0, partitions: int = 0) -> Ap:
    """`free` consecutive elements a partition."""
    return Ap(buffer, 0, partitions or buffer.partitions, offset, dtype, ((1, free),))


def on_chip(buffer: Buffer, dtype: DType, free: int, offset: int = 0) -> DmaAp:
    """The same for a DMA."""
    return DmaAp(buffer, 0, buffer.partitions, offset, dtype, ((1, free),))


def in_dram(buffer: Buffer, dtype: DType, rows: int, free: int, offset: int = 0) -> DmaAp:
    """Rows one after the other."""
    return DmaAp(buffer, 0, 1, offset, dtype, ((free, rows), (1, free)))


def constant(k: Kernel, name: str, rows: int, free: int, kind: BufferKind) -> Buffer:
    return k.dram(name, rows * free * 2, kind, BF16, (rows, free))


def layers(hw: Hardware, count: int, width: int = 1024, tokens: int = 64) -> Kernel:
    """A chain of layers y = relu(w x): for few tokens, the weights' way from DRAM is all."""
    k = Kernel(hw)
    blocks = width // K
    source = constant(k, "x", width, tokens, BufferKind.INPUT)
    x = [k.sbuf(K, tokens * 2, f"x{b}") for b in range(blocks)]
    for b in range(blocks):
        k.dma(on_chip(x[b], BF16, tokens), in_dram(source, BF16, K, tokens, b * K * tokens * 2))
    for layer in range(count):
        k.set_layer(f"layer{layer}")
        weights = constant(k, f"w{layer}", width, width, BufferKind.CONSTANT)
        w = [k.sbuf(K, width * 2, f"w{layer}.{b}") for b in range(blocks)]
        for b in range(blocks):
            k.dma(on_chip(w[b], BF16, width), in_dram(weights, BF16, K, width, b * K * width * 2))
        y = [k.sbuf(K, tokens * 2, f"y{layer}.{b}") for b in range(blocks)]
        for m in range(width // M):
            psum = k.psum(M)
            for b in range(blocks):
                k.matmul(
                    tile(psum, FP32, tokens),
                    tile(w[b], BF16, M, m * M * 2),
                    tile(x[b], BF16, tokens),
                    start=b == 0,
                    stop=b == blocks - 1,
                )
            half = Ap(y[m // 2], m % 2 * M, M, 0, BF16, ((1, tokens),))
            k.activation(half, tile(psum, FP32, tokens), RELU)
        x = y
    out = k.dram("y", width * tokens * 2, BufferKind.OUTPUT, BF16, (width, tokens))
    for b in range(blocks):
        k.dma(in_dram(out, BF16, K, tokens, b * K * tokens * 2), on_chip(x[b], BF16, tokens))
    return k


def product(hw: Hardware, m: int = 512, n: int = 2048, depth: int = 1024) -> Kernel:
    """out [m, n] = w [depth, m]^T x [depth, n]: with N = 512 a tile, PE is all."""
    k = Kernel(hw)
    blocks, width = depth // K, 512
    weights, inputs = (
        constant(k, "w", depth, m, BufferKind.CONSTANT),
        constant(k, "x", depth, n, BufferKind.INPUT),
    )
    out = k.dram("out", m * n * 2, BufferKind.OUTPUT, BF16, (m, n))
    k.set_layer("product")
    w = [k.sbuf(K, m * 2, f"w{b}") for b in range(blocks)]
    for b in range(blocks):
        k.dma(on_chip(w[b], BF16, m), in_dram(weights, BF16, K, m, b * K * m * 2))
    for column in range(n // width):
        x = [k.sbuf(K, width * 2, f"x{column}.{b}") for b in range(blocks)]
        for b in range(blocks):
            rows = DmaAp(inputs, 0, 1, (b * K * n + column * width) * 2, BF16, ((n, K), (1, width)))
            k.dma(on_chip(x[b], BF16, width), rows)
        for row in range(m // M):
            psum = k.psum(M)
            for b in range(blocks):
                k.matmul(
                    tile(psum, FP32, width),
                    tile(w[b], BF16, M, row * M * 2),
                    tile(x[b], BF16, width),
                    start=b == 0,
                    stop=b == blocks - 1,
                )
            result = k.sbuf(M, width * 2, f"out{column}.{row}")
            if row % 2:
                k.tensor_copy(tile(result, BF16, width), tile(psum, FP32, width))
            else:
                k.activation(tile(result, BF16, width), tile(psum, FP32, width), RELU)
            to = DmaAp(out, 0, 1, (row * M * n + column * width) * 2, BF16, ((n, M), (1, width)))
            k.dma(to, on_chip(result, BF16, width))
    return k


def heads(hw: Hardware, count: int, tokens: int = 64, width: int = 64) -> Kernel:
    """Attention-like heads: scores, softmax, product; a long chain each, nothing shared."""
    k = Kernel(hw)
    inputs = constant(k, "qkv", 3 * width, count * tokens, BufferKind.INPUT)
    out = k.dram("out", count * M * width * 2, BufferKind.OUTPUT, BF16, (count, M, width))
    q, key, v = (k.sbuf(width, count * tokens * 2, n) for n in "qkv")
    for i, b in enumerate((q, key, v)):
        source = in_dram(inputs, BF16, width, count * tokens, i * width * count * tokens * 2)
        k.dma(on_chip(b, BF16, count * tokens), source)
    for h in range(count):
        k.set_layer(f"head{h}")
        at = h * tokens * 2
        scores = k.psum(M)
        k.matmul(
            tile(scores, FP32, tokens),
            tile(q, BF16, M, at),
            tile(key, BF16, tokens, at),
            start=True,
            stop=True,
        )
        most, total = k.sbuf(M, 4), k.sbuf(M, 4)
        k.tensor_reduce(tile(most, FP32, 1), tile(scores, FP32, tokens), AluOp.MAX, 1, negate=True)
        weights = k.sbuf(M, tokens * 2)
        k.activation(
            tile(weights, BF16, tokens), tile(scores, FP32, tokens), EXP, bias=tile(most, FP32, 1)
        )
        k.tensor_reduce(tile(total, FP32, 1), tile(weights, BF16, tokens), AluOp.ADD, 1)
        inverse = k.sbuf(M, 4)
        k.reciprocal(tile(inverse, FP32, 1), tile(total, FP32, 1))
        mixed = k.psum(M)
        k.matmul(
            tile(mixed, FP32, width),
            tile(weights, BF16, M),
            tile(v, BF16, width, at),
            start=True,
            stop=True,
        )
        result = k.sbuf(M, width * 2)
        k.tensor_scalar(
            tile(result, BF16, width),
            tile(mixed, FP32, width),
            AluOp.MULTIPLY,
            tile(inverse, FP32, 1),
        )
        k.dma(in_dram(out, BF16, M, width, h * M * width * 2), on_chip(result, BF16, width))
    return k
