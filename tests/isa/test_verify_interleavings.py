"""The verifier against every interleaving of small programs, both ways, and the theorem."""

from __future__ import annotations

import numpy as np
import pytest

from isa.assembly import disassemble
from isa.hardware import Hardware
from isa.program import Program
from isa.semantics import Machine
from isa.verify import verify
from tests.isa.interleavings import explore, random_program, random_programs, small_core


@pytest.fixture(scope="module")
def hw() -> Hardware:
    return small_core()


def agrees(program: Program, hw: Hardware) -> bool:
    """Hold the verdict to what all interleavings show; gives the verdict."""
    faults, answer = verify(program, hw), explore(program)
    shown = "\n".join([disassemble(program), *map(str, faults), str(vars(answer))[-200:]])
    assert (not faults) == answer.sound, shown
    if not faults:
        assert len(answer.finals) == 1, shown
    elif faults[0].code in ("SYS-V010", "SYS-V011"):
        assert answer.deadlock, shown
    elif faults[0].code in ("SYS-V020", "SYS-V021"):
        assert answer.race, shown
    elif faults[0].code == "SYS-V030":
        assert answer.unwritten, shown
    return not faults


@pytest.mark.parametrize("clears", [False, True])
@pytest.mark.parametrize("busy", [0.2, 0.4, 0.7])
def test_the_verdict_is_that_of_every_interleaving(hw: Hardware, busy: float, clears: bool) -> None:
    verdicts = [agrees(p, hw) for p in random_programs(11, 80, busy=busy, clears=clears)]
    assert any(verdicts)
    assert not all(verdicts)


@pytest.mark.slow
@pytest.mark.parametrize("clears", [False, True])
@pytest.mark.parametrize("busy", [0.2, 0.4, 0.7])
def test_the_verdict_is_that_of_every_interleaving_of_thousands(
    hw: Hardware, busy: float, clears: bool
) -> None:
    for program in random_programs(12, 1000, busy=busy, clears=clears):
        agrees(program, hw)


def sound_programs(hw: Hardware, seed: int, count: int) -> list[Program]:
    """Random programs that the verifier accepts."""
    rng = np.random.default_rng(seed)
    found: list[Program] = []
    while len(found) < count:
        program = random_program(rng)
        if not verify(program, hw):
            found.append(program)
    return found


def final_memories(program: Program, hw: Hardware) -> set[bytes]:
    """The memories that the reference interpreter ends in, over every interleaving."""
    start = Machine(program, hw)
    seen, stack, finals = {start.key()}, [start], set()
    while stack:
        machine = stack.pop()
        able = machine.runnable()
        if not able:
            assert machine.done, "deadlock"
            finals.add(machine.state.sbuf.tobytes() + machine.state.psum.tobytes())
        for stream in able:
            after = machine.copy()
            after.step(stream)
            if after.key() not in seen:
                seen.add(after.key())
                stack.append(after)
    return finals


def test_a_sound_program_has_one_result_on_the_reference_interpreter(hw: Hardware) -> None:
    for program in sound_programs(hw, 13, 12):
        assert len(final_memories(program, hw)) == 1, disassemble(program)


@pytest.mark.slow
def test_hundreds_of_sound_programs_have_one_result_each(hw: Hardware) -> None:
    for program in sound_programs(hw, 14, 150):
        assert len(final_memories(program, hw)) == 1, disassemble(program)
