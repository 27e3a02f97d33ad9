"""Semaphores: deadlock with its cycle, waits out of reach, overflow, clears without order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from isa.epochs import Epochs, unordered_clears
from isa.hardware import Hardware
from isa.memory import stream_name
from isa.order import Events, Order
from isa.program import Program
from isa.verify.faults import Fault, Place, place


def faults_of_semaphores(
    program: Program, hw: Hardware, order: Order, epochs: Epochs
) -> Iterator[Fault]:
    """What is wrong with the semaphores of a program."""
    events = order.events
    yield from _overflows(program, hw, events, epochs)
    if not order.complete:
        yield from _stuck(program, order, epochs)
        return
    for semaphore, clear, access in unordered_clears(order, epochs):
        found = f"semaphore {semaphore} is cleared before or after the other instruction touches it"
        yield Fault(
            "SYS-V013", found, (_place(program, events, clear), _place(program, events, access))
        )


def _place(program: Program, events: Events, i: int) -> Place:
    return place(program, *events.place(i))


def _overflows(program: Program, hw: Hardware, events: Events, epochs: Epochs) -> Iterator[Fault]:
    signals = np.flatnonzero(events.signal >= 0)
    if not len(signals):
        return
    total = np.zeros(len(epochs.semaphore), dtype=np.int64)
    np.add.at(total, events.signal[signals], events.amount[signals])
    for number in np.flatnonzero(total > hw.semaphore_max).tolist():
        last = int(signals[events.signal[signals] == number][-1])
        found = (
            f"semaphore {epochs.semaphore[number]} gets {total[number]}; at most {hw.semaphore_max}"
        )
        yield Fault("SYS-V012", found, (_place(program, events, last),), hint="clear it between")


def _stuck(program: Program, order: Order, epochs: Epochs) -> Iterator[Fault]:
    """Why the program does not run to its end: waits out of reach, else a cycle of waits."""
    events = order.events
    at = events.first[:-1] + order.completed
    blocked = np.flatnonzero(at < events.first[1:]).tolist()
    needs = {k: _missing(order, int(at[k])) for k in blocked}
    total = np.zeros(len(order.values), dtype=np.int64)
    signals = events.signal >= 0
    np.add.at(total, events.signal[signals], events.amount[signals])
    hopeless = [k for k in blocked if total[needs[k][0]] < needs[k][1]]
    for k in hopeless:
        number, value = needs[k]
        found = (
            f"semaphore {epochs.semaphore[number]} is waited for at {value}; "
            f"all signals together give {total[number]}"
        )
        yield Fault("SYS-V011", found, (_place(program, events, int(at[k])),))
    if not hopeless:
        yield _cycle(program, order, epochs, at, needs)


def _missing(order: Order, i: int) -> tuple[int, int]:
    """The wait (semaphore, value) that instruction i is blocked on."""
    for w in range(2):
        number, value = int(order.events.waits[i, w]), int(order.events.targets[i, w])
        if number >= 0 and order.values[number] < value:
            return number, value
    raise AssertionError(i)


def _cycle(program, order, epochs, at, needs) -> Fault:  # type: ignore[no-untyped-def]
    """Follow each blocked stream to one that still has to signal what it waits for, to a cycle."""
    events, stream = order.events, order.events.stream_index
    seen: list[int] = []
    k = next(iter(needs))
    while k not in seen:
        seen.append(k)
        later = np.flatnonzero(events.signal == needs[k][0])
        later = later[later >= at[stream[later]]]
        k = int(stream[later[0]])
    cycle = seen[seen.index(k) :]
    steps = [
        f"{stream_name(events.streams[k])} waits for semaphore {epochs.semaphore[needs[k][0]]} "
        f">= {needs[k][1]} (it holds {order.values[needs[k][0]]}), which "
        f"{stream_name(events.streams[cycle[(n + 1) % len(cycle)]])} has yet to signal"
        for n, k in enumerate(cycle)
    ]
    places = tuple(_place(program, events, int(at[k])) for k in cycle)
    return Fault("SYS-V010", "; ".join(steps), places)
