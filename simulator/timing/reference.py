"""The timing model in plain Python: slow, written to be read; the fast loop is held equal to it.

In    programs and a target
Out   for each core and stream, when every instruction was ready, started, ended, was visible
Read  `docs/timing.md` for the same rules in words

Time jumps from one *interesting* time to the next: whatever ends, arrives or becomes free puts its
time on a heap. At each of them everything that can happen happens, until nothing more can.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from isa.activation.functions import ActivationSet
from isa.errors import TrapError
from isa.hardware import Hardware
from isa.memory import FIRST_QUEUE, PSUM, SBUF, Engine
from isa.program import Program
from isa.timing import WORK_SCALE, writes_memory
from simulator.timing.steps import Step, needed, steps_of, table_of, touches


@dataclass
class Stream:
    """An engine or queue at one point of its program."""

    number: int
    core: int
    steps: list[Step]
    row: int = 0  # next to issue
    data_row: int = 0  # of a queue: next whose data move
    free: int = 0  # end of the step in front; of a queue, earliest next trigger
    data_free: int = 0
    last: int = 0
    load_free: int = 0
    done: int = 0
    table: ActivationSet | None = None
    until: Counter[int] = field(default_factory=Counter)  # by memory: while it holds the port
    rate: int = 0
    left: int = 0

    @property
    def head(self) -> Step | None:
        """The next step to issue."""
        return self.steps[self.row] if self.row < len(self.steps) else None

    @property
    def moving(self) -> Step | None:
        """The step whose data move, or would next."""
        return self.steps[self.data_row] if self.data_row < self.row else None


def reference(programs: list[Program], hw: Hardware) -> list[dict[int, list[Step]]]:
    """Run programs, one a core. Returns each core's steps by stream. Raises TrapError SYS-R010."""
    machine = _Machine(programs, hw)
    machine.run()
    return [
        {s.number: s.steps for s in machine.streams if s.core == core}
        for core in range(len(programs))
    ]


