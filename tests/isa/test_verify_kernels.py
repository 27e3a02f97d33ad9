"""Programs of the kernel builder: accepted as built, refused when an order is taken away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isa.activation.functions import ActivationFunction
from isa.columns import Header
from isa.dtypes import BF16, FP32
from isa.hardware import Hardware, load_target
from isa.kernel.builder import Ap, DmaAp, Kernel
from isa.memory import Engine
from isa.program import BufferKind, Program
from isa.verify import verify

N = 64
HW = load_target("inf1")


def tiles_in_turn(hw: Hardware, tiles: int, taps: int = 3) -> Program:
    """tiles x (load, `taps` matmuls, relu, copy in two halves, store) over two buffers each."""
    k = Kernel(hw)
    x = k.dram("x", 128 * 2 * N * 2, BufferKind.INPUT, BF16, (128, 2 * N))
    w = k.dram("w", 128 * N * taps * 2, BufferKind.CONSTANT, BF16, (128, N * taps))
    y = k.dram("y", tiles * N * N * 2, BufferKind.OUTPUT, BF16, (tiles, N, N))
    held = k.sbuf(128, N * taps * 2)
    row = ((1, N * taps),)
    k.dma(DmaAp(held, 0, 128, 0, BF16, row), DmaAp(w, 0, 1, 0, BF16, ((N * taps, 128), *row)))
    turns = [
        (k.sbuf(128, 2 * N * 2), k.psum(N), k.sbuf(N, N * 2), k.sbuf(N, N * 2)) for _ in range(2)
    ]
    for t in range(tiles):
        moving, sums, relu, out = turns[t % 2]
        wide = ((1, 2 * N),)
        source = DmaAp(x, 0, 1, 0, BF16, ((2 * N, 128), *wide))
        k.dma(DmaAp(moving, 0, 128, 0, BF16, wide), source, queue=1 + t % 2)
        for tap in range(taps):
            k.matmul(
                Ap(sums, 0, N, 0, FP32, ((1, N),)),
                Ap(held, 0, 128, tap * N * 2, BF16, ((1, N),)),
                Ap(moving, 0, 128, tap * 2, BF16, ((1, N),)),
                start=tap == 0,
                stop=tap == taps - 1,
            )
        whole = ((1, N),)
        k.activation(
            Ap(relu, 0, N, 0, BF16, whole), Ap(sums, 0, N, 0, FP32, whole), ActivationFunction.RELU
        )
        for half in range(2):
            every_other = ((2, N // 2),)
            k.tensor_copy(
                Ap(out, 0, N, 2 * half, BF16, every_other),
                Ap(relu, 0, N, 2 * half, BF16, every_other),
            )
        k.dma(
            DmaAp(y, 0, 1, t * N * N * 2, BF16, ((N, N), (1, N))),
            DmaAp(out, 0, N, 0, BF16, whole),
            queue=3,
        )
    return k.build()


def waiting(program: Program) -> list[tuple[int, int]]:
    """(stream, index) of every instruction with a wait."""
    return [
        (stream, int(i))
        for stream, words in sorted(program.streams.items())
        for i in np.flatnonzero(Header(words).wait_on.any(axis=1))
    ]


def without_waits(program: Program, stream: int, index: int) -> Program:
    """The program with one instruction's waits taken away."""
    words = program.streams[stream].copy()
    waits = ((1 << 18) - 1) << 8
    words[index, 0] &= np.uint64(~waits & (2**64 - 1))
    words[index, 1] = 0
    return replace(program, streams={**program.streams, stream: words})


def test_a_pipelined_kernel_is_accepted() -> None:
    assert verify(tiles_in_turn(HW, 12), HW) == []


def test_a_kernel_without_one_of_its_waits_is_refused() -> None:
    program = tiles_in_turn(HW, 4)
    places = waiting(program)
    refused = [bool(verify(without_waits(program, *place), HW)) for place in places]
    assert len(places) > 15
    # a wait that another one implies may go; the builder leaves few of those
    assert sum(refused) > 0.8 * len(places), [
        p for p, r in zip(places, refused, strict=True) if not r
    ]


@pytest.mark.parametrize("engine", [Engine.TENSOR, Engine.SCALAR, Engine.VECTOR])
def test_a_kernel_whose_engine_waits_for_nothing_is_refused(engine: Engine) -> None:
    program = tiles_in_turn(HW, 4)
    for stream, index in waiting(program):
        if stream == engine:
            program = without_waits(program, stream, index)
    codes = {fault.code for fault in verify(program, HW)}
    assert codes & {"SYS-V020", "SYS-V021"}
