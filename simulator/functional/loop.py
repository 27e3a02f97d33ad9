"""The functional loop: instructions in a legal order, until all are done or Python must help.

Streams take turns; each runs on while its waits are met. A program without races ends in the same
state whatever the order (docs/isa/order.md). Every instruction goes through the same stages: read
B, C and the scalars, operate, write A and SUMS (`forms.py` has the places, `stages.py` the work).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from isa.activation.fast import activate
from isa.alu import ReduceCommand
from isa.dtypes import DType
from simulator.functional.alu import combine, combine_bits, combine_lanes
from simulator.functional.conversions import narrow, widen
from simulator.functional.forms import (
    ACTIVATION,
    ALU,
    AMOUNT,
    BITS0,
    COPY,
    DIRECT,
    DMA,
    EXTRA,
    FLAGS,
    FULL_WIDTH,
    IMMEDIATE,
    KIND,
    LOAD,
    MATMUL,
    MEMSET,
    NO_OPERAND,
    NOP,
    OP0,
    OP1,
    RAW,
    REDUCE,
    REFERENCE,
    REVERSE0,
    SCALAR0,
    SCALAR1,
    SCALAR_FIRST,
    SELECT,
    SEM_CLEAR,
    SIGNAL,
    SUMS,
    TILE_LAST,
    TRANSPOSE,
    WAITS,
    A,
    B,
    C,
)
from simulator.functional.patterns import DTYPE, FREE, PARTITIONS, START, copy, gather, scatter
from simulator.functional.stages import (
    HELD_BY,
    HELD_COLUMNS,
    HELD_ROWS,
    HELD_START,
    HELD_WIDE,
    LANES0,
    LANES1,
    STATIONARY,
    W,
    X,
    Y,
    Z,
    add_rows,
    choose,
    matmul,
    reduce,
    scale_and_shift,
    spread,
    suits_stationary,
    transpose,
)

DONE, DEADLOCK = -1, -2
_BF16 = int(DType.BF16)
_IDLE = int(ReduceCommand.IDLE)


@njit(cache=True)
def run(code, operands, end, at, semaphores, limits, m, k, tables):  # type: ignore[no-untyped-def]
    """Execute until done. Returns DONE, DEADLOCK, or the slot whose next instruction is not ours.

    `end`, `at` are rows by slot; `limits` holds the greatest semaphore value, steps left; `m` the
    memories, `k` the scratch. An instruction that would overflow a semaphore or the step limit, or
    a matmul that does not suit the stationary tile, is not ours: the reference says what is wrong.
    """
    while True:
        done, progress = True, False
        for slot in range(len(end)):
            while at[slot] < end[slot] and ready(code[at[slot]], semaphores):
                i = at[slot]
                c = code[i]
                if limits[1] == 0 or not ours(operands, c, semaphores, limits, k):
                    return slot
                if c[KIND] == SEM_CLEAR:
                    semaphores[c[OP0]] = 0
                elif c[KIND] == DMA:
                    copy(m, operands[c[A]], operands[c[B]])
                elif c[KIND] != NOP:
                    read(operands, c, m, k)
                    result, n = operate(operands, c, i, m, k, tables)
                    write(operands, c, result, n, m, k)
                limits[1] -= 1
                if c[SIGNAL] >= 0:
                    semaphores[c[SIGNAL]] += c[AMOUNT]
                at[slot] = i + 1
                progress = True
            done = done and at[slot] == end[slot]
        if done:
            return DONE
        if not progress:
            return DEADLOCK


@njit(cache=True, inline="always")
def ready(c, semaphores):  # type: ignore[no-untyped-def]
    """Whether an instruction's waits are met."""
    first = c[WAITS] < 0 or semaphores[c[WAITS]] >= c[WAITS + 1]
    return first and (c[WAITS + 2] < 0 or semaphores[c[WAITS + 2]] >= c[WAITS + 3])


@njit(cache=True, inline="always")
def ours(operands, c, semaphores, limits, k):  # type: ignore[no-untyped-def]
    """Whether the loop can execute an instruction and signal."""
    fits = c[SIGNAL] < 0 or semaphores[c[SIGNAL]] + c[AMOUNT] <= limits[0]
    if c[KIND] == SEM_CLEAR:
        fits = fits and c[OP0] < len(semaphores)
    elif c[KIND] == MATMUL:
        fits = fits and suits_stationary(operands[c[A]], operands[c[B]], c, k.held)
    return fits and c[KIND] != REFERENCE


