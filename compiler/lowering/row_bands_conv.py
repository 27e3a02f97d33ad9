"""Convolve an image from DRAM whose rows lie on partitions (`row_bands.py`), as it is loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.graph.graph import Array, Node
from compiler.lowering.context import Lowering, Spec, device_dtype
from compiler.lowering.depthwise import boxes, dense_tile
from compiler.lowering.folded import folds, rows_read
from compiler.lowering.image import Source
from compiler.lowering.image_load import part_of, step_of
from compiler.lowering.row_bands import PIECE, Bands
from compiler.lowering.weights import Behind
from isa.dtypes import DType
from isa.kernel import Ap, Buffer, DmaAp
from isa.program import BufferKind


def convolve_bands(
    lo: Lowering, node: Node, spec: Spec, behind: Behind, source: Source, bands: Bands
) -> None:
    """The convolution and what is behind it, tile by tile as the image comes."""
    weights = BandWeights(lo, node, bands)
    images = [_Image(lo, node, source, bands, n) for n in range(node.inputs[0].shape[0])]
    convolve(lo, node, spec, behind, weights, images)


def convolve(
    lo: Lowering,
    node: Node,
    spec: Spec,
    behind: Behind,
    weights: BandWeights,
    images: Sequence[BandImage],
) -> None:
    """Convolve images in bands tile by tile, each loaded a tile ahead."""
    _, channels, rows, width = node.output.shape
    blocks = folds(node)[1]
    each = channels // blocks
    tiles = list(boxes((rows, width), lo.hw.pe_moving_max))
    for n, image in enumerate(images):
        for at, box in enumerate(tiles):
            ahead = tiles[min(at + 1, len(tiles) - 1)][0]
            for block in range(blocks):
                begin, end = box[0][0], sum(ahead)
                for _, row, count in rows_read(node, block, begin, end - begin):
                    image.need(row, row + count)
            for first in range(0, each, spec.block):
                size = min(spec.block, each - first)
                buffer = lo.kernel.psum(size * blocks, "product")
                for block in range(blocks):
                    for above, row, count in rows_read(node, block, *box[0]):
                        here = ((row, count), box[1])
                        tile = _Tile(buffer, block * each, first, size, here, above)
                        _matmuls(lo, tile, weights, image)
                where = [(n, 1), (first, size * blocks), *box]
                behind(dense_tile(buffer, DType.FP32, where), where)


@dataclass(frozen=True)
class _Tile:
    """Rows and columns (first, size) of channels [first, first + size) in PSUM from `start` on,
    `above` rows of the tile over them."""

    buffer: Buffer
    start: int
    first: int
    size: int
    box: tuple[tuple[int, int], tuple[int, int]]
    above: int = 0


def _matmuls(lo: Lowering, tile: _Tile, weights: BandWeights, image: BandImage) -> None:
    """The rows of a tile that stand at one place of their bands are one accumulation."""
    (row, rows), (column, columns) = tile.box
    bands, hw = weights.bands, lo.hw
    for first in range(min(bands.rows, rows)):
        band, j = divmod(row + first, bands.rows)
        count = -(-(rows - first) // bands.rows)
        dims = ((bands.rows * columns, count), (1, columns))
        for at in range(0, tile.size, hw.pe_columns):
            size = min(hw.pe_columns, tile.size - at)
            offset = (tile.above + first) * columns * DType.FP32.size_bytes
            out = Ap(tile.buffer, tile.start + at, size, offset, DType.FP32, dims)
            for p in range(bands.passes):
                side = weights.of(j, p, tile.first + at, size)
                moving = image.moving(band, count, column, columns, p)
                lo.kernel.matmul(out, side, moving, start=p == 0, stop=p == bands.passes - 1)
                lo.load.pe += max(hw.pe_min_interval, count * columns) / hw.pe_clock_hz


class BandWeights:
    """The stationary operands [(s, r, c), o] of each row of a band and each pass."""

    def __init__(self, lo: Lowering, node: Node, bands: Bands, *, once: bool = False) -> None:
        """Load them: those of row j lie `sh * j` rows further down, zeros around them.

        `once`: from DRAM for the first row alone, and copied, which takes longer.
        """
        value = node.inputs[1]
        weights: Array = lo.graph.constants[value.id]
        self.bands, self.outputs = bands, weights.shape[0]
        self.dtype = device_dtype(value.dtype)
        size, across = self.dtype.size_bytes, bands.passes * self.outputs
        total = bands.rows * across
        self.buffer = lo.kernel.sbuf(bands.partitions, total * size, value.name)
        lo.kernel.memset(Ap(self.buffer, 0, bands.partitions, 0, self.dtype, ((1, total),)), 0.0)
        depth = bands.kernel[0] * bands.channels
        for s in range(bands.columns):
            part = weights[:, :, :, s :: bands.columns]  # [o, c, r, pass]
            image = np.ascontiguousarray(part.transpose(2, 1, 3, 0)).reshape(depth, -1)
            stored = np.ascontiguousarray(image.astype(self.dtype.numpy))
            shape = stored.shape
            home = lo.kernel.dram(value.name, stored.nbytes, BufferKind.CONSTANT, self.dtype, shape)
            lo.constant_data[home.id] = stored.reshape(-1).view(np.uint8)
            for j in range(bands.rows):
                start, run = s * bands.grain, ((1, shape[1]),)
                source = DmaAp(home, 0, 1, 0, self.dtype, ((1, depth * shape[1]),))
                if once and j:
                    source = DmaAp(self.buffer, start, depth, 0, self.dtype, run)
                start += j * bands.stride[0] * bands.channels
                at = j * across * size
                lo.kernel.dma(DmaAp(self.buffer, start, depth, at, self.dtype, run), source)

    def of(self, j: int, p: int, first: int, size: int) -> Ap:
        """For row j of a band and pass p: [k, outputs first .. first + size]."""
        at = ((j * self.bands.passes + p) * self.outputs + first) * self.dtype.size_bytes
        dims = ((1, size),)
        return Ap(self.buffer, 0, self.bands.lanes(p), at, self.dtype, dims)


class BandImage(ABC):
    """One image, its bands loaded as they are read."""

    def __init__(self, lo: Lowering, bands: Bands, dtype: DType, name: str) -> None:
        self.lo, self.bands, self.dtype = lo, bands, dtype
        size = bands.count * bands.width * dtype.size_bytes
        self.buffer = lo.kernel.sbuf(bands.partitions, size, f"{name}/bands")
        self.loaded: set[int] = set()
        self.piece = max(1, min(PIECE // bands.width, -(-bands.count // 4)))

    def moving(self, band: int, count: int, column: int, columns: int, p: int) -> Ap:
        """`count` bands from `band` on, seen by pass p: [k, count * columns]."""
        bands = self.bands
        at = band * bands.width + column + p * (bands.columns // bands.stride[1])
        dims = ((bands.width, count), (1, columns))
        offset = at * self.dtype.size_bytes
        return Ap(self.buffer, 0, bands.lanes(p), offset, self.dtype, dims)

    def need(self, first: int, last: int) -> None:
        """Load the bands of the result's rows [first, last), unless they have been."""
        rows = self.bands.rows
        for piece in range(first // rows // self.piece, (last - 1) // rows // self.piece + 1):
            if piece not in self.loaded:
                self.loaded.add(piece)
                low = piece * self.piece
                self.load(low, min(self.piece, self.bands.count - low))

    @abstractmethod
    def load(self, low: int, count: int) -> None:
        """Bring bands [low, low + count)."""

    def _clear(self, low: int, count: int) -> None:
        """Zeros in bands [low, low + count)."""
        at = low * self.bands.width * self.dtype.size_bytes
        whole = ((1, count * self.bands.width),)
        target = Ap(self.buffer, 0, self.bands.partitions, at, self.dtype, whole)
        self.lo.kernel.memset(target, 0.0)
        self.lo.load.dve += count * self.bands.width / 2 / self.lo.hw.dve_clock_hz


class _Image(BandImage):
    """An image from DRAM."""

    def __init__(self, lo: Lowering, node: Node, source: Source, bands: Bands, n: int) -> None:
        self.value, self.dram, self.n = node.inputs[0], part_of(lo, source), n
        super().__init__(lo, bands, device_dtype(self.value.dtype), self.value.name)
        _, self.c, self.h, self.w = self.value.shape

    def load(self, low: int, count: int) -> None:
        """Bands [low, low + count) from DRAM, and each column of the kernel to its partitions."""
        bands, lo, size = self.bands, self.lo, self.dtype.size_bytes
        width, rows = bands.width, bands.held * self.c
        at = low * width * size
        self._clear(low, count)
        stage, dtype = self._staged(low, count, rows)
        sw, left = bands.stride[1], bands.pads[1][0]
        for s in range(bands.columns):
            start = max(0, -((s - left) // sw))
            end = min(width, (self.w - 1 + left - s) // sw + 1)
            if end <= start:
                continue
            source = (start * sw + s - left) * dtype.size_bytes
            lo.engine_copy(
                Ap(
                    self.buffer,
                    s * bands.grain,
                    rows,
                    at + start * size,
                    self.dtype,
                    ((width, count), (1, end - start)),
                ),
                Ap(stage, 0, rows, source, dtype, ((self.w, count), (sw, end - start))),
            )

    def _staged(self, low: int, count: int, rows: int) -> tuple[Buffer, DType]:
        """The bands as DRAM has them: partitions (row, channel); zeros for rows outside."""
        bands, lo, dram = self.bands, self.lo, self.dram
        dtype, size = dram.dtype, dram.dtype.size_bytes
        stage = lo.kernel.sbuf(rows, count * self.w * size, f"{self.value.name}/rows")
        steps = [step_of(dram, d) for d in range(4)]
        inside = [bands.inside(low + b, self.h) for b in range(count)]
        for b, (first, last) in enumerate(inside):
            if last - first < bands.held:
                edge = ((1, self.w),)
                lo.kernel.memset(Ap(stage, 0, rows, b * self.w * size, dtype, edge), 0.0)
        for b, many in _alike(inside):
            first, last = inside[b]
            if last <= first:
                continue
            row = (low + b) * bands.step - bands.pads[0][0] + first
            offset = dram.offset + self.n * steps[0] + row * steps[2]
            dims = (
                (steps[2], last - first),
                (steps[1], self.c),
                (steps[2] * bands.step, many),
                (steps[3], self.w),
            )
            run = ((1, many * self.w),)
            lo.kernel.dma(
                DmaAp(
                    stage, first * self.c, (last - first) * self.c, b * self.w * size, dtype, run
                ),
                DmaAp(dram.buffer, 0, 1, offset * size, dtype, dims),
            )
        return stage, dtype


def _alike(inside: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs (first, count) of bands that hold the same rows of theirs."""
    runs: list[tuple[int, int]] = []
    for b, rows in enumerate(inside):
        if runs and inside[runs[-1][0]] == rows:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((b, 1))
    return runs
