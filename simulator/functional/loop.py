"""The functional loop: instructions in a legal order, until all are done or Python must help.

Streams take turns; each runs on while its waits are met. A program without races ends in the same
state whatever the order (docs/isa/order.md).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.functional.engines import (
    activation,
    load,
    matmul,
    memset,
    plain_copy,
    reduce,
    scalar_tensor,
    scalars,
    scalars_bits,
    select,
    store_sums,
    tensor,
    tensor_bits,
    transfer,
    transpose,
)
from simulator.functional.forms import (
    ACTIVATION,
    AMOUNT,
    COPY,
    DMA,
    KIND,
    LOAD,
    MATMUL,
    MEMSET,
    NOP,
    OP0,
    READ_SUMS,
    REDUCE,
    REFERENCE,
    SCALAR_TENSOR,
    SCALARS,
    SCALARS_BITS,
    SELECT,
    SEM_CLEAR,
    SIGNAL,
    TENSOR,
    TENSOR_BITS,
    TRANSPOSE,
    WAITS,
    A,
)

DONE, DEADLOCK = -1, -2


@njit(cache=True)
def run(code, operands, end, at, semaphores, limits, m, k, tables):  # type: ignore[no-untyped-def]
    """Execute until done. Returns DONE, DEADLOCK, or the slot whose next instruction is not ours.

    `end`, `at` are rows by slot; `limits` holds the greatest semaphore value, steps left. An
    instruction that would overflow a semaphore or the step limit, or a matmul that does not suit
    the stationary tile, is not ours: the reference says what is wrong.
    """
    while True:
        done, progress = True, False
        for slot in range(len(end)):
            while at[slot] < end[slot]:
                i = at[slot]
                c = code[i]
                if not ready(c, semaphores):
                    break
                s = c[SIGNAL]
                if s >= 0 and semaphores[s] + c[AMOUNT] > limits[0]:
                    return slot
                if limits[1] == 0 or not execute(operands, c, i, semaphores, m, k, tables):
                    return slot
                limits[1] -= 1
                if s >= 0:
                    semaphores[s] += c[AMOUNT]
                at[slot] = i + 1
                progress = True
            done = done and at[slot] == end[slot]
        if done:
            return DONE
        if not progress:
            return DEADLOCK


@njit(cache=True)
def ready(c, semaphores):  # type: ignore[no-untyped-def]
    """Whether an instruction's waits are met."""
    if c[WAITS] >= 0 and semaphores[c[WAITS]] < c[WAITS + 1]:
        return False
    return c[WAITS + 2] < 0 or semaphores[c[WAITS + 2]] >= c[WAITS + 3]


@njit(cache=True)
def execute(operands, c, row, semaphores, m, k, tables):  # type: ignore[no-untyped-def]
    """Do what an instruction does, but signal. Returns False, and does nothing, if it is not ours."""
    kind = c[KIND]
    if kind == REFERENCE:
        return False
    if kind == MATMUL:
        return matmul(m, operands, c, k)
    if kind == LOAD:
        load(m, operands, c, row, k)
    elif kind == DMA:
        transfer(m, operands, c)
    elif kind == ACTIVATION:
        activation(m, operands, c, k, tables)
    elif kind == NOP:
        return True
    elif kind == SEM_CLEAR:
        if c[OP0] >= len(semaphores):
            return False
        semaphores[c[OP0]] = np.int64(0)
    elif kind == READ_SUMS:
        store_sums(m, operands[c[A]], k)
    else:
        _vector(kind, operands, c, m, k)
    return True


@njit(cache=True)
def _vector(kind, operands, c, m, k):  # type: ignore[no-untyped-def]
    if kind == TENSOR:
        tensor(m, operands, c, k)
    elif kind == SCALARS:
        scalars(m, operands, c, k)
    elif kind == SCALAR_TENSOR:
        scalar_tensor(m, operands, c, k)
    elif kind == REDUCE:
        reduce(m, operands, c, k)
    elif kind == COPY:
        plain_copy(m, operands, c, k)
    elif kind == SELECT:
        select(m, operands, c, k)
    elif kind == MEMSET:
        memset(m, operands, c, k)
    elif kind == TRANSPOSE:
        transpose(m, operands, c, k)
    elif kind == TENSOR_BITS:
        tensor_bits(m, operands, c, k)
    elif kind == SCALARS_BITS:
        scalars_bits(m, operands, c, k)
