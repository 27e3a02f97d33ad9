"""The product of one stationary and one moving tile, fast, in the order of the systolic array.

In    stationary [K, M] and moving [K, N], C-contiguous, float32 (or int8)
Out   out [M, N], float32 (or int32), overwritten or added to
Read  `isa/fma.py` for what the product is; a test holds these kernels to it bit for bit.

The product is cut into blocks that fit the vector registers (`blocks.py`). One operand gives a
block its rows, the other its columns, along the lanes; the choice is free, since a product does not
depend on the order of its factors, so a narrow moving tile takes the rows. The last block of a row
or column of blocks overlaps the one before it and stores only what is new.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from isa.fma import CANONICAL_NAN
from simulator.kernels.blocks import block_product, block_shape, cpu_features, panel_copy

Float32Array = npt.NDArray[np.float32]

_ROWS, _COLUMNS = block_shape(cpu_features())
_FEW_ROWS = _ROWS // 2
_WIDE = 2 * _COLUMNS
_REUSE = 3
"""A panel used by more rows of blocks than this is first copied to consecutive memory."""

_full_block = block_product(_ROWS, _COLUMNS)
_low_block = block_product(_FEW_ROWS, _COLUMNS)
_row_block = block_product(1, _WIDE)
_copy_panel = panel_copy(_COLUMNS)
_copy_wide_panel = panel_copy(_WIDE)

_NAN = CANONICAL_NAN


@njit(cache=True)
def matmul_tile(stationary: Float32Array, moving: Float32Array, out: Float32Array) -> None:
    """out[m, n] := the sum over k, in order, of stationary[k, m] * moving[k, n], fused.

    Every step rounds once; the sum starts at +0; a NaN result is the canonical one.
    """
    _product(stationary, moving, out, (0, 0), False)


@njit(cache=True)
def matmul_tile_accumulate(
    stationary: Float32Array, moving: Float32Array, out: Float32Array
) -> None:
    """out[m, n] := out[m, n] + the product, which is summed by itself as in `matmul_tile`."""
    _product(stationary, moving, out, (0, 0), True)


@njit(cache=True)
def matmul_tile_into(
    stationary: Float32Array,
    moving: Float32Array,
    out: Float32Array,
    corner: tuple[int, int],
    accumulate: bool,
) -> None:
    """The same into the part of a larger `out` that begins at row and column `corner`."""
    _product(stationary, moving, out, corner, accumulate)


@njit(cache=True)
def matmul_tile_int8(
    stationary: npt.NDArray[np.int8], moving: npt.NDArray[np.int8], out: npt.NDArray[np.int32]
) -> None:
    """out[m, n] := the sum over k of stationary[k, m] * moving[k, n], modulo 2**32."""
    for m in range(out.shape[0]):
        for n in range(out.shape[1]):
            out[m, n] = 0
    matmul_tile_int8_accumulate(stationary, moving, out)


@njit(cache=True)
def matmul_tile_int8_accumulate(
    stationary: npt.NDArray[np.int8], moving: npt.NDArray[np.int8], out: npt.NDArray[np.int32]
) -> None:
    """out[m, n] := out[m, n] + the sum over k of the products, modulo 2**32."""
    depth, rows = stationary.shape
    for m in range(rows):
        for k in range(depth):
            weight = np.int64(stationary[k, m])
            for n in range(moving.shape[1]):
                out[m, n] = np.int32(np.int64(out[m, n]) + weight * np.int64(moving[k, n]))


@njit(cache=True)
def _product(
    stationary: Float32Array,
    moving: Float32Array,
    out: Float32Array,
    corner: tuple[int, int],
    accumulate: bool,
) -> None:
    m, n = stationary.shape[1], moving.shape[1]
    if _block_count(n, m) < _block_count(m, n):
        _multiply(moving, stationary, out, corner, True, accumulate)
    else:
        _multiply(stationary, moving, out, corner, False, accumulate)


@njit(cache=True)
def _block_count(rows: int, columns: int) -> int:
    return -(-rows // _ROWS) * -(-columns // _COLUMNS)


@njit(cache=True)
def _multiply(
    a: Float32Array,
    b: Float32Array,
    out: Float32Array,
    corner: tuple[int, int],
    transposed: bool,
    accumulate: bool,
) -> None:
    """out := a.T @ b, or its transpose; `a` gives the rows of the blocks and `b` their columns."""
    depth, rows = a.shape
    columns, pitch = b.shape[1], out.shape[1]
    origin = corner[0] * pitch + corner[1]
    height, width = _block_for(rows)
    packed = columns < width or rows > _REUSE * height
    panel = np.empty((depth if packed else 0, width), dtype=np.float32)
    tile = np.empty((height, width), dtype=np.float32)
    for column in range(0, columns, width):
        left = max(0, min(column, columns - width))
        source, first = (panel, 0) if packed else (b, left)
        if packed:
            _pack(b, left, panel)
        for row in range(0, rows, height):
            top = min(row, rows - height)
            whole = not transposed and top == row and left == column and width <= columns
            target = out if whole else tile
            start, stride = (origin + top * pitch + left, pitch) if whole else (0, width)
            add = accumulate and whole
            _block(
                height,
                a,
                top,
                rows,
                source,
                first,
                source.shape[1],
                depth,
                target,
                start,
                stride,
                add,
            )
            if not whole:
                end = min(width, columns - left)
                skip = (row - top, column - left, end)
                at = (corner[0] + left, corner[1] + top)
                if not transposed:
                    at = (corner[0] + top, corner[1] + left)
                _store(tile, skip, out, at, transposed, accumulate)


@njit(cache=True)
def _block_for(rows: int) -> tuple[int, int]:
    if rows >= _ROWS:
        return _ROWS, _COLUMNS
    if rows >= _FEW_ROWS:
        return _FEW_ROWS, _COLUMNS
    return 1, _WIDE


@njit(cache=True)
def _block(height, *operands):  # type: ignore[no-untyped-def]  # as `block_product` says
    if height == _ROWS:
        _full_block(*operands)
    elif height == _FEW_ROWS:
        _low_block(*operands)
    else:
        _row_block(*operands)


@njit(cache=True)
def _pack(b: Float32Array, left: int, panel: Float32Array) -> None:
    """Copy the columns of `b` from `left` on to consecutive memory; zeros where `b` ends."""
    depth, width = panel.shape
    valid = min(width, b.shape[1] - left)
    if valid == width == _COLUMNS:
        _copy_panel(b, left, b.shape[1], depth, panel)
    elif valid == width == _WIDE:
        _copy_wide_panel(b, left, b.shape[1], depth, panel)
    else:
        for k in range(depth):  # element by element: slices take seconds to compile
            for j in range(width):
                panel[k, j] = b[k, left + j] if j < valid else 0


@njit(cache=True)
def _store(
    tile: Float32Array,
    part: tuple[int, int, int],
    out: Float32Array,
    corner: tuple[int, int],
    transposed: bool,
    accumulate: bool,
) -> None:
    """Write rows [part[0], all) and columns [part[1], part[2]) of a block to `out` at a corner."""
    for i in range(part[0], tile.shape[0]):
        for j in range(part[1], part[2]):
            m, n = (corner[0] + j, corner[1] + i) if transposed else (corner[0] + i, corner[1] + j)
            value = tile[i, j]
            if accumulate:
                value = out[m, n] + value
            out[m, n] = value if value == value else _NAN
