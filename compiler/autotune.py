"""autotune (`-O3`): knobs turned one at a time, the simulator's clock as the judge.

In    drafts of a graph, the best that the ordinary search found, a budget of evaluations
Out   the best draft, and all that was tried

Coordinate descent: each knob in turn takes every value, the best stays, until a round gains nothing
or the budget is spent; at last many more schedules of the best are compared. Evaluations are
counted, not seconds, so the answer is the same on every machine; and they are kept by content
(`autotune_cache.py`), so a search that was killed goes on where it stood, and one that ended is not
made again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from compiler.autotune_cache import Cache, Ticks
from compiler.cost import Simulated
from compiler.draft import Draft
from compiler.drafts import Drafts
from compiler.errors import CapacityError
from compiler.knobs import CHOICES, Knobs
from isa.hardware import Hardware
from isa.kernel import synchronize


@dataclass(frozen=True)
class Trial:
    """One evaluation: ticks from start to the last completion, None where it did not fit."""

    knobs: Knobs
    ticks: Ticks


@dataclass(frozen=True)
class Tuned:
    """What a search found."""

    start: Trial
    best: Trial
    trials: tuple[Trial, ...]
    budget: int

    def report(self, hw: Hardware) -> dict[str, Any]:
        """Each trial by what was turned from the start, and cycles; for the compile report."""
        assert self.start.ticks is not None
        assert self.best.ticks is not None
        return {
            "budget": self.budget,
            "evaluations": len(self.trials),
            "start_cycles": _cycles(self.start.ticks, hw),
            "best_cycles": _cycles(self.best.ticks, hw),
            "gain": 1 - self.best.ticks / self.start.ticks,
            "start": self.start.knobs.to_json(),
            "best": self.best.knobs.to_json(),
            "turned": self.best.knobs.difference(self.start.knobs),
            "trials": [
                {
                    "turned": t.knobs.difference(self.start.knobs),
                    "cycles": None if t.ticks is None else _cycles(t.ticks, hw),
                }
                for t in self.trials
            ],
        }


def autotune(drafts: Drafts, budget: int, cache: Cache) -> tuple[Draft, Tuned]:
    """Search from the best of the ordinary candidates. Raises CapacityError where none fits."""
    return _Search(drafts, budget, cache).run()


def measured(draft: Draft, hw: Hardware) -> int:
    """Ticks that the simulator takes for a draft."""
    placed = draft.planned.apply(draft.program)
    program = synchronize(placed, draft.deps, draft.planned.order, draft.planned.address, hw)
    return Simulated().ticks(program, hw)


class _Search:
    def __init__(self, drafts: Drafts, budget: int, cache: Cache) -> None:
        self.drafts, self.budget, self.cache = drafts, max(1, budget), cache
        self.hw, self.clock = drafts.hw, drafts.clock
        self.trials: dict[Knobs, Ticks] = {}
        self.made: Draft | None = None  # the best so far, where it was made in this process

    def run(self) -> tuple[Draft, Tuned]:
        start = self._start()
        best = start
        gained = True
        while gained:
            gained = False
            for knob in CHOICES:
                found = self._turned(best, knob)
                gained |= found.knobs != best.knobs
                best = found
        self.clock.about = ""
        draft = self.made
        if draft is None or draft.knobs != best.knobs:
            draft = self.drafts.draft(best.knobs)
        draft, best = self._rescheduled(draft, best)
        trials = tuple(Trial(k, t) for k, t in self.trials.items())
        return draft, Tuned(start, best, trials, self.budget)

    def _start(self) -> Trial:
        """The best of the ordinary candidates, judged as all others are."""
        knobs = self.cache.start
        if knobs is None:
            knobs = self.drafts.best().knobs
            self.cache.begin(knobs)
        start = Trial(knobs, self._ticks(knobs, 0))
        if start.ticks is None:
            raise CapacityError("SYS-S004", "the start of the search fits", found=str(knobs))
        return start

    def _rescheduled(self, draft: Draft, best: Trial) -> tuple[Draft, Trial]:
        """The best draft with many more schedules compared, if that is faster."""
        other = self.drafts.draft(best.knobs, exhaustive=True)
        ticks = measured(other, self.hw)
        if best.ticks is not None and ticks < best.ticks:
            return other, Trial(best.knobs, ticks)
        return draft, best

    def _turned(self, best: Trial, knob: str) -> Trial:
        """The best value of one knob."""
        for knobs in self._open(best.knobs, knob):
            ticks = self._ticks(knobs, best.ticks or 0)
            if ticks is not None and best.ticks is not None and ticks < best.ticks:
                best = Trial(knobs, ticks)
        return best

    def _open(self, knobs: Knobs, knob: str) -> Iterator[Knobs]:
        """Settings not yet tried that differ in what is made, while there is budget."""
        for setting in knobs.neighbours(knob):
            if len(self.trials) >= self.budget:
                return
            known = setting in self.trials or self.cache.known(setting) is not None
            if setting not in self.trials and (known or self.drafts.cuts.cut(setting) is not None):
                yield setting

    def _ticks(self, knobs: Knobs, least: int) -> Ticks:
        """One evaluation, remembered or made; a draft faster than `least` is kept."""
        known = self.cache.known(knobs)
        if known is not None:
            self.trials[knobs] = known[0]
            return known[0]
        self.clock.about = f"trial {len(self.trials) + 1} of {self.budget}: "
        if least:
            self.clock.about += f"{_cycles(least, self.hw):,} cycles so far; "
        ticks: Ticks = None
        try:
            draft = self.drafts.draft(knobs)
            ticks = measured(draft, self.hw)
            if least == 0 or ticks < least:
                self.made = draft
        except CapacityError:
            pass
        self.trials[knobs] = ticks
        self.cache.keep(knobs, ticks)
        return ticks


def _cycles(ticks: int, hw: Hardware) -> int:
    return -(-ticks * hw.base_clock_hz // hw.ticks_per_s)