@njit(cache=True, inline="always")
def read(operands, c, m, k):  # type: ignore[no-untyped-def]
    """B to X, C to Y, scalars to their lanes; a load to the stationary tile."""
    for place in range(B, SCALAR1 + 1):
        row = c[place]
        to = place - B if place <= C else place - SCALAR0 + LANES0
        if c[KIND] == LOAD:
            to = STATIONARY
        elif c[KIND] == SELECT and place == SCALAR0:
            to = Z
        words = k.words[to]
        if row == IMMEDIATE:
            for p in range(len(words)):
                words[p] = np.uint32(c[BITS0 + place - SCALAR0])
        elif row != NO_OPERAND:
            operand = operands[row]
            raw = c[RAW] != 0 or (c[KIND] == SELECT and place != B)
            dtype = operand[DTYPE]
            gather(m, operand, words, 16 if dtype == _BF16 and not raw else 0)
            if not raw:
                widen(dtype, words, operand[PARTITIONS] * operand[FREE])


@njit(cache=True, inline="always")
def operate(operands, c, row, m, k, tables):  # type: ignore[no-untyped-def]
    """The instruction proper. Returns the scratch array of its result (-1: none) and its length."""
    kind, result, n, free = c[KIND], Z, 0, 1
    if c[B] >= 0:
        free = operands[c[B]][FREE]
        n = free * operands[c[B]][PARTITIONS]
    if kind == MATMUL:
        matmul(operands, c, m.psum, k)
        n = operands[c[A]][PARTITIONS] * free
        result = -1 if c[FLAGS] & DIRECT else Y
    elif kind == LOAD:
        hold(operands[c[B]], c, row, k.held)
        result = -1
    elif kind == ALU:
        result = compute(c, n, free, k)
    elif kind == ACTIVATION:
        biased = c[SCALAR1] != NO_OPERAND
        scale_and_shift(k.floats[X], k.floats[LANES0], k.floats[LANES1], biased, free, n)
        alpha = np.uint32(c[EXTRA]).view(np.float32)
        activate(c[OP0], k.floats[X][:n], alpha, k.floats[Z][:n], tables)
        if c[OP1] != _IDLE:
            add_rows(k.sums, c[OP1], k.floats[Z], n // free, free)
    elif kind == REDUCE:
        n = n // c[EXTRA]
        reduce(c[OP0], c[FLAGS] != 0, k.floats[X], n, c[EXTRA], k.floats[Z])
    elif kind == COPY:
        result = X
    elif kind == SELECT:
        if c[RAW] == 0:
            narrow(operands[c[A]][DTYPE], k.words[X], n)
        choose(k.words[X], k.words[Y], k.words[Z], c[FLAGS] != 0, n)
    elif kind == TRANSPOSE:
        transpose(k.words[X], n // free, free, k.words[Z])
    elif kind == MEMSET:
        free = operands[c[A]][FREE]
        n = free * operands[c[A]][PARTITIONS]
        spread(k.words[LANES0], free, n, k.words[Z])
    return result, n


@njit(cache=True, inline="always")
def hold(src, c, row, held):  # type: ignore[no-untyped-def]
    """Note what the array holds now."""
    held[HELD_ROWS], held[HELD_COLUMNS] = src[PARTITIONS], src[FREE]
    held[HELD_START], held[HELD_WIDE], held[HELD_BY] = src[START], c[FLAGS] & FULL_WIDTH, row


@njit(cache=True, inline="always")
def compute(c, n, free, k):  # type: ignore[no-untyped-def]
    """X op0 other, then op1 other where there is a second. Returns the array of the result."""
    at = X
    for step in range(2):
        first = step == 0
        second_tile = c[FLAGS] & TILE_LAST != 0
        if not first and not second_tile and c[SCALAR1] == NO_OPERAND:
            break
        other, out, done = Y, Z if first else X, False
        swapped = c[FLAGS] & (REVERSE0 << step) != 0
        if c[FLAGS] & SCALAR_FIRST != 0 and (first or not second_tile):
            other = W
            if not swapped and c[RAW] == 0:
                lanes = k.floats[LANES0 + step]
                done = combine_lanes(c[OP0 + step], k.floats[at], lanes, k.floats[out], free, n)
            if not done:
                spread(k.words[LANES0 + step], free, n, k.words[W])
        left, right = (other, at) if swapped else (at, other)
        if c[RAW]:
            width = c[EXTRA]
            combine_bits(c[OP0 + step], k.words[left], k.words[right], k.words[out], n, width)
        elif not done:
            combine(c[OP0 + step], k.floats[left], k.floats[right], k.floats[out], n)
        at = out
    return at


@njit(cache=True, inline="always")
def write(operands, c, result, n, m, k):  # type: ignore[no-untyped-def]
    """The result to A, the reduce registers to SUMS, rounded to their types."""
    for target in range(2):
        row = c[A] if target == 0 else c[SUMS]
        to = result if target == 0 else W
        if row == NO_OPERAND or to < 0:
            continue
        operand = operands[row]
        if target == 1:
            n = operand[PARTITIONS]
            for p in range(n):
                k.floats[W][p] = k.sums[p]
        if c[RAW] == 0 and c[KIND] != SELECT:
            narrow(operand[DTYPE], k.words[to], n)
        scatter(m, operand, k.words[to])
