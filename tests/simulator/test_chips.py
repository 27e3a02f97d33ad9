"""Several cores at work: pinned weights, copies of a program, and stages of a pipeline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isa.alu import AluOp
from isa.dtypes import FP32
from isa.hardware import load_target
from isa.kernel.builder import Ap, DmaAp, Kernel
from isa.memory import FIRST_QUEUE, SBUF
from isa.program import BufferKind, Program
from neff import Link, ModelTensor, Neff
from simulator.chips import copies, link_ticks, simulate_chips
from simulator.runtime import Device
from simulator.timing import prepare
from tests.simulator.test_runtime import COLUMNS, HW, ROWS, affine_model
from traces.occupancy import bytes_in_use

INPUT, CONSTANT, OUTPUT = BufferKind.INPUT, BufferKind.CONSTANT, BufferKind.OUTPUT
SHAPE = (ROWS, COLUMNS)
X = np.linspace(-1, 1, ROWS * COLUMNS, dtype=np.float32).reshape(SHAPE)


def product(pin: bool) -> Neff:
    """y = w * x, [8, 32]; with `pin` the load of w is moved out of its queue into loading, and
    nobody waits for it any more."""
    k = Kernel(HW)
    dims, flat = ((1, COLUMNS),), ((1, ROWS * COLUMNS),)
    x, w, y = (
        k.dram(name, X.nbytes, kind, FP32, SHAPE)
        for name, kind in zip("xwy", (INPUT, CONSTANT, OUTPUT), strict=True)
    )
    tiles = [k.sbuf(ROWS, COLUMNS * 4, name) for name in "xwy"]
    a, b, c = (Ap(t, 0, ROWS, 0, FP32, dims) for t in tiles)
    for queue, (tile, home) in enumerate(((tiles[0], x), (tiles[1], w))):
        chip = DmaAp(tile, 0, ROWS, 0, FP32, dims)
        k.dma(chip, DmaAp(home, 0, 1, 0, FP32, flat), queue)
    k.tensor_tensor(c, a, b, AluOp.MULTIPLY)
    k.dma(DmaAp(y, 0, 1, 0, FP32, flat), DmaAp(tiles[2], 0, ROWS, 0, FP32, dims), 0)
    program = _pinned(k.build(), FIRST_QUEUE + 1) if pin else k.build()
    return Neff.single(
        "product",
        HW.name,
        program,
        {"w": np.arange(ROWS * COLUMNS, dtype=np.float32).view(np.uint8)},
        inputs=(ModelTensor("input", "float32", SHAPE, "x"),),
        outputs=(ModelTensor("output", "float32", SHAPE, "y"),),
    )


def _pinned(program: Program, stream: int) -> Program:
    streams = {s: w.copy() for s, w in program.streams.items() if s != stream}
    pinned = program.streams[stream].copy()
    pinned[:, 0] &= np.uint64(0xFF)  # no signal
    for words in streams.values():
        for wait, value in ((8, 0), (17, 32)):
            waits = (words[:, 0] >> np.uint64(wait)) & np.uint64(0x1FF)
            on = waits == np.uint64(1 | stream << 1)
            words[on, 0] &= np.uint64(~(0x1FF << wait) & (1 << 64) - 1)
            words[on, 1] &= np.uint64(~(0xFFFFFFFF << value) & (1 << 64) - 1)
    return replace(program, streams=streams, pinned=pinned, debug={})


def chain(stages: int) -> Neff:
    """The affine model `stages` times, one behind the other, a core each."""
    one = affine_model()
    return replace(
        one,
        sections=one.sections * stages,
        outputs=(ModelTensor("output", "float32", SHAPE, "y", stages - 1),),
        links=tuple(Link((k, "y"), (k + 1, "x")) for k in range(stages - 1)),
    )


def test_pinned_weights_are_loaded_once_and_give_the_same_bits() -> None:
    plain, pinned = (Device(HW).load(m) for m in (product(False), product(True)))
    for scale in (1.0, 3.0):
        expected = plain.run({"input": X * scale}).outputs["output"]
        assert np.array_equal(pinned.run({"input": X * scale}).outputs["output"], expected)
    core = pinned.cores[0]
    assert core.loading.dram_read_bytes == X.nbytes
    assert core.timing.dram_read_bytes == X.nbytes  # the input alone
    assert core.timing.total_ticks < plain.cores[0].timing.total_ticks


def test_a_trace_shows_pinned_bytes_throughout() -> None:
    plain, pinned = (
        Device(HW).load(m).run({"input": X}).trace() for m in (product(False), product(True))
    )
    for trace, least in ((plain, 0), (pinned, X.nbytes)):
        _, held = bytes_in_use(trace, SBUF)
        assert held[:-1].min() >= least
    assert bytes_in_use(pinned, SBUF)[0][0] == 0


def test_a_pipeline_computes_its_stages_in_turn() -> None:
    alone = Device(HW).load(affine_model())
    expected = X
    for _ in range(3):
        expected = alone.run({"input": expected}, function_only=True).outputs["output"]
    loaded = Device(HW).load(chain(3))
    for _ in range(2):
        assert np.array_equal(loaded.run({"input": X}).outputs["output"], expected)


def test_cores_of_a_chip_share_its_dma_and_chips_share_nothing() -> None:
    program = prepare(affine_model().program, HW)
    one, eight = copies(program, 1), copies(program, 8)
    assert len(eight) == 8
    assert {t.total_ticks for t in eight} == {eight[0].total_ticks}
    assert eight[0].total_ticks >= one[0].total_ticks
    five = [t.total_ticks for t in copies(program, 5)]
    assert five == [eight[0].total_ticks] * 4 + [one[0].total_ticks]
    assert five == [t.total_ticks for t in simulate_chips([program] * 5, HW)]


def test_the_beat_is_the_slowest_stage_and_the_latency_all_of_them() -> None:
    found = Device(HW).load(chain(6)).pipeline
    ticks = [t.total_ticks for t in found.timings]
    assert len(found.links) == 1  # six cores are two chips
    size = ROWS * COLUMNS * FP32.size_bytes
    moving = -(-size * HW.ticks_per_s // HW.link_bytes_per_s)
    assert found.links[0] == HW.ns_to_ticks(HW.dma_start_ns + HW.dma_completion_ns) + moving
    assert found.beat_ticks == max(ticks)
    assert found.pipeline_latency_s * HW.ticks_per_s == pytest.approx(sum(ticks) + found.links[0])
    slow = replace(HW, link_bytes_per_s=10**6)
    assert Device(slow).load(chain(6), check=False).pipeline.beat_ticks > max(ticks)


def test_a_value_for_several_later_stages_crosses_a_link_once() -> None:
    hw = replace(load_target("inf1"), cores_per_chip=1)
    neff = chain(3)
    twice = (*neff.links, Link((0, "y"), (2, "x")))  # not a sound model; the count is what matters
    both = link_ticks(replace(neff, links=twice), hw)
    once = link_ticks(neff, hw)
    assert both[0] == once[0]
    assert both[1] > once[1]


def test_only_a_model_of_one_section_is_copied() -> None:
    with pytest.raises(ValueError, match="one section"):
        Device(HW).load(chain(2)).on_cores(2)
