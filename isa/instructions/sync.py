"""Control and synchronisation, on every stream's sequencer.

A sequencer has 64 private registers of 32 bits (neuron-facts 1.3). Register arithmetic is on
32-bit integers modulo 2^32, signed where the sign counts. Waits and signals are in the header of
every instruction; an instruction here may do nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.alu import AluOp
from isa.dtypes import INT32, UINT32
from isa.hardware import Hardware
from isa.integer_alu import INTEGER_OPERATORS, apply_integers
from isa.memory import DRAM, SBUF, Engine
from isa.spec import Instruction, choice, dma_result, dma_source, flag, instruction, number, rule
from isa.tiles import DmaTile

SEQUENCERS = (Engine.TENSOR, Engine.SCALAR, Engine.VECTOR, Engine.GPSIMD, Engine.SYNC)
REGISTER_BITS = 6
COMPARISONS = tuple(range(AluOp.EQUAL, AluOp.LESS + 1))
WORD_DTYPES = frozenset({INT32, UINT32})
REACHABLE = frozenset({DRAM, SBUF})


class Control(Instruction):
    """What all control instructions share: the time that the sequencer takes."""

    def occupancy(self, hw: Hardware) -> Any:
        return hw.control_interval


@instruction("nop", opcode=0x70, engines=(*SEQUENCERS, Engine.DMA))
class Nop(Control):
    """Do nothing but wait and signal: nop.

    This is how a stream waits for more than two semaphores, or signals more than one.
    """

    def execute(self, state: Any) -> None:
        return None


@instruction("sem_clear", opcode=0x71, engines=(*SEQUENCERS, Engine.DMA))
class SemClear(Control):
    """semaphore := 0.

    Free of races only when everything else that touches the semaphore is ordered before or after.
    """

    semaphore: int = number(8, bit=0)

    @rule("sem_clear-C1")
    def semaphore_exists(self, hw: Hardware) -> Any:
        """The semaphore is one that the target has."""
        return self.semaphore < hw.semaphores

    def execute(self, state: Any) -> None:
        state.semaphores[self.semaphore] = 0


@instruction("reg_move", opcode=0x72, engines=SEQUENCERS)
class RegMove(Control):
    """reg[to] := value, 32 bits."""

    to: int = number(REGISTER_BITS, bit=0)
    value: int = number(32, bit=0, word=3, signed=True)

    def execute(self, state: Any) -> None:
        state.registers[state.stream, self.to] = self.value & 0xFFFFFFFF


def right_side(i: Any, state: Any) -> Any:
    """The second operand of a register instruction as int32 [1]: a constant or a register."""
    if i.constant:
        return np.array([i.value], np.int32)
    return state.registers[state.stream, i.right : i.right + 1].view(np.int32)


@instruction("reg_alu", opcode=0x73, engines=SEQUENCERS)
class RegAlu(Control):
    """reg[to] := reg[left] op reg[right]; with `constant`, op value."""

    to: int = number(REGISTER_BITS, bit=0)
    left: int = number(REGISTER_BITS, bit=6)
    right: int = number(REGISTER_BITS, bit=12)
    op: AluOp = choice(AluOp, 5, bit=18, default=AluOp.ADD)
    constant: bool = flag(bit=23)
    value: int = number(32, bit=0, word=3, signed=True)

    @rule("reg_alu-C1")
    def operator_has_integer_form(self, hw: Hardware) -> Any:
        """The operator is bypass, add to min, a comparison, and, or, xor or a shift."""
        return np.isin(self.op, INTEGER_OPERATORS)

    def execute(self, state: Any) -> None:
        registers = state.registers[state.stream]
        left = registers[self.left : self.left + 1].view(np.int32)
        found = apply_integers(self.op, left, right_side(self, state))
        registers[self.to] = found.view(np.uint32)[0]


@instruction("reg_load", opcode=0x74, engines=SEQUENCERS)
class RegLoad(Control):
    """reg[to] := the one 32-bit element of src, in DRAM or SBUF."""

    src: DmaTile = dma_source(memories=REACHABLE, dtypes=WORD_DTYPES)
    to: int = number(REGISTER_BITS, bit=0)

    @rule("reg_load-C1")
    def one_element(self, hw: Hardware) -> Any:
        """The source has one element."""
        return self.src.elements == 1

    def execute(self, state: Any) -> None:
        state.registers[state.stream, self.to] = state.dma_read(self.src).view(np.uint32)[0]


@instruction("reg_store", opcode=0x75, engines=SEQUENCERS)
class RegStore(Control):
    """The one 32-bit element of dst, in DRAM or SBUF := reg[source]."""

    dst: DmaTile = dma_result(memories=REACHABLE, dtypes=WORD_DTYPES)
    source: int = number(REGISTER_BITS, bit=0)

    @rule("reg_store-C1")
    def one_element(self, hw: Hardware) -> Any:
        """The destination has one element."""
        return self.dst.elements == 1

    def execute(self, state: Any) -> None:
        bits = state.registers[state.stream, self.source : self.source + 1].copy()
        state.dma_write(self.dst, bits.view(self.dst.dtype.numpy), self.dst.dtype)


@instruction("branch", opcode=0x76, engines=SEQUENCERS)
class Branch(Control):
    """Go on at instruction `target` of the stream if reg[left] op reg[right] (or op value) holds.

    `target` counts the stream's instructions from 0; one past the last ends the stream. The
    comparison is signed. With left = right and the default, equal, the branch is always taken.
    """

    left: int = number(REGISTER_BITS, bit=6)
    right: int = number(REGISTER_BITS, bit=12)
    op: AluOp = choice(AluOp, 5, bit=18, default=AluOp.EQUAL)
    constant: bool = flag(bit=23)
    target: int = number(32, bit=32)
    value: int = number(32, bit=0, word=3, signed=True)

    @rule("branch-C1")
    def operator_compares(self, hw: Hardware) -> Any:
        """The operator is a comparison."""
        return np.isin(self.op, COMPARISONS)

    def execute(self, state: Any) -> None:
        left = state.registers[state.stream, self.left : self.left + 1].view(np.int32)
        if apply_integers(self.op, left, right_side(self, state))[0]:
            state.branch_target = self.target


@instruction("drain", opcode=0x77, engines=(*SEQUENCERS, Engine.DMA))
class Drain(Control):
    """Wait until all earlier instructions of the stream have completed.

    A stream sees its own earlier effects anyway, so the meaning is that of `nop`.
    """

    def execute(self, state: Any) -> None:
        return None


@instruction("notify", opcode=0x78, engines=(*SEQUENCERS, Engine.DMA))
class Notify(Control):
    """Append `value` to the stream's notification queue, which the host reads."""

    value: int = number(32, bit=0)

    def execute(self, state: Any) -> None:
        sent = state.notifications.get(state.stream, ())
        state.notifications[state.stream] = (*sent, self.value)
