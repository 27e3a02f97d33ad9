"""Schedules are correct, keep the bounding engine busy, and take the time that was predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from compiler.errors import CapacityError
from compiler.schedule import Plan, ScheduleOptions, plan
from compiler.schedule.check_plan import check_plan
from compiler.schedule.policies import Policy
from isa.activation.functions import FACTS, ActivationFunction
from isa.dtypes import DType
from isa.hardware import Hardware, load_target
from isa.kernel import Kernel, VirtualProgram, synchronize
from isa.kernel.dependencies import dependencies
from isa.memory import FIRST_QUEUE, Engine
from isa.program import BufferKind, Program
from isa.semantics import run_reference
from isa.spec import BY_MNEMONIC
from isa.timing import WORK_SHIFT, dma_work
from isa.verify import verify
from simulator.timing import Timing, prepare, simulate
from tests.compiler.random_kernels import random_kernel
from tests.compiler.schedule_kernels import heads, in_dram, layers, on_chip, product, tile

FP32 = DType.FP32


@pytest.fixture(scope="module")
def hw() -> Hardware:
    return load_target("inf1")


def planned(
    kernel: Kernel, hw: Hardware, options: ScheduleOptions | None = None
) -> tuple[Plan, Program]:
    """The plan of a kernel, and the program that it makes."""
    virtual = kernel.virtual()
    deps = dependencies(virtual)
    found = plan(virtual, deps, hw, options)
    return found, synchronize(found.apply(virtual), deps, found.order, found.address, hw)


def timing(program: Program, hw: Hardware) -> Timing:
    return simulate(prepare(program, hw))


def dma_share(program: Program, measured: Timing, hw: Hardware) -> float:
    """Part of the time for which the DMA engines work."""
    queues = [words for s, words in program.streams.items() if s >= FIRST_QUEUE]
    work = sum(int(dma_work(words, hw).engine_work.sum()) for words in queues) >> WORK_SHIFT
    return work / hw.dma_engines / measured.total_ticks


def test_streamed_weights_keep_dma_busy(hw: Hardware) -> None:
    found, program = planned(layers(hw, 25), hw)
    measured = timing(program, hw)
    assert dma_share(program, measured, hw) >= 0.97
    assert abs(found.predicted_ticks - measured.total_ticks) <= measured.total_ticks // 100
    assert verify(program, hw) == []


def test_tiles_of_a_large_product_keep_pe_busy(hw: Hardware) -> None:
    found, program = planned(product(hw, 512, 16384, 2048), hw)
    measured = timing(program, hw)
    assert measured.busy_ticks[Engine.TENSOR] >= 0.97 * measured.total_ticks
    assert abs(found.predicted_ticks - measured.total_ticks) <= measured.total_ticks // 100
    assert verify(program, hw) == []


def test_independent_heads_overlap(hw: Hardware) -> None:
    kernel = heads(hw, 48)
    _, program = planned(kernel, hw)
    _, sequential = planned(kernel, hw, ScheduleOptions(reorder=False, prefetch=False))
    measured = timing(program, hw)
    assert dma_share(program, measured, hw) >= 0.9
    assert measured.total_ticks < 0.5 * timing(sequential, hw).total_ticks
    assert verify(program, hw) == []


@pytest.mark.parametrize("room", [100, 50, 0])
def test_schedules_of_small_memories_are_correct(hw: Hardware, room: int) -> None:
    small = replace(hw, name="small", sbuf_partition_bytes=4096, psum_partition_bytes=4096)
    for kernel in (layers(small, 6, 256, 32), product(small, 128, 1024, 128)):
        found, program = planned(
            kernel, small, ScheduleOptions(policies=tuple(Policy(room=r) for r in (room, 0)))
        )
        assert check_plan(kernel.virtual(), found, small) == []
        assert verify(program, small) == []


def without_loads_but_one(program: VirtualProgram) -> VirtualProgram:
    keep = np.ones(len(program), bool)
    keep[np.flatnonzero(program.opcodes == BY_MNEMONIC["load_stationary"].opcode)[1:]] = False
    columns = ("words", "streams", "operands", "layer")
    return replace(program, **{name: getattr(program, name)[keep] for name in columns})


def test_a_stationary_tile_is_kept_for_all_its_matmuls(hw: Hardware) -> None:
    """One load, more products than PSUM has banks: a chain that waits for banks in its middle."""
    k = Kernel(hw)
    source = k.dram("x", 128 * 20 * 64 * 2, BufferKind.INPUT)
    out = k.dram("y", 64 * 20 * 64 * 2, BufferKind.OUTPUT)
    x, y = k.sbuf(128, 20 * 64 * 2), k.sbuf(64, 20 * 64 * 2)
    k.dma(on_chip(x, DType.BF16, 1280), in_dram(source, DType.BF16, 128, 1280))
    for i in range(20):
        psum = k.psum(64)
        k.matmul(
            tile(psum, FP32, 64),
            tile(x, DType.BF16, 64),
            tile(x, DType.BF16, 64, i * 128),
            start=True,
            stop=True,
        )
        k.tensor_copy(tile(y, DType.BF16, 64, i * 128), tile(psum, FP32, 64))
    k.dma(in_dram(out, DType.BF16, 64, 1280), on_chip(y, DType.BF16, 1280))
    once = without_loads_but_one(k.virtual())
    deps = dependencies(once)
    found = plan(once, deps, hw)
    program = synchronize(found.apply(once), deps, found.order, found.address, hw)
    assert check_plan(once, found, hw) == []
    assert verify(program, hw) == []
    assert abs(found.predicted_ticks - timing(program, hw).total_ticks) <= 100


def outputs(program: Program, hw: Hardware, seed: int) -> dict[str, NDArray[np.uint8]]:
    """The output buffers after a run on random inputs, drawn by buffer name."""
    dram = np.zeros(program.dram_bytes, np.uint8)
    for b in program.buffers:
        if b.kind in (BufferKind.INPUT, BufferKind.CONSTANT):
            rng = np.random.default_rng([seed, *b.name.encode()])
            values = rng.integers(-8, 8, b.size_bytes // 4).astype(np.float32)
            dram[b.address : b.end] = values.view(np.uint8)
    state = run_reference(program, hw, dram)
    kept = [b for b in program.buffers if b.kind is BufferKind.OUTPUT]
    return {b.name: state.dram[b.address : b.end].copy() for b in kept}


@pytest.mark.parametrize("seed", range(25))
def test_plans_of_random_kernels(hw: Hardware, seed: int) -> None:
    """Correct, sound, and with the results of the program as written, in a memory half as large."""
    small = replace(hw, name="small", sbuf_partition_bytes=2048, psum_partition_bytes=8192)
    large = replace(hw, name="large", sbuf_partition_bytes=1 << 16, psum_partition_bytes=1 << 17)
    kernel = random_kernel(large, seed)
    written = kernel.build()
    found, program = planned(kernel, small)
    assert check_plan(kernel.virtual(), found, small) == []
    assert verify(program, small) == []
    wanted, got = outputs(written, large, seed), outputs(program, small, seed)
    assert wanted.keys() == got.keys()
    for name in wanted:
        np.testing.assert_array_equal(got[name], wanted[name])


def test_the_same_program_has_the_same_plan(hw: Hardware) -> None:
    one, two = (planned(random_kernel(hw, 7), hw)[0] for _ in range(2))
    for name in ("streams", "order", "address", "predicted_start"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_what_does_not_fit_is_refused_with_the_fullest_moment(hw: Hardware) -> None:
    small = replace(hw, name="small", sbuf_partition_bytes=1024)
    with pytest.raises(CapacityError) as refusal:
        planned(layers(small, 2, 256, 64), small)
    error = refusal.value
    assert error.code == "SYS-S001"
    assert "1024 there are" in error.found
    assert "w0.0" in error.found
    assert 'layer "layer0"' in error.at


def test_dram_that_does_not_fit_is_refused(hw: Hardware) -> None:
    small = replace(hw, name="small", dram_bytes=1 << 20)
    with pytest.raises(CapacityError) as refusal:
        planned(layers(small, 2, 1024, 64), small)
    assert refusal.value.code == "SYS-S003"


def test_table_switches_are_gathered(hw: Hardware) -> None:
    """Alternating functions on independent data: one switch a set, not one an instruction."""
    one = ActivationFunction.EXP
    other = next(f for f in FACTS if FACTS[f].group not in (0, FACTS[one].group))
    k = Kernel(hw)
    source = k.dram("x", 128 * 40 * 16 * 4, BufferKind.INPUT)
    out = k.dram("y", 128 * 40 * 16 * 4, BufferKind.OUTPUT)
    x, y = k.sbuf(128, 40 * 64), k.sbuf(128, 40 * 64)
    k.dma(on_chip(x, FP32, 640), in_dram(source, FP32, 128, 640))
    for i in range(40):
        function = one if i % 2 else other
        k.activation(tile(y, FP32, 16, i * 64), tile(x, FP32, 16, i * 64), function)
    k.dma(in_dram(out, FP32, 128, 640), on_chip(y, FP32, 640))
    found, program = planned(k, hw)
    assert check_plan(k.virtual(), found, hw) == []
    assert timing(program, hw).total_ticks < 40 * 64 + 8 * hw.act_table_load_ns + 20_000
