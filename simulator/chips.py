"""Several cores at work: copies of a program, each with its own items, or stages of a pipeline.

Core k of the machine is core k mod n of chip k div n, with n cores a chip. The cores of a chip
share its DMA engines and its DRAM (`simulator.timing`); chips share nothing.

A run begins when the one before has ended; what is not pinned is streamed from DRAM anew in each.
All cores start a run together, at its beat: copies of a program, which take equally long, stay in
step for ever, and of a pipeline every stage works on another item, the next one when the slowest is
done. (Assumed: that is how the host feeds them. Out of step, one copy's transfers would fall into
another's arithmetic, so the beat of copies is, if anything, too long.)

What a stage hands on it has stored to DRAM, and the next stage loads it from there: both are part
of their programs. The cores of a chip share that DRAM. To another chip the bytes go over the link,
from DRAM to DRAM, beside the stages' work: a beat is no shorter than any link is busy in it.
(Assumed, for nothing is public about it: chips stand in a row, and a value for a later one passes
every link between; a transfer over a link starts up and completes as any DMA does.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from isa.hardware import Hardware
from neff import Neff
from simulator.timing import Timing, TimingProgram, simulate_chip


@dataclass(frozen=True)
class Throughput:
    """Cores in step.

    Attributes:
        timings: each core's run, with all others at work.
        links: ticks in which each link between chips is busy in a beat; of copies there are none.
    """

    timings: tuple[Timing, ...]
    links: tuple[int, ...] = ()

    @cached_property
    def beat_ticks(self) -> int:
        """Ticks from one start to the next."""
        return max((*(t.total_ticks for t in self.timings), *self.links))

    @property
    def beat_s(self) -> float:
        """The same in seconds."""
        return self.beat_ticks / self.timings[0].hw.ticks_per_s

    @property
    def pipeline_latency_s(self) -> float:
        """Seconds from a pipeline's input to its output: all stages and links, one by one."""
        ticks = sum(t.total_ticks for t in self.timings) + sum(self.links)
        return ticks / self.timings[0].hw.ticks_per_s

    def dram_bytes_per_s(self, chip: int = 0) -> float:
        """What the cores of a chip read and write of its DRAM, on average over a beat."""
        n = self.timings[0].hw.cores_per_chip
        cores = self.timings[chip * n : (chip + 1) * n]
        return sum(t.dram_read_bytes + t.dram_written_bytes for t in cores) / self.beat_s

    def dram_share(self, chip: int = 0) -> float:
        """The same as a part of what the DRAM can do."""
        return self.dram_bytes_per_s(chip) / self.timings[0].hw.dram_bytes_per_s


def simulate_chips(programs: Sequence[TimingProgram], hw: Hardware) -> tuple[Timing, ...]:
    """When everything happens on cores that start together, chip by chip. Raises TrapError."""
    n = hw.cores_per_chip
    chips = [programs[at : at + n] for at in range(0, len(programs), n)]
    return tuple(timing for chip in chips for timing in simulate_chip(chip))


def copies(program: TimingProgram, cores: int) -> tuple[Timing, ...]:
    """The same for `cores` copies of one program; full chips are alike. Raises TrapError."""
    n = program.hw.cores_per_chip
    full = simulate_chip([program] * n) * (cores // n) if cores >= n else []
    rest = simulate_chip([program] * (cores % n)) if cores % n else []
    return (*full, *rest)


def link_ticks(model: Neff, hw: Hardware) -> tuple[int, ...]:
    """Ticks in which each link between neighbouring chips is busy with one item."""
    n = hw.cores_per_chip
    chips = -(-len(model.sections) // n)
    crossing = [0] * max(0, chips - 1)
    sent: set[tuple[int, str, int]] = set()
    for link in model.links:
        buffer = model.sections[link.source[0]].buffer(link.source[1])
        assert buffer is not None, "a link that was checked"
        for chip in range(link.source[0] // n, link.target[0] // n):
            if (*link.source, chip) not in sent:  # once, however many stages read it
                sent.add((*link.source, chip))
                crossing[chip] += buffer.size_bytes
    start_up = hw.ns_to_ticks(hw.dma_start_ns + hw.dma_completion_ns)
    rate = hw.link_bytes_per_s
    return tuple(start_up + -(-b * hw.ticks_per_s // rate) if b else 0 for b in crossing)
