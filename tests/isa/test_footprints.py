"""What an instruction does stays within its footprint: the verifier's and the scheduler's premise.

Executing a legal instruction changes no byte outside its declared writes, and what it writes does
not depend on any byte outside its declared reads. It ends well or in TrapError, without warnings.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from isa.dtypes import FLOATS
from isa.encoding import decode
from isa.errors import TrapError
from isa.examples import DRAM_BYTES, legal_rows, streams_of
from isa.footprints import accesses
from isa.hardware import Hardware, load_target
from isa.instructions.tensor import LoadStationary, MultiplyMoving
from isa.memory import DRAM, SBUF, Memory
from isa.spec import REGISTRY, Instruction
from isa.state import State
from isa.tiles import Tile, contiguous, offsets_of

KINDS = [REGISTRY[opcode] for opcode in sorted(REGISTRY)]
TARGETS = [
    replace(load_target(name), sbuf_partition_bytes=8192, name=name) for name in ("inf1", "trn2")
]
CASES = [
    pytest.param(kind, hw, id=f"{kind.mnemonic}-{hw.name}")
    for kind in KINDS
    for hw in TARGETS
    if hw.generation in kind.generations and streams_of(kind, hw)
]
Masks = dict[Memory, NDArray[np.bool_]]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("kind", "hw"), CASES)
def test_an_instruction_stays_within_its_footprint(kind: type[Instruction], hw: Hardware) -> None:
    stays_within_its_footprint(kind, hw, seed=6, n=3)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("kind", "hw"), CASES)
def test_many_instructions_stay_within_their_footprints(
    kind: type[Instruction], hw: Hardware
) -> None:
    stays_within_its_footprint(kind, hw, seed=7, n=25)


def stays_within_its_footprint(kind: type[Instruction], hw: Hardware, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    done = 0
    for stream in {streams_of(kind, hw)[0], streams_of(kind, hw)[-1]}:
        for i, row in enumerate(legal_rows(kind, stream, hw, seed, n)):
            instruction = decode(row.tolist())
            reads, writes = masks(row[None], hw)
            before = random_state(hw, rng, stream, small=i % 2 == 0)
            load_weights(before, instruction)
            elsewhere = before.copy()
            for memory, read in reads.items():
                noise = rng.integers(0, 256, read.shape, np.uint8)
                elsewhere.memories[memory] = np.where(read, before.memories[memory], noise)
            after, other = before.copy(), elsewhere.copy()
            try:
                instruction.execute(after)
            except TrapError:
                continue
            instruction.execute(other)
            done += 1
            for memory, write in writes.items():
                changed = after.memories[memory] != before.memories[memory]
                assert not (changed & ~write).any(), f"{instruction} wrote elsewhere in {memory!r}"
                unlike = after.memories[memory] != other.memories[memory]
                assert not (unlike & write).any(), f"{instruction} read elsewhere"
    assert done, "no instruction of the kind ended without a trap"


def random_state(hw: Hardware, rng: np.random.Generator, stream: int, small: bool) -> State:
    """A state full of random bytes, or of 32-bit zeros and ones, which suit indices."""
    state = State(hw, DRAM_BYTES)
    state.stream = stream
    for memory, held in state.memories.items():
        if small:
            bits = rng.integers(0, 2, (*held.shape[:-1], held.shape[-1] // 4), np.uint32)
            state.memories[memory] = bits.view(np.uint8)
        else:
            state.memories[memory] = rng.integers(0, 256, held.shape, np.uint8)
    state.registers[:] = 0 if small else rng.integers(0, 2, state.registers.shape, np.uint32)
    return state


def load_weights(state: State, instruction: Instruction) -> None:
    """A stationary tile for a matmul, from the bottom of SBUF."""
    if isinstance(instruction, MultiplyMoving):
        moving, columns = instruction.moving, instruction.dst.partitions
        assert moving.dtype in FLOATS
        tile = Tile(SBUF, moving.start, moving.partitions, 0, moving.dtype, contiguous(columns))
        LoadStationary(tile).execute(state)


def masks(row: NDArray[np.uint64], hw: Hardware) -> tuple[Masks, Masks]:
    """The bytes that an instruction reads, and those that it writes."""
    both = ({}, {})  # type: tuple[Masks, Masks]
    for held in both:
        for memory in Memory:
            shape = (DRAM_BYTES,) if memory is DRAM else (hw.partitions, hw.partition_bytes(memory))
            held[memory] = np.zeros(shape, np.bool_)
    a = accesses(row, hw)
    for i in range(len(a)):
        dims = tuple(zip(a.steps[i].tolist(), a.nums[i].tolist(), strict=True))
        size = int(a.size_bytes[i])
        places = a.address[i] + size * np.unique(offsets_of(dims))[:, None] + np.arange(size)
        mask = both[int(a.is_write[i])][Memory(int(a.memory[i]))]
        if mask.ndim == 1:
            mask[places.reshape(-1)] = True
        else:
            mask[a.start[i] : a.start[i] + a.partitions[i], places.reshape(-1)] = True
    return both
