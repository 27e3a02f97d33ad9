"""What rules and costs of several engines share. Columnar: one instruction, or arrays of many."""

from __future__ import annotations

from typing import Any

import numpy as np

from isa.alu import AluOp
from isa.alu_reference import is_bitwise
from isa.dtypes import BF16, FP16, FP32, INTEGERS
from isa.hardware import Hardware
from isa.memory import PSUM, SBUF, Engine
from isa.tiles import Column, Immediate

INTEGER_CODES = tuple(sorted(int(d) for d in INTEGERS))
VECTOR_LIKE = (Engine.VECTOR, Engine.GPSIMD)


def present(operand: Any) -> Any:
    """Whether an optional operand is there."""
    if operand is None or isinstance(operand, Column | Immediate):
        return operand is not None
    return operand.present


def is_immediate(operand: Any) -> Any:
    """Whether a scalar operand is an immediate."""
    if operand is None or isinstance(operand, Column | Immediate):
        return isinstance(operand, Immediate)
    return operand.is_immediate


def element_bytes(tile: Any) -> Any:
    """Bytes of one element of a tile."""
    size = getattr(tile, "size_bytes", None)
    return tile.dtype.size_bytes if size is None else size


def num(tile: Any, dimension: int) -> Any:
    """Elements of one dimension of a tile, counted from the outermost."""
    return tile.nums[..., dimension] if isinstance(tile.nums, np.ndarray) else tile.nums[dimension]


def same_shape(a: Any, *others: Any) -> Any:
    """Whether tiles have as many free elements."""
    same: Any = True
    for b in others:
        same = same & (a.free == b.free)
    return same


def not_both_in_psum(a: Any, b: Any) -> Any:
    """Whether at most one of two tiles is in PSUM (neuron-facts 2.0)."""
    return (a.memory != PSUM) | (b.memory != PSUM)


def innermost_step(tile: Any) -> Any:
    """Step of the fastest dimension that has more than one element (1 if there is none)."""
    steps, nums = np.atleast_2d(tile.steps), np.atleast_2d(tile.nums)
    step = np.ones(len(steps), dtype=np.int64)
    for d in range(steps.shape[1]):
        step = np.where(nums[:, d] > 1, steps[:, d], step)
    return step if np.ndim(tile.steps) > 1 else step[0]


def bandwidth_cost(hw: Hardware, *tiles: Any) -> Any:
    """2 where a tile's fastest stride is above `slow_stride_bytes`, else 1 (neuron-facts 3.1)."""
    slow: Any = False
    for tile in tiles:
        step_bytes = np.abs(innermost_step(tile)) * element_bytes(tile)
        slow = slow | (step_bytes > hw.slow_stride_bytes)
    return np.where(slow, 2, 1)


def all_bf16(*tiles: Any) -> Any:
    """Whether every tile is BF16."""
    fast: Any = True
    for tile in tiles:
        fast = fast & (tile.dtype == BF16)
    return fast


def all_two_byte_floats(*tiles: Any) -> Any:
    """Whether every tile is BF16 or FP16."""
    fast: Any = True
    for tile in tiles:
        fast = fast & np.isin(tile.dtype, (BF16, FP16))
    return fast


def speed_up(hw: Hardware, src: Any, dst: Any) -> Any:
    """Elements a cycle and lane of a one-input operation from NeuronCore-v3 on (neuron-facts 3.2).

    Of BF16 and FP16: 4 if both tiles are contiguous in SBUF, 2 if one is in PSUM or strided, else
    1; 1 before v3.
    """
    fast = (hw.generation >= 3) & all_two_byte_floats(src, dst)
    in_sbuf = np.add(src.memory == SBUF, dst.memory == SBUF, dtype=np.int64)
    unit = (innermost_step(src) == 1) & (innermost_step(dst) == 1)
    rate = np.where((in_sbuf == 2) & unit, 4, np.where(in_sbuf >= 1, 2, 1))
    return np.where(fast, rate, 1)


def at_least(hw: Hardware, cycles: Any) -> Any:
    """`cycles`, or the engine's least interval between two instructions."""
    return np.maximum(hw.engine_min_interval, cycles)


def integers_of_one_size(*tiles: Any) -> Any:
    """Whether tiles hold integers, all of one size."""
    fits: Any = True
    for tile in tiles:
        fits = fits & np.isin(tile.dtype, INTEGER_CODES)
        fits = fits & (element_bytes(tile) == element_bytes(tiles[0]))
    return fits


def one_kind(*ops: Any) -> Any:
    """Whether all operators are arithmetic, or all bit-vector; bypass goes with both."""
    arithmetic: Any = False
    for op in ops:
        arithmetic = arithmetic | ((op < AluOp.INVERT) & (op != AluOp.BYPASS))
    return np.logical_not(is_bitwise(*ops) & arithmetic)


def columns_suit(tile: Any, bitwise: Any, *operands: Any) -> Any:
    """Whether each column is FP32 for arithmetic, and integers of the tile's size if `bitwise`."""
    suits: Any = True
    for operand in operands:
        if operand is None or isinstance(operand, Immediate):
            continue
        columns: Any = True if isinstance(operand, Column) else operand.is_column
        size = np.asarray(element_bytes(operand)) == element_bytes(tile)
        integers = np.isin(operand.dtype, INTEGER_CODES) & size
        good = np.where(bitwise, integers, np.asarray(operand.dtype) == FP32)
        suits = suits & (np.logical_not(columns) | good)
    return suits
