"""Control and synchronisation, on every stream's sequencer."""

from __future__ import annotations

from typing import Any

from isa.hardware import Hardware
from isa.memory import Engine
from isa.spec import Instruction, instruction

SEQUENCERS = (Engine.TENSOR, Engine.SCALAR, Engine.VECTOR, Engine.GPSIMD, Engine.SYNC)


@instruction("nop", opcode=0x70, engines=(*SEQUENCERS, Engine.DMA))
class Nop(Instruction):
    """Do nothing but wait and signal: nop.

    This is how a stream waits for more than two semaphores, or signals more than one.
    """

    def execute(self, state: Any) -> None:
        return None

    def occupancy(self, hw: Hardware) -> Any:
        return hw.control_interval
