"""Where accesses lie: in their memory, in one buffer, not in a read-only one; and what DMAs name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.footprints import Accesses
from isa.hardware import Hardware
from isa.instructions.dma import DmaCopy
from isa.memory import DRAM, PSUM, SBUF, Memory
from isa.program import BufferKind, Program
from isa.verify.accesses import Ints
from isa.verify.faults import Fault, place

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
                f"bytes {low[a]:.0f} to {high[a]:.0f} of partitions {accesses.start[a]} to {last[a]}; "
                f"there are {size} bytes in {hw.partitions} partitions"
            )
            yield Fault(code, found, (_at(program, rows, accesses, a),))
    ends = np.array([b.end for b in program.buffers] or [0], dtype=np.float64)
    in_dram = accesses.memory == DRAM
    outside = (buffer < 0) | (high > ends[buffer]) | (low < 0)
    for a in np.flatnonzero(in_dram & outside).tolist():
        inside = f"buffer {program.buffers[buffer[a]].name!r} ends at {ends[buffer[a]]:.0f}"
        found = f"bytes {low[a]:.0f} to {high[a]:.0f}; " + (
            inside if buffer[a] >= 0 else "no buffer begins there"
        )
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
    for one, other in zip(buffers, buffers[1:], strict=False):
        if one.end > other.address:
            found = f"{one.name!r} ends at byte {one.end}, {other.name!r} begins at {other.address}"
            yield Fault("SYS-V003", found)


def faults_of_transfers(program: Program, rows: Rows, accesses: Accesses) -> Iterator[Fault]:
    """DMAs whose two sides do not fit each other, or whose destination overlaps itself."""
    opcode = (rows.words[:, 0] & np.uint64(0xFF)).astype(np.int64)
    is_dma = opcode[accesses.instruction] >= 0x60 if len(accesses) else np.zeros(0, bool)
    elements = np.prod(accesses.nums.astype(np.float64), axis=1) * accesses.partitions
    for a in np.flatnonzero(is_dma & (elements == 0)).tolist():
        yield Fault("SYS-V072", "a dimension of none", (_at(program, rows, accesses, a),))
    copies = np.flatnonzero(opcode[accesses.instruction] == DmaCopy.opcode)
    taken = np.zeros(len(opcode))
    given = np.zeros(len(opcode))
    write = accesses.is_write[copies]
    taken[accesses.instruction[copies][~write]] = elements[copies][~write]
    given[accesses.instruction[copies][write]] = elements[copies][write]
    for row in np.flatnonzero(taken != given).tolist():
        found = f"{taken[row]:.0f} elements to {given[row]:.0f} places"
        yield Fault("SYS-V070", found, (place(program, *rows.place(row)),))
    for a in copies[write].tolist():
        if _overlaps_itself(accesses.steps[a], accesses.nums[a]):
            dims = [
                (int(s), int(n)) for s, n in zip(accesses.steps[a], accesses.nums[a], strict=True)
            ]
            found = f"dimensions (step, count) {[d for d in dims if d[1] > 1]}"
            yield Fault("SYS-V071", found, (_at(program, rows, accesses, a),))


def _overlaps_itself(steps: Ints, nums: Ints) -> bool:
    """Whether an access pattern names an element twice. Exact, up to MAX_ELEMENTS."""
    dims = sorted((abs(int(s)), int(n)) for s, n in zip(steps, nums, strict=True) if n > 1)
    span = 1  # elements that the inner dimensions reach over
    clear = True
    for step, num in dims:
        clear &= step >= span
        span += step * (num - 1)
    if clear:
        return False
    count = int(np.prod([num for _, num in dims], dtype=object))
    if count > min(span, MAX_ELEMENTS):
        return True  # more elements than places, or too many to look at: refused
    offsets = np.zeros(1, dtype=np.int64)
    for step, num in dims:
        offsets = (offsets[:, None] + np.arange(num, dtype=np.int64) * step).reshape(-1)
    return len(np.unique(offsets)) < count


def _at(program: Program, rows: Rows, accesses: Accesses, a: int):  # type: ignore[no-untyped-def]
    return place(program, *rows.place(int(accesses.instruction[a])))


def memory_name(memory: int) -> str:
    """`SBUF`, `PSUM` or `DRAM`."""
    return Memory(memory).name
