"""Moving data between layouts: by the elementwise engines, the array or DMA, whichever can."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from compiler.graph.graph import Value
from compiler.lowering.loading import Loading
from compiler.lowering.places import (
    TRANSPOSED_LANES,
    Spec,
    dense,
    dense_by_runs,
    device_dtype,
)
from compiler.tiles.iterate import Mismatch, check_alike, ragged_regions, sliced, tiles
from compiler.tiles.view import View, common_atoms, compact, joined_dims
from isa.dtypes import DType
from isa.kernel import DmaAp
from isa.memory import DRAM, PSUM, SBUF
from isa.program import BufferKind

if TYPE_CHECKING:
    pass


class Moving(Loading):
    """A walk that can move what lies on chip."""

    def copy(self, dst: View, src: View) -> None:
        """dst := src, converted; by the elementwise engines, the array or DMA, whichever can."""
        if src.buffer.id in self.spoiling:
            self.spoiling.add(dst.buffer.id)
        try:
            pairs = list(tiles([dst, src], 2048))
        except Mismatch:
            self._move(dst, src)
            return
        for _, (out, ap) in pairs:
            self.engine_copy(out, ap)

    def _move(self, dst: View, src: View) -> None:
        from compiler.lowering.transpose import transpose_on_array, transpose_on_vector

        if src.buffer.memory is PSUM:  # arrays, DMA and transposes read SBUF
            staged = self._empty_like(src, src.dtype)
            self.copy(staged, src)
            src = staged
        finite = src.buffer.id not in self.spoiling
        wide = src.dtype.size_bytes > 2  # several passes of the array
        if (wide or self._array_is_busier(src)) and transpose_on_vector(self, dst, src):
            return
        if src.buffer.memory == SBUF and finite and transpose_on_array(self, dst, src):
            return
        if transpose_on_vector(self, dst, src):
            return
        if src.dtype == dst.dtype and src.buffer.memory == SBUF and self._shift(dst, src):
            return
        self._bounce(dst, src)

    def _array_is_busier(self, moved: View) -> bool:
        """Whether the vector engine would be through with a transpose before the array is."""
        hw, elements = self.hw, math.prod(moved.shape)
        array = elements / (hw.pe_columns * hw.pe_clock_hz)  # a column of the identity a cycle
        vector = elements / (TRANSPOSED_LANES * hw.dve_clock_hz)
        return self.load.dve + vector < self.load.pe + self.load.lead + array

    def _shift(self, dst: View, src: View) -> bool:
        """By DMA inside SBUF: the same dimensions on partitions, from whichever first partition."""
        boxes = ragged_regions(dst)
        pairs = []
        for box in boxes:
            try:
                pairs.append((sliced(dst, box), sliced(src, box)))
            except Mismatch:
                return False
        for a, b in pairs:
            by_dim = common_atoms([a, b])
            if by_dim is None or any(
                x.parts[0] != x.parts[1] or (x.parts[0] and x.strides[0] != x.strides[1])
                for dim in by_dim
                for x in dim
            ):
                return False
        for a, b in pairs:
            self._dma_region(a, b)
        return True

    def _bounce(self, dst: View, src: View) -> None:
        """Through DRAM: slow, and right for every pair of layouts."""
        size = math.prod(src.shape) * src.dtype.size_bytes
        home = self.kernel.dram("relayout", size, BufferKind.SCRATCH, src.dtype, src.shape)
        between = dense_by_runs(home, src.dtype, src.shape, (dst, src))
        self.dma(between, src)
        if dst.dtype == src.dtype:
            self.dma(dst, between)
            return
        staged = self._empty_like(dst, src.dtype)
        try:
            check_alike([dst, staged])
        except Mismatch:  # no place for engines, and only they convert: do it in another
            largest = max(range(len(src.shape)), key=lambda d: src.shape[d], default=0)
            spec = Spec.of(src.shape, largest) if src.shape else Spec(0, 1)
            staged = self.allocate(src.shape, src.dtype, spec, "staged")
            made = self.allocate(src.shape, dst.dtype, spec, "converted")
            self.dma(staged, between)
            self.copy(made, staged)
            self.copy(dst, made)
            return
        self.dma(staged, between)
        self.copy(dst, staged)

    def _empty_like(self, view: View, dtype: DType) -> View:
        """A new tensor that lies in its buffer as `view` does in its own."""
        size = view.buffer.size_bytes // view.dtype.size_bytes * dtype.size_bytes
        return replace(view, buffer=self.kernel.sbuf(view.buffer.partitions, size), dtype=dtype)

    def in_type(self, view: View, dtype: DType) -> View:
        """The same numbers in another type, lying as they lie: itself where it has that type."""
        if view.dtype is dtype:
            return view
        made = self._empty_like(view, dtype)
        self.copy(made, view)
        return made

    def reshape_through_dram(self, dst: View, src: View) -> None:
        """dst := src in row-major order; the shapes differ, the number of elements does not."""
        size = math.prod(src.shape) * src.dtype.size_bytes
        home = self.kernel.dram("reshape", size, BufferKind.SCRATCH, src.dtype, src.shape)
        self.dma(dense(home, src.dtype, src.shape), src)
        self.dma(dst, dense(home, src.dtype, dst.shape))

    def staged(self, source: View, like: View) -> View:
        """A piece of a tensor in DRAM, loaded beside the piece of a result that reads it."""
        factors, stride = compact(like.factors)
        last = like.start + sum(
            f.stride * (f.extent - 1) for fs in like.factors for f in fs if f.part
        )
        buffer = self.kernel.sbuf(last + 1, stride * source.dtype.size_bytes, "staged")
        view = View(buffer, source.dtype, source.shape, factors, like.start)
        self.dma(view, source)
        return view

    def constant_view(self, value: Value, like: View) -> View:
        """A whole constant in the layout and type of `like`, for copies."""
        array = self.graph.constants[value.id]
        made = [d for d, fs in enumerate(like.factors) if any(f.part for f in fs)]
        dim = made[0] if made else 0
        block = next((f.extent for f in like.factors[dim] if f.part), 1)
        spec = Spec(dim, min(block, array.shape[dim]))
        view = self.allocate(array.shape, like.dtype, spec, value.name)
        self.dma(view, self.constant_in_dram(value, like.dtype))
        return view

    def load_constant(self, value: Value, spec: Spec) -> None:
        """A constant as a tensor in SBUF, like any other value."""
        dtype = device_dtype(value.dtype)
        view = self.allocate(value.shape, dtype, spec, value.name)
        self.dma(view, self.constant_in_dram(value, dtype))
        self.views[value.id] = view

    def constant_in_dram(self, value: Value, dtype: DType) -> View:
        """A constant as a dense tensor in DRAM."""
        stored = np.ascontiguousarray(self.graph.constants[value.id].astype(dtype.numpy))
        home = self.kernel.dram(
            value.name, max(1, stored.nbytes), BufferKind.CONSTANT, dtype, value.shape
        )
        self.constant_data[home.id] = stored.reshape(-1).view(np.uint8)
        return dense(home, dtype, value.shape)

    def dma(self, dst: View, src: View) -> None:
        """dst := src by DMA; one of them is in DRAM."""
        from compiler.lowering.transpose import row_major_stage
        from compiler.lowering.turned import store_turned

        loads = src.buffer.memory is DRAM
        chip = dst if loads else src
        far = src if loads else dst
        if not loads and store_turned(self, far, chip):
            return
        staged = None if self.staging else row_major_stage(self, chip, far)
        if staged is not None:
            self.staging = True  # where the copy goes through DRAM in turn, it goes as it lies
            self.dma(staged, src) if loads else self.copy(staged, src)
            self.copy(dst, staged) if loads else self.dma(dst, staged)
            self.staging = False
            return
        for box in ragged_regions(chip):
            self._dma_region(sliced(dst, box), sliced(src, box))

    def _dma_region(self, dst: View, src: View) -> None:
        by_dim = common_atoms([dst, src])
        assert by_dim is not None, "a dense DRAM view takes any factors"
        atoms = [a for dim in by_dim for a in dim]
        side = 0 if dst.buffer.memory is not DRAM else 1
        parts = sorted((a for a in atoms if a.parts[side]), key=lambda a: -a.strides[side])
        free = sorted((a for a in atoms if not a.parts[side]), key=lambda a: -abs(a.strides[side]))
        order = [*parts, *free]
        views = (dst, src)
        fitting = len(order)
        while fitting and not all(
            len(joined_dims([(a.strides[i], a.extent) for a in order[len(order) - fitting :]])) <= 5
            for i in range(2)
        ):
            fitting -= 1
        looped = order[: len(order) - fitting]
        kept = order[len(order) - fitting :]
        count, whole = 1, True
        for a in reversed([a for a in kept if a.parts[side]]):
            whole = whole and a.strides[side] == count
            count *= a.extent
        if not whole:  # a block of partitions with gaps: one by one
            looped = [*looped, *(a for a in kept if a.parts[side])]
            kept = [a for a in kept if not a.parts[side]]
            count = 1
        for at in itertools.product(*(range(a.extent) for a in looped)):
            sides = []
            for i, v in enumerate(views):
                start, offset = v.start, v.offset
                for s, a in zip(at, looped, strict=True):
                    if a.parts[i]:
                        start += s * a.strides[i]
                    else:
                        offset += s * a.strides[i]
                mine = [a for a in kept if not a.parts[i]]
                dims = joined_dims([(a.strides[i], a.extent) for a in mine])
                here = count if v.buffer.memory is not DRAM else 1
                size = v.dtype.size_bytes
                sides.append(DmaAp(v.buffer, start, here, offset * size, v.dtype, dims))
            self.kernel.dma(sides[0], sides[1])
