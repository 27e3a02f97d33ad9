"""Lowering: the state of one walk over a graph: where values lie, what has been emitted.

A value is in SBUF in the layout that its producer chose; `view(value, spec)` gives it in another
layout, moving it once and remembering the copy. Constants are packed by the compiler into the very
bytes that SBUF will hold, so that loading one is a copy of whole partition rows.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from compiler.graph.graph import Value
from compiler.lowering.moving import Moving
from compiler.lowering.places import (
    PARTITIONS,
    Halo,
    Spec,
    dense,
    device_dtype,
    has_device_dtype,
    lies_so,
    packed,
    whole_spec,
)
from compiler.lowering.turned import spread_on_vector
from compiler.tiles.iterate import legal_start, tiles
from compiler.tiles.view import Factor, View
from isa.dtypes import DType
from isa.instructions.tensor import MATMUL_DTYPES
from isa.kernel import Ap
from isa.program import BufferKind

if TYPE_CHECKING:
    pass


__all__ = [
    "PARTITIONS",
    "Halo",
    "Lowering",
    "Spec",
    "dense",
    "device_dtype",
    "has_device_dtype",
    "lies_so",
    "packed",
    "whole_spec",
]


NUMBERS = Spec(-1, 2)
"""Marks the copy of a value in every partition that is in FP32."""


class Lowering(Moving):
    """One walk over a graph, as its nodes are lowered."""

    def replicated(self, value: Value, partitions: int) -> View:
        """A value the same in every partition: broadcast by a product with a row of ones."""
        here = self.views[value.id]
        if here.replicated:
            return here
        key = (value.id, Spec(-1, 1))
        if key not in self.copies:
            if here.dtype not in MATMUL_DTYPES:
                self.copies[key] = self._spread_by_dma(here, f"{value.name}/replicated")
                return self.copies[key]
            ones = [d for d, e in enumerate(value.shape) if e == 1]
            row = self.view(value, Spec(ones[0], 1)) if ones else self.on_one_partition(value)
            self.copies[key] = self._spread(row, f"{value.name}/replicated")
        return self.copies[key]

    def replicated_numbers(self, value: Value) -> View:
        """`replicated` in FP32, which rounds what is beyond 2^24: the array copies no integers."""
        here = self.views[value.id]
        if here.replicated or here.dtype in MATMUL_DTYPES:
            return self.replicated(value, PARTITIONS)
        key = (value.id, NUMBERS)
        if key in self.copies:
            return self.copies[key]
        row = self.on_one_partition(value)
        numbers = self.allocate((1, *value.shape), DType.FP32, Spec(0, 1), f"{value.name}/numbers")
        flat = replace(numbers, shape=value.shape, factors=numbers.factors[1:])
        self.copy(flat, row)
        self.copies[key] = self._spread(flat, f"{value.name}/replicated")
        return self.copies[key]

    def _spread_by_dma(self, here: View, name: str) -> View:
        """Any type: out to DRAM, and back into every partition with a step of 0."""
        size = math.prod(here.shape) * here.dtype.size_bytes
        home = self.kernel.dram(name, size, BufferKind.SCRATCH, here.dtype, here.shape)
        row = dense(home, here.dtype, here.shape)
        self.dma(row, here)
        buffer = self.kernel.sbuf(PARTITIONS, size, name)
        partitions = Factor(PARTITIONS, 1, True)
        wide = View(buffer, here.dtype, (PARTITIONS, *here.shape), ((partitions,), *row.factors))
        self.dma(wide, row.broadcast(wide.shape))
        return View(buffer, here.dtype, here.shape, row.factors, replicated=True)

    def on_one_partition(self, value: Value) -> View:
        """A value in one partition."""
        here = self.views[value.id]
        if not here.part_dims() and legal_start(here.start + here.buffer.start, 1):
            return here
        made = self.allocate((1, *value.shape), here.dtype, Spec(0, 1), f"{value.name}/row")
        flat = replace(made, shape=value.shape, factors=made.factors[1:])
        self.copy(flat, here)
        return flat

    def _spread(self, row: View, name: str) -> View:
        factors: list[tuple[Factor, ...]] = []
        stride = 1
        for extent in reversed(row.shape):
            factors.insert(0, (Factor(extent, stride),) if extent > 1 else ())
            stride *= extent
        buffer = self.kernel.sbuf(PARTITIONS, stride * row.dtype.size_bytes, name)
        flat = View(buffer, row.dtype, row.shape, tuple(factors))
        if stride == 1 and row.dtype.size_bytes == DType.FP32.size_bytes:
            spread_on_vector(self, buffer, row)
            return replace(flat, replicated=True)
        ones = self.filled(row.dtype, 1.0)
        for _, (out, ap) in tiles([flat, row], self.hw.pe_moving_max):
            tile = self.kernel.psum(PARTITIONS, "spread")
            for at in range(0, PARTITIONS, self.hw.pe_columns):
                n = min(self.hw.pe_columns, PARTITIONS - at)
                target = Ap(tile, at, n, 0, DType.FP32, ((1, out.free),))
                column = Ap(ones.buffer, ap.start, 1, 0, ones.dtype, ((1, n),))
                self.kernel.matmul(target, column, ap, start=True, stop=True)
            source = Ap(tile, 0, PARTITIONS, 0, DType.FP32, ((1, out.free),))
            self.engine_copy(replace(out, partitions=PARTITIONS), source)
        return replace(flat, replicated=True)

    def view(self, value: Value, spec: Spec | None = None) -> View:
        """A value where it lies, or in the layout asked for (moved once, then remembered)."""
        here = self.views[value.id]
        if spec is None or lies_so(here, spec):
            return here
        key = (value.id, spec)
        if key not in self.copies:
            moved = self.allocate(value.shape, here.dtype, spec, f"{value.name}/relayout")
            self.copy(moved, here)
            self.copies[key] = moved
        return self.copies[key]

    def from_first(self, value: Value, spec: Spec) -> View:
        """`view`, but surely from partition 0: what two computed operands of a product share."""
        here = self.view(value, spec)
        parts = [f for fs in here.factors for f in fs if f.part and f.extent > 1]
        if here.start + here.buffer.start == 0 and all(f.stride == 1 for f in parts):
            return here
        moved = self.allocate(value.shape, here.dtype, spec, f"{value.name}/from first")
        self.copy(moved, here)
        return moved
