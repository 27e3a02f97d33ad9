"""Convolutions whose rows lie in blocks, side by side as channels (`graph_passes/fold_rows.py`).

Into blocks     each block of rows is a product of its own, written to partitions of its own
Among blocks    one group a block; the rows at a block's border come from its neighbour
Out of blocks   each block is read from its own partitions
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from compiler.graph.attrs import integer, integers, pairs
from compiler.graph.graph import Array, Node
from compiler.lowering.context import Lowering, Spec, device_dtype
from compiler.lowering.contract import Epilogue, contract
from compiler.lowering.depthwise import boxes, dense_tile
from compiler.lowering.terms import Term
from compiler.lowering.weights import Behind, Shifted, packed_weights
from compiler.tiles.view import View, joined_dims
from isa.dtypes import DType
from isa.kernel import Ap


def folds(node: Node) -> tuple[int, int]:
    """Blocks of rows in the input and in the output."""
    blocks_in, blocks_out = integers(node, "folds")
    return blocks_in, blocks_out


def shared_rows(node: Node) -> tuple[int, int]:
    """Rows that a block of the input and of the output has of the one in front."""
    shared_in, shared_out = integers(node, "shared")
    return shared_in, shared_out


def rows_read(node: Node, block: int, first: int, count: int) -> list[tuple[int, int, int]]:
    """Rows [first, first + count) of a block of the output: (place among them, row, rows) of runs
    of rows of the whole. In front of the first are `lead` that repeat it."""
    apart = node.output.shape[2] - shared_rows(node)[1]
    row = block * apart + first - integer(node, "lead")
    ahead = min(count, max(0, -row))
    runs = [(i, 0, 1) for i in range(ahead)]
    return [*runs, (ahead, row + ahead, count - ahead)] if count > ahead else runs


def into_blocks(
    lo: Lowering,
    node: Node,
    behind: Epilogue,
    terms: list[Term],
    need: Callable[[int, int], None] | None = None,
) -> None:
    """Terms over all rows of the output (weights [1, O, 1, 1, k]): each block of rows apart.

    `need` is called with each range of rows before it is read.
    """
    _, channels, rows, width = node.output.shape
    blocks = folds(node)[1]
    each = channels // blocks
    for box in boxes((rows, width), lo.hw.pe_moving_max):
        (r, height), (c, columns) = box
        n = height * columns
        buffer = lo.kernel.psum(channels, "product")
        where = [(0, 1), (0, channels), *box]
        for block in range(blocks):
            for at, row, count in rows_read(node, block, r, height):
                if need is not None:
                    need(row, row + count)
                size = ((1, count * columns),)
                target = Ap(buffer, block * each, each, 4 * at * columns, DType.FP32, size)
                for i, term in enumerate(terms):
                    part = term.moving.slice(2, row, count)
                    part = part.slice(3, c, columns) if part is not None else None
                    assert part is not None, "rows and columns of a moving view are free"
                    side, seen = _run(term.stationary, (1,)), _run(part, (0, 2, 3))
                    last = i == len(terms) - 1
                    lo.kernel.matmul(target, side, seen, start=i == 0, stop=last)
        lo.load.pe += blocks * len(terms) * n / lo.hw.pe_clock_hz
        behind(dense_tile(buffer, DType.FP32, where), where)


def _run(view: View, free: tuple[int, ...]) -> Ap:
    """The operand over the dimensions `free`; the last dimension, on partitions, is summed over."""
    rows = math.prod(f.extent for f in view.factors[-1])
    dims = joined_dims([(f.stride, f.extent) for d in free for f in view.factors[d]])
    offset = view.offset * view.dtype.size_bytes
    return Ap(view.buffer, view.start, rows, offset, view.dtype, dims)


def out_of_blocks(lo: Lowering, node: Node, spec: Spec, behind: Behind, weights: Array) -> None:
    """A convolution of one tap that reads blocks and writes rows; weights [O, C, 1, 1]."""
    blocks = folds(node)[0]
    outputs, channels = weights.shape[:2]
    view = lo.view(node.inputs[0], Spec.of(node.inputs[0].shape, 1))
    rows, width = view.shape[2:]
    moving = replace(
        view,
        shape=(1, 1, rows, width, view.shape[1]),
        factors=(view.factors[0], (), view.factors[2], view.factors[3], view.factors[1]),
    )
    dtype, name = device_dtype(node.inputs[1].dtype), node.inputs[1].name
    image = np.tile(weights.reshape(1, outputs, channels), (1, 1, blocks))
    packed = packed_weights(lo, image, moving, dtype, name)
    stationary = replace(
        packed,
        shape=(1, outputs, 1, 1, packed.shape[-1]),
        factors=((), packed.factors[1], (), (), packed.factors[2]),
    )
    for block in range(blocks):
        first = shared_rows(node)[0] if block else 0  # these the block in front has done
        lower = moving.slice(2, first, rows - first)
        assert lower is not None, "rows are free"
        sides = [v.slice(4, block * channels, channels) for v in (stationary, lower)]
        assert sides[0] is not None, "a block has partitions of its own"
        assert sides[1] is not None, "a block has partitions of its own"
        after = Shifted(behind, 2, block * (rows - shared_rows(node)[0]) + first)
        terms = [Term(sides[0], sides[1])]
        contract(lo, (1, outputs, rows - first, width), 1, spec.block, terms, after)


def block_diagonal(weights: Array, groups: int) -> Array:
    """Grouped weights [O, C / groups, *K] as full ones [O, C, *K], zero across groups."""
    outputs, each = weights.shape[0] // groups, weights.shape[1]
    full = np.zeros((weights.shape[0], each * groups, *weights.shape[2:]), weights.dtype)
    for g in range(groups):
        rows = slice(g * outputs, (g + 1) * outputs)
        full[rows, g * each : (g + 1) * each] = weights[rows]
    return full


def fetch_borders(lo: Lowering, node: Node, view: View) -> None:
    """Fill the rows at the border of each block from its neighbour; `view` is the padded input."""
    blocks = folds(node)[0]
    low, high = pairs(node, "pads")[0]
    span = (node.inputs[1].shape[2] - 1) * integers(node, "dilations")[0] + 1
    below = max(0, span - low - integers(node, "strides")[0])
    rows, each = view.shape[2] - low - high, view.shape[1] // blocks
    key = (view.buffer.id, low, below)
    if key in lo.bordered:
        return
    lo.bordered.add(key)
    for block in range(1, blocks):
        if low:  # the last rows of the block above
            _copy_rows(lo, view, (block, 0), (block - 1, rows), low, each)
        if below:  # and for that one the first rows of this
            _copy_rows(lo, view, (block - 1, low + rows), (block, low), below, each)


def _copy_rows(
    lo: Lowering, view: View, to: tuple[int, int], source: tuple[int, int], count: int, each: int
) -> None:
    """Copy rows between blocks; (block, first row)."""
    sides = []
    for block, first in (to, source):
        part = view.slice(1, block * each, each)
        part = part.slice(2, first, count) if part is not None else None
        assert part is not None, "a block has partitions of its own, and rows are free"
        sides.append(part)
    lo.copy(sides[0], sides[1])


def repeated(weights: Array, blocks: int) -> Array:
    """Depthwise weights once for each block."""
    return np.tile(weights, (blocks, *([1] * (weights.ndim - 1))))


def rows_in_all(node: Node) -> tuple[int, ...]:
    """The spatial extents of the output, with the rows of all blocks."""
    shape = node.output.shape
    blocks, blocks_out = folds(node)
    twice = (blocks_out - 1) * shared_rows(node)[1] + integer(node, "lead")
    return (shape[2] * blocks_out - twice if blocks == 1 else shape[2], *shape[3:])
