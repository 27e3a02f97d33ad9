"""Happens-before: examples by hand, and equal to its definition on random programs."""

from __future__ import annotations

import numpy as np
import pytest

from isa.assembly import assemble
from isa.epochs import split_at_clears, unordered_clears
from isa.errors import IllegalError
from isa.order import NEVER, Events, Order, events_of, order_of


def order(text: str) -> Order:
    return order_of(events_of(assemble(text)))


def before(text: str) -> dict[tuple[str, str], bool]:
    """Whether the n-th instruction of a stream comes before that of another, by `PE0` names."""
    program = assemble(text)
    found = order_of(events_of(program))
    names = []
    for i in range(len(found.events)):
        stream, index = found.events.place(i)
        names.append(f"{('PE', 'ACT', 'DVE', 'POOL', 'SP')[stream]}{index}")
    return {(a, b): found.before(i, j) for i, a in enumerate(names) for j, b in enumerate(names)}


def test_a_stream_is_in_order() -> None:
    found = before(".stream PE\n nop\n nop\n nop\n")
    assert found["PE0", "PE1"]
    assert found["PE0", "PE2"]
    assert not found["PE1", "PE0"]
    assert not found["PE1", "PE1"]


def test_a_wait_comes_after_the_signal_it_needs_and_no_later_one() -> None:
    found = before(".stream PE\n nop !s0+1\n nop !s0+1\n nop !s0+1\n.stream ACT\n nop ?s0>=2\n")
    assert found["PE0", "ACT0"]
    assert found["PE1", "ACT0"]
    assert not found["PE2", "ACT0"]
    assert not found["ACT0", "PE2"]


def test_order_goes_on_through_a_third_stream() -> None:
    text = (
        ".stream PE\n nop !s0+1\n.stream ACT\n nop ?s0>=1\n nop !s1+1\n.stream DVE\n nop ?s1>=1\n"
    )
    assert before(text)["PE0", "DVE0"]


def test_two_signallers_order_only_what_every_way_of_counting_needs() -> None:
    text = (
        ".stream PE\n nop !s0+2\n nop !s0+1\n.stream ACT\n nop !s0+1\n.stream DVE\n nop ?s0>={}\n"
    )
    one, three, four = (before(text.format(value)) for value in (1, 3, 4))
    assert not one["PE0", "DVE0"]  # ACT's signal is enough
    assert not one["ACT0", "DVE0"]  # PE's first is enough
    assert three["PE0", "DVE0"]  # without it there are two at most
    assert not three["PE1", "DVE0"]
    assert not three["ACT0", "DVE0"]
    assert four["PE1", "DVE0"]
    assert four["ACT0", "DVE0"]


def test_a_signal_behind_the_wait_does_not_count_for_it() -> None:
    text = (
        ".stream PE\n nop !s0+1\n.stream ACT\n nop ?s1>=1 !s0+1\n.stream DVE\n nop ?s0>=1 !s1+1\n"
    )
    found = before(text)
    assert found["PE0", "DVE0"]  # ACT signals only after DVE
    assert found["DVE0", "ACT0"]


def test_a_stuck_program_says_how_far_it_comes() -> None:
    found = order(".stream PE\n nop !s0+1\n nop ?s1>=1\n nop\n.stream ACT\n nop ?s0>=1\n")
    assert not found.complete
    assert found.completed.tolist() == [1, 1]
    assert found.clocks[2, 0] == NEVER


def test_no_program_at_all() -> None:
    assert order("").complete


def random_events(rng: np.random.Generator, streams: int, length: int, semaphores: int) -> Events:
    n = streams * length
    wait = rng.random((n, 2)) < (0.5, 0.15)
    signal = rng.random(n) < 0.7
    return Events(
        streams=tuple(range(streams)),
        first=np.arange(streams + 1, dtype=np.int64) * length,
        row=np.tile(np.arange(length), streams),
        waits=np.where(wait, rng.integers(0, semaphores, (n, 2)), -1),
        targets=np.where(wait, rng.integers(1, 5, (n, 2)), 0),
        signal=np.where(signal, rng.integers(0, semaphores, n), -1),
        amount=np.where(signal, rng.integers(1, 3, n), 0),
        clear=np.full(n, -1),
    )


def reachable(events: Events) -> set[tuple[int, ...]]:
    """Every reachable vector of completed counts."""
    first = events.first
    seen, stack = {(0,) * len(events.streams)}, [(0,) * len(events.streams)]
    while stack:
        at = stack.pop()
        done = [i for k, c in enumerate(at) for i in range(first[k], first[k] + c)]
        for k, c in enumerate(at):
            i = first[k] + c
            if i == first[k + 1] or not may_start(events, i, done):
                continue
            after = (*at[:k], c + 1, *at[k + 1 :])
            if after not in seen:
                seen.add(after)
                stack.append(after)
    return seen


def may_start(events: Events, i: int, done: list[int]) -> bool:
    held = {
        s: sum(events.amount[j] for j in done if events.signal[j] == s) for s in events.waits[i]
    }
    pairs = zip(events.waits[i], events.targets[i], strict=True)
    return all(s < 0 or held[s] >= value for s, value in pairs)


def test_clocks_are_the_least_counts_over_every_reachable_state() -> None:
    rng = np.random.default_rng(5)
    complete = 0
    for _ in range(150):
        events = random_events(rng, int(rng.integers(2, 4)), int(rng.integers(2, 5)), 2)
        found, states = order_of(events), reachable(events)
        complete += found.complete
        for i in range(len(events)):
            k = int(np.searchsorted(events.first, i, side="right")) - 1
            past = [s for s in states if s[k] > i - events.first[k]]  # i has run
            for t in range(len(events.streams)):
                least = min((s[t] for s in past), default=int(NEVER))
                if t != k:
                    assert found.clocks[i, t] == least
    assert complete > 10


def test_the_sequence_is_a_legal_execution() -> None:
    rng = np.random.default_rng(6)
    for _ in range(100):
        events = random_events(rng, 3, 6, 3)
        found = order_of(events)
        done: list[int] = []
        for i in found.sequence.tolist():
            assert may_start(events, i, done)
            done.append(i)
        assert found.completed.sum() == len(done)


def test_each_epoch_of_a_cleared_semaphore_counts_for_itself() -> None:
    events = events_of(
        assemble(
            ".stream PE\n nop !s0+1\n nop ?s1>=1\n nop ?s0>=1\n"
            ".stream ACT\n sem_clear semaphore=0 ?s0>=1 !s1+1\n nop\n nop !s0+1\n"
        )
    )
    renumbered, epochs = split_at_clears(events)
    found = order_of(renumbered)
    assert unordered_clears(found, epochs) == []
    assert found.before(5, 2)  # ACT's signal after the clear, PE's second wait
    assert epochs.semaphore.tolist() == [0, 0, 1]


def test_an_enormous_program_is_refused_before_it_takes_the_memory() -> None:
    n, streams = 2**20, 512
    events = Events(
        tuple(range(streams)),
        np.zeros(streams + 1, np.int64),
        *(np.zeros(n, np.int64) for _ in range(6)),
    )
    with pytest.raises(IllegalError) as refusal:
        order_of(events)
    assert refusal.value.code == "SYS-V090"
