"""What limited the DMA engines at each moment, replayed from when transfers began and ended.

In    a Timing, what each transfer is for, how much of its engine time goes to descriptors
Out   `Sharing`: a timeline of whether transfers held each other up and of idle engine time, for
      each transfer the ticks in which others, or all the engines together, set its rate, and what
      engine time was spent on

The rates are those of the simulator: the same function shares them out (`timing/sharing.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from isa.memory import FIRST_QUEUE
from simulator.explain.causes import LOADS, Cause
from simulator.timing import Timing
from simulator.timing.sharing import share_out
from simulator.timing.tables import (
    CHIP_ENGINES,
    CORE_ENGINES,
    FIRST,
    STREAM,
    TRAFFIC,
    WIDEST,
    WORK,
    Ints,
    machine_of,
)

DESCRIPTORS = int(Cause.DESCRIPTORS)

AT, BUSY, IDLE, BUSY_NOW, IDLE_NOW = range(5)
"""Columns of `Sharing.line`: a moment; ticks so far in which some transfer could have gone faster
alone, or all engines worked; idle engine time so far; and what both grow by in a tick from here."""


class Sharing(NamedTuple):
    """The DMA engines over time.

    Attributes:
        line: [moments, 5], from tick 0 on.
        limited: [n] ticks of each transfer in which it had to share, or had all the engines.
        engines: engine time that a core has in a tick.
        loaded: when the last load of weights or inputs has ended.
        spent: engine time by `Cause`, before `loaded` and from then on; where DRAM slowed the
            transfers, all of the engines'. Shape [2, causes].
    """

    line: Ints
    limited: Ints
    engines: int
    loaded: int
    spent: Ints


def sharing_of(timing: Timing, cause: Ints, descriptor_work: Ints) -> Sharing:
    """Replay the transfers of one core alone on its chip.

    Args:
        cause: that each row's bytes count under. Shape [n].
        descriptor_work: engine time of each row that descriptors take as such. Shape [n].
    """
    tables = timing.program.tables
    machine = machine_of(timing.hw)
    engines = int(min(machine[CORE_ENGINES], machine[CHIP_ENGINES]))
    rows = np.flatnonzero((tables.dma[:, WORK] > 0) & (timing.end > timing.start))
    queues = np.flatnonzero(tables.slots[STREAM] >= FIRST_QUEUE)
    slot = np.searchsorted(tables.slots[FIRST], rows, side="right") - 1
    queue = np.searchsorted(queues, slot)
    when = np.concatenate([timing.start[rows], timing.end[rows]])
    what = np.concatenate([rows, -1 - rows])  # begins at row, ends at -1 - row
    order = np.argsort(when, kind="stable")
    limited = np.zeros(len(timing.start), np.int64)
    place = np.zeros(len(timing.start), np.int64)
    place[rows] = queue
    loaded = int(timing.end[rows[np.isin(cause[rows], LOADS)]].max(initial=0))
    spent = np.zeros((2, len(Cause)), np.int64)
    share = descriptor_work / np.maximum(1, tables.dma[:, WORK])
    line = _replay(
        when[order],
        what[order],
        place,
        tables.dma,
        machine,
        max(1, len(queues)),
        engines,
        limited,
        cause,
        share,
        loaded,
        spent,
    )
    return Sharing(line, limited, engines, loaded, spent)


@njit(cache=True)
def _replay(when, what, queue, dma, machine, queues, engines, limited, cause, share, loaded, spent):  # type: ignore[no-untyped-def]
    """The line; adds to `limited` and to `spent`."""
    core, widest, traffic = np.zeros((3, queues), np.int64)
    rate, holder = np.zeros((2, queues), np.int64)
    room = np.zeros((3, queues + 1), np.int64)
    line = np.zeros((len(when) + 1, 5), np.int64)
    line[0, IDLE_NOW] = engines
    used, e = 0, 0
    while e < len(when):
        now = when[e]
        if now > line[used, AT]:
            _advance(line, used, now)
            used += 1
        while e < len(when) and when[e] == now:
            row = what[e]
            if row < 0:
                q = queue[-1 - row]
                if holder[q] == -1 - row:
                    widest[q], traffic[q] = 0, 0
            else:
                q = queue[row]
                widest[q], traffic[q], holder[q] = dma[row, WIDEST], dma[row, TRAFFIC], row
            e += 1
        share_out(machine, core, widest, traffic, room, rate)
        following = when[e] if e < len(when) else now
        busy, total = 0, 0
        for q in range(queues):
            if widest[q] > 0:
                total += rate[q]
                if rate[q] < widest[q] or widest[q] >= engines:
                    limited[holder[q]] += following - now
                    busy = 1
        for q in range(queues):
            if widest[q] > 0:
                given = engines * rate[q] // total if busy else rate[q]
                taken = given * (following - now)
                own = int(taken * share[holder[q]])
                half = 1 if now >= loaded else 0
                spent[half, DESCRIPTORS] += own
                spent[half, cause[holder[q]]] += taken - own
        line[used, BUSY_NOW] = 1 if total >= engines else busy
        line[used, IDLE_NOW] = 0 if busy else max(0, engines - total)
    return line[: used + 1].copy()


@njit(cache=True)
def _advance(line, used, now):  # type: ignore[no-untyped-def]
    span = now - line[used, AT]
    line[used + 1, AT] = now
    line[used + 1, BUSY] = line[used, BUSY] + span * line[used, BUSY_NOW]
    line[used + 1, IDLE] = line[used, IDLE] + span * line[used, IDLE_NOW]
