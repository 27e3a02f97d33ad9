"""Load a convolution's image from DRAM, packed (`image.py`), band by band of its rows.

    stage[(p, c, g), r, x] = image[c, sh * (rows * g + r) + p, x]      as DRAM has it
    base[(p, c, g), t, r, j] = stage[.., r, sw * j + t - left]         converted, columns by phase
    packed[(a, s, p, c), i, j] = base[(p, c, g), s mod sw, r, j + s / sw]   row i + a is (g, r)

A group g of rows on partitions of its own gives the engines lanes to convert in; the copies then
put the groups one behind the other. Kernel phases are image phases turned by the padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.graph.attrs import integers, pairs
from compiler.graph.graph import Node
from compiler.lowering.context import PARTITIONS, Lowering, device_dtype
from compiler.lowering.contract import Box, Epilogue
from compiler.lowering.image import RUN_BYTES, Block, Source
from compiler.tiles.view import Factor, View
from isa.dtypes import DType
from isa.kernel import Ap, Buffer, DmaAp

BANDS = 4
"""An image is loaded in so many parts at most, so that the array can begin with the first."""
PIECE = 2048
"""Elements a partition of one conversion."""


@dataclass(frozen=True)
class _Band:
    """`groups` x `rows` rows of a phase from row `first` on, of the first `phases` phases."""

    first: int
    groups: int
    rows: int
    phases: int

    @property
    def end(self) -> int:
        return self.first + self.groups * self.rows


class PackedImage:
    """The packed image [N, K, height, width] of a convolution's input, loaded as it is read."""

    def __init__(
        self, lo: Lowering, node: Node, source: Source, block: Block, finer: int = 1
    ) -> None:
        """`finer`: how many places of the image its reader begins at, so that bands are small."""
        self.lo, self.block, self.finer = lo, block, finer
        self.value = node.inputs[0]
        self.dtype = device_dtype(self.value.dtype)
        self.dram = part_of(lo, source)
        (self.top, _), (self.left, _) = pairs(node, "pads")
        self.n, self.c, self.h, self.w = self.value.shape
        sh, self.sw = self.block.stride
        self.sh = sh
        # phase p of the kernel's rows is phase (p - top) mod sh of the image's, `late` rows down
        self.image_phase = [(p - self.top) % sh for p in range(sh)]
        self.late = [-((p - self.top) // sh) for p in range(sh)]
        self.margin = (self.block.shifts - 1) * self.block.width + (self.block.columns - 1)
        last = -(-self.h // sh) + max(self.late)
        self.length = self.margin + max(last, self.block.height) * self.block.width

        size = self.n * self.length * self.dtype.size_bytes
        self.buffer = lo.kernel.sbuf(self.block.partitions, size, f"{self.value.name}/taps")
        self.ahead = [(n, band) for n in range(self.n) for band in self._bands()]

    def need(self, n: int, row: int) -> None:
        """Load what products of image n up to `row` read, unless it has been."""
        far = row + self.block.shifts * self.block.steps[0]
        while self.ahead and (self.ahead[0][0], self.ahead[0][1].first) < (n, far):
            image, band = self.ahead.pop(0)
            if band.first == 0:
                self._borders(self.buffer, image)
            self._band(self.buffer, image, band)

    def need_part(self, first: int, last: int) -> None:
        """Load what products of rows [first, last) of any image read, unless it has been."""
        far = last + self.block.shifts * self.block.steps[0]
        for image, band in self._between(first - max(self.late), far):
            self.ahead.remove((image, band))
            if band.first == 0:
                self._borders(self.buffer, image)
            self._band(self.buffer, image, band)

    def _between(self, first: int, last: int) -> list[tuple[int, _Band]]:
        return [a for a in self.ahead if a[1].first < last and a[1].end > first]

    @property
    def view(self) -> View:
        """Where it lies."""
        block = self.block
        factors = (
            (Factor(self.n, self.length),),
            (Factor(block.partitions, 1, True),),
            (Factor(block.height, block.width),),
            (Factor(block.width, 1),),
        )
        shape = (self.n, block.partitions, block.height, block.width)
        return View(self.buffer, self.dtype, shape, factors, 0, self.margin)

    def _bands(self) -> Iterator[_Band]:
        """Every row of every phase once."""
        rows, left = self.h // self.sh, self.h % self.sh
        whole = self.block.width * self.dtype.size_bytes * rows
        count = max(1, min(BANDS * self.finer, whole * self.finer // (4 * RUN_BYTES)))
        share = -(-rows // (4 * count)) * 4
        most = PARTITIONS // (self.sh * self.c)
        for first in range(0, rows, max(1, share)):
            here = min(share, rows - first)
            wanted = here * self.block.width * self.dtype.size_bytes // RUN_BYTES
            groups = max(1, min(most, wanted, here))
            exact = [g for g in range(groups, min(most, 2 * groups) + 1) if here % g == 0]
            groups = exact[0] if exact else groups
            each = here // groups
            yield _Band(first, groups, each, self.sh)
            if here % groups:
                yield _Band(first + groups * each, 1, here % groups, self.sh)
        if left:
            yield _Band(rows, 1, 1, left)

    def _starts(self) -> list[tuple[int, int]]:
        """For every tap of the block: where the image begins and ends in its plane."""
        out = []
        for a in range(self.block.shifts):
            for s in range(self.block.columns):
                for p in range(self.block.phases(a)):
                    rows = (self.h - self.image_phase[p] + self.sh - 1) // self.sh
                    start = (self.late[p] - a) * self.block.width - s // self.sw
                    out.append((start, start + rows * self.block.width))
        return out

    def _borders(self, buffer: Buffer, n: int) -> None:
        """Zeros above and below the image."""
        size, base = self.dtype.size_bytes, n * self.length + self.margin
        end = self.block.height * self.block.width
        top = min(end, max(start for start, _ in self._starts()))
        bottom = max(top, min(end for _, end in self._starts()), 0)
        for first, last in ((0, top), (bottom, end)):
            if last > first:
                dims = ((1, last - first),)
                at = (base + first) * size
                self.lo.kernel.memset(
                    Ap(buffer, 0, self.block.partitions, at, self.dtype, dims), 0.0
                )

    def _band(self, packed: Buffer, n: int, band: _Band) -> None:
        base = self._base(n, band)
        partitions = band.phases * self.c * band.groups
        assert partitions <= PARTITIONS, "a band's groups are chosen so"
        for a in range(self.block.shifts):
            for s in range(self.block.columns):
                for first, count in self._runs(band.phases, self.block.phases(a)):
                    self._move(packed, base, n, band, (a, s), first, count)

    def _runs(self, phases: int, held: int) -> Iterator[tuple[int, int]]:
        """Of the first `held` kernel phases runs (first, count) that lie side by side in the image,
        equally far down; those of the image's first `phases`.
        """
        first = 0
        while first < held:
            last = first + 1
            while (
                last < held
                and self.late[last] == self.late[first]
                and self.image_phase[last] == self.image_phase[last - 1] + 1
                and self.image_phase[last] < phases
            ):
                last += 1
            if self.image_phase[first] < phases:
                yield first, last - first
            first = last

    def _move(
        self,
        packed: Buffer,
        base: Buffer,
        n: int,
        band: _Band,
        tap: tuple[int, int],
        first: int,
        count: int,
    ) -> None:
        """Copy the rows of a band to where one tap of the block reads them."""
        (a, s), block, size = tap, self.block, self.dtype.size_bytes
        run = band.rows * block.width
        group = self.c * band.groups
        at = (band.first + self.late[first] - a) * block.width - s // self.sw
        to = self.margin + n * self.length + at
        place = block.place(a, s, first)
        self.lo.kernel.dma(
            DmaAp(packed, place, count * self.c, to * size, self.dtype, ((1, band.groups * run),)),
            DmaAp(
                base,
                self.image_phase[first] * group,
                count * group,
                s % self.sw * run * size,
                self.dtype,
                ((1, run),),
            ),
        )

    def _base(self, n: int, band: _Band) -> Buffer:
        """A band with the columns of each phase together and the padding beside them."""
        lo, width, size = self.lo, self.block.width, self.dtype.size_bytes
        partitions = band.phases * self.c * band.groups
        stage = self._load(n, band, partitions)
        phases = min(self.sw, self.block.columns)
        bytes_a_row = phases * width * size
        base = lo.kernel.sbuf(partitions, band.rows * bytes_a_row, f"{self.value.name}/phases")
        for t in range(phases):
            low = max(0, -((t - self.left) // self.sw))
            high = min(width, (self.w - 1 + self.left - t) // self.sw + 1)
            if high <= low:  # all of a phase is padding
                low = high = width
            first = t * band.rows * width
            for c0, c1 in ((0, low), (high, width)):
                if c1 > c0:
                    dims = ((width, band.rows), (1, c1 - c0))
                    at = (first + c0) * size
                    lo.kernel.memset(Ap(base, 0, partitions, at, self.dtype, dims), 0.0)
            share = max(1, PIECE // max(1, high - low))
            for r in range(0, band.rows if high > low else 0, share):
                rows = min(share, band.rows - r)
                out_at = (first + r * width + low) * size
                in_at = (r * self.w + low * self.sw + t - self.left) * stage[1].size_bytes
                out_dims = ((width, rows), (1, high - low))
                in_dims = ((self.w, rows), (self.sw, high - low))
                lo.engine_copy(
                    Ap(base, 0, partitions, out_at, self.dtype, out_dims),
                    Ap(stage[0], 0, partitions, in_at, stage[1], in_dims),
                )
        return base

    def _load(self, n: int, band: _Band, partitions: int) -> tuple[Buffer, DType]:
        """The rows of a band as DRAM has them: partitions (phase, channel, group)."""
        dram, lo = self.dram, self.lo
        steps = [step_of(dram, d) for d in range(4)]
        dtype, size = dram.dtype, dram.dtype.size_bytes
        stage = lo.kernel.sbuf(partitions, band.rows * self.w * size, f"{self.value.name}/rows")
        dims = (
            (steps[2], band.phases),
            (steps[1], self.c),
            (steps[2] * self.sh * band.rows, band.groups),
            (steps[2] * self.sh, band.rows),
            (steps[3], self.w),
        )
        offset = dram.offset + n * steps[0] + band.first * self.sh * steps[2]
        lo.kernel.dma(
            DmaAp(stage, 0, partitions, 0, dtype, ((1, band.rows * self.w),)),
            DmaAp(dram.buffer, 0, 1, offset * size, dtype, dims),
        )
        return stage, dtype


@dataclass
class Ahead:
    """An epilogue that lets the image be loaded a tile ahead of the products."""

    inner: Epilogue
    image: PackedImage

    def __post_init__(self) -> None:
        self._then(0, 0)

    def __call__(self, tile: View, box: Box) -> None:
        self.inner(tile, box)
        (n, images), (row, rows) = box[0], box[2]
        self._then(n + images - 1, row + rows)

    def _then(self, n: int, row: int) -> None:
        height, width = self.image.block.out
        tile = self.image.lo.hw.pe_moving_max
        more = -(-tile // (height * width)) - 1
        self.image.need(n + more, row + -(-tile // width))
        if row >= height:
            self.image.need(n + 1 + more, -(-tile // width))


def step_of(view: View, dim: int) -> int:
    return next((f.stride for f in view.factors[dim] if f.extent > 1), 0)


def part_of(lo: Lowering, source: Source) -> View:
    view: View | None = lo.outside[source.value.id]
    if source.cut is not None:
        starts, sizes = integers(source.cut, "starts"), integers(source.cut, "sizes")
        for d, (first, size) in enumerate(zip(starts, sizes, strict=True)):
            view = view.slice(d, first, size) if view is not None else None
    assert view is not None, "a dense tensor can be cut anywhere"
    return view
