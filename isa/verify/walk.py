"""The walk: every access against who touched its cells before, in one legal order of the program.

A cell keeps its last writer and the readers since. When nothing raced so far, the last writer
comes after every earlier access of the cell, so a new access races with some earlier one iff it
races with the last writer or, for a write, with the last reader of some stream. An access races
with an earlier one iff the clocks do not order them (`isa.order`). So the verdict does not depend
on which legal order is walked.

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
    """What was found: rows (kind, a, b, cell), and each cell's last writer (-1: never written)."""

    findings: Ints
    writer: NDArray[np.int32]


def walk(order: Order, row: Ints, runs: Runs, cells: Cells, groups: Groups) -> Walk:
    """Walk a program.

    Args:
        row: instruction row (over all streams) of every executed id.
    """
    events = order.events
    writer = np.full(cells.count, -1, dtype=np.int32)
    reader = np.full(cells.count, -1, dtype=np.int32)
    psum = cells.psum_piece * cells.classes
    group = np.full(cells.dram_piece * cells.classes - psum, -1, dtype=np.int32)
    findings = np.zeros((MAX_FINDINGS, 4), dtype=np.int64)
    count = _walk(
        order.sequence, events.stream_index, events.first, order.clocks, row, runs.first,
        runs.base, runs.size, runs.steps, runs.nums, runs.start, runs.partitions, runs.is_write,
        cells.bits, cells.ranks, cells.class_of, cells.classes, cells.psum_piece, cells.dram_piece,
        groups.role, groups.stop, groups.tile, writer, reader, group, findings,
    )  # fmt: skip
    return Walk(findings[:count], writer)


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


@njit(cache=True)
def _table_row(table, used):  # type: ignore[no-untyped-def]
    """An empty row of the readers' table: (row, table, rows used); it grows by doubling."""
    if used == len(table):
        grown = np.full((2 * len(table), table.shape[1]), -1, dtype=np.int32)
        grown[: len(table)] = table
        table = grown
    return used, table, used + 1


@njit(cache=True)
def _walk(  # type: ignore[no-untyped-def]
    sequence, stream, first, clocks, row, access_first,
    base, size, steps, nums, start, partitions, is_write,
    bits, ranks, class_of, classes, psum_piece, dram_piece,
    role, stop, tile, writer, reader, group, findings,
):  # fmt: skip
    streams = clocks.shape[1]
    table = np.full((64, streams), -1, dtype=np.int32)
    used = 0
    free = np.empty(64, dtype=np.int64)
    frees = 0
    count = 0
    psum_cell, dram_cell = psum_piece * classes, dram_piece * classes
    for at in range(len(sequence)):
        i = sequence[at]
        k, r = stream[i], row[i]
        clock = clocks[i]
        for a in range(access_first[r], access_first[r + 1]):
            low_class, high_class = class_of[start[a]], class_of[start[a] + partitions[a]]
            for which in range(run_count(nums[a])):
                low = run_base(base[a], steps[a], nums[a], which)
                piece = piece_of(bits, ranks, low)
                piece_end = piece_of(bits, ranks, low + size[a])
                if piece >= dram_piece:
                    c, end = dram_cell + piece - dram_piece, dram_cell + piece_end - dram_piece
                    stride, width = end - c, end - c
                else:
                    c, end = piece * classes + low_class, piece_end * classes + low_class
                    stride, width = classes, high_class - low_class
                while c < end:
                    for cell in range(c, c + width):
                        w = writer[cell]
                        if w >= 0:
                            if stream[w] != k and clock[stream[w]] <= w - first[stream[w]]:
                                count = _note(findings, count, 0, w, i, cell)
                        elif not is_write[a] and role[r] == 0:
                            count = _note(findings, count, 1, -1, i, cell)
                        in_psum = psum_cell <= cell < dram_cell
                        if not is_write[a]:
                            if in_psum and role[r] == 0 and group[cell - psum_cell] >= 0:
                                count = _note(findings, count, 4, group[cell - psum_cell], i, cell)
                            q = reader[cell]
                            if q <= -2:
                                table[-2 - q, k] = i
                            elif q < 0 or stream[q] == k or clock[stream[q]] > q - first[stream[q]]:
                                reader[cell] = i
                            else:
                                if frees > 0:
                                    frees -= 1
                                    entry = free[frees]
                                else:
                                    entry, table, used = _table_row(table, used)
                                table[entry, stream[q]] = q
                                table[entry, k] = i
                                reader[cell] = -2 - entry
                            continue
                        q = reader[cell]
                        if q >= 0:
                            if stream[q] != k and clock[stream[q]] <= q - first[stream[q]]:
                                count = _note(findings, count, 0, q, i, cell)
                        elif q <= -2:
                            for s in range(streams):
                                q = table[-2 - reader[cell], s]
                                if q >= 0 and s != k and clock[s] <= q - first[s]:
                                    count = _note(findings, count, 0, q, i, cell)
                                table[-2 - reader[cell], s] = -1
                            if frees == len(free):
                                longer = np.empty(2 * len(free), dtype=np.int64)
                                longer[:frees] = free
                                free = longer
                            free[frees] = -2 - reader[cell]
                            frees += 1
                        reader[cell] = -1
                        writer[cell] = i
                        if in_psum:
                            g = group[cell - psum_cell]
                            if role[r] == 0:
                                if g >= 0:
                                    count = _note(findings, count, 5, g, i, cell)
                            elif role[r] == 2:
                                if g >= 0:
                                    count = _note(findings, count, 3, g, i, cell)
                                group[cell - psum_cell] = -1 if stop[r] else i
                            else:
                                if g < 0:
                                    count = _note(findings, count, 2, -1, i, cell)
                                elif tile[row[g]] != tile[r]:
                                    count = _note(findings, count, 6, g, i, cell)
                                if stop[r]:
                                    group[cell - psum_cell] = -1
                    c += stride
    for cell in range(len(group)):
        if group[cell] >= 0:
            count = _note(findings, count, 7, group[cell], -1, cell + psum_cell)
    return count
