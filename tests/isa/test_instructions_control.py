"""Control instructions: registers, branches, semaphores, notifications."""

from __future__ import annotations

import numpy as np
import pytest

from isa.alu import AluOp
from isa.dtypes import INT32, UINT32
from isa.errors import TrapError
from isa.hardware import load_target
from isa.instructions.sync import (
    Branch,
    Drain,
    Nop,
    Notify,
    RegAlu,
    RegLoad,
    RegMove,
    RegStore,
    SemClear,
)
from isa.memory import DRAM, SBUF
from isa.semantics import run_reference
from isa.spec import Instruction, Signal
from isa.tiles import DmaTile
from tests.isa.bench import Core, broken_rules

HW = load_target("inf1")
SP = 4


def registers(*program: Instruction) -> np.ndarray:
    """The sync engine's registers after a program, as signed numbers."""
    return np.asarray(run_reference({SP: program}, HW).registers[SP].view(np.int32))


def test_registers_move_and_compute() -> None:
    found = registers(
        RegMove(1, -5),
        RegMove(2, 7),
        RegAlu(3, 1, 2, AluOp.MULTIPLY),
        RegAlu(4, 1, op=AluOp.RIGHT_SHIFT, constant=True, value=28),
        RegAlu(5, 1, 2, AluOp.LESS),
        RegAlu(6, 2, op=AluOp.ADD, constant=True, value=2**31 - 1),
    )
    assert found[:7].tolist() == [0, -5, 7, -35, 15, 1, 6 - 2**31]


def test_streams_have_registers_of_their_own() -> None:
    state = run_reference({2: [RegMove(0, 1)], SP: [RegMove(0, 2)]}, HW)
    assert [state.registers[s, 0] for s in (0, 2, SP)] == [0, 1, 2]


def test_a_loop_runs_its_count() -> None:
    found = registers(
        RegMove(0, 10),
        RegAlu(1, 1, 0, AluOp.ADD),
        RegAlu(0, 0, op=AluOp.SUBTRACT, constant=True, value=1),
        Branch(0, op=AluOp.GREATER, constant=True, value=0, target=1),
    )
    assert found[:2].tolist() == [0, 55]


def test_a_branch_may_end_its_stream_and_not_leave_it() -> None:
    assert registers(Branch(target=2), RegMove(0, 1))[0] == 0
    assert registers(RegMove(1, 1), Branch(0, 1, target=3), RegMove(0, 9))[0] == 9
    with pytest.raises(TrapError, match="SYS-R013"):
        registers(Branch(target=3), RegMove(0, 1))


def test_a_loop_without_end_meets_the_step_limit() -> None:
    with pytest.raises(TrapError, match="SYS-R012"):
        run_reference({SP: [Branch(target=0)]}, HW, step_limit=1000)


def test_registers_load_and_store_words() -> None:
    core = Core("inf1")
    core.state.dram[8:12] = [0xFE, 0xFF, 0xFF, 0xFF]
    word, cell = DmaTile(DRAM, 8, INT32, ()), DmaTile(SBUF, 16, UINT32, (), start=5)
    core.run(RegLoad(word, 3), SP)
    core.run(RegStore(cell, 3), SP)
    assert core.state.sbuf[5, 16:20].tolist() == [0xFE, 0xFF, 0xFF, 0xFF]
    two = DmaTile(DRAM, 8, INT32, ((1, 2),))
    assert broken_rules(RegLoad(two, 3), HW) == ["reg_load-C1"]


def test_a_semaphore_is_set_to_zero() -> None:
    state = run_reference(
        {SP: [Nop(signal=Signal(3, 7)), SemClear(3), Nop(signal=Signal(3, 2))]}, HW
    )
    assert state.semaphores[3] == 2
    assert broken_rules(SemClear(HW.semaphores), HW) == ["sem_clear-C1"]


def test_notifications_arrive_in_order() -> None:
    state = run_reference({SP: [Notify(5), Drain(), Notify(6)], 0: [Notify(7)]}, HW)
    assert state.notifications == {SP: (5, 6), 0: (7,)}
