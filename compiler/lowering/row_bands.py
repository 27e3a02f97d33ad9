"""A convolution over an image in DRAM whose rows lie on partitions, so that none is copied by DMA.

    wide[(s, r, c), b, i] = x[c, band * b + r - top, sw * i + s - left]     band = rows * sh
    out[o, rows * b + j, i] = sum over s, r, c of w[o, c, r - sh * j, s] * wide[(s, r, c), b, i]

A band holds the rows that `rows` rows of the result read; neighbours share what overlaps. Each
column s of the kernel has partitions of its own, from a quadrant's start on, where the elementwise
engines write it as they convert the image. The weights of row j are those of row 0, `sh * j` rows
of the image further down; zeros stand for what a row does not read (so an infinity in the image
spoils its band, not its window alone). Against taps packed by DMA (`image.py`): the array makes as
many passes as columns need, DMA loads what bands share twice, and engines have more to write.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.graph.attrs import integer, integers, pairs
from compiler.graph.graph import Node
from compiler.lowering.context import PARTITIONS, device_dtype
from isa.hardware import Hardware

PIECE = 256
"""Elements a partition of one conversion, about: the array begins with the first."""
MOST_ROWS = 8
"""Rows of the result that one band gives, at most: each has weights of its own."""


@dataclass(frozen=True)
class Bands:
    """Rows of an image on partitions.

    Attributes:
        channels: of the image; they lie side by side.
        rows: rows of the result that a band gives.
        columns: of the kernel, on the partitions at once.
        grain: partitions of each such column.
        out: rows and columns of the result.
    """

    channels: int
    rows: int
    columns: int
    grain: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    out: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]

    @property
    def held(self) -> int:
        """Rows of the image in a band."""
        return (self.rows - 1) * self.stride[0] + self.kernel[0]

    @property
    def step(self) -> int:
        """Rows of the image from a band to the next."""
        return self.rows * self.stride[0]

    @property
    def count(self) -> int:
        """Bands in an image."""
        return -(-self.out[0] // self.rows)

    @property
    def passes(self) -> int:
        """Array passes that the kernel's columns take."""
        return -(-self.kernel[1] // self.columns)

    @property
    def width(self) -> int:
        """Columns of a band."""
        return self.out[1] + (self.passes - 1) * self.columns // self.stride[1]

    @property
    def partitions(self) -> int:
        """Rows of the array that are used, and those between."""
        return (self.columns - 1) * self.grain + self.held * self.channels

    def lanes(self, p: int) -> int:
        """Partitions that pass p reads: those of its columns."""
        columns = min(self.columns, self.kernel[1] - p * self.columns)
        return (columns - 1) * self.grain + self.held * self.channels

    def inside(self, band: int, height: int) -> tuple[int, int]:
        """The rows [first, last) of a band that an image of `height` rows has."""
        top = band * self.step - self.pads[0][0]
        return max(0, -top), max(0, min(self.held, height - top))


def choose_bands(node: Node, hw: Hardware, dma_percent: int = 150) -> tuple[Bands | None, float]:
    """The cheapest bands and their cost in PE cycles, for a plain convolution of an image.

    Args:
        dma_percent: of a cycle of the array, what one of loading counts (`knobs.py`).
    """
    best, cost = None, float("inf")
    for bands in _candidates(node):
        here = _cost(node, bands, hw, dma_percent / 100)
        if here < cost:
            best, cost = bands, here
    return best, cost


def _candidates(node: Node) -> Iterator[Bands]:
    (_, channels, *_), (kh, kw) = node.inputs[0].shape, node.inputs[1].shape[2:]
    (sh, sw), (vertical, horizontal) = integers(node, "strides"), pairs(node, "pads")
    blocks = integers(node, "folds")[1]
    height = blocks * node.output.shape[2] - (blocks - 1) * integers(node, "shared")[1]
    height -= integer(node, "lead")
    out = (height, node.output.shape[3])
    for grain in (32, 64, PARTITIONS):
        columns = min(kw, PARTITIONS // grain)
        if columns < kw and columns % sw:
            continue
        most = (grain // channels - kh) // sh + 1 if grain >= channels * kh else 0
        for rows in range(1, min(most, MOST_ROWS, out[0]) + 1):
            yield Bands(
                channels, rows, columns, grain, (kh, kw), (sh, sw), out, (vertical, horizontal)
            )


def _cost(node: Node, bands: Bands, hw: Hardware, dma_weight: float) -> float:
    """PE cycles: of the array, of engines and DMA as far as they do more than they must."""
    x, w = node.inputs
    n, size = x.shape[0], device_dtype(x.dtype).size_bytes
    at_once = hw.pe_moving_max // bands.out[1] // bands.rows  # bands in a tile
    at_once = min(bands.count, max(1, at_once))
    columns = max(hw.pe_min_interval / at_once, bands.out[1])
    products = bands.passes * bands.count * bands.rows * columns * -(-w.shape[0] // hw.pe_columns)
    products *= hw.pe_fp32_passes if size == 4 else 1
    rate = hw.core_dram_bytes_per_s / hw.pe_clock_hz
    shared = max(0, bands.count * bands.held - x.shape[2]) * x.shape[3] * bands.channels * 4
    written = bands.columns * bands.count * bands.width * hw.pe_clock_hz / hw.act_clock_hz
    return n * (products + dma_weight * shared / rate + written / 2)


def bands_bytes(bands: Bands, images: int, item: int, loaded: int, width: int) -> int:
    """Bytes a partition of the bands of `images`, and of a piece as DRAM has it."""
    return images * bands.count * bands.width * item + PIECE // bands.width * width * loaded
