"""Control flow: the instructions that each stream executes, in order.

A stream with branches is run on its registers alone. What a register holds is known as long as it
comes from the program; a value loaded from memory is unknown, and a branch that looks at it cannot
be judged. (A run-time place is no matter: the whole declared extent counts as touched.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.columns import bits
from isa.encoding import decode
from isa.errors import IllegalError
from isa.instructions.sync import Branch, RegAlu, RegLoad, RegMove
from isa.integer_alu import apply_integers
from isa.memory import stream_name
from isa.program import Program, Words
from isa.spec import Instruction
from isa.state import REGISTERS
from isa.verify.accesses import Ints

MAX_STEPS = 2_000_000  # executed instructions of one stream
MAX_DECISIONS = 200_000  # register instructions and branches among them: about a second
_ACTING = (Branch, RegAlu, RegLoad, RegMove)


def paths_of(program: Program) -> dict[int, Ints]:
    """Stream -> indices in executed order, for streams that have branches.

    Raises IllegalError SYS-V085 for a branch on loaded data, SYS-V086 for a path that is too long.
    """
    return {
        stream: _path(words, stream)
        for stream, words in program.streams.items()
        if np.any(bits(words, 0, 0, 8) == Branch.opcode)
    }


def _path(words: Words, stream: int) -> Ints:
    acting = np.flatnonzero(np.isin(bits(words, 0, 0, 8), [kind.opcode for kind in _ACTING]))
    decoded = {i: decode(words[i].tolist()) for i in acting.tolist()}
    following = np.append(acting, len(words))[
        np.searchsorted(acting, np.arange(len(words) + 1))
    ].tolist()
    registers: list[int | None] = [0] * REGISTERS
    spans: list[tuple[int, int]] = []
    at, steps = 0, 0
    while at < len(words):
        end = following[at]
        spans.append((at, min(end + 1, len(words))))
        steps += spans[-1][1] - at
        if steps > MAX_STEPS or len(spans) > MAX_DECISIONS:
            raise _endless(stream, steps, end)
        at = _act(decoded[end], registers, end, stream) if end < len(words) else end
    return np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in spans])


def _endless(stream: int, steps: int, index: int) -> IllegalError:
    return IllegalError(
        "SYS-V086",
        "a program with branches comes to its end in a bounded number of instructions",
        found=f"stream {stream_name(stream)} is at instruction {index} after {steps}; allowed "
        f"{MAX_STEPS}, of which {MAX_DECISIONS} on registers",
        hint="a loop that never ends? else unroll some of it",
    )


def _act(instruction: Instruction, registers: list[int | None], index: int, stream: int) -> int:
    """Execute a register instruction or branch; gives the index to go on at."""
    if isinstance(instruction, RegMove):
        registers[instruction.to] = instruction.value
    elif isinstance(instruction, RegLoad):
        registers[instruction.to] = None
    elif isinstance(instruction, RegAlu):
        registers[instruction.to] = _value(instruction, registers)
    elif isinstance(instruction, Branch):
        holds = _value(instruction, registers)
        if holds is None:
            raise IllegalError(
                "SYS-V085",
                "branches depend on numbers that the program holds, not on data",
                found=f"stream {stream_name(stream)}, instruction {index} compares a loaded value",
                hint="compute both sides and select, or unroll the loop",
            )
        return instruction.target if holds else index + 1
    return index + 1


def _value(instruction: Any, registers: list[int | None]) -> int | None:
    """left op right on int32; None when a side is unknown."""
    left = registers[instruction.left]
    right = instruction.value if instruction.constant else registers[instruction.right]
    if left is None or right is None:
        return None
    sides = np.array([left], np.int32), np.array([right], np.int32)
    with np.errstate(over="ignore"):
        return int(apply_integers(instruction.op, *sides)[0])
