"""Tap packing: few channels leave most rows of the array idle, so several kernel taps share a pass.

    packed[(t, c), i] = x[c, i + offset(t)]         for the taps t of one group
    out[o, s] = sum over steps of sum over (t, c) of w[o, c, step + t] * packed[(t, c), s + step]

A tap is a fixed distance in the (padded) image, so a group is packed by copies of runs of
bytes, one a tap, and serves every step by a shift of its own. The elementwise engines copy to
halves or quadrants of the partitions, piece by piece as the image is made; DMA copies to anywhere,
and late. Whether the copies pay, and whose, is decided by the specification's costs: array passes
saved against elements and bytes moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from compiler.lowering.context import PARTITIONS, Lowering
from compiler.tiles.view import Factor, View
from isa.hardware import Hardware
from isa.kernel import Ap, Buffer, DmaAp

GAIN = 1.3
"""Packing by DMA must be better by this factor: it is slow to start beside the layer it serves."""
PIECE = 1024
"""Elements a partition of one copy by an engine."""


@dataclass(frozen=True)
class Packing:
    """Taps packed together: a block of `rows` x `columns` of the last two kernel dimensions.

    `grain` partitions belong to each tap; `engines` copy them, else DMA does. `crossed`: the taps
    of the last column (or row), of which a pass would hold one, are paired the other way, in a
    packed image of their own: 5 passes for 3 x 3 taps, not 6.
    """

    rows: int
    columns: int
    grain: int = 0
    engines: bool = False
    crossed: bool = False

    def steps(self, kernel: tuple[int, int]) -> int:
        """Array passes a tile needs."""
        if self.crossed:
            return sum(pack._plain_steps(size) for pack, _, size in self.parts(kernel))
        return self._plain_steps(kernel)

    def _plain_steps(self, kernel: tuple[int, int]) -> int:
        return -(-kernel[0] // self.rows) * -(-kernel[1] // self.columns)

    def parts(
        self, kernel: tuple[int, int]
    ) -> list[tuple[Packing, tuple[int, int], tuple[int, int]]]:
        """The packed images: for each its packing, its first tap and how many taps down, across."""
        if not self.crossed:
            return [(self, (0, 0), kernel)]
        plain = replace(self, crossed=False)
        turned = replace(plain, rows=self.columns, columns=self.rows)
        if self.columns > 1:
            whole = kernel[1] // self.columns * self.columns
            first, rest = (kernel[0], whole), (kernel[0], kernel[1] - whole)
            return [(plain, (0, 0), first), (turned, (0, whole), rest)]
        whole = kernel[0] // self.rows * self.rows
        first, rest = (whole, kernel[1]), (kernel[0] - whole, kernel[1])
        return [(plain, (0, 0), first), (turned, (whole, 0), rest)]

    @property
    def taps(self) -> int:
        """Taps packed together."""
        return self.rows * self.columns

    def blocks(self, kernel: tuple[int, int]) -> list[tuple[int, int, list[int]]]:
        """For each array pass its first tap (row, column) and the places that hold taps of it;
        the fullest first.
        """
        made = []
        for r in range(0, kernel[0], self.rows):
            for c in range(0, kernel[1], self.columns):
                down, across = min(self.rows, kernel[0] - r), min(self.columns, kernel[1] - c)
                held = [i * self.columns + j for i in range(down) for j in range(across)]
                made.append((r, c, held))
        return sorted(made, key=lambda block: -len(block[2]))


NONE = Packing(1, 1)


def choose(
    lo: Lowering, channels: int, kernel: tuple[int, int], products: int, plane_bytes: int, size: int
) -> Packing:
    """The cheapest packing.

    Args:
        products: PE cycles that one tap takes over the whole layer.
        plane_bytes: bytes a partition of the image.
        size: bytes of an element.
    """
    if not lo.tensorize or not lo.knobs.tap_packing:
        return NONE
    best, cost = NONE, cost_of(lo.hw, NONE, channels, kernel, products, plane_bytes, size)
    for packing in _candidates(channels, kernel):
        here = cost_of(lo.hw, packing, channels, kernel, products, plane_bytes, size)
        if here < cost:
            best, cost = packing, here
    return best


def cost_of(
    hw: Hardware,
    packing: Packing,
    channels: int,
    kernel: tuple[int, int],
    products: int,
    plane_bytes: int,
    size: int,
) -> float:
    """PE cycles of the array and of the copies; arguments as for `choose`."""
    if packing == NONE:
        return float(kernel[0] * kernel[1] * products)
    moved = _moved(hw, packing, channels, plane_bytes, size)
    here = packing.steps(kernel) * products + moved
    return here * (1.0 if packing.engines else GAIN)


def _candidates(channels: int, kernel: tuple[int, int]) -> Iterator[Packing]:
    grain = next((g for g in (32, 64) if channels <= g), PARTITIONS)
    for rows in range(1, kernel[0] + 1):
        for columns in range(1, kernel[1] + 1):
            taps = rows * columns
            if taps > 1 and taps * grain <= PARTITIONS:
                yield Packing(rows, columns, grain, True)
            if (
                taps == 2
                and grain * 2 == PARTITIONS
                and min(kernel) > 1
                and kernel[columns - 1] % 2
            ):
                yield Packing(rows, columns, grain, True, crossed=True)
            if taps > 1 and taps * channels <= PARTITIONS and (rows == 1 or columns == kernel[1]):
                yield Packing(rows, columns, channels)


def _moved(hw: Hardware, packing: Packing, channels: int, plane_bytes: int, size: int) -> float:
    """PE cycles that the copies take: of two engines, or of DMA from its start."""
    if packing.engines:
        elements = plane_bytes / size
        fill = elements / 2 if channels < packing.grain else 0.0
        images = 2 if packing.crossed else 1
        return images * (packing.taps * elements + fill) / 2 * hw.pe_clock_hz / hw.act_clock_hz
    rate = hw.core_dram_bytes_per_s / hw.pe_clock_hz  # bytes a PE cycle by DMA
    start = hw.dma_start_ns * hw.pe_clock_hz / 1e9
    return packing.taps * channels * plane_bytes / rate + 2 * start


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
    """The packed image: `grain` partitions a tap, each tap's of the image's own bytes.

    Args:
        view: the padded image [N, C, *S] in SBUF.
        steps: distance in elements of one tap down, one tap across.
        reach: elements from the first to behind the last that tap (0, 0) reads.
    """
    channels, size = view.shape[1], view.dtype.size_bytes
    last_row = (kernel[0] - 1) // packing.rows * packing.rows
    last_column = (kernel[1] - 1) // packing.columns * packing.columns
    length = reach + last_row * steps[0] + last_column * steps[1]
    rows = (packing.taps - 1) * packing.grain + channels
    buffer = lo.kernel.sbuf(rows, length * size, f"{name}/taps")
    shifts = [
        r * steps[0] + c * steps[1] for r in range(packing.rows) for c in range(packing.columns)
    ]
    if packing.engines:
        _copy_by_engines(lo, view, buffer, packing.grain, length, shifts)
    else:
        for t, shift in enumerate(shifts):
            r, c = divmod(t, packing.columns)
            far = _furthest(r, packing.rows, kernel[0]) * steps[0]
            far += _furthest(c, packing.columns, kernel[1]) * steps[1]
            run = ((1, reach + far),)
            source = (view.offset + shift) * size
            lo.kernel.dma(
                DmaAp(buffer, t * packing.grain, channels, 0, view.dtype, run),
                DmaAp(view.buffer, view.start, channels, source, view.dtype, run),
            )
    factors = list(view.factors)
    factors[1] = (Factor(rows, 1, True),)
    shape = list(view.shape)
    shape[1] = rows
    return replace(
        view, buffer=buffer, shape=tuple(shape), factors=tuple(factors), start=0, offset=0
    )


def _copy_by_engines(
    lo: Lowering, view: View, buffer: Buffer, grain: int, length: int, shifts: list[int]
) -> None:
    """Every tap's copy, piece by piece from the top; zeros between taps and behind the image."""
    channels, size = view.shape[1], view.dtype.size_bytes
    there = view.buffer.size_bytes // size - view.offset

    def target(start: int, partitions: int, first: int, count: int) -> Ap:
        return Ap(buffer, start, partitions, first * size, view.dtype, ((1, count),))

    if channels < grain:
        lo.kernel.memset(target(0, buffer.partitions, 0, length), 0.0)
    for t, shift in enumerate(shifts):
        if there - shift < length and channels == grain:
            first = there - shift
            lo.kernel.memset(target(t * grain, channels, first, length - first), 0.0)
    for first in range(0, length, PIECE):
        for t, shift in enumerate(shifts):
            count = min(PIECE, length - first, there - shift - first)
            if count > 0:
                at = (view.offset + shift + first) * size
                source = Ap(view.buffer, view.start, channels, at, view.dtype, ((1, count),))
                lo.engine_copy(target(t * grain, channels, first, count), source)


def _furthest(tap: int, group: int, kernel: int) -> int:
    """The last step, in taps, at which this member of the group is a tap of the kernel."""
    return (kernel - 1 - tap) // group * group
