"""What each kind of instruction does, fast: operands to scratch, the operation, the result back.

Arguments everywhere: `m` the memories, `operands` the operand rows (`patterns.py`), `c` the
instruction's row (`forms.py`), `k` the scratch. Scratch holds an operand's elements one after the
other, partitions outermost, as FP32; each scratch array has its bits beside it (x and xw are one).
All inputs are read before a result is written.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isa.activation.fast import activate
from isa.alu import AluOp, ReduceCommand
from isa.dtypes import CANONICAL_NAN_BITS, DType
from simulator.functional.alu import combine, combine_bits, fold
from simulator.functional.conversions import narrow, widen
from simulator.functional.forms import (
    BANK,
    BITS0,
    BITS1,
    EXTRA,
    FLAGS,
    FULL_WIDTH,
    IMMEDIATE,
    NO_OPERAND,
    OP0,
    OP1,
    REVERSE0,
    REVERSE1,
    SCALAR0,
    SCALAR1,
    A,
    B,
    C,
)
from simulator.functional.forms import START as OPENS
from simulator.functional.patterns import (
    BASE,
    DTYPE,
    FREE,
    HIGH,
    LOW,
    MEMORY,
    NUMS,
    PARTITIONS,
    PITCH,
    SIZE,
    START,
    STEPS,
    copy,
    gather,
    scatter,
)
from simulator.kernels.matmul import matmul_tile_into

_BF16 = int(DType.BF16)
_ADD = int(AluOp.ADD)
_RESET, _IDLE = int(ReduceCommand.RESET), int(ReduceCommand.IDLE)
_RESET_REDUCE = int(ReduceCommand.RESET_REDUCE)
_ONE_BITS = 0x3F800000
_NAN = np.uint32(CANONICAL_NAN_BITS).view(np.float32)

# what the array holds: rows, columns, first partition, whether 32-bit, row of the load; -1 for none
HELD_ROWS, HELD_COLUMNS, HELD_START, HELD_WIDE, HELD_BY = range(5)


class Scratch(NamedTuple):
    """Working memory of the loop. Arrays named *w are the bits of those without."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    z: NDArray[np.float32]
    xw: NDArray[np.uint32]
    yw: NDArray[np.uint32]
    zw: NDArray[np.uint32]
    lanes: NDArray[np.uint32]
    stationary: NDArray[np.float32]
    held: NDArray[np.int64]
    sums: NDArray[np.float32]


@njit(cache=True)
def fetch(m, operand, words):  # type: ignore[no-untyped-def]
    """The operand's elements as FP32 bits. Returns how many."""
    n = operand[PARTITIONS] * operand[FREE]
    gather(m, operand, words, 16 if operand[DTYPE] == _BF16 else 0)
    widen(operand[DTYPE], words, n)
    return n


@njit(cache=True)
def store(m, operand, words):  # type: ignore[no-untyped-def]
    """Round FP32 bits to the operand's type, in place, and store them."""
    narrow(operand[DTYPE], words, operand[PARTITIONS] * operand[FREE])
    scatter(m, operand, words)


@njit(cache=True)
def spread(m, operands, place, bits, free, n, k, words):  # type: ignore[no-untyped-def]
    """words[:n] := an immediate, or each partition's value `free` times; FP32 bits."""
    if place == IMMEDIATE:
        word = np.uint32(bits)
        for i in range(n):
            words[i] = word
        return
    fetch(m, operands[place], k.lanes)
    spread_lanes(k.lanes, free, n, words)


