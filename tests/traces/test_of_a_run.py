"""A simulated run: sums are the simulator's, and memory is held for as long as it is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isa.memory import PSUM, SBUF
from simulator.timing import Timing, prepare, simulate
from tests.traces.small_run import HW, TILES, program
from traces import Trace, WaitCause, load, save
from traces.occupancy import banks_in_use, bytes_in_use, peak
from traces.trace import same
from traces.utilization import disagreements, utilization


@pytest.fixture(scope="module")
def timing() -> Timing:
    return simulate(prepare(program(), HW))


@pytest.fixture(scope="module")
def trace(timing: Timing) -> Trace:
    streams = timing.program.streams
    names = {0: "PE", 1: "ACT", 5: "q0", 6: "q1"}
    waits = {s: sum(timing.waits(s).values()) for s in streams}
    dma = np.repeat(np.array(streams) >= 5, [len(program().streams[s]) for s in streams])
    return Trace.from_program(
        program(),
        HW,
        name="small",
        start=timing.start,
        end=timing.end,
        visible=timing.visible,
        wait=timing.wait,
        port_wait=np.where(dma, 0, timing.start - timing.ready),
        cause=timing.cause,
        cause_row=timing.cause_row,
        read_bytes=timing.program.read_bytes,
        written_bytes=timing.program.written_bytes,
        counters={
            "total_ticks": timing.total_ticks,
            "dram_read_bytes": timing.dram_read_bytes,
            "dram_written_bytes": timing.dram_written_bytes,
            "load_ticks.PE": timing.load_ticks,
            **{f"busy_ticks.{names[s]}": timing.busy_ticks[s] for s in streams},
            **{f"wait_ticks.{names[s]}": waits[s] for s in streams},
        },
    )


def test_its_sums_are_the_simulators_counters(trace: Trace, timing: Timing) -> None:
    assert disagreements(trace) == []
    assert len(trace.counters) == 12
    assert trace.cycles == timing.cycles
    for stream, u in zip(timing.program.streams, utilization(trace), strict=True):
        assert u.busy == u.occupied == timing.busy_ticks[stream]
        assert u.waiting == {WaitCause(c): n for c, n in timing.waits(stream).items()}


def test_it_survives_its_file(trace: Trace, tmp_path: Path) -> None:
    save(trace, tmp_path / "run.json")
    again = load(tmp_path / "run.json")
    assert same(again, trace)
    assert disagreements(again) == []


def test_a_value_lives_from_its_write_to_its_last_read(trace: Trace) -> None:
    e, use = trace.events, trace.memory.of(SBUF)
    (fetches,) = np.nonzero(e.stream == 5)
    (matmuls,) = np.nonzero((e.stream == 0) & ~trace.is_load)
    moving = np.argsort(use.address, kind="stable")[:TILES]
    assert use.address[moving].tolist() == [1024 * i for i in range(TILES)]
    assert use.size_bytes[moving].tolist() == [1024] * TILES
    assert use.start[moving].tolist() == e.start[fetches].tolist()
    assert use.end[moving].tolist() == e.end[matmuls].tolist()
    assert [use.names[i] for i in use.name[moving]] == ["first"] * 2 + ["second"] * 2 + [
        "third"
    ] * 2


def test_values_without_a_layer_have_no_name(trace: Trace) -> None:
    use = trace.memory.of(SBUF)
    activated = use.address >= 32768
    assert {use.names[i] for i in use.name[activated]} == {"-"}


def test_psum_is_held_until_it_is_read(trace: Trace) -> None:
    e, use = trace.events, trace.memory.of(PSUM)
    (activations,) = np.nonzero(e.stream == 1)
    assert use.end.tolist() == e.end[activations].tolist()
    assert use.partitions.tolist() == [64] * TILES
    assert peak(trace, PSUM) % (64 * 2048) == 0
    assert 1 <= banks_in_use(trace, 2048)[1].max() <= TILES


def test_at_the_end_nothing_is_held(trace: Trace) -> None:
    for memory in (SBUF, PSUM):
        ticks, values = bytes_in_use(trace, memory)
        assert values[-1] == 0
        assert ticks[-1] <= trace.total_ticks
