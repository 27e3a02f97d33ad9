"""A convolution over an image in DRAM: few channels, so the load brings several taps to a pass.

    packed[(a, s, p, c), i, j] = x[c, sh * (i + a) + p - top, sw * j + s - left]
    out[o, i, j] = sum over steps, k of w[o, k at step] * packed[k, i, j shifted by step]

The image is loaded with groups of rows on partitions, converted there by engines that then have
many lanes to work in, and copied inside SBUF once for each tap of a block of `rows` x `columns`.
Strides are taken by the copies, so that no element is moved that no product reads, and DRAM is read
once. The block is chosen by cost: array passes against bytes moved.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from compiler.graph.attrs import integer, integers
from compiler.graph.graph import Array, Graph, Node, Value
from compiler.lowering.context import PARTITIONS, device_dtype
from compiler.lowering.row_bands import Bands, bands_bytes, choose_bands
from compiler.tiles.view import Factor, View
from isa.hardware import Hardware

RUN_BYTES = 2048
"""Runs of a copy inside SBUF are about this long: shorter ones cost more than they gain."""
COPY_WEIGHT = 1.5
"""A cycle of copying counts so many of the array: short runs, and weights that have to wait."""


@dataclass(frozen=True)
class Block:
    """Taps that share an array pass, and the geometry that follows."""

    rows: int
    columns: int
    stride: tuple[int, int]
    kernel: tuple[int, int]
    out: tuple[int, int]
    channels: int

    @property
    def steps(self) -> tuple[int, int]:
        """Array passes down and across."""
        return -(-self.kernel[0] // self.rows), -(-self.kernel[1] // self.columns)

    @property
    def shifts(self) -> int:
        """Rows of one phase within the block."""
        return self.rows // self.stride[0]

    @property
    def held(self) -> int:
        """Rows of the kernel that the block holds: no more than there are."""
        return min(self.rows, self.kernel[0])

    def phases(self, shift: int) -> int:
        """Rows held of the phases at one shift."""
        return min(self.stride[0], self.held - shift * self.stride[0])

    def place(self, shift: int, column: int, phase: int) -> int:
        """The first partition of a tap."""
        before = shift * self.stride[0] * self.columns + column * self.phases(shift)
        return (before + phase) * self.channels

    @property
    def partitions(self) -> int:
        """Rows of the array that are used."""
        return self.held * self.columns * self.channels

    @property
    def height(self) -> int:
        """Rows of a packed plane that products read."""
        return self.out[0] + (self.steps[0] - 1) * self.shifts

    @property
    def width(self) -> int:
        """Columns of a plane."""
        return self.out[1] + (self.steps[1] * self.columns - 1) // self.stride[1]


@dataclass(frozen=True)
class Source:
    """The image of a convolution: a graph input, perhaps a slice of it, perhaps converted."""

    value: Value
    cut: Node | None
    skipped: tuple[Node, ...]
    block: Block | Bands


def find_images(graph: Graph, hw: Hardware, dma_percent: int = 150) -> dict[int, Source]:
    """Value id -> source, of every value that a convolution can read packed from DRAM.

    Args:
        dma_percent: as in `choose_bands`.
    """
    inputs = {v.id for v in graph.inputs}
    outputs = {v.id for v in graph.outputs}
    readers, producers = graph.consumers(), graph.producers()
    found: dict[int, Source] = {}
    for node in graph.nodes:
        block = choose_way(graph, node, hw, dma_percent) if node.op == "conv" else None
        if block is None:
            continue
        value, skipped = node.inputs[0], list[Node]()
        while _read_once(value, readers, outputs) and value.id not in inputs:
            maker = producers[value.id]
            if maker.op not in ("cast", "slice") or any(m.op == maker.op for m in skipped):
                break
            skipped.append(maker)
            value = maker.inputs[0]
        cut = next((m for m in skipped if m.op == "slice"), None)
        if value.id not in inputs or (cut is not None and not _contiguous(cut)):
            continue
        found[node.inputs[0].id] = Source(value, cut, tuple(skipped), block)
    return {v: s for v, s in found.items() if _only_images(s.value, readers, found, outputs)}


def _contiguous(cut: Node) -> bool:
    return all(s == 1 for s in integers(cut, "steps"))


def _read_once(value: Value, readers: dict[int, list[Node]], outputs: set[int]) -> bool:
    return len(readers[value.id]) == 1 and value.id not in outputs


def _only_images(
    value: Value, readers: dict[int, list[Node]], found: dict[int, Source], outputs: set[int]
) -> bool:
    """Whether a graph input is read in no other way."""
    ways = {id(s.skipped[-1]) for s in found.values() if s.skipped and s.value.id == value.id}
    if value.id in found:
        return _read_once(value, readers, outputs)
    return value.id not in outputs and all(id(r) in ways for r in readers[value.id])


def choose_way(graph: Graph, node: Node, hw: Hardware, dma_percent: int) -> Block | Bands | None:
    """The cheaper of a block of taps and bands of rows; None where nothing is gained."""
    if not _plain(graph, node):
        return None
    block, cost = _cheapest_block(node, hw)
    bands, of_bands = choose_bands(node, hw, dma_percent)
    return bands if of_bands < cost else block


def choose_block(graph: Graph, node: Node, hw: Hardware) -> Block | None:
    """The cheapest block of taps; None where the convolution is not of this kind."""
    return _cheapest_block(node, hw)[0] if _plain(graph, node) else None


def _plain(graph: Graph, node: Node) -> bool:
    """Whether the node is a convolution of one group over an image of floats."""
    x, w = node.inputs[0], node.inputs[1]
    plain = integer(node, "groups") == 1 and all(d == 1 for d in integers(node, "dilations"))
    return len(x.shape) == 4 and graph.is_constant(w) and plain and x.dtype.kind not in "biu"


def _cheapest_block(node: Node, hw: Hardware) -> tuple[Block | None, float]:
    """The cheapest block of taps, and what it costs in PE cycles; or one tap at a time."""
    x, w = node.inputs[0], node.inputs[1]
    (kh, kw), (sh, sw) = w.shape[2:], integers(node, "strides")
    c, n = x.shape[1], x.shape[0]
    rate = hw.core_dram_bytes_per_s / hw.pe_clock_hz
    size = device_dtype(x.dtype).size_bytes
    blocks = integers(node, "folds")[1]
    products = n * blocks * math.prod(node.output.shape[2:]) * -(-w.shape[0] // hw.pe_columns)
    products *= hw.pe_fp32_passes if size == 4 else 1
    best: Block | None = None
    cost = float(kh * kw * products)
    for rows in (*range(sh, kh, sh), -(-kh // sh) * sh):
        for columns in (*range(sw, kw, sw), kw):
            height = blocks * node.output.shape[2] - (blocks - 1) * integers(node, "shared")[1]
            height -= integer(node, "lead")
            out = (height, node.output.shape[3])
            block = Block(rows, columns, (sh, sw), (kh, kw), out, c)
            if rows * columns == 1 or block.partitions > PARTITIONS:
                continue
            plane = n * block.height * block.width * size
            moved = COPY_WEIGHT * block.partitions * plane / rate
            here = block.steps[0] * block.steps[1] * products + moved
            if here < cost:
                best, cost = block, here
    return best, cost


def image_bytes(source: Source, value: Value, item: int) -> int:
    """Bytes a partition that the packed image of a value takes, and a band while it is loaded."""
    block = source.block
    n, _, height, width = value.shape
    if isinstance(block, Bands):
        return bands_bytes(block, n, item, source.value.dtype.itemsize, width)
    rows = height // block.stride[0] + 2 * block.shifts + 2
    row = block.width * item
    of_band = min(height, -(-2 * RUN_BYTES // row))
    band = of_band * (width * source.value.dtype.itemsize + block.stride[1] * row)
    return n * max(rows, block.height) * row + band


def packed_terms(block: Block, packed: View, weights: Array) -> tuple[list[View], Array]:
    """The moving view of each step, and the weights [steps, O, k]."""
    outputs, channels = weights.shape[:2]
    sh, sw = block.stride
    moving, pieces = [], []
    for jr in range(block.steps[0]):
        for js in range(block.steps[1]):
            part = np.zeros((outputs, block.partitions), weights.dtype)
            tile = weights[
                :, :, jr * block.rows : (jr + 1) * block.rows,
                js * block.columns : (js + 1) * block.columns,
            ]  # fmt: skip
            for r, s in itertools.product(range(tile.shape[2]), range(tile.shape[3])):
                k = block.place(r // sh, s, r % sh)
                part[:, k : k + channels] = tile[:, :, r, s]
            pieces.append(part)
            at = jr * block.shifts * block.width + js * (block.columns // sw)
            factors = (
                packed.factors[0],
                (),
                (Factor(block.out[0], block.width),),
                (Factor(block.out[1], 1),),
                packed.factors[1],
            )
            shape = (packed.shape[0], 1, *block.out, block.partitions)
            moving.append(replace(packed, shape=shape, factors=factors, offset=packed.offset + at))
    return moving, np.stack(pieces)