@njit(cache=True)
def spread_lanes(lanes, free, n, words):  # type: ignore[no-untyped-def]
    """words[:n] := each lane's word `free` times."""
    at = np.uint64(0)
    for p in range(n // free):
        word = lanes[p]
        for i in range(np.uint64(free)):
            words[at + i] = word
        at += np.uint64(free)


# --- the tensor engine ---------------------------------------------------------------------------


@njit(cache=True)
def load(m, operands, c, row, k):  # type: ignore[no-untyped-def]
    """The stationary tile := the operand, as FP32."""
    operand = operands[c[B]]
    fetch(m, operand, k.stationary.view(np.uint32))
    k.held[HELD_ROWS], k.held[HELD_COLUMNS] = operand[PARTITIONS], operand[FREE]
    k.held[HELD_START], k.held[HELD_WIDE] = operand[START], c[FLAGS] & FULL_WIDTH
    k.held[HELD_BY] = row


@njit(cache=True)
def matmul(m, operands, c, k):  # type: ignore[no-untyped-def]
    """dst (+)= stationary x moving. Returns False, and does nothing, where the two do not suit."""
    dst, moving = operands[c[A]], operands[c[B]]
    depth, rows, columns = moving[PARTITIONS], dst[PARTITIONS], moving[FREE]
    suits = k.held[HELD_ROWS] == depth and k.held[HELD_COLUMNS] == rows
    suits = suits and k.held[HELD_START] == moving[START]
    if not suits or k.held[HELD_WIDE] != c[FLAGS] & FULL_WIDTH:
        return False
    fetch(m, moving, k.xw)
    stationary = k.stationary[: depth * rows].reshape(depth, rows)
    values = k.x[: depth * columns].reshape(depth, columns)
    accumulate = c[FLAGS] & OPENS == 0
    if dst[NUMS + 4] == columns and dst[STEPS + 4] == 1:
        corner = (dst[START], dst[BASE] - dst[START] * dst[PITCH])
        matmul_tile_into(stationary, values, m.psum, corner, accumulate)
        return True
    if accumulate:
        gather(m, dst, k.zw, 0)
    product = k.z[: rows * columns].reshape(rows, columns)
    matmul_tile_into(stationary, values, product, (0, 0), accumulate)
    scatter(m, dst, k.zw)
    return True


# --- the scalar engine ---------------------------------------------------------------------------


@njit(cache=True)
def activation(m, operands, c, k, tables):  # type: ignore[no-untyped-def]
    """dst := function(src * scale + bias); row sums to the reduce registers where asked for."""
    dst, src = operands[c[A]], operands[c[B]]
    n, free = fetch(m, src, k.xw), src[FREE]
    if c[SCALAR0] != IMMEDIATE or c[BITS0] != _ONE_BITS:
        spread(m, operands, c[SCALAR0], c[BITS0], free, n, k, k.yw)
        for i in range(n):
            k.x[i] = k.x[i] * k.y[i]
    if c[SCALAR1] != NO_OPERAND:
        spread(m, operands, c[SCALAR1], c[BITS1], free, n, k, k.yw)
        for i in range(n):
            k.x[i] = k.x[i] + k.y[i]
    alpha = np.uint32(c[EXTRA]).view(np.float32)
    activate(c[OP0], k.x[:n], alpha, k.z[:n], tables)
    if c[OP1] != _IDLE:
        add_rows(k.sums, c[OP1], k.z, n // free, free)
    store(m, dst, k.zw)
    if c[C] != NO_OPERAND:
        store_sums(m, operands[c[C]], k)


@njit(cache=True)
def add_rows(sums, command, values, rows, free):  # type: ignore[no-untyped-def]
    """Reset the reduce registers of `rows` lanes, or add each row's elements in order, or both."""
    for p in range(rows):
        total = np.float32(0) if command in (_RESET, _RESET_REDUCE) else sums[p]
        if command != _RESET:
            total = fold(_ADD, total, values, p * free, 1, free)
        sums[p] = total if total == total else _NAN


@njit(cache=True)
def store_sums(m, operand, k):  # type: ignore[no-untyped-def]
    """dst[p] := reduce register p."""
    for p in range(operand[PARTITIONS]):
        k.z[p] = k.sums[p]
    store(m, operand, k.zw)


# --- the vector engine ---------------------------------------------------------------------------


@njit(cache=True)
def tensor(m, operands, c, k):  # type: ignore[no-untyped-def]
    """dst := a op b."""
    fetch(m, operands[c[B]], k.xw)
    n = fetch(m, operands[c[C]], k.yw)
    combine(c[OP0], k.x, k.y, k.z, n)
    store(m, operands[c[A]], k.zw)


@njit(cache=True)
def tensor_bits(m, operands, c, k):  # type: ignore[no-untyped-def]
    """dst := a op b on stored patterns."""
    dst = operands[c[A]]
    gather(m, operands[c[B]], k.xw, 0)
    gather(m, operands[c[C]], k.yw, 0)
    combine_bits(c[OP0], k.xw, k.yw, k.zw, dst[PARTITIONS] * dst[FREE], 8 * dst[SIZE])
    scatter(m, dst, k.zw)


@njit(cache=True)
def scalars(m, operands, c, k):  # type: ignore[no-untyped-def]
    """dst := (src op0 operand0) op1 operand1."""
    src, dst = operands[c[B]], operands[c[A]]
    n = fetch(m, src, k.xw)
    spread(m, operands, c[SCALAR0], c[BITS0], src[FREE], n, k, k.yw)
    if c[FLAGS] & REVERSE0:
        combine(c[OP0], k.y, k.x, k.z, n)
    else:
        combine(c[OP0], k.x, k.y, k.z, n)
    if c[SCALAR1] == NO_OPERAND:
        store(m, dst, k.zw)
        return
    spread(m, operands, c[SCALAR1], c[BITS1], src[FREE], n, k, k.yw)
    if c[FLAGS] & REVERSE1:
        combine(c[OP1], k.y, k.z, k.x, n)
    else:
        combine(c[OP1], k.z, k.y, k.x, n)
    store(m, dst, k.xw)


@njit(cache=True)
def spread_patterns(m, operands, place, bits, src, n, k):  # type: ignore[no-untyped-def]
    """The same as `spread`, of stored patterns, to y."""
    width = 8 * src[SIZE]
    if place == IMMEDIATE:
        word = np.uint32(np.int64(bits) & ((np.int64(1) << width) - 1))
        for i in range(n):
            k.yw[i] = word
        return
    gather(m, operands[place], k.lanes, 0)
    spread_lanes(k.lanes, src[FREE], n, k.yw)


@njit(cache=True)
def scalars_bits(m, operands, c, k):  # type: ignore[no-untyped-def]
    """dst := (src op0 operand0) op1 operand1 on stored patterns."""
    src, dst = operands[c[B]], operands[c[A]]
    n, width = src[PARTITIONS] * src[FREE], 8 * src[SIZE]
    gather(m, src, k.xw, 0)
    spread_patterns(m, operands, c[SCALAR0], c[BITS0], src, n, k)
    if c[FLAGS] & REVERSE0:
        combine_bits(c[OP0], k.yw, k.xw, k.zw, n, width)
    else:
        combine_bits(c[OP0], k.xw, k.yw, k.zw, n, width)
    if c[SCALAR1] == NO_OPERAND:
        scatter(m, dst, k.zw)
        return
    spread_patterns(m, operands, c[SCALAR1], c[BITS1], src, n, k)
    if c[FLAGS] & REVERSE1:
        combine_bits(c[OP1], k.yw, k.zw, k.xw, n, width)
    else:
        combine_bits(c[OP1], k.zw, k.yw, k.xw, n, width)
    scatter(m, dst, k.xw)


@njit(cache=True)
def scalar_tensor(m, operands, c, k):  # type: ignore[no-untyped-def]
    """dst := (src op0 operand0) op1 other."""
    src = operands[c[B]]
    n = fetch(m, src, k.xw)
    spread(m, operands, c[SCALAR0], c[BITS0], src[FREE], n, k, k.yw)
    if c[FLAGS] & REVERSE0:
        combine(c[OP0], k.y, k.x, k.z, n)
    else:
        combine(c[OP0], k.x, k.y, k.z, n)
    fetch(m, operands[c[C]], k.yw)
    if c[FLAGS] & REVERSE1:
        combine(c[OP1], k.y, k.z, k.x, n)
    else:
        combine(c[OP1], k.z, k.y, k.x, n)
    store(m, operands[c[A]], k.xw)


@njit(cache=True, error_model="numpy")
def reduce(m, operands, c, k):  # type: ignore[no-untyped-def]
    """dst[i] := op over j of src[i, j], in order; negated where asked for."""
    n, each = fetch(m, operands[c[B]], k.xw), c[EXTRA]
    results = n // each
    done = add_four_rows(k.x, results, each, k.z) if c[OP0] == _ADD else 0
    for i in range(done, results):
        k.z[i] = fold(c[OP0], k.x[i * each], k.x, i * each + 1, 1, each - 1)
    if c[FLAGS]:
        for i in range(results):
            k.z[i] = -k.z[i]
    store(m, operands[c[A]], k.zw)


@njit(cache=True)
def add_four_rows(values, rows, each, out):  # type: ignore[no-untyped-def]
    """Sums of rows in order, four rows side by side. Returns how many rows are done."""
    done = rows - rows % 4
    by = np.uint64(each)
    for r in range(0, done, 4):
        at = np.uint64(r * each)
        a, b = values[at], values[at + by]
        c, d = values[at + by + by], values[at + by + by + by]
        for j in range(np.uint64(1), by):
            a += values[at + j]
            b += values[at + by + j]
            c += values[at + by + by + j]
            d += values[at + by + by + by + j]
        out[r], out[r + 1], out[r + 2], out[r + 3] = a, b, c, d
    return done


@njit(cache=True)
def fetch_as(m, operand, dtype, words):  # type: ignore[no-untyped-def]
    """The operand's elements as stored in a type: bit exact from the same one, else by FP32."""
    if operand[DTYPE] == dtype:
        gather(m, operand, words, 0)
        return
    n = fetch(m, operand, words)
    narrow(dtype, words, n)


@njit(cache=True)
def plain_copy(m, operands, c, k):  # type: ignore[no-untyped-def]
    """dst := src."""
    dst = operands[c[A]]
    fetch_as(m, operands[c[B]], dst[DTYPE], k.xw)
    scatter(m, dst, k.xw)


@njit(cache=True)
def select(m, operands, c, k):  # type: ignore[no-untyped-def]
    """dst := src where the predicate is not zero (where it is, if inverted)."""
    dst = operands[c[A]]
    fetch_as(m, operands[c[B]], dst[DTYPE], k.xw)
    gather(m, operands[c[C]], k.yw, 0)
    gather(m, dst, k.zw, 0)
    inverse, zero = c[FLAGS] != 0, np.uint32(0)
    for i in range(dst[PARTITIONS] * dst[FREE]):
        k.zw[i] = k.xw[i] if (k.yw[i] != zero) != inverse else k.zw[i]
    scatter(m, dst, k.zw)


@njit(cache=True)
def memset(m, operands, c, k):  # type: ignore[no-untyped-def]
    """dst := an immediate."""
    dst = operands[c[A]]
    k.lanes[0] = np.uint32(c[BITS0])
    narrow(dst[DTYPE], k.lanes, 1)
    n, word = dst[PARTITIONS] * dst[FREE], k.lanes[0]
    for i in range(n):
        k.zw[i] = word
    scatter(m, dst, k.zw)


@njit(cache=True)
def transpose(m, operands, c, k):  # type: ignore[no-untyped-def]
    """dst := src with each 32 x 32 block transposed, or a smaller whole."""
    src = operands[c[B]]
    rows, columns = src[PARTITIONS], src[FREE]
    gather(m, src, k.xw, 0)
    height, width = min(BANK, rows), min(BANK, columns)
    if rows <= BANK and columns <= BANK:
        pitch = rows
    else:
        height, width, pitch = BANK, BANK, columns
    for top in range(0, rows, height):
        for left in range(0, columns, width):
            for i in range(height):
                for j in range(width):
                    k.zw[(top + j) * pitch + left + i] = k.xw[(top + i) * columns + left + j]
    scatter(m, operands[c[A]], k.zw)


# --- the queues ----------------------------------------------------------------------------------


@njit(cache=True)
def transfer(m, operands, c):  # type: ignore[no-untyped-def]
    """dst := src in order, straight across where the two are apart and of one type."""
    dst, src = operands[c[A]], operands[c[B]]
    apart = dst[MEMORY] != src[MEMORY] or dst[LOW] >= src[HIGH] or src[LOW] >= dst[HIGH]
    if apart and dst[DTYPE] == src[DTYPE]:
        copy(m, dst, src)
        return
    words = np.empty(src[PARTITIONS] * src[FREE], np.uint32)
    fetch_as(m, src, dst[DTYPE], words)
    scatter(m, dst, words)
