"""What one change of the hardware would gain, measured: the same program runs on the other machine.

The program stays as it was compiled. What a compiler would do otherwise on such a machine (a larger
array, more SBUF) a run of the same program cannot say: those need a compilation (`systola explain
--recompile`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from isa.hardware import Hardware, numbers
from isa.program import Program
from simulator.timing import prepare, simulate

Changes = dict[str, int]


@dataclass(frozen=True)
class WhatIf:
    """One change and what it did.

    Attributes:
        change: what is different, in words; numbers: the target's numbers as changed.
        time_s: of the run. gain: part of the time that goes away; below zero where it got slower.
        recompiled: whether the program was compiled for the changed machine.
    """

    change: str
    numbers: Changes
    time_s: float
    gain: float
    recompiled: bool = False


def _times(factor: int, *names: str) -> Callable[[Hardware], Changes]:
    return lambda hw: {name: factor * int(getattr(hw, name)) for name in names}


def _zero(*names: str) -> Callable[[Hardware], Changes]:
    return lambda _: dict.fromkeys(names, 0)


SAME_PROGRAM: tuple[tuple[str, Callable[[Hardware], Changes]], ...] = (
    ("DRAM rate x 2", _times(2, "dram_bytes_per_s")),
    ("DMA engines x 2", _times(2, "dma_engines", "dma_engines_per_chip")),
    (
        "DRAM rate and DMA engines x 2",
        _times(2, "dram_bytes_per_s", "dma_engines", "dma_engines_per_chip"),
    ),
    ("descriptors at no cost", _zero("dma_descriptor_ns")),
    ("DMA without start and completion", _zero("dma_start_ns", "dma_completion_ns")),
    ("tensor engine x 2", _times(2, "pe_clock_hz")),
    ("scalar engine x 2", _times(2, "act_clock_hz")),
    ("vector engine x 2", _times(2, "dve_clock_hz")),
    ("scalar and vector engine x 2", _times(2, "act_clock_hz", "dve_clock_hz")),
    ("a PSUM port for each engine", _zero("psum_port_shared")),
    ("activation tables at no cost", _zero("act_table_load_ns")),
    ("semaphores at no cost", _zero("semaphore_latency_ns")),
    (
        "no latency in engines",
        _zero("pe_latency", "act_latency", "dve_latency", "pool_latency"),
    ),
    (
        "no latency anywhere",
        _zero(
            *("pe_latency", "act_latency", "dve_latency", "pool_latency", "act_table_load_ns"),
            *("semaphore_latency_ns", "dma_start_ns", "dma_completion_ns"),
        ),
    ),
)
"""Changes under which the same program means the same."""

RECOMPILED: tuple[tuple[str, Callable[[Hardware], Changes]], ...] = (
    ("SBUF x 2", _times(2, "sbuf_partition_bytes")),
    ("PSUM x 2", _times(2, "psum_partition_bytes")),
    ("array columns x 2", _times(2, "pe_columns")),
)
"""Changes that only another compilation can use."""


def changed(hw: Hardware, numbers_of: Callable[[Hardware], Changes]) -> tuple[Hardware, Changes]:
    """The target with a change, and the numbers that differ; none where the change is out of range
    or changes nothing."""
    known = numbers()
    new = {k: v for k, v in numbers_of(hw).items() if v != getattr(hw, k)}
    if any(not known[k]["low"] <= v <= known[k]["high"] for k, v in new.items()):
        new = {}
    return replace(hw, **new), new  # type: ignore[arg-type]  # every number is an int


def what_ifs(program: Program, hw: Hardware, total_ticks: int) -> list[WhatIf]:
    """Run the program on each changed machine, most gain first.

    Args:
        total_ticks: of the run on `hw`.
    """
    now = Fraction(total_ticks, hw.ticks_per_s)
    found = []
    for change, numbers_of in SAME_PROGRAM:
        other, new = changed(hw, numbers_of)
        if new:
            ticks = simulate(prepare(program, other)).total_ticks
            found.append(gained(change, new, Fraction(ticks, other.ticks_per_s), now))
    return sorted(found, key=lambda w: -w.gain)


def gained(
    change: str, new: Changes, then: Fraction, now: Fraction, recompiled: bool = False
) -> WhatIf:
    """The result of a change that took the time from `now` to `then`, in seconds."""
    gain = float(1 - then / now) if now else 0.0
    return WhatIf(change, new, float(then), gain, recompiled)