class _Machine:
    def __init__(self, programs: list[Program], hw: Hardware) -> None:
        self.hw = hw
        self.streams = [
            Stream(number, core, steps_of(program, number, hw))
            for core, program in enumerate(programs)
            for number in sorted(program.streams)
        ]
        self.semaphores: Counter[tuple[int, int]] = Counter()
        self.signals: list[tuple[int, int, int, Stream, Step]] = []
        self.times, self.now, self.sent = [0], 0, 0

    def run(self) -> None:
        for stream in self.streams:
            if stream.head is not None:
                self._at(self._table_load(stream, stream.head))
        while self.times:
            time = heapq.heappop(self.times)
            self._advance(time)
            while self._deliver() or self._move_data() or self._issue():
                pass
        if any(s.head for s in self.streams):
            raise TrapError("SYS-R010", "some stream can always go on", found="deadlock")

    def _at(self, time: int) -> int:
        """Make a time interesting."""
        if time > self.now:
            heapq.heappush(self.times, time)
        return time

    # --- semaphores -------------------------------------------------------------------------------

    def _complete(self, stream: Stream, step: Step, time: int) -> None:
        stream.done = step.visible = self._at(max(stream.done, time))
        arrival = self._at(step.visible + self.hw.ns_to_ticks(self.hw.semaphore_latency_ns))
        self.sent += 1
        heapq.heappush(self.signals, (arrival, stream.number, self.sent, stream, step))

    def _deliver(self) -> bool:
        if not self.signals or self.signals[0][0] > self.now:
            return False
        _, _, _, stream, step = heapq.heappop(self.signals)
        if step.instruction.mnemonic == "sem_clear":
            cleared: Any = step.instruction
            self.semaphores[stream.core, cleared.semaphore] = 0
        signal = step.instruction.signal
        if signal is not None:
            self.semaphores[stream.core, signal.semaphore] += signal.amount
        return True

    # --- instructions -----------------------------------------------------------------------------

    def _issue(self) -> bool:
        """Start the oldest request that no port holds."""
        asking = []
        for place, stream in enumerate(self.streams):
            step = stream.head
            if step is not None and self._can_ask(stream, step):
                step.ready = self.now if step.ready < 0 else step.ready
                if not self._port_held(stream, step):
                    asking.append((step.ready, place))
        if not asking:
            return False
        stream = self.streams[min(asking)[1]]
        assert stream.head is not None
        self._start(stream, stream.head)
        return True

    def _can_ask(self, stream: Stream, step: Step) -> bool:
        """Whether all but a port is there."""
        waits = step.instruction.waits
        if any(self.semaphores[stream.core, w.semaphore] < w.value for w in waits):
            return False
        if stream.number >= FIRST_QUEUE:
            return self.now >= stream.free
        if step.instruction.mnemonic == "load_stationary":
            return self.now >= max(stream.load_free, stream.last)
        if step.instruction.mnemonic == "drain" and self.now < stream.done:
            return False
        load = self._table_load(stream, step)
        seen = all(self.now >= s.visible for s in needed(stream.steps[: stream.row], step))
        return self.now >= max(stream.free + load, stream.load_free) and seen

    def _table_load(self, stream: Stream, step: Step) -> int:
        needed = table_of(step.instruction)
        if needed in (ActivationSet.EVERY, stream.table):
            return 0
        return self.hw.ns_to_ticks(self.hw.act_table_load_ns)

    def _port_held(self, stream: Stream, step: Step) -> bool:
        pairs = ((PSUM, self.hw.psum_port_shared, (Engine.SCALAR, Engine.VECTOR)),
                 (SBUF, self.hw.sbuf_port_shared, (Engine.VECTOR, Engine.GPSIMD)))  # fmt: skip
        for memory, shared, engines in pairs:
            if shared and stream.number in engines and touches(step, memory):
                for other in self.streams:
                    rival = other is not stream and other.number in engines
                    if rival and other.core == stream.core and other.until[memory] > self.now:
                        return True
        return False

    def _start(self, stream: Stream, step: Step) -> None:
        stream.row += 1
        cycles = int(step.instruction.occupancy(self.hw))
        end = self._at(self.now + cycles * self.hw.ticks_per_cycle(stream.number))
        stream.last = self.now
        if stream.number >= FIRST_QUEUE:
            stream.free = end
            self._at(step.ready + self.hw.ns_to_ticks(self.hw.dma_start_ns))
            return
        step.start, step.end = self.now, end
        if step.instruction.mnemonic == "load_stationary":
            stream.load_free = end
        else:
            stream.free = end
        if table_of(step.instruction) is not ActivationSet.EVERY:
            stream.table = table_of(step.instruction)
        if stream.head is not None:
            self._at(stream.free + self._table_load(stream, stream.head))
        for memory in (SBUF, PSUM):
            if touches(step, memory):
                stream.until[memory] = end
        latency = self.hw.latency(stream.number) if writes_memory(type(step.instruction)) else 0
        self._complete(stream, step, end + latency * self.hw.ticks_per_cycle(stream.number))

    # --- data of the queues -----------------------------------------------------------------------

    def _advance(self, time: int) -> None:
        for stream in self.streams:
            stream.left -= stream.rate * (time - self.now)
        self.now = time

    def _move_data(self) -> bool:
        changed = acted = False
        for stream in self.streams:
            step = stream.moving
            if stream.number < FIRST_QUEUE or step is None:
                continue
            if step.start >= 0 and stream.left <= 0:
                self._finish(stream, step)
                changed = acted = True
            elif step.start < 0 and self._can_begin(stream, step):
                step.start, acted = self.now, True
                stream.left = step.work
                if step.work:
                    changed = True
                else:
                    self._finish(stream, step)
        if changed:
            self._share()
        return acted

    def _can_begin(self, stream: Stream, step: Step) -> bool:
        start_up = self.hw.ns_to_ticks(self.hw.dma_start_ns) if step.moves else 0
        seen = all(self.now >= s.visible for s in needed(stream.steps[: stream.data_row], step))
        return self.now >= max(step.ready + start_up, stream.data_free) and seen

    def _finish(self, stream: Stream, step: Step) -> None:
        step.end = stream.data_free = self.now
        stream.rate = stream.left = 0
        stream.data_row += 1
        completion = self.hw.ns_to_ticks(self.hw.dma_completion_ns) if step.moves else 0
        self._complete(stream, step, self.now + completion)

    def _share(self) -> None:
        """Rates for the transfers under way: engines, then DRAM."""
        active = [s for s in self.streams if s.moving and s.moving.start >= 0 and s.left > 0]
        reach = self.hw.dma_engines * WORK_SCALE
        cores = sorted({s.core for s in active})
        widest = {c: sum(_step(s).widest for s in active if s.core == c) for c in cores}
        chip = self.hw.dma_engines_per_chip * WORK_SCALE
        by_core = _fill(chip, [min(reach, widest[c]) for c in cores])
        for core, share in zip(cores, by_core, strict=True):
            mine = [s for s in active if s.core == core]
            for stream, rate in zip(
                mine, _fill(share, [_step(s).widest for s in mine]), strict=True
            ):
                stream.rate = rate
        dram = self.hw.dram_bytes_per_s * WORK_SCALE // self.hw.ticks_per_s
        total = sum(-(-s.rate * _step(s).traffic // WORK_SCALE) for s in active)
        for stream in active:
            if total > dram and _step(stream).traffic:
                stream.rate = stream.rate * dram // total
            stream.rate = max(1, stream.rate)
            self._at(self.now + -(-stream.left // stream.rate))


def _fill(capacity: int, demands: list[int]) -> list[int]:
    """Equal shares, none above its demand; the smallest demands are met first."""
    shares = [0] * len(demands)
    order = sorted(range(len(demands)), key=lambda k: demands[k])
    for met, k in enumerate(order):
        level = capacity // (len(order) - met)
        if demands[k] > level:
            for rest in order[met:]:
                shares[rest] = level
            break
        shares[k] = demands[k]
        capacity -= demands[k]
    return shares


def _step(stream: Stream) -> Step:
    assert stream.moving is not None
    return stream.moving
