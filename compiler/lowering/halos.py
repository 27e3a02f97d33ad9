"""Padding kept in a tensor's own buffer: which value, and the instructions that write it once.

low rows | interior | high rows        each a strip over the padded extents of what lies inside
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from compiler.graph.attrs import integers, numbers
from compiler.graph.graph import Node
from compiler.lowering.places import Halo
from compiler.tiles.iterate import tiles
from compiler.tiles.view import Factor, Factors, View
from isa.dtypes import DType

if TYPE_CHECKING:
    from compiler.lowering.state import State

Fill = float | tuple[float, ...]
"""What stands in the padding: one number, or one a channel."""


def fill_of(node: Node) -> Fill:
    """What a convolution reads outside its input: zero unless it says so."""
    fill = numbers(node, "fill")
    return fill * integers(node, "folds")[0] if fill else 0.0


def fill_halo(lo: State, view: View, dim: int, halo: Halo, fill: Fill) -> None:
    """Write the padding around `view`, whose dimension `dim` is on partitions."""
    shape = list(view.shape)
    shape[dim] = math.prod(f.extent for f in view.factors[dim])  # no block is cut short
    view = replace(view, shape=tuple(shape))
    strips = list(_strips(view, halo))
    whole = _padded(view, halo)
    half = 2 if fill == 0.0 and view.dtype.size_bytes == 2 else 1
    least = lo.hw.engine_min_interval
    cost = sum(max(least, _elements(strip) // half) for strip in strips)
    if _elements(whole) // half <= cost:
        strips = [whole]
    if isinstance(fill, tuple):
        _spread(lo, strips, dim, fill)
        return
    for strip in strips:
        for _, (ap,) in tiles([strip], 65535):
            lo.kernel.memset(ap, fill)


def _elements(view: View) -> int:
    """Elements a partition."""
    return math.prod(f.extent for fs in view.factors for f in fs if not f.part)


def _padded(view: View, halo: Halo) -> View:
    """The whole tensor with its padding."""
    shape, factors, offset = list(view.shape), list(view.factors), view.offset
    for d, (low, high) in halo.items():
        if low or high:
            stride = view.factors[d][0].stride
            shape[d] += low + high
            factors[d] = (Factor(shape[d], stride),)
            offset -= low * stride
    return replace(view, shape=tuple(shape), factors=tuple(factors), offset=offset)


def _strips(view: View, halo: Halo) -> Iterator[View]:
    """The border strips, each element once: of a dimension over the padded extents inside it."""
    for d, (low, high) in halo.items():
        inner = _padded(view, {e: pads for e, pads in halo.items() if e > d})
        stride = view.factors[d][0].stride
        for first, size in ((-low, low), (view.shape[d], high)):
            if size:
                shape, factors = list(inner.shape), list(inner.factors)
                shape[d], factors[d] = size, (Factor(size, stride),)
                yield replace(
                    inner,
                    shape=tuple(shape),
                    factors=tuple(factors),
                    offset=inner.offset + first * stride,
                )


def _spread(lo: State, strips: list[View], dim: int, fill: tuple[float, ...]) -> None:
    """Fill strips with the number of each channel."""
    blocks, block = (f.extent for f in strips[0].factors[dim])
    image = np.zeros(blocks * block, np.float32)
    image[: len(fill)] = fill
    column = lo.constant_image(image.reshape(blocks, block).T, DType.FP32, "padding")
    for strip in strips:
        factors: list[Factors] = [(Factor(e, 0),) for e in strip.shape]
        factors[dim] = (Factor(blocks, 1), Factor(block, 1, True))
        source = View(column, DType.FP32, strip.shape, tuple(factors))
        for _, (out, ap) in tiles([strip, source], 65535):
            lo.engine_copy(out, ap)
