"""Channels in pieces: where on the partitions engines can write them.

Channels lie on partitions in blocks, and an operand of an engine begins at a quadrant only, with as
many partitions as `MOST` says. So channels that begin inside a block are cut, and filled up with
channels of zeros to where the next ones may begin.

Read  `align_concat.py` and `place_channels.py`, which cut concatenations so
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compiler.graph.graph import Array

BLOCK, QUADRANT = 128, 32
MOST = {0: 128, 32: 32, 64: 64, 96: 32}
"""By first partition, the most that an engine's operand may have."""
Map = NDArray[np.int64]
"""For each channel its position in a padded value."""


@dataclass(frozen=True)
class Piece:
    """Channels [first, first + size) of a part, padded to `room`."""

    first: int
    size: int
    room: int


def cut_in_pieces(at: int, size: int, last: bool) -> list[Piece]:
    """Cut so that each piece lies in one block from a legal start; whole blocks stay together."""
    out, first = list[Piece](), 0
    while first < size:
        place = at % BLOCK
        left = size - first
        share = left if place == 0 else min(left, MOST[place])
        room = share if last and share == left else -(-share // QUADRANT) * QUADRANT
        out.append(Piece(first, share, room))
        first, at = first + share, at + room
    return out


def cut_out(array: Array, axis: int, piece: Piece) -> Array:
    """A piece along an axis, with zeros behind it."""
    index = (slice(None),) * axis + (slice(piece.first, piece.first + piece.size),)
    fill = [(0, piece.room - piece.size if d == axis else 0) for d in range(array.ndim)]
    return np.pad(array[index], fill) if piece.room > piece.size else array[index]


def placed(array: Array, axis: int, positions: Map, extent: int) -> Array:
    """The array with its elements along an axis at these positions, zeros elsewhere."""
    shape = list(array.shape)
    shape[axis] = extent
    out = np.zeros(shape, array.dtype)
    out[(slice(None),) * axis + (positions,)] = array
    return out
