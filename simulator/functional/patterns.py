"""Access patterns, fast: elements of a memory -> consecutive words, back, and straight across.

An operand is a row of int64, `OPERAND_COLUMNS` wide: where its first element is and how its
dimensions walk, counted in elements, unit dimensions dropped and neighbours that run on joined.
Elements come in access-pattern order, partitions outermost. Everything was proved to lie inside its
memory when the table was made (`table.py`); indices are unsigned, which spares a test each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

# columns of an operand row
MEMORY, DTYPE, SIZE, BASE, PITCH, PARTITIONS, FREE = range(7)
NUMS, STEPS = 7, 12  # five each, outermost first
START = 17  # first partition
OPERAND_COLUMNS = 18


class Memories(NamedTuple):
    """The memories as flat arrays by code (DRAM, SBUF, PSUM), as bytes, halves and words.

    `psum` is PSUM as float32 [partitions, bytes a partition / 4].
    """

    bytes: tuple[NDArray[np.uint8], ...]
    halves: tuple[NDArray[np.uint16], ...]
    words: tuple[NDArray[np.uint32], ...]
    psum: NDArray[np.float32]


@njit(cache=True)
def gather(m, operand, out, shift):  # type: ignore[no-untyped-def]  # numba: Memories, int64 [18], ...
    """out[i] := element i as stored, zero-extended and shifted up by `shift` bits."""
    memory = operand[MEMORY]
    if operand[SIZE] == 4:
        _gather(m.words[memory], operand, out, np.uint32(0))
    elif operand[SIZE] == 2:
        _gather(m.halves[memory], operand, out, np.uint32(shift))
    else:
        _gather(m.bytes[memory], operand, out, np.uint32(0))


@njit(cache=True)
def scatter(m, operand, values):  # type: ignore[no-untyped-def]
    """Element i := the low bits of values[i], in order: the last of a place stays."""
    memory = operand[MEMORY]
    if operand[SIZE] == 4:
        _scatter(m.words[memory], operand, values)
    elif operand[SIZE] == 2:
        _scatter(m.halves[memory], operand, values)
    else:
        _scatter(m.bytes[memory], operand, values)


@njit(cache=True, inline="always")
def _gather(source, operand, out, shift):  # type: ignore[no-untyped-def]
    n0, n1, n2, n3, n = operand[NUMS : NUMS + 5]
    s0, s1, s2, s3, s = operand[STEPS : STEPS + 5]
    at, count, step = np.uint64(0), np.uint64(n), np.uint64(s)
    for p in range(operand[PARTITIONS]):
        row = operand[BASE] + p * operand[PITCH]
        for i0 in range(n0):
            for i1 in range(n1):
                for i2 in range(n2):
                    for i3 in range(n3):
                        first = np.uint64(row + i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3)
                        if s == 1:
                            for i in range(count):
                                out[at + i] = np.uint32(source[first + i]) << shift
                        else:
                            for i in range(count):
                                out[at + i] = np.uint32(source[first + i * step]) << shift
                        at += count


@njit(cache=True, inline="always")
def _scatter(target, operand, values):  # type: ignore[no-untyped-def]
    n0, n1, n2, n3, n = operand[NUMS : NUMS + 5]
    s0, s1, s2, s3, s = operand[STEPS : STEPS + 5]
    at, count, step = np.uint64(0), np.uint64(n), np.uint64(s)
    for p in range(operand[PARTITIONS]):
        row = operand[BASE] + p * operand[PITCH]
        for i0 in range(n0):
            for i1 in range(n1):
                for i2 in range(n2):
                    for i3 in range(n3):
                        first = np.uint64(row + i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3)
                        if s == 1:
                            for i in range(count):
                                target[first + i] = values[at + i]
                        else:
                            for i in range(count):
                                target[first + i * step] = values[at + i]
                        at += count


@njit(cache=True)
def copy(m, target, source):  # type: ignore[no-untyped-def]
    """Element i of target := element i of source, of one size; the two do not overlap."""
    a, b = target[MEMORY], source[MEMORY]
    if target[SIZE] == 4:
        _copy(m.words[a], target, m.words[b], source)
    elif target[SIZE] == 2:
        _copy(m.halves[a], target, m.halves[b], source)
    else:
        _copy(m.bytes[a], target, m.bytes[b], source)


@njit(cache=True, inline="always")
def _copy(out, target, values, source):  # type: ignore[no-untyped-def]
    """Two walks side by side; each stretch is as long as both innermost dimensions allow."""
    counters = np.zeros((2, 6), np.int64)
    to, start = target[BASE], source[BASE]
    to_step, from_step = target[STEPS + 4], source[STEPS + 4]
    to_num, from_num = target[NUMS + 4], source[NUMS + 4]
    left = target[PARTITIONS] * target[FREE]
    while left > 0:
        n = min(to_num - counters[0, 5], from_num - counters[1, 5])
        a, b, count = np.uint64(to), np.uint64(start), np.uint64(n)
        if to_step == 1 and from_step == 1:
            for i in range(count):
                out[a + i] = values[b + i]
        else:
            ua, ub = np.uint64(to_step), np.uint64(from_step)
            for i in range(count):
                out[a + i * ua] = values[b + i * ub]
        left -= n
        to = _advance(target, counters, 0, to, n)
        start = _advance(source, counters, 1, start, n)


@njit(cache=True, inline="always")
def _advance(operand, counters, side, at, n):  # type: ignore[no-untyped-def]
    """The place n elements further on, within the innermost dimension or just past its end."""
    counters[side, 5] += n
    at += n * operand[STEPS + 4]
    if counters[side, 5] < operand[NUMS + 4]:
        return at
    at -= operand[NUMS + 4] * operand[STEPS + 4]
    counters[side, 5] = 0
    for d in range(3, -1, -1):
        at += operand[STEPS + d]
        counters[side, d + 1] += 1
        if counters[side, d + 1] < operand[NUMS + d]:
            return at
        at -= operand[NUMS + d] * operand[STEPS + d]
        counters[side, d + 1] = 0
    return at + operand[PITCH]
