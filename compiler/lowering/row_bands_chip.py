"""A convolution of few channels in SBUF, with its rows on partitions (`row_bands.py`).

    wide[(s, r, c), b, i] = x[c, rows * b + r, i + s]

An image of 16 channels fills the array with 4 rows and 2 columns of the kernel: 3 x 3 taps take 2
passes, where taps packed by quadrants take 3; 5 x 5 taps take 5, not 9. Engines write from a
quadrant's start on, so DMA first puts the channels below themselves, each time a row further on,
until they fill a quadrant: then one instruction writes as many rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from compiler.graph.attrs import integer, integers
from compiler.graph.graph import Node
from compiler.lowering.context import PARTITIONS, Lowering, Spec
from compiler.lowering.row_bands import Bands
from compiler.lowering.row_bands_conv import BandImage, BandWeights, convolve
from compiler.lowering.weights import Behind
from compiler.tiles.view import View
from isa.hardware import Hardware
from isa.kernel import Ap, DmaAp

QUADRANT = 32
DMA_WEIGHT = 1.5
"""A cycle of copying counts so many of the array: DMA has weights to bring."""


def bands_on_chip(lo: Lowering, node: Node, view: View, other: float) -> Bands | None:
    """The cheapest bands, if they are cheaper than `other` PE cycles.

    Args:
        view: the padded input [N, C, H, W].
    """
    channels = view.shape[1]
    plain = integer(node, "groups") == 1 and all(d == 1 for d in integers(node, "dilations"))
    plain = plain and all(s == 1 for s in integers(node, "strides"))
    plain = plain and view.shape[0] == 1 and integers(node, "folds") == (1, 1)
    parts = [f for f in view.factors[1] if f.extent > 1]
    lies = len(parts) == 1 and parts[0].part and parts[0].stride == 1 and view.start == 0
    lies = lies and view.buffer.partitions == channels and view.part_dims() == [1]
    lies = lies and view.buffer.start == 0
    lies = lies and all(len([f for f in view.factors[d] if f.extent > 1]) == 1 for d in (2, 3))
    if not (plain and lies and channels in (8, 16, QUADRANT) and lo.knobs.tap_packing):
        return None
    best, cost = None, other
    for bands in _candidates(node, channels):
        here = _cost(lo.hw, node, bands, view.dtype.size_bytes)
        if here < cost:
            best, cost = bands, here
    return best


def _candidates(node: Node, channels: int) -> Iterator[Bands]:
    kernel = (node.inputs[1].shape[2], node.inputs[1].shape[3])
    none = ((0, 0), (0, 0))  # the padding is in the buffer
    for grain in (PARTITIONS // 2, PARTITIONS):
        rows = grain // channels - kernel[0] + 1
        columns = min(kernel[1], PARTITIONS // grain)
        if rows > 0:
            out = (node.output.shape[2], node.output.shape[3])
            yield Bands(channels, rows, columns, grain, kernel, (1, 1), out, none)


def _cost(hw: Hardware, node: Node, bands: Bands, size: int) -> float:
    """PE cycles of the array and of two engines that write the bands."""
    at_once = hw.pe_moving_max // bands.out[1] // bands.rows  # bands in a tile
    at_once = min(bands.count, max(1, at_once))
    columns = max(hw.pe_min_interval / at_once, bands.out[1])
    passes = bands.passes * -(-node.inputs[1].shape[0] // hw.pe_columns)
    passes *= hw.pe_fp32_passes if size == 4 else 1
    quadrants = bands.columns * bands.grain // QUADRANT
    written = quadrants * bands.count * bands.width * hw.pe_clock_hz / hw.act_clock_hz
    copied = 2 * (bands.rows - 1) * math.prod(node.inputs[1].shape)  # weights, behind their load
    copied += (QUADRANT // bands.channels - 1) * math.prod(node.inputs[0].shape)
    moved = DMA_WEIGHT * copied * size * hw.pe_clock_hz / hw.core_dram_bytes_per_s
    return passes * bands.count * bands.rows * columns + written / 2 + moved


def convolve_on_chip(
    lo: Lowering, node: Node, spec: Spec, behind: Behind, view: View, bands: Bands
) -> None:
    """The convolution of a padded input and what is behind it."""
    image = _OnChip(lo, node, view, bands)
    convolve(lo, node, spec, behind, BandWeights(lo, node, bands, once=True), [image])


class _OnChip(BandImage):
    """The bands of an image in SBUF."""

    def __init__(self, lo: Lowering, node: Node, view: View, bands: Bands) -> None:
        super().__init__(lo, bands, view.dtype, node.inputs[0].name)
        self.view, self.shifts = view, QUADRANT // bands.channels - 1
        self.down, self.across = (
            next(f.stride for f in view.factors[d] if f.extent > 1) for d in (2, 3)
        )
        self.shifted = 0
        if self.shifts:
            wide = replace(view.buffer, partitions=QUADRANT)
            lo.kernel.buffers[wide.id] = wide
            self.view = replace(view, buffer=wide)

    def load(self, low: int, count: int) -> None:
        """Write bands [low, low + count)."""
        bands, rows = self.bands, self.view.shape[2]
        self._shift(min(rows, (low + count - 1) * bands.rows + bands.held))
        last = low + count - 1
        if last * bands.rows + bands.held > rows:
            self._clear(last, 1)
        for s in range(bands.columns):
            for quadrant in range(0, bands.grain, QUADRANT):
                done = 0
                for more in range(self.shifts, -1, -1):  # rows that lie below the quadrant's first
                    row = quadrant // bands.channels + more
                    there = min(count, (rows - 1 - row) // bands.rows + 1 - low)
                    if there > done:
                        lanes = (more + 1) * bands.channels
                        self._write((low + done, there - done), s, quadrant, lanes)
                        done = there

    def _write(self, some: tuple[int, int], s: int, quadrant: int, lanes: int) -> None:
        """A quadrant of column s in bands (first, count), as far as they have all its rows."""
        bands, view, size = self.bands, self.view, self.dtype.size_bytes
        first, count = some
        row = first * bands.rows + quadrant // bands.channels
        at = view.offset + row * self.down + s * self.across
        width = min(bands.width, view.shape[3] - s)
        to = first * bands.width * size
        out_dims = ((bands.width, count), (1, width))
        dims = ((bands.rows * self.down, count), (self.across, width))
        self.lo.engine_copy(
            Ap(self.buffer, s * bands.grain + quadrant, lanes, to, self.dtype, out_dims),
            Ap(view.buffer, 0, lanes, at * size, self.dtype, dims),
        )

    def _shift(self, end: int) -> None:
        """The channels below themselves, each time a row further on, as far as row `end`."""
        begin, self.shifted = self.shifted, max(self.shifted, end)
        view, c, size = self.view, self.bands.channels, self.dtype.size_bytes
        for n in range(1, self.shifts + 1):
            first = max(begin, n)
            if end <= first:
                continue
            run = ((1, (end - first - 1) * self.down + (view.shape[3] - 1) * self.across + 1),)
            at = view.offset + first * self.down
            to = at - n * self.down
            self.lo.kernel.dma(
                DmaAp(view.buffer, n * c, c, to * size, self.dtype, run),
                DmaAp(view.buffer, 0, c, at * size, self.dtype, run),
            )
