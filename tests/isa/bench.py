"""A core to try single instructions on: put values, run, get values.

Every instruction that runs here is first encoded and decoded, and its rules and cost are asked both
of the instruction and of columns, which must agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.columns import Columns
from isa.dtypes import FP32, DType
from isa.encoding import decode, encode
from isa.hardware import Hardware, load_target
from isa.memory import SBUF, Memory
from isa.spec import Instruction
from isa.state import State
from isa.tiles import Column, Tile, contiguous


def tile(
    address: int,
    partitions: int,
    *nums: int,
    dtype: DType = FP32,
    memory: Memory = SBUF,
    start: int = 0,
) -> Tile:
    """A contiguous tile, by default FP32 in SBUF from partition 0."""
    return Tile(memory, start, partitions, address, dtype, contiguous(*nums))


def column(address: int, dtype: DType = FP32, start: int = 0) -> Column:
    """A column in SBUF."""
    return Column(SBUF, start, address, dtype)


def broken_rules(instruction: Instruction, hw: Hardware) -> list[str]:
    """Labels of the rules that an instruction breaks; the same by columns."""
    kind = type(instruction)
    columns = Columns(np.array([encode(instruction)] * 2, dtype=np.uint64), kind)
    broken = []
    for rule in kind.rules:
        holds = bool(rule.holds(instruction, hw))
        by_columns = np.broadcast_to(rule.holds(columns, hw), 2).astype(bool).tolist()
        assert by_columns == [holds, holds], rule.label
        if not holds:
            broken.append(rule.label)
    return broken


def cycles(instruction: Instruction, hw: Hardware) -> int:
    """Occupancy in engine cycles; the same by columns."""
    found = int(np.asarray(instruction.occupancy(hw)).reshape(-1)[0])
    words = np.array([encode(instruction)] * 2, dtype=np.uint64)
    by_columns = np.broadcast_to(Columns(words, type(instruction)).occupancy(hw), 2).tolist()
    assert by_columns == [found, found]
    return found


class Core:
    """A state, and the means to run one instruction on it."""

    def __init__(self, target: str = "trn1", dram_bytes: int = 4096) -> None:
        self.hw = load_target(target)
        self.state = State(self.hw, dram_bytes)

    def put(self, place: Tile, values: Any) -> Tile:
        """Store values as they stand (no rounding beyond the type's own); gives the tile back."""
        raw = np.asarray(values)
        raw = raw.astype(place.dtype.numpy) if raw.dtype != place.dtype.numpy else raw
        self.state.write_raw(place, np.broadcast_to(raw, (place.partitions, place.free)))
        return place

    def get(self, place: Tile) -> list[list[float]]:
        """The values of a tile as nested lists."""
        found: list[list[float]] = self.state.read_raw(place).astype(np.float64).tolist()
        return found

    def bits(self, place: Tile) -> list[list[int]]:
        """The bit patterns of a tile as nested lists."""
        found: list[list[int]] = self.state.patterns(place).tolist()
        return found

    def run(self, instruction: Instruction, stream: int | None = None) -> None:
        """Execute one instruction, which breaks none of its rules."""
        kind = type(instruction)
        decoded = decode(encode(instruction))
        assert decoded == instruction
        assert broken_rules(instruction, self.hw) == []
        assert cycles(instruction, self.hw) >= 0
        assert min(self.hw.generation, 3) in kind.generations
        self.state.stream = min(kind.engines) if stream is None else stream
        decoded.execute(self.state)
