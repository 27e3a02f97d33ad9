"""Sums over a trace are exact: they add up to the run, and equal what was counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from isa.memory import PSUM, SBUF
from tests.traces.synthetic import pipelined, traces
from traces import Trace, WaitCause
from traces.lanes import lanes
from traces.occupancy import banks_in_use, bytes_in_use, dram_rate, peak, steps
from traces.utilization import by_layer, disagreements, gaps_of, sums, utilization


def trace_of(**columns: Any) -> Trace:
    return Trace.from_arrays(name="m", target="inf1", ticks_per_s=10**9, **columns)


@settings(max_examples=60, deadline=None)
@given(traces())
def test_busy_waiting_and_done_add_up_to_the_run(trace: Trace) -> None:
    for u in utilization(trace):
        assert u.busy + sum(u.waiting.values()) + u.done == trace.total_ticks
        assert u.busy <= u.occupied
    assert sum(u.instructions for u in utilization(trace)) == len(trace.events)
    occupied = sum(u.occupied + u.load for u in utilization(trace))
    assert sum(sum(t.values()) for t in by_layer(trace).values()) == occupied


@settings(max_examples=60, deadline=None)
@given(traces())
def test_every_row_is_in_one_lane_and_no_lane_overlaps(trace: Trace) -> None:
    found = lanes(trace)
    rows = np.concatenate([np.zeros(0, int), *(lane.rows for lane in found)])
    assert sorted(rows.tolist()) == list(range(len(trace.events)))
    for lane in found:
        start, end = trace.events.start[lane.rows], trace.events.end[lane.rows]
        assert np.all(start[1:] >= end[:-1])


def test_a_gap_is_what_no_earlier_row_covers() -> None:
    start, end = np.array([5, 6, 20, 8]), np.array([10, 12, 30, 15])
    gaps, busy = gaps_of(start, end)
    assert gaps.tolist() == [5, 0, 5, 0]
    assert busy == 20


def test_waits_are_split_by_cause_and_port() -> None:
    trace = trace_of(
        start=[10, 40, 60],
        end=[20, 50, 70],
        visible=[20, 50, 70],
        index=[0, 1, 2],
        wait=[10, 20, 10],
        port_wait=[0, 5, 0],
        cause=[WaitCause.SEMAPHORE, WaitCause.TABLE, WaitCause.NOTHING],
        total_ticks=100,
    )
    (u,) = utilization(trace)
    assert u.waiting == {
        WaitCause.SEMAPHORE: 10,
        WaitCause.TABLE: 15,
        WaitCause.PORT: 5,
        WaitCause.NOTHING: 10,
    }
    assert (u.busy, u.done, u.track) == (30, 30, "PE")


def test_counters_that_disagree_are_named() -> None:
    columns: dict[str, Any] = {"start": [0, 3], "end": [3, 9], "visible": [9, 9], "index": [0, 1]}
    good = trace_of(**columns, counters={"busy_ticks.PE": 9, "instructions": 2, "else": 5})
    assert disagreements(good) == []
    bad = trace_of(**columns, counters={"busy_ticks.PE": 8})
    assert disagreements(bad) == ["busy_ticks.PE: counted 8, the rows give 9"]


def test_sums_have_the_names_that_counters_have() -> None:
    found = sums(pipelined(10))
    assert found["instructions"] == 44
    assert found["instructions.PE"] == 20
    assert found["busy_ticks.PE"] == 10 * 512
    assert found["load_ticks.PE"] == 10 * 64
    assert found["dram_written_bytes"] == 80_000
    assert set(found) >= {"dram_read_bytes", "total_ticks", "wait_ticks.q0", "busy_ticks.ACT"}


def test_steps_add_what_is_there_and_drop_what_ended() -> None:
    ticks, values = steps(np.array([2, 4, 8]), np.array([6, 8, 9]), np.array([10, 5, 5]))
    assert ticks.tolist() == [0, 2, 4, 6, 9]
    assert values.tolist() == [0, 10, 15, 5, 0]


@settings(max_examples=60, deadline=None)
@given(traces())
def test_occupancy_is_the_sum_at_every_tick(trace: Trace) -> None:
    use = trace.memory
    for core in (0, 1):
        for memory in (SBUF, PSUM):
            ticks, values = bytes_in_use(trace, memory, core)
            for tick in range(0, 201, 7):
                there = (use.start <= tick) & (tick < use.end)
                there &= (use.memory == memory) & (use.core == core)
                expected = int((use.size_bytes * use.partitions)[there].sum())
                assert values[np.searchsorted(ticks, tick, "right") - 1] == expected
            assert peak(trace, memory, core) == values.max()


def test_a_bank_counts_once_however_much_of_it_is_used() -> None:
    memory = {
        "memory": [int(PSUM)] * 3,
        "partitions": [128, 128, 1],
        "address": [0, 1024, 2000],
        "size_bytes": [1024, 1024, 100],
        "start": [0, 5, 8],
        "end": [10, 20, 12],
        "name": [0, 0, 0],
    }
    trace = trace_of(start=[], memory=memory, memory_names=("a",), total_ticks=30)
    ticks, banks = banks_in_use(trace, 2048)
    assert (ticks.tolist(), banks.tolist()) == ([0, 8, 12, 20], [1, 2, 1, 0])


@pytest.mark.parametrize("bins", [1, 7, 1000])
def test_the_dram_rate_accounts_for_every_byte(bins: int) -> None:
    trace = pipelined(60)
    e = trace.events
    for written, total in (
        (None, e.read_bytes.sum() + e.written_bytes.sum()),
        (False, e.read_bytes.sum()),
        (True, e.written_bytes.sum()),
    ):
        edges, rate = dram_rate(trace, bins, written=written)
        assert (rate * np.diff(edges)).sum() == pytest.approx(float(total), rel=1e-9)


def test_transfers_that_run_together_share_the_rate() -> None:
    trace = trace_of(
        stream=[5, 6],
        start=[0, 100],
        end=[300, 300],
        visible=[300, 300],
        read_bytes=[200, 100],
    )
    _, rate = dram_rate(trace, 3)
    assert rate.tolist() == pytest.approx([1e9, 1e9, 1e9])


def test_ticks_and_cycles_of_a_target_with_several_clocks() -> None:
    trace = trace_of(start=[0], end=[7], visible=[9], base_clock_hz=500_000_000)
    assert (trace.total_ticks, trace.cycles) == (9, 5)
    assert trace.time_s == 9e-9
