"""Happens-before: which pairs of instructions every execution runs in the same order.

Inside a stream everything is ordered. Across streams only semaphores order, and they only count
up, so progress anywhere never disables anything: from what has completed, running whatever can run
reaches one largest state. Hence, exactly: stream t must have completed its first c instructions
before i can start, and no fewer, iff i starts when t is held after c instructions and everything
else runs as far as it goes, and does not when t is held after c - 1. One sweep a stream, letting it
go an instruction at a time, gives that number for every i, for any number of signalling streams.

    In    a Program, or its `Events` (after branches are unrolled and clears split into epochs)
    Out   `Order`: the clocks of every executed instruction, one legal sequence, where it got stuck
    Read  docs/isa/order.md for the model and the theorem; epochs.py for `sem_clear`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isa.columns import Columns, Header
from isa.errors import IllegalError
from isa.program import Program
from isa.spec import BY_MNEMONIC, WORDS

Ints = NDArray[np.int64]
Clocks = NDArray[np.int32]

NEVER = np.int32(2**31 - 1)
MAX_CLOCKS = (
    2**28
)  # entries of the clock table: a gigabyte, thirteen million instructions of 20 streams


@dataclass(frozen=True)
class Events:
    """What every executed instruction does to semaphores. Instructions of a stream are neighbours.

    Attributes:
        streams: the stream numbers that have instructions, ascending.
        first: stream k holds the ids first[k] .. first[k + 1]. Shape [streams + 1].
        row: index in its stream's words of every executed instruction. Shape [n].
        waits, targets: up to two (semaphore, value) to wait for; -1 for none. Shape [n, 2].
        signal, amount: the semaphore that goes up at completion, -1 for none. Shape [n].
        clear: the semaphore that is set to zero, -1 for none. Shape [n].
    """

    streams: tuple[int, ...]
    first: Ints
    row: Ints
    waits: Ints
    targets: Ints
    signal: Ints
    amount: Ints
    clear: Ints

    def __len__(self) -> int:
        return len(self.row)

    def place(self, i: int) -> tuple[int, int]:
        """(stream number, index in its words) of instruction id i."""
        k = int(np.searchsorted(self.first, i, side="right")) - 1
        return self.streams[k], int(self.row[i])

    @property
    def stream_index(self) -> Ints:
        """Position in `streams` of every instruction. Shape [n]."""
        return np.repeat(np.arange(len(self.streams)), np.diff(self.first))


@dataclass(frozen=True)
class Order:
    """Which instructions come before which in every execution.

    Attributes:
        events: the instructions that are ordered.
        clocks: clocks[i, k] = instructions of streams[k] that have completed whenever i starts.
        sequence: ids in one legal order; shorter than n when the program gets stuck.
        completed: instructions that each stream completes at most. Shape [streams].
        values: the semaphores' last values.
    """

    events: Events
    clocks: Clocks
    sequence: Ints
    completed: Ints
    values: Ints

    @property
    def complete(self) -> bool:
        """Whether every execution can run to its end."""
        return len(self.sequence) == len(self.events)

    def before(self, a: int, b: int) -> bool:
        """Whether id a has completed in every execution when id b starts."""
        k = int(np.searchsorted(self.events.first, a, side="right")) - 1
        return bool(self.clocks[b, k] > a - self.events.first[k])


def events_of(program: Program, paths: dict[int, Ints] | None = None) -> Events:
    """The semaphore events of a program.

    Args:
        program: its streams need not be decodable; only headers and clears are read.
        paths: stream -> indices of its instructions in the order they execute, for streams with
            branches; other streams run straight through.
    """
    paths = paths or {}
    streams = tuple(s for s in sorted(program.streams) if len(program.streams[s]))
    rows = [paths.get(s, np.arange(len(program.streams[s]))) for s in streams]
    streams = tuple(s for s, r in zip(streams, rows, strict=True) if len(r))
    rows = [r for r in rows if len(r)]
    words = [program.streams[s][r] for s, r in zip(streams, rows, strict=True)]
    every = np.concatenate(words) if words else np.zeros((0, WORDS), dtype=np.uint64)
    header = Header(every)
    return Events(
        streams=streams,
        first=np.cumsum([0, *(len(r) for r in rows)], dtype=np.int64),
        row=np.concatenate(rows).astype(np.int64) if rows else np.zeros(0, dtype=np.int64),
        waits=np.where(header.wait_on, header.wait_semaphore, -1),
        targets=np.where(header.wait_on, header.wait_value, 0),
        signal=np.where(header.signal_on, header.signal_semaphore, -1),
        amount=np.where(header.signal_on, header.signal_amount, 0),
        clear=_cleared(every, header.opcode),
    )


def _cleared(words: NDArray[np.uint64], opcode: Ints) -> Ints:
    clear = np.full(len(words), -1, dtype=np.int64)
    kind = BY_MNEMONIC.get("sem_clear")
    if kind is not None:
        at = np.flatnonzero(opcode == kind.opcode)
        clear[at] = Columns(words[at], kind).semaphore
    return clear


def order_of(events: Events) -> Order:
    """The order of a program without clears (see `epochs.split_at_clears` for one with).

    Raises IllegalError SYS-V090 when the program is too large to be judged.
    """
    n, streams = len(events), len(events.streams)
    if n * streams > MAX_CLOCKS:
        raise IllegalError(
            "SYS-V090",
            "a program is small enough to be verified",
            found=f"{n} instructions in {streams} streams; allowed {MAX_CLOCKS} in product",
            hint="split the program",
        )
    clocks = np.full((streams, n), NEVER, dtype=np.int32)
    semaphores = 1 + int(max(events.waits.max(initial=-1), events.signal.max(initial=-1)))
    values = np.zeros(semaphores, dtype=np.int64)
    sequence = np.empty(n, dtype=np.int64)
    program = (events.first, events.waits, events.targets, events.signal, events.amount)
    for k in range(streams):
        _sweep(k, *program, values, clocks[k], sequence)
    started = _sweep(-1, *program, values, np.empty(n, dtype=np.int32), sequence)
    completed = np.bincount(events.stream_index[sequence[:started]], minlength=streams)
    return Order(events, np.ascontiguousarray(clocks.T), sequence[:started], completed, values)


@njit(cache=True)
def blocking_semaphore(i, waits, targets, values):  # type: ignore[no-untyped-def]
    """The first semaphore that instruction i still waits for, -1 when it can start."""
    for w in range(2):
        if waits[i, w] >= 0 and values[waits[i, w]] < targets[i, w]:
            return waits[i, w]
    return -1


@njit(cache=True)
def _sweep(held, first, waits, targets, signal, amount, values, clock, sequence):  # type: ignore[no-untyped-def]
    """Run everything as far as it goes while stream `held` (-1: none) stands, then let that stream
    go one instruction, and so on to the end. clock[i] := instructions of it completed when i
    starts; `sequence` gets the ids in the order run. Returns how many ran.
    """
    streams = len(first) - 1
    at = first[:-1].copy()
    values[:] = 0
    asleep = np.full(streams, -1, dtype=np.int64)  # the semaphore that a stream waits for
    sleepers = np.zeros(max(1, len(values)), dtype=np.int64)
    ready = np.empty(streams, dtype=np.int64)
    tops = 0
    for s in range(streams - 1, -1, -1):
        if s != held:
            ready[tops] = s
            tops += 1
    ran = 0
    while True:
        turn = held
        if tops > 0:
            tops -= 1
            turn = ready[tops]
        elif held < 0:
            return ran
        while at[turn] < first[turn + 1]:
            i = at[turn]
            semaphore = blocking_semaphore(i, waits, targets, values)
            if semaphore >= 0:
                if turn == held:
                    return ran
                asleep[turn] = semaphore
                sleepers[semaphore] += 1
                break
            clock[i] = at[held] - first[held] if held >= 0 else 0
            sequence[ran] = i
            ran += 1
            at[turn] += 1
            semaphore = signal[i]
            if semaphore >= 0:
                values[semaphore] += amount[i]
                if sleepers[semaphore] > 0:
                    sleepers[semaphore] = 0
                    for s in range(streams):
                        if asleep[s] == semaphore:
                            asleep[s] = -1
                            ready[tops] = s
                            tops += 1
            if turn == held:
                break
        if turn == held and tops == 0 and at[held] == first[held + 1]:
            return ran
