"""What the compiled loop executes itself: the columns of an instruction's row, and how each kind
of instruction fills them.

A form names the operands that go to the row's places, and has a function
that fills in operators and flags and says which instructions its kernel can take: counts of
elements agree, and so on. Everything else is left to the reference interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isa.alu import AluOp, ReduceCommand
from isa.dtypes import FP32, TF32
from isa.memory import PSUM

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# columns of an instruction row
KIND, OP0, OP1, FLAGS, EXTRA = range(5)
A, B, C, SCALAR0, SCALAR1, SUMS = range(5, 11)  # rows of the operand table, or one of the two below
BITS0, BITS1 = 11, 12  # of immediates
RAW = 13  # 1 where elements are moved as stored, 0 where they pass through FP32
WAITS = 14  # semaphore, value, semaphore, value; a semaphore of -1 is no wait
SIGNAL, AMOUNT = 18, 19
CODE_COLUMNS = 20
OPERAND_SLOTS = (A, B, C, SCALAR0, SCALAR1, SUMS)
NO_OPERAND, IMMEDIATE = -1, -2

# kinds; B, C and the scalars are read, A and SUMS are written
REFERENCE, NOP, SEM_CLEAR, DMA, LOAD, MATMUL, ACTIVATION, READ_SUMS, ALU = range(9)
REDUCE, COPY, SELECT, MEMSET, TRANSPOSE = range(9, 14)

# flags
OPENS, FULL_WIDTH, DIRECT = 1, 2, 4  # of matmuls; FULL_WIDTH of loads too
REVERSE0, REVERSE1, SCALAR_FIRST, TILE_LAST = 1, 2, 4, 8  # of ALU
FLIP = 1  # reductions negate, selections invert
BANK = 32


class Operand(Protocol):
    """An operand of every instruction of a kind, as arrays. See isa.footprints.OperandColumns."""

    present: Bools
    memory: Ints
    dtype: Ints
    size: Ints
    partitions: Ints
    free: NDArray[np.float64]
    elements: NDArray[np.float64]
    nums: Ints


Tiles = dict[int, Any]
Fill = Callable[[Ints, Any, Tiles], Any]


@dataclass(frozen=True)
class Form:
    """How a kind of instruction becomes rows.

    `fill(rows, columns, tiles)` gets the rows with the kind filled in, the instruction's columns
    and its operands by place; it returns which rows the kernel can take.
    """

    kind: int
    operands: Mapping[int, str]
    fill: Fill


def _alike(*tiles: Any) -> Any:
    """Whether tiles have as many partitions and as many elements in each."""
    first, same = tiles[0], np.ones(len(tiles[0].free), np.bool_)
    for other in tiles[1:]:
        same &= (first.partitions == other.partitions) & (first.free == other.free)
    return same


def _scalars(rows: Ints, columns: Any, *names: str) -> None:
    """Fill immediates; columns are filled in with the other operands."""
    for place, bits, name in zip((SCALAR0, SCALAR1), (BITS0, BITS1), names, strict=False):
        operand = getattr(columns, name)
        rows[:, place] = np.where(operand.is_immediate, IMMEDIATE, NO_OPERAND)
        rows[:, bits] = operand.immediate_bits


def _nothing(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    return np.ones(len(rows), np.bool_)


def _sem_clear(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    rows[:, OP0] = columns.semaphore
    return np.ones(len(rows), np.bool_)


def _full_width(tile: Any) -> Any:
    return np.isin(tile.dtype, (FP32, TF32))


def _load(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    rows[:, FLAGS] = FULL_WIDTH * _full_width(tiles[B])
    return np.ones(len(rows), np.bool_)


def _matmul(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    """A product that does not lie in PSUM row by row is summed in scratch, over what C reads."""
    dst, moving = tiles[A], tiles[B]
    direct = DIRECT * dst.is_contiguous()
    rows[:, FLAGS] = OPENS * columns.start + FULL_WIDTH * _full_width(moving) + direct
    tiles[C] = dst.only_where((direct == 0) & ~columns.start)
    return (dst.free == moving.free) & (dst.memory == PSUM) & (dst.dtype == FP32)


def _activation(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    _scalars(rows, columns, "scale", "bias")
    rows[:, OP0], rows[:, EXTRA] = columns.function, columns.alpha
    rows[:, OP1] = ReduceCommand.RESET_REDUCE if SUMS in tiles else columns.reduce
    fits = _alike(tiles[A], tiles[B]) & (rows[:, OP1] != ReduceCommand.LOAD_REDUCE)
    if SUMS in tiles:
        fits &= (tiles[SUMS].free == 1) & (tiles[SUMS].partitions == tiles[A].partitions)
    return fits


def _read_sums(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    return tiles[SUMS].free == 1


def _bitwise(rows: Ints, size: Ints, *ops: Any) -> Any:
    """Mark the rows that work on stored patterns, and of how many bits."""
    found = np.zeros(len(rows), np.bool_)
    for op in ops:
        found |= op >= AluOp.INVERT
    rows[:, RAW], rows[:, EXTRA] = found, 8 * size
    return found


def _tensor(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    rows[:, OP0], rows[:, FLAGS] = columns.op, 0
    bitwise = _bitwise(rows, tiles[A].size, columns.op)
    return _alike(*(tiles[k] for k in (A, B, C))) & (~bitwise | _one_size(*tiles.values()))


def _tensor_power(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    rows[:, OP0], rows[:, FLAGS] = AluOp.POWER, 0
    return _alike(*(tiles[k] for k in (A, B, C)))


def _one_size(*tiles: Any) -> Any:
    """Whether elements of all tiles that are there have one size."""
    same = np.ones(len(tiles[0].size), np.bool_)
    for other in tiles[1:]:
        same &= ~other.present | (other.size == tiles[0].size)
    return same


def _tensor_scalar(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    _scalars(rows, columns, "operand0", "operand1")
    rows[:, OP0], rows[:, OP1] = columns.op0, columns.op1
    swaps = REVERSE0 * columns.reverse0 + REVERSE1 * columns.reverse1
    rows[:, FLAGS] = SCALAR_FIRST + swaps
    bitwise = _bitwise(rows, tiles[B].size, columns.op0, columns.op1)
    mask = np.where(bitwise, (1 << 8 * tiles[B].size) - 1, -1)
    rows[:, BITS0], rows[:, BITS1] = rows[:, BITS0] & mask, rows[:, BITS1] & mask
    suits = _has_bits(columns.op0) & (~columns.operand1.present | _has_bits(columns.op1))
    return _alike(tiles[A], tiles[B]) & (~bitwise | (suits & _one_size(*tiles.values())))


def _has_bits(op: Ints) -> Any:
    return (op >= AluOp.INVERT) | (op == AluOp.BYPASS)


def _scalar_tensor(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    _scalars(rows, columns, "operand0")
    rows[:, OP0], rows[:, OP1] = columns.op0, columns.op1
    swaps = REVERSE0 * columns.reverse0 + REVERSE1 * columns.reverse1
    rows[:, FLAGS] = SCALAR_FIRST + TILE_LAST + swaps
    arithmetic = (columns.op0 < AluOp.INVERT) & (columns.op1 < AluOp.INVERT)
    return _alike(*(tiles[k] for k in (A, B, C))) & arithmetic


def _reduce(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    kept = columns.kept()
    rows[:, OP0], rows[:, FLAGS] = columns.op, FLIP * columns.negate
    rows[:, EXTRA] = np.minimum(tiles[B].free, 1 << 40).astype(np.int64) // np.maximum(kept, 1)
    folds = np.isin(columns.op, (AluOp.ADD, AluOp.MULTIPLY, AluOp.MAX, AluOp.MIN))
    same = (tiles[A].free == kept) & (tiles[A].partitions == tiles[B].partitions)
    return same & folds & (columns.axes >= 1) & (columns.axes <= 4)


def _copy(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    rows[:, RAW] = tiles[A].dtype == tiles[B].dtype
    return _alike(tiles[A], tiles[B])


def _select(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    """The result is read too, in the place of scalar 0."""
    rows[:, FLAGS] = FLIP * columns.inverse
    rows[:, RAW] = tiles[A].dtype == tiles[B].dtype
    tiles[SCALAR0] = tiles[A]
    return _alike(*(tiles[k] for k in (A, B, C)))


def _memset(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    _scalars(rows, columns, "value")
    return columns.value.is_immediate


def _reciprocal(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    rows[:, OP0], rows[:, FLAGS] = AluOp.RECIPROCAL, SCALAR_FIRST
    rows[:, SCALAR0], rows[:, BITS0] = IMMEDIATE, 0
    return _alike(tiles[A], tiles[B])


def _transpose(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    dst, src = tiles[A], tiles[B]
    rows[:, RAW] = 1
    turned = (dst.partitions == src.free) & (dst.free == src.partitions)
    small = (src.partitions <= BANK) & (src.free <= BANK)
    whole = (src.partitions % BANK == 0) & (src.free % BANK == 0) & _alike(dst, src)
    return (dst.dtype == src.dtype) & np.where(small, turned, whole)


def _dma(rows: Ints, columns: Any, tiles: Tiles) -> Any:
    """Straight across where the two sides are apart and of one type, else through scratch."""
    dst, src = tiles[A], tiles[B]
    rows[:, RAW] = dst.dtype == src.dtype
    rows[:, KIND] = np.where(dst.apart_from(src) & (rows[:, RAW] == 1), DMA, COPY)
    return dst.elements == src.elements


_ACTIVATION = {A: "dst", B: "src", SCALAR0: "scale", SCALAR1: "bias"}
_SCALARS = {A: "dst", B: "src", SCALAR0: "operand0", SCALAR1: "operand1"}
_TWO = {A: "dst", B: "src"}

FORMS: dict[str, Form] = {
    "nop": Form(NOP, {}, _nothing),
    "drain": Form(NOP, {}, _nothing),
    "sem_clear": Form(SEM_CLEAR, {}, _sem_clear),
    "load_stationary": Form(LOAD, {B: "src"}, _load),
    "matmul": Form(MATMUL, {A: "dst", B: "moving"}, _matmul),
    "activation": Form(ACTIVATION, _ACTIVATION, _activation),
    "activation_reduce": Form(ACTIVATION, _ACTIVATION | {SUMS: "sums"}, _activation),
    "act_read_accumulator": Form(READ_SUMS, {SUMS: "dst"}, _read_sums),
    "act_tensor_scalar": Form(ALU, _SCALARS, _tensor_scalar),
    "act_tensor_copy": Form(COPY, _TWO, _copy),
    "tensor_tensor": Form(ALU, {A: "dst", B: "a", C: "b"}, _tensor),
    "tensor_power": Form(ALU, {A: "dst", B: "a", C: "b"}, _tensor_power),
    "tensor_scalar": Form(ALU, _SCALARS, _tensor_scalar),
    "scalar_tensor_tensor": Form(ALU, _TWO | {C: "other", SCALAR0: "operand0"}, _scalar_tensor),
    "tensor_reduce": Form(REDUCE, _TWO, _reduce),
    "tensor_copy": Form(COPY, _TWO, _copy),
    "tensor_copy_predicated": Form(SELECT, _TWO | {C: "predicate"}, _select),
    "memset": Form(MEMSET, {A: "dst"}, _memset),
    "reciprocal": Form(ALU, _TWO, _reciprocal),
    "vector_transpose": Form(TRANSPOSE, _TWO, _transpose),
    "dma_copy": Form(DMA, _TWO, _dma),
}
"""By mnemonic."""
