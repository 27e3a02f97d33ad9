"""Convolution with weights in classes: spread on chip, so that DRAM holds no zeros.

    full[c, (t, o)] = w[o, c, t] if o is of the class of c, else 0

DRAM has for each channel the weights of its own class's outputs. A class's rows lie anywhere, and
engines begin at every 32nd partition only: so a class is copied with some rows of others, times a
column that is 1 in the class's own. The zeros between classes stay where they are: layers whose
classes lie alike take turns with a few buffers. What is all zeros for 64 outputs is no pass of the
array.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compiler.graph.graph import Node
from compiler.lowering.classes import NONE, Classes, Labels
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.contract import contract
from compiler.lowering.terms import Term
from compiler.lowering.weights import Behind, Shifted, load_rows
from compiler.tiles.iterate import legal_start
from compiler.tiles.view import Factor, View
from isa.dtypes import DType
from isa.kernel import Ap, Buffer
from isa.tiles import Dim

SPREAD_BYTES = 8192
"""Bytes a partition up to which the weights of all outputs are spread at once."""
TURNS = 3
"""Buffers that layers alike have in turn: one is used, one filled, and no engine waits."""
STARTS = (96, 64, 32, 0)


def grouped(
    lo: Lowering, node: Node, spec: Spec, behind: Behind, moving: list[View], classes: Classes
) -> None:
    """y = conv(x, w): each block of outputs reads the channels of its classes.

    Args:
        moving: for each tap the input [N, 1, *spatial, C], from partition 0.
    """
    made = _Weights.load(lo, node, classes)
    shape = node.output.shape
    item, rows = made.dtype.size_bytes, -(-len(classes.channels) // made.block)
    whole = rows * made.taps * shape[1] * item <= SPREAD_BYTES
    span = shape[1] if whole else spec.block
    for low in range(0, shape[1], span):
        high = min(low + span, shape[1])
        full = made.full(low, high)
        blocks = range(low, high, spec.block)
        for first in sorted(blocks, key=lambda at: min(spec.block, high - at)):
            size = min(spec.block, high - first)
            terms = []
            for t, view in enumerate(moving):
                for b, pieces in made.live(first, size).items():
                    weights = full.view(b, t, first - low, size, len(shape))
                    channels = weights.shape[-1]
                    seen = view.slice(len(view.shape) - 1, b * made.block, channels)
                    assert seen is not None, "blocks of channels can be cut"
                    terms.append(Term(weights, seen, frozenset(pieces)))
            here = (shape[0], size, *shape[2:])
            contract(lo, here, 1, spec.block, terms, Shifted(behind, 1, first))


@dataclass(frozen=True)
class _Full:
    """The weights with their zeros: [rows, (block of channels, tap, output)]."""

    buffer: Buffer
    dtype: DType
    rows: dict[int, int]  # of each block that is there
    taps: int
    outputs: int

    def place(self, b: int) -> int:
        """The first element of a block of channels."""
        return list(self.rows).index(b) * self.taps * self.outputs

    def view(self, b: int, tap: int, first: int, size: int, rank: int) -> View:
        """[1, outputs, 1.., channels] of one block of channels and one tap."""
        channels = self.rows[b]
        ones: list[tuple[Factor, ...]] = [()] * (rank - 2)
        factors = ((), (Factor(size, 1),), *ones, (Factor(channels, 1, True),))
        extents = (1, size, *([1] * len(ones)), channels)
        at = self.place(b) + tap * self.outputs + first
        return View(self.buffer, self.dtype, extents, factors, 0, at)


@dataclass(frozen=True)
class _Meeting:
    """A class in a block of channels, and the rows [start, end) that have all of its own."""

    b: int
    j: int
    start: int
    end: int
    own: bool  # nothing but the class lies there

    @staticmethod
    def all_of(channels: Labels, block: int) -> list[_Meeting]:
        """Every class in every block."""
        found = []
        for b in range(-(-len(channels) // block)):
            here = channels[b * block : (b + 1) * block]
            for j in np.unique(here[here != NONE]):
                rows = np.flatnonzero(here == j)
                end = int(rows[-1]) + 1
                start = next(s for s in STARTS if s <= rows[0] and legal_start(s, end - s))
                own = bool((here[start:end] == j).all())
                found.append(_Meeting(b, int(j), start, end, own))
        return found


@dataclass(frozen=True)
class _Weights:
    """The weights on chip: `compact` [rows of a block, (block, tap, output of the class)]."""

    lo: Lowering
    classes: Classes
    dtype: DType
    compact: Buffer
    marks: _Marks
    meetings: list[_Meeting]
    block: int
    name: str

    @property
    def taps(self) -> int:
        """Taps of the kernel."""
        return int(self.classes.rows.shape[1])

    @staticmethod
    def load(lo: Lowering, node: Node, classes: Classes) -> _Weights:
        channels, taps, per = classes.rows.shape
        dtype, name = device_dtype(node.inputs[1].dtype), node.inputs[1].name
        block = min(PARTITIONS, channels)
        meetings = _Meeting.all_of(classes.channels, block)
        blocks = -(-channels // block)
        compact = lo.kernel.sbuf(block, blocks * taps * per * dtype.size_bytes, name)
        read = np.zeros(channels, np.bool_)
        for m in meetings:
            read[m.b * block + m.start : m.b * block + m.end] = True
        load_rows(lo, classes.rows.reshape(channels, -1), read, compact, dtype)
        marks = _Marks.of(lo, classes, meetings, block)
        return _Weights(lo, classes, dtype, compact, marks, meetings, block, name)

    def live(self, first: int, size: int) -> dict[int, list[int]]:
        """The blocks of channels that outputs [first, first + size) read, and for each the outputs
        at which pieces begin that are not all zero."""
        found: dict[int, list[int]] = {}
        columns, named = self.lo.hw.pe_columns, self.classes.outputs[first : first + size]
        for m in self.meetings:
            for at in range(0, size, columns):
                if at not in found.get(m.b, ()) and (named[at : at + columns] == m.j).any():
                    found.setdefault(m.b, []).append(at)
        lead = found.setdefault(next(iter(found), 0), [])
        for at in range(0, size, columns):  # outputs that read nothing are zeros all the same
            if not any(at in pieces for pieces in found.values()):
                lead.append(at)
        return found

    def full(self, low: int, high: int) -> _Full:
        """The weights of outputs [low, high), with their zeros."""
        named = self.classes.outputs[low:high]
        meetings = [m for m in self.meetings if (named == m.j).any()]
        channels = len(self.classes.channels)
        blocks = {m.b for m in meetings} or {0}
        rows = {b: min(self.block, channels - b * self.block) for b in sorted(blocks)}
        buffer = self._buffer(rows, meetings, low, named)
        full = _Full(buffer, self.dtype, rows, self.taps, high - low)
        for m in meetings:
            at = np.flatnonzero(named == m.j)
            for run in _runs(at, self.classes.place[low + at]):
                self._place(full, m, run)
        return full

    def _live_columns(self, b: int, low: int, high: int) -> list[int]:
        """The outputs from `low` to `high` for which the array takes a block of channels."""
        step = PARTITIONS
        return [
            at + o
            for at in range(low, high, step)
            for piece in self.live(at, min(step, high - at)).get(b, [])
            for o in range(piece, min(piece + self.lo.hw.pe_columns, high - at, step))
        ]

    def _buffer(
        self, rows: dict[int, int], meetings: list[_Meeting], low: int, named: Labels
    ) -> Buffer:
        """Zeros where classes do not meet: the next of those that layers alike have in turn."""
        lanes = tuple((m.b, m.j, m.start, m.end) for m in meetings)
        key = (self.dtype, self.taps, tuple(rows.items()), named.tobytes(), lanes)
        turns = self.lo.spread.setdefault(key, [])
        if len(turns) == TURNS:
            turns.append(turns.pop(0))
            return turns[-1]
        width, size_bytes = self.taps * len(named), self.dtype.size_bytes
        made = self.lo.kernel.sbuf(
            self.block, len(rows) * width * size_bytes, f"{self.name}/spread"
        )
        for i, b in enumerate(rows):
            at = np.array(self._live_columns(b, low, low + len(named))) - low
            for run in _runs(at, np.arange(len(at))):
                dims = ((len(named), self.taps), *run.steps)
                first = (i * width + run.at) * size_bytes
                self.lo.kernel.memset(Ap(made, 0, rows[b], first, self.dtype, dims), 0.0)
        turns.append(made)
        return made

    def _place(self, full: _Full, m: _Meeting, run: _Run) -> None:
        """Copy outputs of a class to the rows that it has in a block; zeros to those between."""
        per, size_bytes = self.classes.rows.shape[2], self.dtype.size_bytes
        ends = (
            (full.buffer, full.place(m.b) + run.at, (full.outputs, self.taps), run.steps),
            (self.compact, m.b * self.taps * per + run.place, (per, self.taps), run.places),
        )
        out, source = (
            Ap(home, m.start, m.end - m.start, at * size_bytes, self.dtype, (taps, *dims))
            for home, at, taps, dims in ends
        )
        column = self.marks.columns.get(m)
        if column is None:
            self.lo.engine_copy(out, source)
        else:
            mark = Ap(self.marks.buffer, m.start, out.partitions, 4 * column, DType.FP32, ((0, 1),))
            self.lo.engine_scale(out, source, mark)


@dataclass(frozen=True)
class _Marks:
    """Columns of 0 and 1: the rows of a class where others lie between them."""

    buffer: Buffer
    columns: dict[_Meeting, int]

    @staticmethod
    def of(lo: Lowering, classes: Classes, meetings: list[_Meeting], block: int) -> _Marks:
        """The columns that these need, loaded once for all layers alike."""
        places: dict[bytes, int] = {}
        columns = {}
        for m in meetings:
            if not m.own:
                here = classes.channels[m.b * block : (m.b + 1) * block] == m.j
                mark = np.pad(here, (0, block - len(here))).tobytes()
                columns[m] = places.setdefault(mark, len(places))
        key: tuple[int | bytes, ...] = (block, *places)
        if key not in lo.marks:
            zeros = np.zeros(block, np.bool_).tobytes()
            pictures = [np.frombuffer(mark, np.bool_) for mark in places or (zeros,)]
            image = np.stack(pictures, axis=1).astype(np.float32)
            lo.marks[key] = lo.constant_image(image, DType.FP32, "groups")
        return _Marks(lo.marks[key], columns)


@dataclass(frozen=True)
class _Run:
    """Outputs one after another in their class, and where they stand: (step, count) of both."""

    at: int
    place: int
    steps: tuple[Dim, ...]
    places: tuple[Dim, ...]


def _runs(at: Labels, place: Labels) -> Iterator[_Run]:
    """The runs of positions whose places follow each other; those evenly spaced are one."""
    plain, i = list[tuple[int, int, int, int]](), 0
    while i < len(at):
        step = int(at[i + 1] - at[i]) if i + 1 < len(at) else 1
        end = i + 1
        while end < len(at) and at[end] - at[end - 1] == step and place[end] == place[end - 1] + 1:
            end += 1
        plain.append((int(at[i]), int(place[i]), step, end - i))
        i = end
    i = 0
    while i < len(plain):
        first, start, step, count = plain[i]
        apart = [plain[i + 1][k] - plain[i][k] for k in (0, 1)] if i + 1 < len(plain) else [0, 0]
        n = 1
        while i + n < len(plain) and plain[i + n] == (
            first + n * apart[0], start + n * apart[1], step, count
        ):  # fmt: skip
            n += 1
        yield _Run(first, start, ((apart[0], n), (step, count)), ((apart[1], n), (1, count)))
        i += n
