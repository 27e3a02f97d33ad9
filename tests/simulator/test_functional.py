"""The fast functional simulator, held to the reference interpreter bit for bit."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from isa.errors import TrapError
from isa.memory import Memory
from isa.semantics import Machine, interpret_order
from isa.state import State
from simulator.functional import prepare, simulate
from tests.simulator.random_programs import (
    awkward_state,
    random_program,
    small_target,
)

STEPS = 200


def differences(fast: State, reference: State) -> list[str]:
    """Names of the parts in which two states differ by a bit."""
    parts = {m.name: (fast.memories[m], reference.memories[m]) for m in Memory}
    for name in ("rng", "registers", "semaphores"):
        parts[name] = (getattr(fast, name), getattr(reference, name))
    for engine, sums in fast.reduce.items():
        parts[f"reduce {engine.name}"] = (
            sums.view(np.uint32),
            reference.reduce[engine].view(np.uint32),
        )
    found = [name for name, (a, b) in parts.items() if not np.array_equal(a, b)]
    if fast.notifications != reference.notifications:
        found.append("notifications")
    held, expected = fast.stationary, reference.stationary
    same = held is expected or (
        held is not None and expected is not None and np.array_equal(held, expected, equal_nan=True)
    )
    if not same or fast.stationary_tile != reference.stationary_tile:
        found.append("stationary")
    return found


def compare(target: str, seed: int, length: int = 12) -> tuple[Counter[str], Counter[str]]:
    """Run a random program both ways. Returns what the reference was asked for, and all there is."""
    hw = small_target(target)
    program = random_program(target, seed, length)
    machine = Machine(program, hw, 0, STEPS)
    machine.state = awkward_state(hw, seed)
    refusal = None
    try:
        interpret_order(machine, lambda runnable: runnable[0])
    except TrapError as error:
        refusal = (error.code, error.found, error.at)
    state = awkward_state(hw, seed)
    by_reference: Counter[str] = Counter()
    try:
        run = simulate(prepare(program, hw, len(state.dram)), state, STEPS)
        by_reference = run.by_reference
        assert refusal is None, f"seed {seed}: the reference raises {refusal}"
        assert run.steps == machine.steps
        assert not differences(state, machine.state), f"seed {seed}"
    except TrapError as error:
        assert refusal == (error.code, error.found, error.at), f"seed {seed}"
    executed = Counter(
        line.mnemonic for lines in machine.streams.values() for line in lines if refusal is None
    )
    return by_reference, executed


@pytest.mark.parametrize("target", ["trn1", "inf1", "trn2"])
def test_the_fast_simulator_equals_the_reference(target: str) -> None:
    for seed in range(100):
        compare(target, seed)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["trn1", "inf1", "trn2", "inf2"])
def test_the_fast_simulator_equals_the_reference_on_many_programs(target: str) -> None:
    for seed in range(1000, 3500):
        compare(target, seed)
