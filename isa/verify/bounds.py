"""Where accesses lie: in their memory, in one buffer, not a read-only one; and what DMAs name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.columns import bits
from isa.footprints import Accesses
from isa.hardware import Hardware
from isa.instructions.dma import DmaCopy
from isa.memory import DRAM, PSUM, SBUF
from isa.program import BufferKind, Program
from isa.spec import REGISTRY, DmaField
from isa.tiles import offsets_of
from isa.verify.accesses import Ints
from isa.verify.faults import Fault, Place, place

READ_ONLY = (BufferKind.INPUT, BufferKind.CONSTANT)
MAX_ELEMENTS = 2**26  # of one overlapping-looking DMA destination, looked at one by one


@dataclass(frozen=True)
class Rows:
    """Instruction rows of all streams together.

    Attributes:
        streams: stream numbers, ascending.
        first: rows first[k] .. first[k + 1] are stream k's.
        words: uint64 [rows, 16].
    """

    streams: tuple[int, ...]
    first: Ints
    words: NDArray[np.uint64]

    def place(self, row: int) -> tuple[int, int]:
        """(stream number, index in its words)."""
        k = int(np.searchsorted(self.first, row, side="right")) - 1
        return self.streams[k], row - int(self.first[k])


def extents(accesses: Accesses) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(least byte, one past the greatest) of each access; floats, so that nothing wraps around."""
    reach = accesses.steps * (accesses.nums - 1.0)
    low = accesses.address + accesses.size_bytes * np.minimum(0.0, reach).sum(axis=1)
    high = accesses.address + accesses.size_bytes * (1.0 + np.maximum(0.0, reach).sum(axis=1))
    return low, high


def faults_of_places(
    program: Program, hw: Hardware, rows: Rows, accesses: Accesses, buffer: Ints
) -> Iterator[Fault]:
    """Accesses that lie where they may not. `buffer` as from `accesses.buffers_of`."""
    low, high = extents(accesses)
    for memory, code, size in (
        (SBUF, "SYS-V042", hw.sbuf_partition_bytes),
        (PSUM, "SYS-V043", hw.psum_partition_bytes),
    ):
        last = accesses.start + accesses.partitions
        outside = (low < 0) | (high > size) | (last > hw.partitions)
        for a in np.flatnonzero((accesses.memory == memory) & outside).tolist():
            found = (
                f"bytes {low[a]:.0f} to {high[a]:.0f} of partitions {accesses.start[a]} to "
                f"{last[a]}; there are {size} bytes in {hw.partitions} partitions"
            )
            yield Fault(code, found, (_at(program, rows, accesses, a),))
    ends = np.array([b.end for b in program.buffers] or [0], dtype=np.float64)
    in_dram = accesses.memory == DRAM
    outside = (buffer < 0) | (high > ends[buffer]) | (low < 0)
    for a in np.flatnonzero(in_dram & outside).tolist():
        inside = "no buffer begins there"
        if buffer[a] >= 0:
            inside = f"buffer {program.buffers[buffer[a]].name!r} ends at {ends[buffer[a]]:.0f}"
        found = f"bytes {low[a]:.0f} to {high[a]:.0f}; {inside}"
        yield Fault("SYS-V041", found, (_at(program, rows, accesses, a),))
    read_only = np.array([b.kind in READ_ONLY for b in program.buffers] or [False], dtype=bool)
    written = in_dram & accesses.is_write & (buffer >= 0) & read_only[buffer]
    for a in np.flatnonzero(written).tolist():
        b = program.buffers[buffer[a]]
        found = f"a write to the {b.kind.value} buffer {b.name!r}"
        yield Fault("SYS-V040", found, (_at(program, rows, accesses, a),))


def overlapping_buffers(program: Program) -> Iterator[Fault]:
    """Buffers that share bytes."""
    buffers = sorted(program.buffers, key=lambda b: b.address)
    for one, other in itertools.pairwise(buffers):
        if one.end > other.address:
            found = f"{one.name!r} ends at byte {one.end}, {other.name!r} begins at {other.address}"
            yield Fault("SYS-V003", found)


def faults_of_transfers(program: Program, rows: Rows, accesses: Accesses) -> Iterator[Fault]:
    """DMAs whose two sides do not fit each other, or whose destination overlaps itself."""
    if not len(rows.words):
        return
    opcode = bits(rows.words, 0, 0, 8)[accesses.instruction]
    elements = np.prod(accesses.nums.astype(np.float64), axis=1) * accesses.partitions
    copies = opcode == DmaCopy.opcode
    taken, given = np.zeros(len(rows.words)), np.zeros(len(rows.words))
    for side, chosen in ((taken, copies & ~accesses.is_write), (given, copies & accesses.is_write)):
        side[accesses.instruction[chosen]] = elements[chosen]
    for row in np.flatnonzero(taken != given).tolist():
        found = f"{taken[row]:.0f} elements to {given[row]:.0f} places"
        yield Fault("SYS-V070", found, (place(program, *rows.place(row)),))
    ordered = [
        kind.opcode for kind in REGISTRY.values() if isinstance(kind.fields.get("dst"), DmaField)
    ]
    written = np.flatnonzero(np.isin(opcode, ordered) & accesses.is_write)
    for a in written[~_clearly_apart(accesses.steps[written], accesses.nums[written])].tolist():
        if _overlaps_itself(accesses.steps[a], accesses.nums[a]):
            dims = zip(accesses.steps[a].tolist(), accesses.nums[a].tolist(), strict=True)
            found = f"dimensions (step, count) {[d for d in dims if d[1] > 1]}"
            yield Fault("SYS-V071", found, (_at(program, rows, accesses, a),))


def _clearly_apart(steps: Ints, nums: Ints) -> NDArray[np.bool_]:
    """Whether, by size of step, each dimension steps over all that the smaller ones reach."""
    strides = np.where(nums > 1, np.abs(steps), 0)
    order = np.argsort(strides, axis=1)
    strides = np.take_along_axis(strides, order, axis=1)
    counts = np.take_along_axis(np.where(nums > 1, nums, 1), order, axis=1)
    reach = np.cumsum(strides * (counts - 1.0), axis=1)
    inner = np.concatenate([np.zeros((len(steps), 1)), reach[:, :-1]], axis=1)
    apart: NDArray[np.bool_] = np.all((counts == 1) | (strides > inner), axis=1)
    return apart


def _overlaps_itself(steps: Ints, nums: Ints) -> bool:
    """Whether an access pattern names an element twice; too large to look at counts as so."""
    dims = [(int(s), int(n)) for s, n in zip(steps, nums, strict=True) if n > 1]
    span = 1 + sum(abs(step) * (num - 1) for step, num in dims)
    count = math.prod(num for _, num in dims)
    if count > min(span, MAX_ELEMENTS):
        return True
    return len(np.unique(offsets_of(tuple(dims)))) < count


def _at(program: Program, rows: Rows, accesses: Accesses, a: int) -> Place:
    return place(program, *rows.place(int(accesses.instruction[a])))
