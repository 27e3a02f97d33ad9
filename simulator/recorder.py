"""Record: a Timing -> a Trace, with the counters that its rows must add up to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isa.program import Program
from simulator.counters import count_run, port_waits
from simulator.timing import Timing
from traces import Trace


def record(
    program: Program,
    timing: Timing,
    *,
    name: str = "program",
    metadata: Mapping[str, Any] | None = None,
) -> Trace:
    """The run as a trace: every instruction and transfer, its waits, its layer.

    Args:
        metadata: JSON-able; kept in the trace.
    """
    return Trace.from_program(
        program,
        timing.hw,
        name=name,
        start=timing.start,
        end=timing.end,
        visible=timing.visible,
        wait=timing.wait,
        port_wait=port_waits(timing),
        cause=timing.cause,
        cause_row=timing.cause_row,
        read_bytes=timing.program.read_bytes,
        written_bytes=timing.program.written_bytes,
        total_ticks=timing.total_ticks,
        counters=count_run(program, timing),
        metadata=dict(metadata or {}),
    )
