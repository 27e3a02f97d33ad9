"""Counters: what a run did, in whole numbers, by the names of `traces.utilization.sums`."""

from __future__ import annotations

import numpy as np

from isa.columns import Header, by_kind
from isa.memory import FIRST_QUEUE, Engine, stream_name
from isa.program import Program
from isa.spec import BY_MNEMONIC
from simulator.timing import Timing

_MATMUL = BY_MNEMONIC["matmul"]


def count_program(program: Program) -> dict[str, int]:
    """What a program without branches does, whatever the time: `instructions` in all and of each
    stream, `macs`, `semaphore_signals`, `semaphore_waits`."""
    found = {"instructions": program.instructions, "macs": 0}
    found |= {"semaphore_signals": 0, "semaphore_waits": 0}
    for stream, words in sorted(program.streams.items()):
        if not len(words):
            continue
        header = Header(words)
        found[f"instructions.{stream_name(stream)}"] = len(words)
        found["semaphore_signals"] += int(header.signal_on.sum())
        found["semaphore_waits"] += int(header.wait_on.sum())
        for kind, _, columns in by_kind(words):
            if kind is _MATMUL:
                each = columns.moving.partitions * columns.dst.partitions * columns.moving.free
                found["macs"] += int(each.sum())
    return found


def count_run(program: Program, timing: Timing) -> dict[str, int]:
    """The same, and what the clock saw: `total_ticks`, DRAM bytes, of each stream `busy_ticks` and
    `wait_ticks`. Stationary loads of PE hide behind matmuls: they count as `load_ticks` alone."""
    found = count_program(program)
    found["total_ticks"] = timing.total_ticks
    found["dram_read_bytes"] = timing.dram_read_bytes
    found["dram_written_bytes"] = timing.dram_written_bytes
    for stream in timing.program.streams:
        if not len(program.streams.get(stream, ())):
            continue
        name = stream_name(stream)
        found[f"busy_ticks.{name}"] = timing.busy_ticks[stream]
        found[f"wait_ticks.{name}"] = sum(timing.waits(stream).values())
        loads = timing.load_ticks if stream == Engine.TENSOR else 0
        if loads:
            found[f"load_ticks.{name}"] = loads
    return found


def port_waits(timing: Timing) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Ticks that each instruction waited for a memory port at the end of its wait; 0 of a DMA."""
    waits = np.zeros(len(timing.program), np.int64)
    for stream in timing.program.streams:
        if stream < FIRST_QUEUE:
            rows = timing.program.rows(stream)
            waits[rows] = timing.start[rows] - timing.ready[rows]
    return waits
