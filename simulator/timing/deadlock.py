"""Who waits for whom, when nothing moves any more."""

from __future__ import annotations

import numpy as np

from isa.errors import TrapError
from isa.hardware import Hardware
from isa.memory import stream_name
from simulator.timing.tables import (
    CORE,
    END,
    FIRST,
    SIGNAL_SEMAPHORE,
    SIGNALLERS,
    STREAM,
    WAIT_SEMAPHORES,
    Tables,
    TimingProgram,
)


def overflow(hw: Hardware, tables: Tables, row: int) -> TrapError:
    """The error of a counted semaphore that passed its greatest value."""
    return TrapError(
        "SYS-R011",
        "a semaphore stays within its range",
        found=f"semaphore would hold more than {hw.semaphore_max}",
        at=_place(tables, row),
    )


def deadlock(programs: list[TimingProgram], tables: Tables, stopped: list[int]) -> TrapError:
    """The error of a run that stands still; `stopped` is the row at which each slot stands."""
    blocked = [k for k, row in enumerate(stopped) if row < tables.slots[END, k]]
    waits = np.concatenate([p.wait_semaphore for p in programs])
    values = np.concatenate([p.wait_value for p in programs])
    wants, needs = [], {}
    for k in blocked:
        row = stopped[k]
        texts = [f"s{s}>={v}" for s, v in zip(waits[row], values[row], strict=True) if s >= 0]
        wants.append(f"{_place(tables, row)} waits for {' and '.join(texts)}")
        needs[k] = _signallers(tables, stopped, k)
    cycle = _cycle(needs)
    names = [stream_name(int(tables.slots[STREAM, k])) for k in cycle]
    shown = " -> ".join([*names, names[0]]) if names else "a wait that no signal satisfies"
    return TrapError(
        "SYS-R010",
        "some stream can always go on",
        found=f"deadlock: {shown}",
        at="; ".join(wants),
        hint="a signal is missing, or two streams wait for each other",
    )


def _place(tables: Tables, row: int) -> str:
    k = int(np.searchsorted(tables.slots[FIRST], row, side="right")) - 1
    core = f"core {int(tables.slots[CORE, k])}, " if tables.slots[CORE, -1] > 0 else ""
    return f"{core}{stream_name(int(tables.slots[STREAM, k]))} {row - int(tables.slots[FIRST, k])}"


def _signallers(tables: Tables, stopped: list[int], k: int) -> list[int]:
    """Slots that have still to give the signals for which slot `k` stands."""
    row, slots = stopped[k], range(len(stopped))
    found = []
    for signaller in tables.rows[row, SIGNALLERS : SIGNALLERS + 2].tolist():
        found += [s for s in slots if stopped[s] <= signaller < tables.slots[END, s]]
    for semaphore in tables.counted[row : row + 1, WAIT_SEMAPHORES : WAIT_SEMAPHORES + 2].flat:
        for s in slots:
            rest = tables.counted[stopped[s] : tables.slots[END, s], SIGNAL_SEMAPHORE]
            if semaphore >= 0 and (rest == semaphore).any():
                found.append(s)
    return found


def _cycle(needs: dict[int, list[int]]) -> list[int]:
    """Slots that wait for each other in a ring, if there is one."""
    for first in needs:
        path, k = [first], first
        while needs.get(k):
            k = needs[k][0]
            if k in path:
                return path[path.index(k) :]
            path.append(k)
    return []
