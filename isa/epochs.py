"""Epochs: what `sem_clear` means to the order.

A clear sets a semaphore to zero, so a program with clears is no longer monotone. It is judged as
one that is: between two clears a semaphore is a semaphore of its own, an epoch. Which epoch a
signal or wait belongs to is read off one execution. The reading holds in every execution when each
signal and wait of an epoch is ordered after the clear that opens it and before the one that ends
it; and a wait must be ordered after the opening clear before it looks at the semaphore, so by
something else than that wait, or it could pass on what the epoch before left behind.

    In    `Events` with clears
    Out   the same events, semaphores renumbered an epoch each, without clears; then
          `unordered_clears` says whether the reading was sound
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from isa.order import Events, Ints, Order, blocking_semaphore


@dataclass(frozen=True)
class Epochs:
    """Which semaphore a renumbered one is, and the clears between them.

    Attributes:
        semaphore: the semaphore that each renumbered one is an epoch of.
        ends: id of the clear that ends each renumbered one, -1 for a last epoch.
    """

    semaphore: Ints
    ends: Ints


def split_at_clears(events: Events) -> tuple[Events, Epochs]:
    """Renumber semaphores so that every epoch has its own. Events that are never reached keep
    their semaphore's last epoch."""
    semaphores = 1 + int(
        max(
            events.waits.max(initial=-1),
            events.signal.max(initial=-1),
            events.clear.max(initial=-1),
        )
    )
    clears = np.flatnonzero(events.clear >= 0)
    if not len(clears):
        return events, Epochs(np.arange(semaphores), np.full(semaphores, -1, dtype=np.int64))
    counts = np.bincount(events.clear[clears], minlength=semaphores) + 1
    base = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    waits, signal = events.waits.copy(), events.signal.copy()
    ends = np.full(base[-1], -1, dtype=np.int64)
    epoch = np.zeros(semaphores, dtype=np.int64)
    _run_with_clears(
        events.first,
        events.waits,
        events.targets,
        events.signal,
        events.amount,
        events.clear,
        base,
        epoch,
        waits,
        signal,
        ends,
    )
    renumbered = replace(events, waits=waits, signal=signal, clear=np.full(len(events), -1))
    return renumbered, Epochs(np.repeat(np.arange(semaphores), counts), ends)


@njit(cache=True)
def _run_with_clears(  # type: ignore[no-untyped-def]
    first, waits, targets, signal, amount, clear, base, epoch, new_waits, new_signal, ends
):
    """Run round robin; give each semaphore access the number base + epochs passed when it runs."""
    streams, n = len(first) - 1, len(signal)
    at = first[:-1].copy()
    values = np.zeros(len(epoch), dtype=np.int64)
    ran = np.zeros(n, dtype=np.bool_)
    moved = True
    while moved:
        moved = False
        for s in range(streams):
            while at[s] < first[s + 1]:
                i = at[s]
                if blocking_semaphore(i, waits, targets, values) >= 0:
                    break
                for w in range(2):
                    if waits[i, w] >= 0:
                        new_waits[i, w] = base[waits[i, w]] + epoch[waits[i, w]]
                if clear[i] >= 0:
                    ends[base[clear[i]] + epoch[clear[i]]] = i
                    epoch[clear[i]] += 1
                    values[clear[i]] = 0
                if signal[i] >= 0:
                    new_signal[i] = base[signal[i]] + epoch[signal[i]]
                    values[signal[i]] += amount[i]
                at[s] += 1
                ran[i] = True
                moved = True
    for i in range(n):
        if not ran[i]:
            for w in range(2):
                if waits[i, w] >= 0:
                    new_waits[i, w] = base[waits[i, w]] + epoch[waits[i, w]]
            if signal[i] >= 0:
                new_signal[i] = base[signal[i]] + epoch[signal[i]]


def unordered_clears(order: Order, epochs: Epochs) -> list[tuple[int, int, int]]:
    """Clears that some access of their semaphore is not ordered with.

    Returns:
        (semaphore, id of the clear, id of the access), by clear.
    """
    uses, looks = _by_number(order.events)
    found: list[tuple[int, int, int]] = []
    for number in np.flatnonzero(epochs.ends >= 0).tolist():
        clear, opened = int(epochs.ends[number]), number + 1
        later = list(uses.get(opened, ()))
        if epochs.ends[opened] >= 0:
            later.append(int(epochs.ends[opened]))
        loose = [i for i in uses.get(number, ()) if i != clear and not order.before(i, clear)]
        loose += [
            i
            for i in later
            if i != clear and not _arrives_after(order, clear, i, i in looks.get(opened, ()))
        ]
        found += [(int(epochs.semaphore[number]), clear, i) for i in loose]
    return found


def _by_number(events: Events) -> tuple[dict[int, list[int]], dict[int, set[int]]]:
    """Ids that signal or wait for each semaphore, and those that wait."""
    uses: dict[int, list[int]] = {}
    looks: dict[int, set[int]] = {}
    for column in (events.signal, events.waits[:, 0], events.waits[:, 1]):
        for i in np.flatnonzero(column >= 0).tolist():
            uses.setdefault(int(column[i]), []).append(i)
            if column is not events.signal:
                looks.setdefault(int(column[i]), set()).add(i)
    return uses, looks


def _arrives_after(order: Order, clear: int, i: int, waits: bool) -> bool:
    """Whether `clear` has completed when i looks at its semaphore."""
    if not waits or order.events.place(i)[0] == order.events.place(clear)[0]:
        return order.before(clear, i)
    return bool(i not in order.events.first) and order.before(clear, i - 1)
