"""The stages of an instruction, fast: operands to scratch, the operation, the result back.

Scratch holds an operand's elements one after the other, partitions outermost, as FP32 or as stored.
There are several arrays of it, each as floats and as the words that are their bits. All inputs are
read before a result is written. Every kernel is called from one place only in `loop.py`: what is
inlined twice is compiled twice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isa.alu import AluOp, ReduceCommand
from isa.dtypes import CANONICAL_NAN_BITS
from simulator.functional.alu import fold, greater_of
from simulator.functional.forms import BANK, DIRECT, FLAGS, FULL_WIDTH, OPENS, A, B
from simulator.functional.patterns import BASE, FREE, PARTITIONS, PITCH, START
from simulator.kernels.matmul import matmul_tile_into

_ADD, _MAX = int(AluOp.ADD), int(AluOp.MAX)
_RESET, _RESET_REDUCE = int(ReduceCommand.RESET), int(ReduceCommand.RESET_REDUCE)
_NAN = np.uint32(CANONICAL_NAN_BITS).view(np.float32)

# scratch arrays: the operands B and C, others, one word a lane for each scalar, the stationary tile
X, Y, Z, W, LANES0, LANES1, STATIONARY = range(7)
SCRATCH_ARRAYS = 7

# what the PE array holds: rows, columns, first partition, whether 32-bit, row of the load; -1: none
HELD_ROWS, HELD_COLUMNS, HELD_START, HELD_WIDE, HELD_BY = range(5)
HELD_FACTS = 5


class Scratch(NamedTuple):
    """Working memory of the loop; `sums` are the scalar engine's reduce registers themselves."""

    floats: tuple[NDArray[np.float32], ...]
    words: tuple[NDArray[np.uint32], ...]
    held: NDArray[np.int64]
    sums: NDArray[np.float32]


@njit(cache=True)
def spread(lanes, free, n, words):  # type: ignore[no-untyped-def]  # numba: uint32 arrays, ints
    """words[:n] := each lane's word `free` times."""
    at, count = np.uint64(0), np.uint64(free)
    for p in range(n // free):
        word = lanes[p]
        for i in range(count):
            words[at + i] = word
        at += count


@njit(cache=True)
def scale_and_shift(x, scale, bias, biased, free, n):  # type: ignore[no-untyped-def]  # float32 arrays
    """x := x * scale (+ bias), a value of each a lane; the product rounds, then the sum."""
    at, count = np.uint64(0), np.uint64(free)
    for p in range(n // free):
        s, b = scale[p], bias[p]
        if biased:
            for i in range(count):
                x[at + i] = x[at + i] * s + b
        else:
            for i in range(count):
                x[at + i] = x[at + i] * s
        at += count


@njit(cache=True)
def matmul(operands, c, psum, k):  # type: ignore[no-untyped-def]
    """The product of the stationary tile and X: to PSUM, or to Y."""
    dst, moving = operands[c[A]], operands[c[B]]
    depth, rows, columns = moving[PARTITIONS], dst[PARTITIONS], moving[FREE]
    stationary = k.floats[STATIONARY][: depth * rows].reshape(depth, rows)
    values = k.floats[X][: depth * columns].reshape(depth, columns)
    row, column, out = dst[START], dst[BASE] - dst[START] * dst[PITCH], psum
    if c[FLAGS] & DIRECT == 0:
        row, column, out = row * 0, row * 0, k.floats[Y][: rows * columns].reshape(rows, columns)
    matmul_tile_into(stationary, values, out, (row, column), c[FLAGS] & OPENS == 0)


@njit(cache=True, inline="always")
def suits_stationary(dst, moving, c, held):  # type: ignore[no-untyped-def]
    """Whether a matmul fits what the array holds."""
    return (
        (held[HELD_ROWS] == moving[PARTITIONS])
        & (held[HELD_COLUMNS] == dst[PARTITIONS])
        & (held[HELD_START] == moving[START])
        & (held[HELD_WIDE] == c[FLAGS] & FULL_WIDTH)
    )


@njit(cache=True)
def add_rows(sums, command, values, rows, free):  # type: ignore[no-untyped-def]
    """Reset the reduce registers of `rows` lanes, or add each row's elements in order, or both."""
    for p in range(rows):
        total = np.float32(0) if command in (_RESET, _RESET_REDUCE) else sums[p]
        if command != _RESET:
            at = np.uint64(p * free)
            for i in range(np.uint64(free)):
                total += values[at + i]
        sums[p] = total if total == total else _NAN


@njit(cache=True, error_model="numpy")
def reduce(op, flip, values, rows, each, out):  # type: ignore[no-untyped-def]
    """out[i] := op over j of values[i, j], in order; negated with `flip`. values: [rows, each]."""
    done = 0
    if op == _ADD:
        done = rows - rows % 4
        _add_four(values, done, each, out)
    elif op == _MAX:
        done = rows - rows % 4
        _max_four(values, done, each, out)
    for i in range(done, rows):
        out[i] = fold(op, values[i * each], values, i * each + 1, 1, each - 1)
    if flip:
        for i in range(rows):
            out[i] = -out[i]


@njit(cache=True, inline="always")
def _add_four(values, rows, each, out):  # type: ignore[no-untyped-def]
    """Four rows side by side: each keeps its order, and none waits for another."""
    by = np.uint64(each)
    for r in range(0, rows, 4):
        at = np.uint64(r * each)
        p, q = at + by, at + by + by
        s = q + by
        a, b, c, d = values[at], values[p], values[q], values[s]
        for j in range(np.uint64(1), by):
            a += values[at + j]
            b += values[p + j]
            c += values[q + j]
            d += values[s + j]
        out[r], out[r + 1], out[r + 2], out[r + 3] = a, b, c, d


@njit(cache=True, inline="always")
def _max_four(values, rows, each, out):  # type: ignore[no-untyped-def]
    by = np.uint64(each)
    for r in range(0, rows, 4):
        at = np.uint64(r * each)
        p, q = at + by, at + by + by
        s = q + by
        a, b, c, d = values[at], values[p], values[q], values[s]
        for j in range(np.uint64(1), by):
            a = greater_of(a, values[at + j])
            b = greater_of(b, values[p + j])
            c = greater_of(c, values[q + j])
            d = greater_of(d, values[s + j])
        out[r], out[r + 1], out[r + 2], out[r + 3] = a, b, c, d


@njit(cache=True)
def choose(new, predicate, old, inverse, n):  # type: ignore[no-untyped-def]  # uint32 arrays
    """old[i] := new[i] where predicate[i] is not zero; where it is, with `inverse`."""
    zero = np.uint32(0)
    for i in range(n):
        old[i] = new[i] if (predicate[i] != zero) != inverse else old[i]


@njit(cache=True)
def transpose(source, rows, columns, out):  # type: ignore[no-untyped-def]  # uint32 arrays
    """Each 32 x 32 block transposed, or the whole if it is no larger."""
    small = rows <= BANK and columns <= BANK
    height, width = (rows, columns) if small else (BANK, BANK)
    pitch = rows if small else columns
    for top in range(0, rows, height):
        for left in range(0, columns, width):
            for i in range(height):
                for j in range(width):
                    out[(top + j) * pitch + left + i] = source[(top + i) * columns + left + j]
