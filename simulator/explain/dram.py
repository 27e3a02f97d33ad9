"""The DMA engines' side: what their time went to, and why they stood idle.

Where DRAM is the bound, a program runs as fast as its loads keep coming. Idle engine time before a
load of weights or inputs goes to what held that load back: no room in SBUF (its trigger waited
until what lay there had been read), a result, or its start-up; after the last, nothing is left.
"""

from __future__ import annotations

import numpy as np

from isa.memory import FIRST_QUEUE
from simulator.explain.attribution import Attribution
from simulator.explain.causes import LOADS, Cause
from simulator.explain.facts import BUSY, ENGINE_WORK, RELEASE, ROOM
from simulator.explain.releases import stream_of_rows
from simulator.explain.transfers import AT, IDLE_NOW
from simulator.timing.tables import END, FIRST, Ints


def dma_time(found: Attribution) -> dict[Cause, int]:
    """Engine time of a core's DMA engines by cause, most first; the sum is the run's ticks times
    `found.sharing.engines`."""
    return _sorted(_time(found).sum(axis=0))


def dma_time_while_loading(found: Attribution) -> dict[Cause, int]:
    """The same until the last load of weights or inputs has ended (`found.sharing.loaded`)."""
    return _sorted(_time(found)[0])


def _sorted(time: Ints) -> dict[Cause, int]:
    order = np.argsort(-time, kind="stable").tolist()
    return {Cause(c): int(time[c]) for c in order if time[c]}


def _time(found: Attribution) -> Ints:
    """Engine time by cause, before the last load has ended and after. Shape [2, causes]."""
    sharing = found.sharing
    time = sharing.spent.copy()
    cause, idle, begin = _idle(found)
    np.add.at(time, (np.where(begin >= sharing.loaded, 1, 0), cause), idle)
    spans = np.array([sharing.loaded, found.timing.total_ticks - sharing.loaded])
    time[:, Cause.CONTROL] += spans * sharing.engines - time.sum(axis=1)  # rounded down
    return time


def _idle(found: Attribution) -> tuple[Ints, Ints, Ints]:
    """Causes, idle engine time and begin of each part of the timeline."""
    timing, line = found.timing, found.sharing.line
    loads = np.flatnonzero(
        np.isin(found.facts[:, BUSY], LOADS)
        & (found.facts[:, ENGINE_WORK] > 0)
        & (stream_of_rows(timing) >= FIRST_QUEUE)
    )
    loads = loads[np.argsort(timing.start[loads], kind="stable")]
    begin, end = line[:, AT], np.append(line[1:, AT], timing.total_ticks)
    following = np.searchsorted(timing.start[loads], begin, side="right")
    left = following < len(loads)
    if not len(loads):
        nothing = np.full(len(begin), int(Cause.NOTHING_LEFT))
        return nothing, (end - begin) * line[:, IDLE_NOW], begin
    row = loads[np.minimum(following, len(loads) - 1)]
    triggered = np.clip(np.where(left, timing.ready[row], begin), begin, end)
    before = np.where(left, triggered - begin, 0) * line[:, IDLE_NOW]
    after = (end - begin) * line[:, IDLE_NOW] - before
    late = np.where(left, int(Cause.DMA_LATENCY), int(Cause.NOTHING_LEFT))
    cause, idle = np.concatenate([_held_by(found)[row], late]), np.concatenate([before, after])
    return cause, idle, np.concatenate([begin, begin])


def _held_by(found: Attribution) -> Ints:
    """What each row's trigger, or one in front of it in its queue, waited for."""
    slots = found.timing.program.tables.slots
    waited = found.facts[:, RELEASE] >= 0
    last = np.maximum.accumulate(np.where(waited, np.arange(len(waited)), -1))
    first = np.repeat(slots[FIRST], slots[END] - slots[FIRST])
    room = found.facts[:, ROOM]
    cause = np.where(room >= 0, room, int(Cause.DATA))
    known = last >= first
    return np.where(known, cause[np.maximum(last, 0)], int(Cause.CONTROL))
