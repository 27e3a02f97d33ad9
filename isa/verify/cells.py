"""The memories cut into cells: the coarsest pieces that every access covers whole or not at all.

Bytes are cut wherever some run of some access begins or ends; partitions wherever some access
begins or ends. A set bit marks a cut, and counting the bits in front of a byte numbers its piece,
so a piece costs two bits a byte of memory and no sorting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isa.errors import IllegalError
from isa.verify.accesses import Ints, Runs, Spaces

MAX_RUNS = 2**31  # runs looked at, all accesses together: some ten seconds
MAX_CELLS = 2**28  # two numbers of four bytes each
MAX_BYTES = 2**32  # of scratch and outputs: a quarter of a byte each


@dataclass(frozen=True)
class Cells:
    """The cuts.

    Attributes:
        bits: uint64, a bit for each byte of the coordinate that a piece begins at.
        ranks: pieces that begin before each word of `bits`.
        class_of: partition class that partition p begins, for p in 0 .. 128.
        edges: first partition of each class.
        dram_piece: the first piece of DRAM; pieces before it have a cell in each class.
        count: cells in all. The cell of piece r in class c is r * classes + c, in DRAM
            dram_piece * classes + r - dram_piece.
    """

    bits: NDArray[np.uint64]
    ranks: Ints
    class_of: Ints
    edges: Ints
    psum_piece: int
    dram_piece: int
    count: int

    @property
    def classes(self) -> int:
        """Partition classes."""
        return len(self.edges)

    def byte_of(self, piece: int) -> int:
        """First byte of a piece, in the coordinate."""
        word = int(np.searchsorted(self.ranks, piece, side="right")) - 1
        rest = piece - int(self.ranks[word])
        bits = int(self.bits[word])
        for _ in range(rest):
            bits &= bits - 1
        return 64 * word + (bits & -bits).bit_length() - 1

    def locate(self, cell: int) -> tuple[int, int]:
        """(byte of the coordinate, partition) that a cell begins at."""
        if cell < self.dram_piece * self.classes:
            piece, group = divmod(cell, self.classes)
            return self.byte_of(piece), int(self.edges[group])
        return self.byte_of(cell - self.dram_piece * (self.classes - 1)), 0


def cells_of(runs: Runs, spaces: Spaces, edges: list[int]) -> Cells:
    """Cut the memories. `edges` are further bytes of the coordinate to cut at.

    Raises IllegalError SYS-V090 when there are too many runs or cells to be judged.
    """
    total = float(np.sum(runs.repeats))
    if total > MAX_RUNS:
        raise _too_large(f"its accesses have {total:.3g} separate runs; allowed {MAX_RUNS}")
    if spaces.end > MAX_BYTES:
        raise _too_large(f"{spaces.end} bytes of scratch and outputs; allowed {MAX_BYTES}")
    bits = np.zeros(spaces.end // 64 + 1, dtype=np.uint64)
    for byte in (0, spaces.psum, spaces.dram, spaces.end, *edges):
        bits[byte // 64] |= np.uint64(1 << byte % 64)
    _cut(bits, runs.base, runs.size, runs.steps, runs.nums)
    ranks = np.zeros(len(bits), dtype=np.int64)
    _count(bits, ranks)
    inner = runs.base < spaces.dram
    marks = np.zeros(130, dtype=bool)
    marks[0] = True
    marks[runs.start[inner]] = True
    marks[(runs.start + runs.partitions)[inner]] = True
    class_of = np.cumsum(marks) - 1
    limits = np.flatnonzero(marks[:128])
    dram_piece = int(piece_of(bits, ranks, spaces.dram))
    pieces = int(piece_of(bits, ranks, spaces.end))
    count = dram_piece * len(limits) + pieces - dram_piece
    if count > MAX_CELLS:
        raise _too_large(f"its accesses cut the memories in {count} cells; allowed {MAX_CELLS}")
    psum_piece = int(piece_of(bits, ranks, spaces.psum))
    return Cells(bits, ranks, class_of, limits, psum_piece, dram_piece, count)


def _too_large(found: str) -> IllegalError:
    return IllegalError("SYS-V090", "a program is small enough to be verified", found=found)


@njit(cache=True)
def _ones(word):  # type: ignore[no-untyped-def]
    """Number of set bits."""
    x = np.uint64(word)
    x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True)
def _count(bits, ranks):  # type: ignore[no-untyped-def]
    total = 0
    for i in range(len(bits)):
        ranks[i] = total
        total += _ones(bits[i])


@njit(cache=True)
def piece_of(bits, ranks, byte):  # type: ignore[no-untyped-def]
    """The number of the piece that begins at `byte`."""
    below = (np.uint64(1) << np.uint64(byte & 63)) - np.uint64(1)
    return ranks[byte >> 6] + _ones(bits[byte >> 6] & below)


@njit(cache=True)
def run_base(base, steps, nums, which):  # type: ignore[no-untyped-def]
    """First byte of the run with number `which` of an access."""
    for d in range(len(steps)):
        base += steps[d] * (which % nums[d])
        which //= nums[d]
    return base


@njit(cache=True)
def run_count(nums):  # type: ignore[no-untyped-def]
    """Runs of an access."""
    count = 1
    for d in range(len(nums)):
        count *= nums[d]
    return count


@njit(cache=True)
def _cut(bits, base, size, steps, nums):  # type: ignore[no-untyped-def]
    one = np.uint64(1)
    for a in range(len(base)):
        for which in range(run_count(nums[a])):
            low = run_base(base[a], steps[a], nums[a], which)
            high = low + size[a]
            bits[low >> 6] |= one << np.uint64(low & 63)
            bits[high >> 6] |= one << np.uint64(high & 63)
