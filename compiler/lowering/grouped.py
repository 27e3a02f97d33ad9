"""Convolution with weights in classes: spread on chip, so that DRAM holds no zeros.

    full[c, (t, o)] = w[o, c, t] if o is of the class of c, else 0

DRAM has for each channel the weights of its own class's outputs. A class's rows lie anywhere, and
engines begin at every 32nd partition only: so a class is copied with all rows of its block of
channels, times a column that is 1 in the class's own. What is all zeros for 64 outputs is no pass
of the array.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compiler.graph.graph import Node
from compiler.lowering.classes import NONE, Classes
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.contract import Term, contract
from compiler.lowering.weights import Behind, Shifted
from compiler.tiles.view import Factor, View
from isa.dtypes import DType
from isa.kernel import Ap, Buffer


def grouped(
    lo: Lowering, node: Node, spec: Spec, behind: Behind, moving: list[View], classes: Classes
) -> None:
    """y = conv(x, w): each block of outputs reads the channels of its classes.

    Args:
        moving: for each tap the input [N, 1, *spatial, C], from partition 0.
    """
    made = _Weights.load(lo, node, classes)
    shape = node.output.shape
    for first in range(0, shape[1], spec.block):
        size = min(spec.block, shape[1] - first)
        live = made.live(first, size)
        full = made.full(first, size, live)
        terms = []
        for t, view in enumerate(moving):
            for i, (b, pieces) in enumerate(live.items()):
                channels = min(made.block, made.channels - b * made.block)
                seen = view.slice(len(view.shape) - 1, b * made.block, channels)
                assert seen is not None, "blocks of channels can be cut"
                ones: list[tuple[Factor, ...]] = [()] * (len(shape) - 2)
                factors = ((), (Factor(size, 1),), *ones, (Factor(channels, 1, True),))
                extents = (1, size, *([1] * len(ones)), channels)
                at = (i * made.taps + t) * size
                weights = View(full, made.dtype, extents, factors, 0, at)
                terms.append(Term(weights, seen, frozenset(pieces)))
        here = (shape[0], size, *shape[2:])
        contract(lo, here, 1, spec.block, terms, Shifted(behind, 1, first))


Live = dict[int, list[int]]
"""For each block of channels the outputs at which its pieces begin that are not all zero."""


@dataclass(frozen=True)
class _Weights:
    """The weights on chip: `compact` [rows of a block, (block, tap, output of the class)]."""

    lo: Lowering
    classes: Classes
    dtype: DType
    compact: Buffer
    marks: Buffer
    places: dict[bytes, int]
    block: int
    name: str

    @property
    def channels(self) -> int:
        return len(self.classes.channels)

    @property
    def taps(self) -> int:
        return int(self.classes.rows.shape[1])

    @staticmethod
    def load(lo: Lowering, node: Node, classes: Classes) -> _Weights:
        channels, taps, per = classes.rows.shape
        dtype, name = device_dtype(node.inputs[1].dtype), node.inputs[1].name
        block = min(PARTITIONS, channels)
        blocks, whole = -(-channels // block), channels // block
        marks, places = _marks(lo, classes, block)
        rows = classes.rows.reshape(channels, taps * per)
        row_bytes = taps * per * dtype.size_bytes
        compact = lo.kernel.sbuf(block, blocks * row_bytes, name)
        image = rows[: whole * block].reshape(whole, block, -1).transpose(1, 0, 2)
        lo.constant_into(image.reshape(block, -1), dtype, compact, 0, name)
        if whole < blocks:  # the last block has fewer channels
            lo.constant_into(rows[whole * block :], dtype, compact, whole * row_bytes, name)
        return _Weights(lo, classes, dtype, compact, marks, places, block, name)

    def live(self, first: int, size: int) -> Live:
        """What outputs [first, first + size) read."""
        found: Live = {}
        columns, named = self.lo.hw.pe_columns, self.classes.outputs[first : first + size]
        for b in range(-(-self.channels // self.block)):
            here = np.unique(self.classes.channels[b * self.block : (b + 1) * self.block])
            here = here[here != NONE]
            pieces = [
                at
                for at in range(0, size, columns)
                if np.isin(named[at : at + columns], here).any()
            ]
            if pieces:
                found[b] = pieces
        lead = next(iter(found), 0)
        for at in range(0, size, columns):  # outputs that read nothing are zeros all the same
            if not any(at in pieces for pieces in found.values()):
                found.setdefault(lead, []).append(at)
        return found

    def full(self, first: int, size: int, live: Live) -> Buffer:
        """[rows, (live block, tap, output)] of outputs [first, first + size), with their zeros."""
        item, width = self.dtype.size_bytes, self.taps * size
        name = f"{self.name}/spread"
        buffer = self.lo.kernel.sbuf(self.block, len(live) * width * item, name)
        named = self.classes.outputs[first : first + size]
        for i, (b, pieces) in enumerate(live.items()):
            own = self.classes.channels[b * self.block : (b + 1) * self.block]
            for j in np.unique(named):
                at = np.flatnonzero(named == j)
                needed = np.isin(at // self.lo.hw.pe_columns * self.lo.hw.pe_columns, pieces)
                if not needed.any():
                    continue
                meets = j != NONE and bool((own == j).any())
                for start, step, place, count in _runs(at, self.classes.place[first + at]):
                    dims = ((size, self.taps), (step, count))
                    out = Ap(buffer, 0, len(own), (i * width + start) * item, self.dtype, dims)
                    if meets:
                        self._place(out, b, int(j), place, count)
                    else:
                        self.lo.kernel.memset(out, 0.0)
        return buffer

    def _place(self, out: Ap, b: int, j: int, place: int, count: int) -> None:
        """Copy outputs [place, place + count) of a class, zeros in the rows of others."""
        per = self.classes.rows.shape[2]
        at = (b * self.taps * per + place) * self.dtype.size_bytes
        dims = ((per, self.taps), (1, count))
        source = Ap(self.compact, 0, out.partitions, at, self.dtype, dims)
        own = self.classes.channels[b * self.block : (b + 1) * self.block]
        if np.isin(own, (j, NONE)).all():
            self.lo.engine_copy(out, source)
            return
        mark = self.places[_mark(own == j, self.block)]
        column = Ap(self.marks, 0, out.partitions, 4 * mark, DType.FP32, ((0, 1),))
        self.lo.engine_scale(out, source, column)


def _mark(own: NDArray[np.bool_], block: int) -> bytes:
    return np.pad(own, (0, block - len(own))).tobytes()


def _marks(lo: Lowering, classes: Classes, block: int) -> tuple[Buffer, dict[bytes, int]]:
    """Columns of 0 and 1, one for each set of rows that a class has in a block."""
    places: dict[bytes, int] = {}
    for b in range(0, len(classes.channels), block):
        own = classes.channels[b : b + block]
        for j in np.unique(own[own != NONE]):
            places.setdefault(_mark(own == j, block), len(places))
    key: tuple[int | bytes, ...] = (block, *places)
    if key not in lo.marks:
        columns = [np.frombuffer(mark, np.bool_) for mark in places]
        picture = np.stack(columns, axis=1).astype(np.float32)
        lo.marks[key] = lo.constant_image(picture, DType.FP32, "groups")
    return lo.marks[key], places


def _runs(at: NDArray[np.int64], place: NDArray[np.int64]) -> Iterator[tuple[int, int, int, int]]:
    """(first, step, first place, count) of runs of positions whose places follow each other."""
    i = 0
    while i < len(at):
        step = int(at[i + 1] - at[i]) if i + 1 < len(at) else 1
        end = i + 1
        while end < len(at) and at[end] - at[end - 1] == step and place[end] == place[end - 1] + 1:
            end += 1
        yield int(at[i]), step, int(place[i]), end - i
        i = end
