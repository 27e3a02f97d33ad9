"""Waits resolved before the run: which instruction's signal satisfies each of them.

A semaphore that one stream alone signals counts in that stream's order, and a stream completes in
order; so the first signal that brings it to the awaited value is known from the program, and the
wait is a dependency on that instruction. Semaphores with several signallers, and those that are
cleared, are *counted* while the program runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.columns import Columns, Header
from isa.errors import TrapError
from isa.hardware import Hardware
from isa.memory import stream_name
from isa.spec import BY_MNEMONIC
from simulator.timing.tables import (
    CLEAR_SEMAPHORE,
    NEVER,
    SIGNAL_AMOUNT,
    SIGNAL_SEMAPHORE,
    WAIT_SEMAPHORES,
    WAIT_VALUES,
    Ints,
    no_counts,
)

Small = NDArray[np.int32]


@dataclass(frozen=True)
class Semaphores:
    """Waits and signals of a program's rows."""

    wait_semaphore: Small  # [n, 2] every wait as written, -1 for none
    wait_value: Ints  # [n, 2]
    signaller: Small  # [n, 2] row whose signal satisfies the wait; -1, NEVER
    counted: Ints  # [n, 7] as `Tables.counted`; [0, 7] when there is none

    @property
    def used(self) -> int:
        """One past the greatest semaphore that is counted."""
        semaphores = (WAIT_SEMAPHORES, WAIT_SEMAPHORES + 1, SIGNAL_SEMAPHORE, CLEAR_SEMAPHORE)
        return 1 + int(self.counted[:, semaphores].max(initial=-1))


def headers(streams: list[NDArray[np.uint64]]) -> tuple[Small, Ints, Small, Small, Small]:
    """Waits, their values, signals, their amounts, clears of all rows; -1 for none."""
    parts: list[tuple[NDArray[np.int64], ...]] = []
    for words in streams:
        h = Header(words)
        parts.append(
            (
                np.where(h.wait_on, h.wait_semaphore, -1),
                np.where(h.wait_on, h.wait_value, 0),
                np.where(h.signal_on, h.signal_semaphore, -1),
                np.where(h.signal_on, h.signal_amount, 0),
                _clears(words, h.opcode),
            )
        )
    wait, value, signal, amount, clear = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    small = np.int32
    return (
        wait.astype(small),
        value,
        signal.astype(small),
        amount.astype(small),
        clear.astype(small),
    )


def _clears(words: NDArray[np.uint64], opcode: Ints) -> Ints:
    clears = np.full(len(words), -1, np.int64)
    kind = BY_MNEMONIC.get("sem_clear")
    if kind is not None:
        at = np.flatnonzero(opcode == kind.opcode)
        clears[at] = Columns(words[at], kind).semaphore
    return clears


def resolve(streams: list[NDArray[np.uint64]], numbers: list[int], hw: Hardware) -> Semaphores:
    """Dependencies for the waits that have them, semaphores to count for the rest.

    Args:
        streams: the words of each stream; rows are counted through all of them.
        numbers: stream number of each.
    Raises TrapError SYS-R011 when a semaphore would pass its greatest value.
    """
    wait, value, signal, amount, clear = headers(streams)
    owner = np.repeat(np.arange(len(streams)), [len(words) for words in streams])
    signaller = np.full(wait.shape, -1, np.int32)
    cleared = set(np.unique(clear).tolist())
    counted: list[int] = []
    waits_on = _places(wait.reshape(-1))
    for semaphore, rows in _places(signal).items():
        total = np.cumsum(amount[rows], dtype=np.int64)
        if semaphore in cleared or len(np.unique(owner[rows])) > 1:
            counted.append(semaphore)
            continue
        _fits(semaphore, int(total[-1]), numbers[owner[rows[0]]], hw)
        places = waits_on.get(semaphore)
        if places is not None:
            reaches = np.searchsorted(total, value.reshape(-1)[places], side="left")
            row = np.append(rows, NEVER)[reaches]
            signaller.reshape(-1)[places] = np.where(value.reshape(-1)[places] > 0, row, -1)
    signalled = np.unique(signal)
    never = ~np.isin(wait, signalled) & (wait >= 0) & (value > 0)
    signaller[never] = NEVER
    return Semaphores(wait, value, signaller, _counted(wait, value, signal, amount, clear, counted))


def _counted(
    wait: Small, value: Ints, signal: Small, amount: Small, clear: Small, semaphores: list[int]
) -> Ints:
    """`Tables.counted` for these semaphores."""
    if not np.isin(wait, semaphores).any():
        return no_counts(0)
    table = no_counts(len(wait))
    for column, numbers in (
        (WAIT_SEMAPHORES, wait[:, 0]),
        (WAIT_SEMAPHORES + 1, wait[:, 1]),
        (SIGNAL_SEMAPHORE, signal),
        (CLEAR_SEMAPHORE, clear),
    ):
        table[:, column] = np.where(np.isin(numbers, semaphores), numbers, -1)
    table[:, WAIT_VALUES : WAIT_VALUES + 2] = value
    table[:, SIGNAL_AMOUNT] = amount
    return table


def _places(numbers: Small) -> dict[int, Ints]:
    """Where each number >= 0 stands, in order."""
    order = np.argsort(numbers, kind="stable")
    order = order[np.searchsorted(numbers[order], 0) :]
    found, begins = np.unique(numbers[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, begins[1:]), strict=True)) if len(found) else {}


def _fits(semaphore: int, total: int, stream: int, hw: Hardware) -> None:
    if total > hw.semaphore_max:
        raise TrapError(
            "SYS-R011",
            "a semaphore stays within its range",
            found=f"semaphore {semaphore} would hold {total}; at most {hw.semaphore_max}",
            at=f"signals of stream {stream_name(stream)}",
        )
