"""Tap packing: few channels leave most rows of the array idle, so several kernel taps share a pass.

    packed[(t, c), i] = x[c, i + offset(t)]         for the taps t of one group
    out[o, s] = sum over steps of sum over (t, c) of w[o, c, step + t] * packed[(t, c), s + step]

A tap is a fixed distance in the (padded) image, so a group is packed by copies of whole rows of
bytes, one a tap, and serves every step by a shift of its own. Whether the copies pay is decided by
the specification's costs: array passes saved against bytes moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from compiler.lowering.context import PARTITIONS, Lowering
from compiler.tiles.view import Factor, View
from isa.kernel import DmaAp

GAIN = 1.3
"""Packing must be better by this factor: its copies cannot overlap the layer that they serve."""


@dataclass(frozen=True)
class Packing:
    """Taps packed together: a block of `rows` x `columns` of the last two kernel dimensions."""

    rows: int
    columns: int

    def steps(self, kernel: tuple[int, int]) -> int:
        """Array passes a tile needs."""
        return -(-kernel[0] // self.rows) * -(-kernel[1] // self.columns)


NONE = Packing(1, 1)


def choose(
    lo: Lowering, channels: int, kernel: tuple[int, int], products: int, plane_bytes: int
) -> Packing:
    """The cheapest packing.

    Args:
        products: PE cycles that one tap takes over the whole layer.
        plane_bytes: bytes a partition of the image.
    """
    if not lo.tensorize:
        return NONE
    hw = lo.hw
    rate = hw.core_dram_bytes_per_s / hw.pe_clock_hz  # bytes a PE cycle by DMA
    start = hw.dma_start_ns * hw.pe_clock_hz / 1e9
    best, cost = NONE, float(kernel[0] * kernel[1] * products)
    for rows in range(1, kernel[0] + 1):
        for columns in range(1, kernel[1] + 1):
            made = Packing(rows, columns)
            taps = rows * columns
            if taps == 1 or taps * channels > PARTITIONS or (rows > 1 and columns < kernel[1]):
                continue
            moved = taps * channels * plane_bytes / rate + 2 * start
            here = GAIN * (made.steps(kernel) * products + moved)
            if here < cost:
                best, cost = made, here
    return best


def flat(view: View, filled: bool) -> bool:
    """Whether the image of each channel is one run of defined bytes."""
    if len(view.part_dims()) > 1 or view.replicated or view.factors[1][-1:] == ():
        return False
    channel = [f for f in view.factors[1] if f.extent > 1]
    if len(channel) > 1 or (channel and not channel[0].part):
        return False
    elements = view.buffer.size_bytes // view.dtype.size_bytes
    dense = elements == math.prod(view.shape) // view.shape[1]
    return view.start == 0 and (filled or dense)


def pack(
    lo: Lowering,
    view: View,
    packing: Packing,
    kernel: tuple[int, int],
    steps: tuple[int, int],
    reach: int,
    name: str,
) -> View:
    """The packed image: [taps * channels] partitions of the image's own bytes.

    Args:
        view: the padded image [N, C, *S] in SBUF.
        steps: distance in elements of one tap down, one tap across.
        reach: elements from the first to behind the last that tap (0, 0) reads.
    """
    channels = view.shape[1]
    size = view.dtype.size_bytes
    last_row = (kernel[0] - 1) // packing.rows * packing.rows
    last_column = (kernel[1] - 1) // packing.columns * packing.columns
    length = reach + last_row * steps[0] + last_column * steps[1]
    rows = packing.rows * packing.columns * channels
    buffer = lo.kernel.sbuf(rows, length * size, f"{name}/taps")
    for r in range(packing.rows):
        for c in range(packing.columns):
            far = _furthest(r, packing.rows, kernel[0]) * steps[0]
            far += _furthest(c, packing.columns, kernel[1]) * steps[1]
            place = (r * packing.columns + c) * channels
            source = (view.offset + r * steps[0] + c * steps[1]) * size
            run = ((1, reach + far),)
            lo.kernel.dma(
                DmaAp(buffer, place, channels, 0, view.dtype, run),
                DmaAp(view.buffer, view.start, channels, source, view.dtype, run),
            )
    factors = list(view.factors)
    factors[1] = (Factor(rows, 1, True),)
    shape = list(view.shape)
    shape[1] = rows
    return replace(
        view, buffer=buffer, shape=tuple(shape), factors=tuple(factors), start=0, offset=0
    )


def _furthest(tap: int, group: int, kernel: int) -> int:
    """The last step, in taps, at which this member of the group is a tap of the kernel."""
    return (kernel - 1 - tap) // group * group
