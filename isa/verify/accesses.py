"""Every access of a program as runs of bytes, in one coordinate over all memories.

The coordinate: SBUF partition bytes, then PSUM partition bytes, then the bytes of the scratch and
output buffers one after the other. Reads of inputs and constants need no watching and have none.

In    a program whose instructions are legal and in bounds
Out   `Runs`: one row an access, each a run of bytes repeated over up to five outer dimensions
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isa.footprints import Accesses
from isa.hardware import Hardware
from isa.memory import PSUM, SBUF, Memory
from isa.program import BufferKind, Program

Ints = NDArray[np.int64]
WATCHED = (BufferKind.SCRATCH, BufferKind.OUTPUT)


@dataclass(frozen=True)
class Spaces:
    """Where each memory lies in the coordinate.

    Attributes:
        psum: first byte of PSUM; SBUF starts at 0.
        dram: first byte of the watched buffers.
        end: one past the last byte.
        shift: coordinate - DRAM address of each buffer, in the program's order.
        watched: whether a buffer has a place in the coordinate.
    """

    psum: int
    dram: int
    end: int
    shift: Ints
    watched: NDArray[np.bool_]


def spaces_of(program: Program, hw: Hardware) -> Spaces:
    """The coordinate of a program."""
    psum = hw.sbuf_partition_bytes
    dram = psum + hw.psum_partition_bytes
    watched = np.array([b.kind in WATCHED for b in program.buffers], dtype=bool)
    sizes = np.array([b.size_bytes for b in program.buffers], dtype=np.int64) * watched
    ends = np.cumsum(sizes)
    starts = np.array([b.address for b in program.buffers], dtype=np.int64)
    end = dram + int(ends[-1]) if len(ends) else dram
    return Spaces(psum, dram, end, dram + ends - sizes - starts, watched)


@dataclass(frozen=True)
class Runs:
    """One row an access: `nums` repetitions, `steps` bytes apart, of `size` bytes from `base`.

    Attributes:
        first: accesses first[i] .. first[i + 1] are those of instruction row i, reads first.
        base: a byte of the coordinate. size: bytes. steps, nums: int64 [m, 5], units last.
        start, partitions: the partitions; 0 and 1 in DRAM.
        is_write: bool [m].
        repeats: the number of runs of each access (as float: it may be absurd).
    """

    first: Ints
    base: Ints
    size: Ints
    steps: Ints
    nums: Ints
    start: Ints
    partitions: Ints
    is_write: NDArray[np.bool_]
    repeats: NDArray[np.float64]


def runs_of(accesses: Accesses, rows: int, buffer: Ints, spaces: Spaces) -> Runs:
    """The watched accesses as runs.

    Args:
        accesses: `instruction` counts rows over all streams.
        rows: instructions in all.
        buffer: index of the DRAM buffer that an access lies in, -1 for SBUF and PSUM.
    """
    watched = np.append(spaces.watched, True)  # buffer -1: SBUF and PSUM
    kept = np.flatnonzero(watched[buffer])
    memory = accesses.memory[kept]
    base = accesses.address[kept].copy()
    base[memory == PSUM] += spaces.psum
    in_dram = memory == Memory.DRAM
    base[in_dram] += spaces.shift[buffer[kept][in_dram]]
    size = accesses.size_bytes[kept].copy()
    steps, nums = accesses.steps[kept] * size[:, None], accesses.nums[kept].copy()
    _normalise(base, size, steps, nums)
    per_row = np.bincount(accesses.instruction[kept], minlength=rows)
    return Runs(
        first=np.concatenate([[0], np.cumsum(per_row)]).astype(np.int64),
        base=base,
        size=size,
        steps=steps,
        nums=nums,
        start=accesses.start[kept],
        partitions=accesses.partitions[kept],
        is_write=accesses.is_write[kept],
        repeats=np.prod(nums.astype(np.float64), axis=1),
    )


def joined(a: Runs, b: Runs) -> Runs:
    """The runs of both, for who asks where they lie; `first` is that of the former."""
    both = {
        f.name: np.concatenate([getattr(a, f.name), getattr(b, f.name)])
        for f in fields(Runs)
        if f.name != "first"
    }
    return replace(a, **both)


def buffers_of(accesses: Accesses, program: Program) -> Ints:
    """Index of the buffer that holds an access's least byte; -1 for none, or for SBUF and PSUM."""
    found = np.full(len(accesses), -1, dtype=np.int64)
    at = np.flatnonzero((accesses.memory != SBUF) & (accesses.memory != PSUM))
    buffers = [(b.address, b.end, i) for i, b in enumerate(program.buffers) if b.size_bytes]
    if buffers and len(at):
        starts, ends, index = (np.array(column) for column in zip(*sorted(buffers), strict=True))
        k = np.searchsorted(starts, accesses.low[at], side="right") - 1
        found[at] = np.where((k >= 0) & (accesses.low[at] < ends[k]), index[k], -1)
    return found


@njit(cache=True)
def _normalise(base, size, steps, nums):  # type: ignore[no-untyped-def]
    """The same set of bytes with positive steps, ascending, inner dimensions joined into runs."""
    for a in range(len(base)):
        rank = 0
        for d in range(steps.shape[1]):
            step, num = steps[a, d], nums[a, d]
            if step < 0:
                base[a] += step * (num - 1)
                step = -step
            if num <= 1 or step == 0:
                continue
            at = rank  # insertion, by step
            while at > 0 and steps[a, at - 1] > step:
                steps[a, at], nums[a, at] = steps[a, at - 1], nums[a, at - 1]
                at -= 1
            if at > 0 and steps[a, at - 1] == step:  # {0..m}s + {0..n}s = {0..m+n}s
                nums[a, at - 1] += num - 1
                for later in range(at, rank):
                    steps[a, later], nums[a, later] = steps[a, later + 1], nums[a, later + 1]
                continue
            steps[a, at], nums[a, at] = step, num
            rank += 1
        joined = 0
        while joined < rank and steps[a, joined] <= size[a]:
            size[a] += steps[a, joined] * (nums[a, joined] - 1)
            joined += 1
        for d in range(steps.shape[1]):
            if d + joined < rank:
                steps[a, d], nums[a, d] = steps[a, d + joined], nums[a, d + joined]
            else:
                steps[a, d], nums[a, d] = 0, 1
