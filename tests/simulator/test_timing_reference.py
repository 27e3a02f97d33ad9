"""The fast event loop and the plain one give the same times."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from isa.hardware import Hardware, load_target
from isa.memory import FIRST_QUEUE
from isa.program import Program
from isa.timing import WORK_SCALE
from simulator.timing import Timing, prepare, simulate, simulate_chip
from simulator.timing.reference import reference
from simulator.timing.steps import Step
from simulator.timing.tables import KIND, LOAD, WORK
from tests.simulator.timing_programs import random_program

TARGETS = ("inf1", "trn1", "trn2")


def assert_equal(timing: Timing, steps: dict[int, list[Step]]) -> None:
    for stream, column in steps.items():
        rows = timing.program.rows(stream)
        for name in ("ready", "start", "end", "visible"):
            fast = getattr(timing, name)[rows].tolist()
            assert fast == [getattr(step, name) for step in column], (stream, name)


def compare(programs: list[Program], hw: Hardware) -> None:
    timings = simulate_chip([prepare(p, hw) for p in programs], hw)
    for timing, steps in zip(timings, reference(programs, hw), strict=True):
        assert_equal(timing, steps)


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed: int) -> None:
    rng = Random(seed)
    hw = load_target(TARGETS[seed % 3])
    compare([random_program(rng, hw, 60, own_semaphores=seed % 2 == 0)], hw)


@pytest.mark.parametrize("seed", range(15))
def test_random_programs_on_several_cores(seed: int) -> None:
    rng = Random(1000 + seed)
    hw = load_target(TARGETS[seed % 3])
    compare([random_program(rng, hw, 30, rng.random() < 0.5) for _ in range(3)], hw)


@pytest.mark.parametrize("seed", range(15))
def test_random_programs_where_dram_is_short(seed: int) -> None:
    rng = Random(2000 + seed)
    hw = replace(load_target("inf1"), name="short", dram_bytes_per_s=9 * 10**9)
    compare([random_program(rng, hw, 40, True)], hw)


@pytest.mark.parametrize("seed", range(10))
def test_random_programs_without_latencies(seed: int) -> None:
    rng = Random(3000 + seed)
    hw = replace(
        load_target("trn1"),
        name="prompt",
        semaphore_latency_ns=0,
        dma_start_ns=0,
        dma_completion_ns=0,
        act_latency=0,
        dve_latency=0,
        pe_latency=0,
    )
    compare([random_program(rng, hw, 50, own_semaphores=seed % 2 == 0)], hw)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3000))
def test_many_random_programs(seed: int) -> None:
    rng = Random(10_000 + seed)
    hw = load_target(TARGETS[seed % 3])
    compare([random_program(rng, hw, rng.randint(5, 150), rng.random() < 0.5)], hw)


@pytest.mark.parametrize("seed", range(12))
def test_sums_add_up_and_limits_hold(seed: int) -> None:
    hw = load_target(TARGETS[seed % 3])
    timing = simulate(prepare(random_program(Random(4000 + seed), hw, 150, True), hw))
    dma, dram = timing.program.tables.dma, timing.dram_read_bytes + timing.dram_written_bytes
    assert timing.total_ticks * hw.dma_engines * WORK_SCALE >= dma[:, WORK].sum()
    assert timing.total_ticks * hw.dram_bytes_per_s >= dram * hw.ticks_per_s
    for stream in timing.program.streams:
        rows = timing.program.rows(stream)
        counts = timing.program.tables.rows[rows, KIND] != LOAD
        last = timing.end[rows][counts].max(initial=0)
        waited = timing.waits(stream)
        assert timing.busy_ticks[stream] + sum(waited.values()) == last
        assert all(ticks > 0 for ticks in waited.values())
        if stream >= FIRST_QUEUE:
            assert (timing.start[rows][1:] >= timing.end[rows][:-1]).all()


def test_the_same_program_takes_the_same_time() -> None:
    hw = load_target("inf1")
    prepared = prepare(random_program(Random(7), hw, 200, False), hw)
    first, second = simulate(prepared), simulate(prepared)
    for name in ("ready", "start", "end", "visible", "wait", "cause", "cause_row"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
