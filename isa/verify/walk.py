"""The walk: every access against who touched its cells before, in one legal order of the program.

A cell keeps its last writer and the readers since. When nothing raced so far, the last writer
comes after every earlier access of the cell, so a new access races with some earlier one iff it
races with the last writer or, for a write, with the last reader of some stream. An access races
with an earlier one iff the clocks do not order them (`isa.order`). So the verdict does not depend
on which legal order is walked.

A cell's last writer: -1 nobody, -2 loading, else an instruction.
A cell's readers: -1 none; r >= 0 the one reader r; below that, -2 - row of a table with the last
reader of every stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isa.order import Order
from isa.verify.accesses import Ints, Runs
from isa.verify.cells import Cells, piece_of, run_base, run_count

MAX_FINDINGS = 4096
NOBODY, LOADING = -1, -2
"""Writers of a cell that are no instruction of the run."""
NEVER = -(2**31)
"""What no cell has as writer or reader."""


class Finding(IntEnum):
    """What the walk can find."""

    RACE = 0  # a, b: earlier and later access
    UNWRITTEN = 1  # b reads
    NO_GROUP = 2  # b accumulates
    STARTED_TWICE = 3  # b starts on the group of a
    GROUP_READ = 4  # b reads the group of a
    GROUP_WRITTEN = 5  # b writes to the group of a
    OTHER_TILE = 6  # b accumulates on the group of a
    NEVER_CLOSED = 7  # group of a
    PINNED_WRITTEN = 8  # b writes what loading wrote


@dataclass(frozen=True)
class Groups:
    """PSUM group roles of instruction rows.

    Attributes:
        role: 0 other, 1 matmul that accumulates, 2 matmul that starts. int8 [rows].
        stop: whether it closes its group. bool [rows].
        tile: a number for each distinct destination tile. int64 [rows].
    """

    role: NDArray[np.int8]
    stop: NDArray[np.bool_]
    tile: Ints


@dataclass(frozen=True)
class Walk:
    """What was found: rows (kind, a, b, cell), and each cell's last writer (below 0: none)."""

    findings: Ints
    writer: NDArray[np.int32]


def walk(order: Order, row: Ints, runs: Runs, cells: Cells, groups: Groups, loaded: Runs) -> Walk:
    """Walk a program.

    Args:
        row: instruction row (over all streams) of every executed id.
        loaded: what the pinned transfers write; `cells` are cut there too.
    """
    psum_cell, dram_cell = cells.psum_piece * cells.classes, cells.dram_piece * cells.classes
    writer = np.full(cells.count, NOBODY, dtype=np.int32)
    _mark_loaded(
        loaded.base, loaded.size, loaded.steps, loaded.nums, loaded.start, loaded.partitions,
        loaded.is_write, cells.bits, cells.ranks, cells.class_of, cells.classes, writer,
    )  # fmt: skip
    reader = np.full(cells.count, -1, dtype=np.int32)
    group = np.full(dram_cell - psum_cell, -1, dtype=np.int32)
    findings = np.zeros((MAX_FINDINGS, 4), dtype=np.int64)
    count = _walk(
        order.sequence, order.events.stream_index, order.events.first, order.clocks, row,
        runs.first, runs.is_write, runs.base, runs.size, runs.steps, runs.nums, runs.start,
        runs.partitions, cells.bits, cells.ranks, cells.class_of, cells.classes, psum_cell,
        dram_cell, groups.role, groups.stop, groups.tile, writer, reader, group, findings,
    )  # fmt: skip
    return Walk(findings[:count], writer)


@njit(cache=True)
def _mark_loaded(  # type: ignore[no-untyped-def]
    base, size, steps, nums, start, partitions, is_write, bits, ranks, class_of, classes, writer
):
    """Enter the bytes of SBUF that loading writes."""
    for a in range(len(base)):
        first, last = class_of[start[a]], class_of[start[a] + partitions[a]]
        for which in range(run_count(nums[a]) if is_write[a] else 0):
            low = run_base(base[a], steps[a], nums[a], which)
            for piece in range(piece_of(bits, ranks, low), piece_of(bits, ranks, low + size[a])):
                writer[piece * classes + first : piece * classes + last] = LOADING


