"""Vectors that change between partitions and one of them, by the vector engine's transposes."""

from __future__ import annotations

import math

from compiler.lowering.moving import Moving
from compiler.lowering.places import PARTITIONS
from compiler.lowering.transpose import BANK, vector_block
from compiler.tiles.view import View
from isa.kernel import Ap, Buffer, DmaAp
from isa.memory import SBUF

TURNED = 512
"""Elements of a vector from which on turning it on chip costs less than a descriptor for each."""


def spread_on_vector(lo: Moving, out: Buffer, element: View) -> None:
    """One element to every partition: a column is the transpose of a row that repeats it. The array
    would take several passes for FP32, and hand the sum to another engine.
    """
    size = element.dtype.size_bytes
    for p in range(0, PARTITIONS, BANK):
        vector_block(
            lo,
            Ap(out, p, BANK, 0, element.dtype, ((0, 1), (1, 1))),
            Ap(
                element.buffer, element.start, 1, element.offset * size, element.dtype,
                ((0, 1), (0, BANK)),
            ),
        )  # fmt: skip


def store_turned(lo: Moving, home: View, chip: View) -> bool:
    """Store a vector in blocks of all partitions as rows: a descriptor a block, not an element.

    False where the vector does not lie so, or is too short. What is left of the last block beyond
    whole squares goes out as it lies.
    """
    wide = [d for d, e in enumerate(chip.shape) if e > 1]
    if len(wide) != 1 or chip.shape[wide[0]] < TURNED or chip.replicated:
        return False
    factors = [f for f in chip.factors[wide[0]] if f.extent > 1]
    apart = [f for f in home.factors[wide[0]] if f.extent > 1]
    blocks = [(f.extent, f.part) for f in factors]
    if len(blocks) != 2 or blocks[0][1] or not blocks[1][1] or len(apart) != 1:
        return False
    if blocks[1][0] != PARTITIONS and math.prod(n for n, _ in blocks) != chip.shape[wide[0]]:
        return False
    if chip.start + chip.buffer.start or apart[0].stride != 1 or chip.buffer.memory is not SBUF:
        return False
    for first in range(0, blocks[0][0], PARTITIONS):
        _store_rows(lo, home, chip, wide[0], (factors[0].stride, blocks[1][0]), first)
    return True


def _store_rows(
    lo: Moving, home: View, chip: View, dim: int, block: tuple[int, int], first: int
) -> None:
    """The blocks from `first` on, at most as many as there are partitions.

    `block`: elements from one to the next in a partition, and partitions of one.
    """
    (step, width), size = block, chip.dtype.size_bytes
    left = chip.shape[dim] - first * width
    rows = min(PARTITIONS, -(-left // width))
    last = min(left - (rows - 1) * width, width)  # elements of the last row
    squares = last if last == width else last // BANK * BANK
    stage = lo.kernel.sbuf(rows, width * size, "rows of a vector")
    for p in range(0, width, BANK):
        there = rows if p < squares else rows - 1
        lanes = min(BANK, width - p)
        for r in range(0, there, BANK):
            some = min(BANK, there - r)
            at = (chip.offset + (first + r) * step) * size
            vector_block(
                lo,
                Ap(stage, r, some, p * size, chip.dtype, ((0, 1), (1, lanes))),
                Ap(chip.buffer, p, lanes, at, chip.dtype, ((0, 1), (step, some))),
            )
    full = rows if squares == width else rows - 1
    begin = home.offset + first * width
    pieces = [(stage, 0, full, 0, width, 0)] if full else []
    if full < rows:
        end = (rows - 1) * width
        column = chip.offset + (first + rows - 1) * step
        pieces += [(stage, rows - 1, 1, 0, squares, end)] if squares else []
        if last > squares:
            pieces.append((chip.buffer, squares, last - squares, column, 1, end + squares))
    for buffer, start, count, offset, run, at in pieces:
        lo.kernel.dma(
            DmaAp(home.buffer, 0, 1, (begin + at) * size, home.dtype, ((1, count * run),)),
            DmaAp(buffer, start, count, offset * size, chip.dtype, ((1, run),)),
        )
