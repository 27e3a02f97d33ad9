"""Rows: layouts in which one dimension is free, for scans, sorting and gathers along it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from compiler.graph.graph import Value
from compiler.lowering.context import PARTITIONS, Lowering, Spec
from compiler.tiles.iterate import Mismatch
from compiler.tiles.view import View
from isa.dtypes import DType
from isa.kernel import Ap


def row_spec(shape: tuple[int, ...], axis: int) -> Spec | None:
    """The layout with the largest other dimension on partitions; None for a vector."""
    others = [d for d in range(len(shape)) if d != axis]
    if not others:
        return None
    return Spec.of(shape, max(others, key=lambda d: min(shape[d], PARTITIONS)))


def free_along(lo: Lowering, value: Value, axis: int) -> View:
    """The value with `axis` along the free dimension, in steps of one length."""
    spec = row_spec(value.shape, axis)
    view = lo.on_one_partition(value) if spec is None else lo.view(value, spec)
    if sum(f.extent > 1 for f in view.factors[axis]) < 2:
        return view
    packed = empty_along(lo, value.shape, axis, view.dtype, f"{value.name}/packed")
    lo.copy(packed, view)
    return packed


def empty_along(lo: Lowering, shape: tuple[int, ...], axis: int, dtype: DType, name: str) -> View:
    """A new tensor with `axis` along the free dimension."""
    spec = row_spec(shape, axis)
    if spec is not None:
        return lo.allocate(shape, dtype, spec, name)
    made = lo.allocate((1, *shape), dtype, Spec(0, 1), name)
    return replace(made, shape=shape, factors=made.factors[1:])


def rows(views: list[View], axis: int) -> Iterator[list[Ap]]:
    """For each block of partitions and each position of the other dimensions: a row of each view.

    The views come from `free_along` and `empty_along` of tensors that differ in `axis` alone.
    """
    lead = views[0]
    ranges = []
    for d, extent in enumerate(lead.shape):
        if d == axis:
            ranges.append([(0, -1)])
            continue
        block = next((f.extent for f in lead.factors[d] if f.part), 1)
        ranges.append([(i, min(block, extent - i)) for i in range(0, extent, block)])
    for box in itertools.product(*ranges):
        yield [_row(view, axis, box) for view in views]


def _row(view: View, axis: int, box: tuple[tuple[int, int], ...]) -> Ap:
    partitions = 1
    for d, (first, size) in enumerate(box):
        if d == axis:
            continue
        made = view.slice(d, first, size)
        if made is None:
            raise Mismatch(-1, "a block of rows is a view")
        view = made
        partitions *= size
    free = [f for f in view.factors[axis] if f.extent > 1]
    dims = tuple((f.stride, f.extent) for f in free) or ((1, 1),)
    offset = view.offset * view.dtype.size_bytes
    return Ap(view.buffer, view.start, partitions, offset, view.dtype, dims)
