"""Attribution: every tick of the tensor engine, at work or idle, to a cause, a row, a layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isa.hardware import Hardware
from isa.memory import FIRST_QUEUE
from isa.program import Program
from simulator.explain.causes import Cause, Phase
from simulator.explain.facts import BUSY, facts_of
from simulator.explain.releases import Words, words_of
from simulator.explain.stretches import BEGIN, CAUSE, END, ROW
from simulator.explain.transfers import Sharing
from simulator.explain.walk import walk
from simulator.timing import Timing
from simulator.timing.tables import END as LAST
from simulator.timing.tables import FIRST, STREAM, Ints


@dataclass(frozen=True)
class Attribution:
    """A run taken apart. The segments do not overlap and fill [0, total_ticks) exactly.

    Attributes:
        timing: the run.
        layers: names; layer: index of each row's, -1 for none. Shape [n].
        begin, end, cause, row: segments in order of time: ticks, a `Cause`, and the row that was
            under way (or, of a latency, had been). Shape [s].
        sharing: the DMA engines over time.
        facts: what was read of each row (`facts.py`). words: the instructions.
    """

    timing: Timing
    layers: tuple[str, ...]
    layer: Ints
    begin: Ints
    end: Ints
    cause: Ints
    row: Ints
    sharing: Sharing
    facts: Ints
    words: Words

    @property
    def hw(self) -> Hardware:
        """The target."""
        return self.timing.hw

    @cached_property
    def ticks(self) -> Ints:
        """Length of each segment. Shape [s]."""
        return self.end - self.begin

    @cached_property
    def phase(self) -> Ints:
        """`Phase` of each segment. Shape [s]."""
        at = np.flatnonzero(self.cause == Cause.MULTIPLY)
        if not len(at):
            return np.full(len(self.cause), int(Phase.END))
        place = np.arange(len(self.cause))
        late = np.where(place > at[-1], int(Phase.END), int(Phase.MIDDLE))
        return np.where(place < at[0], int(Phase.START), late)

    def by_cause(self) -> dict[Cause, int]:
        """Ticks by cause; they add up to the run's."""
        ticks = np.zeros(len(Cause), np.int64)
        np.add.at(ticks, self.cause, self.ticks)
        return {cause: int(ticks[cause]) for cause in Cause if ticks[cause]}

    def idle(self) -> dict[Cause, dict[Phase, int]]:
        """Idle ticks of the tensor engine by cause and phase of the run, most first."""
        ticks = np.zeros((len(Cause), len(Phase)), np.int64)
        np.add.at(ticks, (self.cause, self.phase), self.ticks)
        causes = [c for c in Cause if c is not Cause.MULTIPLY and ticks[c].any()]
        causes.sort(key=lambda c: (-int(ticks[c].sum()), c))
        return {c: {p: int(ticks[c, p]) for p in Phase if ticks[c, p]} for c in causes}


def attribute(program: Program, timing: Timing) -> Attribution:
    """Take a run of one core apart.

    Args:
        timing: of this program, alone on its chip.
    """
    words = words_of(program)
    facts, sharing = facts_of(program, words, timing)
    multiplies = np.flatnonzero(facts[:, BUSY] == Cause.MULTIPLY)
    found, _ = walk(
        facts,
        sharing.line,
        timing.program.tables.slots[[FIRST, LAST]],
        _machine(timing, sharing),
        _gaps(timing, multiplies),
    )
    work = np.stack(
        [
            timing.start[multiplies],
            timing.end[multiplies],
            multiplies,
            np.full(len(multiplies), int(Cause.MULTIPLY)),
        ],
        axis=1,
    )
    segments = np.concatenate([found, work])
    segments = segments[np.lexsort((segments[:, END], segments[:, BEGIN]))]
    return Attribution(
        timing,
        program.layers,
        _layer_of_rows(program),
        segments[:, BEGIN].copy(),
        segments[:, END].copy(),
        segments[:, CAUSE].copy(),
        segments[:, ROW].copy(),
        sharing,
        facts,
        words,
    )


def _gaps(timing: Timing, multiplies: NDArray[np.intp]) -> Ints:
    """Idle spans of the tensor engine, as `walk` takes them."""
    begin = np.concatenate([[0], timing.end[multiplies]])
    end = np.append(timing.start[multiplies], timing.total_ticks)
    last = int(np.argmax(timing.visible)) if len(timing.visible) else 0
    gaps = np.stack([begin, end, np.append(multiplies, -1 - last)], axis=1)
    return gaps[gaps[:, 1] > gaps[:, 0]].astype(np.int64)


def _machine(timing: Timing, sharing: Sharing) -> Ints:
    slots = timing.program.tables.slots
    queues = np.flatnonzero(slots[STREAM] >= FIRST_QUEUE)
    first = slots[FIRST, queues[0]] if len(queues) else len(timing.start)
    return np.array([first, sharing.engines, slots.shape[1]], np.int64)


def _layer_of_rows(program: Program) -> Ints:
    """Index of each row's layer; -1 for none."""
    none = np.zeros(0, np.int64)
    return np.concatenate(
        [
            none,
            *(
                program.debug.get(s, np.full(len(program.streams[s]), -1)).astype(np.int64)
                for s in sorted(program.streams)
            ),
        ]
    )