@njit(cache=True)
def _walk(  # type: ignore[no-untyped-def]
    sequence, stream, first, clocks, row, access_first, is_write, base, size, steps, nums, start,
    partitions, bits, ranks, class_of, classes, psum_cell, dram_cell, role, stop, tile,
    writer, reader, group, findings,
):  # fmt: skip
    """The loop over instructions, accesses, runs and cells. The usual case, no finding and at most
    one reader, is written out; anything else is called, which costs ten times as much."""
    table = np.full((64, clocks.shape[1]), -1, dtype=np.int32)
    spare = np.arange(63, -1, -1)  # rows of the table that are free, a stack
    spares, count, dram_piece = 64, 0, dram_cell // classes
    for at in range(len(sequence)):
        i = sequence[at]
        r, k, clock = row[i], stream[i], clocks[i]
        known_w, known_q, usual, plain = (
            NEVER,
            NEVER,
            False,
            False,
        )  # neighbouring cells often have one past
        for a in range(access_first[r], access_first[r + 1]):
            low_class = class_of[start[a]]
            width = class_of[start[a] + partitions[a]] - low_class
            for which in range(run_count(nums[a])):
                low = run_base(base[a], steps[a], nums[a], which)
                piece, last = piece_of(bits, ranks, low), piece_of(bits, ranks, low + size[a])
                cell, end, stride = piece * classes + low_class, last * classes, classes
                if piece >= dram_piece:  # one class: neighbouring cells
                    cell, end = dram_cell + piece - dram_piece, dram_cell + last - dram_piece
                    width = stride = end - cell
                in_psum, writes = psum_cell <= cell < dram_cell, is_write[a]
                while cell < end:
                    for c in range(cell, cell + width):
                        w, q = writer[c], reader[c]
                        if w != known_w or q != known_q:
                            known_w, known_q = w, q
                            usual = w < 0 or (
                                stream[w] == k or clock[stream[w]] > w - first[stream[w]]
                            )
                            if q != -1:
                                usual &= q >= 0 and (
                                    stream[q] == k or clock[stream[q]] > q - first[stream[q]]
                                )
                            plain = usual and w >= 0
                        if plain and not in_psum:
                            if writes:
                                writer[c], reader[c] = i, -1
                            else:
                                reader[c] = i  # what comes after i comes after q
                            continue
                        if writes:
                            if w == LOADING:
                                count = _note(findings, count, 8, -1, i, c)
                            if usual:
                                writer[c], reader[c] = i, -1
                            else:
                                count, spares = _write(
                                    c, i, stream, first, clock, writer, reader, table, spare,
                                    spares, findings, count,
                                )  # fmt: skip
                            if in_psum:
                                count = _write_group(
                                    c, c - psum_cell, i, row, role, stop, tile, group,
                                    findings, count,
                                )  # fmt: skip
                            continue
                        if role[r] == 0:
                            if w == NOBODY:
                                count = _note(findings, count, 1, -1, i, c)
                            elif in_psum and group[c - psum_cell] >= 0:
                                count = _note(findings, count, 4, group[c - psum_cell], i, c)
                        if usual:
                            reader[c] = i
                            continue
                        if spares == 0:
                            table, spare = _grown(table)
                            spares = len(spare) // 2
                        count, spares = _read(
                            c, i, stream, first, clock, writer, reader, table, spare, spares,
                            findings, count,
                        )  # fmt: skip
                    cell += stride
    for g in range(len(group)):
        if group[g] >= 0:
            count = _note(findings, count, 7, group[g], -1, g + psum_cell)
    return count


@njit(cache=True)
def _races(earlier, i, stream, first, clock):  # type: ignore[no-untyped-def]
    """Whether nothing orders an access of id `earlier` before id i, whose clock is given."""
    s = stream[earlier]
    return s != stream[i] and clock[s] <= earlier - first[s]


@njit(cache=True)
def _read(  # type: ignore[no-untyped-def]
    c, i, stream, first, clock, writer, reader, table, spare, spares, findings, count
):
    """Read cell c: against its last writer; then i is one of its readers."""
    last, q = writer[c], reader[c]
    if last >= 0 and _races(last, i, stream, first, clock):
        count = _note(findings, count, 0, last, i, c)
    if q <= -2:
        table[-2 - q, stream[i]] = i
    elif q < 0 or not _races(q, i, stream, first, clock):
        reader[c] = i  # what comes after i comes after q
    else:
        spares -= 1
        entry = spare[spares]
        table[entry, stream[q]] = q
        table[entry, stream[i]] = i
        reader[c] = -2 - entry
    return count, spares


@njit(cache=True)
def _write(  # type: ignore[no-untyped-def]
    c, i, stream, first, clock, writer, reader, table, spare, spares, findings, count
):
    """Write cell c: against its last writer and the readers since; then i is its last writer."""
    last, q = writer[c], reader[c]
    if last >= 0 and _races(last, i, stream, first, clock):
        count = _note(findings, count, 0, last, i, c)
    if q >= 0:
        if _races(q, i, stream, first, clock):
            count = _note(findings, count, 0, q, i, c)
    elif q <= -2:
        for s in range(table.shape[1]):
            one = table[-2 - q, s]
            if one >= 0 and _races(one, i, stream, first, clock):
                count = _note(findings, count, 0, one, i, c)
            table[-2 - q, s] = -1
        spare[spares] = -2 - q
        spares += 1
    reader[c] = -1
    writer[c] = i
    return count, spares


@njit(cache=True)
def _write_group(c, at, i, row, role, stop, tile, group, findings, count):  # type: ignore[no-untyped-def]
    """Write PSUM cell c, entry `at` of the groups: against the accumulation group it is in."""
    r, opened = row[i], group[at]
    if role[r] == 0:
        return _note(findings, count, 5, opened, i, c) if opened >= 0 else count
    if role[r] == 2:
        if opened >= 0:
            count = _note(findings, count, 3, opened, i, c)
        group[at] = i
    elif opened < 0:
        count = _note(findings, count, 2, -1, i, c)
    elif tile[row[opened]] != tile[r]:
        count = _note(findings, count, 6, opened, i, c)
    if stop[r]:
        group[at] = -1
    return count


@njit(cache=True)
def _grown(table):  # type: ignore[no-untyped-def]
    """A full table of readers at twice its size, and the rows that are free in it."""
    rows = len(table)
    grown = np.full((2 * rows, table.shape[1]), -1, dtype=np.int32)
    grown[:rows] = table
    spare = np.empty(2 * rows, dtype=np.int64)
    spare[:rows] = np.arange(2 * rows - 1, rows - 1, -1)
    return grown, spare


@njit(cache=True)
def _note(findings, count, kind, a, b, cell):  # type: ignore[no-untyped-def]
    """Enter a finding unless it repeats the one in front or the table is full."""
    if count > 0:
        last = findings[count - 1]
        if last[0] == kind and last[1] == a and last[2] == b:
            return count
    if count < len(findings):
        findings[count, 0], findings[count, 1] = kind, a
        findings[count, 2], findings[count, 3] = b, cell
        return count + 1
    return count
