"""The fast functional simulator, held to the reference interpreter bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numba import config

from isa.dtypes import DType
from isa.encoding import encode_all
from isa.errors import IllegalError, TrapError
from isa.instructions.sync import Nop
from isa.instructions.tensor import MultiplyMoving
from isa.instructions.vector import Memset
from isa.memory import PSUM, SBUF, Engine, Memory
from isa.program import Program
from isa.semantics import Machine, interpret_order, run_reference
from isa.spec import Signal, Wait
from isa.state import State
from isa.tiles import Immediate, Tile
from simulator.functional import FunctionalRun, prepare, run_fast, simulate
from simulator.functional.forms import FORMS
from tests.simulator.random_programs import (
    awkward_state,
    random_program,
    small_target,
)

STEPS = 200
PROGRAMS = 4 if getattr(config, "DISABLE_JIT", False) else 100


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


Outcome = tuple[str, str, str] | None
"""Code, what was found and where, of a trap; None where there was none."""


def compare(target: str, seed: int, length: int = 12) -> FunctionalRun | None:
    """Run a random program both ways; None where it traps, in both the same way."""
    hw = small_target(target)
    program = random_program(target, seed, length)
    machine = Machine(program, hw, 0, STEPS)
    machine.state = awkward_state(hw, seed)
    state = awkward_state(hw, seed)
    runs: list[FunctionalRun] = []
    tables = prepare(program, hw, len(state.dram))
    trap = trap_of(lambda: interpret_order(machine, lambda runnable: runnable[0]))
    assert trap_of(lambda: runs.append(simulate(tables, state, STEPS))) == trap, f"seed {seed}"
    assert not differences(state, machine.state), f"seed {seed}"
    assert all(run.steps == machine.steps for run in runs)
    return runs[0] if runs else None


def trap_of(run: Callable[[], object]) -> Outcome:
    """How a run faults."""
    try:
        run()
    except TrapError as error:
        return error.code, error.found, error.at
    return None


@pytest.mark.parametrize("target", ["trn1", "inf1", "trn2"])
def test_the_fast_simulator_equals_the_reference(target: str) -> None:
    for seed in range(PROGRAMS):
        compare(target, seed)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["trn1", "inf1", "trn2", "inf2"])
def test_the_fast_simulator_equals_the_reference_on_many_programs(target: str) -> None:
    for seed in range(1000, 3600):
        compare(target, seed)


def test_the_loop_leaves_to_the_reference_only_what_it_does_not_know() -> None:
    """Bit-vector reductions aside, which are rare."""
    asked: Counter[str] = Counter()
    for seed in range(PROGRAMS // 2):
        run = compare("trn1", seed)
        asked += run.by_reference if run is not None else Counter()
    assert asked["tensor_reduce"] <= 3
    assert not set(asked) & set(FORMS) - {"tensor_reduce"}
    assert asked or PROGRAMS < 100


def test_streams_that_wait_for_each_other_are_a_deadlock() -> None:
    hw = small_target("inf1")
    program = Program(
        {
            int(Engine.SCALAR): encode_all([Nop(waits=(Wait(1, 1),), signal=Signal(2))]),
            int(Engine.VECTOR): encode_all([Nop(waits=(Wait(2, 1),), signal=Signal(1))]),
        }
    )
    with pytest.raises(TrapError, match="SYS-R010") as caught:
        run_fast(program, hw)
    assert "stream ACT, instruction 0: nop waits for s1>=1 (holds 0)" in caught.value.at
    assert trap_of(lambda: run_reference(program, hw)) == trap_of(lambda: run_fast(program, hw))


def test_a_semaphore_that_overflows_is_a_trap() -> None:
    hw = small_target("inf1")
    rows = encode_all([Nop(signal=Signal(0, 40000))] * (hw.semaphore_max // 40000 + 2))
    program = Program({int(Engine.SYNC): rows})
    with pytest.raises(TrapError, match="SYS-R011"):
        run_fast(program, hw)
    assert trap_of(lambda: run_reference(program, hw)) == trap_of(lambda: run_fast(program, hw))


def test_a_matmul_without_a_stationary_tile_is_a_trap() -> None:
    hw = small_target("inf1")
    moving = Tile(SBUF, 0, 4, 0, DType.BF16, ((1, 4),))
    dst = Tile(PSUM, 0, 2, 0, DType.FP32, ((1, 4),))
    program = Program({0: encode_all([MultiplyMoving(dst, moving, True, True)])})
    with pytest.raises(TrapError, match="SYS-R003"):
        run_fast(program, hw)


def test_an_operand_outside_its_memory_is_a_trap() -> None:
    hw = small_target("inf1")
    past = Tile(SBUF, 0, 4, hw.sbuf_partition_bytes - 2, DType.FP32, ((1, 1),))
    program = Program({int(Engine.VECTOR): encode_all([Memset(past, Immediate(0))])})
    with pytest.raises(TrapError, match="SYS-R001"):
        run_fast(program, hw)


def test_a_semaphore_that_is_not_there_is_refused() -> None:
    hw = small_target("inf1")
    program = Program({0: encode_all([Nop(waits=(Wait(255, 0),))])})
    with pytest.raises(IllegalError, match="S-1"):
        run_fast(program, hw)


def test_tables_serve_any_number_of_runs() -> None:
    hw = small_target("inf1")
    program = random_program("inf1", 5)
    tables = prepare(program, hw, awkward_state(hw, 1).dram.size)
    for seed in (1, 2, 1):
        machine = Machine(program, hw, 0, STEPS)
        machine.state, state = awkward_state(hw, seed), awkward_state(hw, seed)
        trap = trap_of(partial(interpret_order, machine, lambda runnable: runnable[0]))
        assert trap_of(partial(simulate, tables, state, STEPS)) == trap
        assert not differences(state, machine.state)
