"""The reference interpreter: what a program means, plainly and slowly.

In    a program, a target, the bytes of the DRAM window
Out   the state that the program leaves
Read  `docs/isa/order.md` for the order model; `simulator/` for the fast one, held equal to this

A `Machine` holds one state and one program counter a stream. A stream is *runnable* when its next
instruction's waits are met (semaphore >= value); `step` then executes that instruction whole, and
signals. Any choice of the next stream is a legal interleaving. A program without races ends in one
state whichever is chosen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from isa.encoding import decode_all
from isa.errors import TrapError
from isa.hardware import Hardware
from isa.memory import Memory, stream_name
from isa.program import Program
from isa.spec import Instruction
from isa.state import State

STEP_LIMIT = 100_000_000
Choose = Callable[[list[int]], int]


class Machine:
    """A program in the middle of its run."""

    def __init__(
        self,
        program: Program | Mapping[int, Sequence[Instruction]],
        hw: Hardware,
        dram: NDArray[np.uint8] | int | None = None,
        step_limit: int = STEP_LIMIT,
    ) -> None:
        """Args:
            program: a program, or decoded instructions by stream.
            dram: the window's bytes (copied) or its size; None for zeros of the program's size.

        Raises MalformedError when the program cannot be decoded.
        """
        if isinstance(program, Program):
            window = program.dram_bytes if dram is None else dram
            self.streams = {
                s: decode_all(words, f"stream {stream_name(s)}")
                for s, words in sorted(program.streams.items())
            }
        else:
            window = 0 if dram is None else dram
            self.streams = {s: list(program[s]) for s in sorted(program)}
        self.hw, self.state = hw, State(hw, window)
        self.at = dict.fromkeys(self.streams, 0)
        self.steps, self.step_limit = 0, step_limit

    @property
    def done(self) -> bool:
        """Whether every stream is at its end."""
        return all(self.at[s] >= len(self.streams[s]) for s in self.streams)

    def next_instruction(self, stream: int) -> Instruction | None:
        """What the stream executes next; None at its end."""
        program, at = self.streams[stream], self.at[stream]
        return program[at] if at < len(program) else None

    def is_runnable(self, stream: int) -> bool:
        """Whether the stream has a next instruction and its waits are met."""
        instruction = self.next_instruction(stream)
        return instruction is not None and all(
            self.state.semaphores[w.semaphore] >= w.value for w in instruction.waits
        )

    def runnable(self) -> list[int]:
        """The streams that can take a step, in order of number."""
        return [s for s in self.streams if self.is_runnable(s)]

    def step(self, stream: int) -> None:
        """Execute the stream's next instruction and signal. Raises TrapError, naming the place."""
        instruction = self.next_instruction(stream)
        assert instruction is not None, stream_name(stream)
        assert self.is_runnable(stream), stream_name(stream)
        self._count(stream)
        state = self.state
        state.stream, state.branch_target = stream, None
        try:
            instruction.execute(state)
            self._signal(instruction)
        except TrapError as error:
            error.at = error.at or self._place(stream)
            raise
        target = state.branch_target
        if target is not None and target > len(self.streams[stream]):
            raise TrapError(
                "SYS-R013",
                "a branch leads into its stream or to its end",
                found=f"target {target} of {len(self.streams[stream])} instructions",
                at=self._place(stream),
            )
        self.at[stream] = self.at[stream] + 1 if target is None else target

    def copy(self) -> Machine:
        """An independent copy that shares the program, and memories until one side writes."""
        other = object.__new__(Machine)
        other.__dict__.update(self.__dict__)
        other.at, other.state = dict(self.at), self.state.copy()
        return other

    def key(self) -> bytes:
        """A digest of everything that the rest of the run depends on."""
        state, digest = self.state, hashlib.blake2b(digest_size=16)
        digest.update(repr((sorted(self.at.items()), sorted(state.notifications.items()))).encode())
        for memory in Memory:
            digest.update(state.memories[memory].data)
        for registers in (*state.reduce.values(), state.rng):
            digest.update(registers.data)
        digest.update(state.registers.data)
        digest.update(state.semaphores.data)
        held = state.stationary
        digest.update(repr(state.stationary_tile).encode())
        digest.update(b"" if held is None else np.ascontiguousarray(held).tobytes())
        return digest.digest()

    def _signal(self, instruction: Instruction) -> None:
        signal = instruction.signal
        if signal is None:
            return
        value = int(self.state.semaphores[signal.semaphore]) + signal.amount
        if value > self.hw.semaphore_max:
            raise TrapError(
                "SYS-R011",
                "a semaphore stays within its range",
                found=f"semaphore {signal.semaphore} would hold {value}; "
                f"at most {self.hw.semaphore_max}",
            )
        self.state.semaphores[signal.semaphore] = value

    def _count(self, stream: int) -> None:
        self.steps += 1
        if self.steps > self.step_limit:
            raise TrapError(
                "SYS-R012",
                "a program ends within the step limit",
                found=f"more than {self.step_limit} steps",
                at=self._place(stream),
                hint="a loop that never ends? else raise the limit",
            )

    def _place(self, stream: int) -> str:
        instruction = self.next_instruction(stream)
        name = instruction.mnemonic if instruction is not None else "end"
        return f"stream {stream_name(stream)}, instruction {self.at[stream]}: {name}"

    def deadlock(self) -> TrapError:
        """The error for a machine that is not done and has no runnable stream."""
        blocked = []
        for stream in self.streams:
            instruction = self.next_instruction(stream)
            if instruction is not None:
                wants = ", ".join(
                    f"s{w.semaphore}>={w.value} (holds {self.state.semaphores[w.semaphore]})"
                    for w in instruction.waits
                )
                blocked.append(f"{self._place(stream)} waits for {wants}")
        return TrapError(
            "SYS-R010", "some stream can always go on", found="deadlock", at="; ".join(blocked)
        )


def interpret_order(machine: Machine, choose: Choose) -> State:
    """Run to the end; `choose` picks one of the runnable streams before every step.

    Raises TrapError SYS-R010 on a deadlock, SYS-R011 on a semaphore overflow, SYS-R012 past the
    step limit, and whatever an instruction raises.
    """
    while not machine.done:
        runnable = machine.runnable()
        if not runnable:
            raise machine.deadlock()
        machine.step(choose(runnable))
    return machine.state


def run_reference(
    program: Program | Mapping[int, Sequence[Instruction]],
    hw: Hardware,
    dram: NDArray[np.uint8] | int | None = None,
    step_limit: int = STEP_LIMIT,
) -> State:
    """The state that a program leaves, streams taking turns in order of number."""
    machine = Machine(program, hw, dram, step_limit)
    last = -1

    def next_in_turn(runnable: list[int]) -> int:
        nonlocal last
        last = next((s for s in runnable if s > last), runnable[0])
        return last

    return interpret_order(machine, next_in_turn)
