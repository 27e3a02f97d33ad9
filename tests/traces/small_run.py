"""A small program with every kind of stream, written by hand."""

from __future__ import annotations

import numpy as np

from isa.dtypes import DType
from isa.encoding import encode_all
from isa.hardware import load_target
from isa.instructions.dma import DmaCopy
from isa.instructions.scalar import Activation
from isa.instructions.tensor import LoadStationary, MultiplyMoving
from isa.memory import DRAM, PSUM, SBUF, Engine, Memory
from isa.program import BufferKind, DramBuffer, Program
from isa.spec import Instruction, Signal, Wait
from isa.tiles import DmaTile, Tile, contiguous

HW = load_target("inf1")
TILES = 6


def in_dram(address: int) -> DmaTile:
    return DmaTile(DRAM, address, DType.BF16, contiguous(128, 512))


def in_sbuf(address: int) -> DmaTile:
    return DmaTile(SBUF, address, DType.BF16, contiguous(512), 0, 128)


def tile(memory: Memory, address: int, columns: int, partitions: int = 128) -> Tile:
    dtype = DType.FP32 if memory is PSUM else DType.BF16
    return Tile(memory, 0, partitions, address, dtype, contiguous(columns))


def program() -> Program:
    """TILES times: fetch a moving tile, multiply it by the same weights, activate, store."""
    size = 128 * 512 * 2
    parts: dict[int, list[Instruction]] = {0: [], 1: [], 5: [], 6: []}
    multiply, activate, fetch, store = parts.values()
    for i in range(TILES):
        arrived, product, made = (Wait(s, i + 1) for s in range(3))
        fetch.append(DmaCopy(in_sbuf(1024 * i), in_dram(size * i), signal=Signal(0)))
        multiply.append(LoadStationary(tile(SBUF, 1024 * i, 64), waits=(arrived,)))
        multiply.append(
            MultiplyMoving(
                dst=tile(PSUM, 2048 * (i % 8), 512, 64),
                moving=tile(SBUF, 1024 * i, 512),
                start=True,
                stop=True,
                signal=Signal(1),
            )
        )
        activate.append(
            Activation(
                dst=tile(SBUF, 32768 + 1024 * i, 512, 64),
                src=tile(PSUM, 2048 * (i % 8), 512, 64),
                waits=(product,),
                signal=Signal(2),
            )
        )
        source = DmaTile(SBUF, 32768 + 1024 * i, DType.BF16, contiguous(512), 0, 64)
        goal = DmaTile(DRAM, size * TILES + size // 2 * i, DType.BF16, contiguous(64, 512))
        store.append(DmaCopy(goal, source, waits=(made,)))
    streams = {s: encode_all(rows) for s, rows in parts.items()}
    debug = {
        s: (np.arange(len(words)) * 3 // len(words)).astype(np.int32)
        for s, words in streams.items()
        if s != Engine.SCALAR
    }
    buffers = (
        DramBuffer("x", BufferKind.INPUT, 0, size * TILES),
        DramBuffer("y", BufferKind.OUTPUT, size * TILES, size // 2 * TILES),
    )
    return Program(streams, buffers, debug, ("first", "second", "third"))
