"""Constants: packed by the compiler into the very bytes that SBUF will hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compiler.graph.graph import Array
from compiler.lowering.packing import Image
from compiler.lowering.places import (
    PARTITIONS,
    QUADRANT,
    packed,
)
from compiler.lowering.state import State
from compiler.tiles.iterate import Mismatch, tiles
from compiler.tiles.view import Factor, View, compact
from isa.dtypes import DType
from isa.kernel import Ap, Buffer, DmaAp
from isa.program import BufferKind

if TYPE_CHECKING:
    pass


class Loading(State):
    """A walk that can bring constants on chip."""

    def constant_image(self, image: Array, dtype: DType, name: str) -> Buffer:
        """Load a packed image [partitions, elements] into a new SBUF buffer."""
        stored = np.ascontiguousarray(image.astype(dtype.numpy))
        return self._load(stored.reshape(-1).view(np.uint8), stored.shape, dtype, name)

    def load_image(self, image: Image, name: str) -> Buffer:
        """`constant_image` of an image that is still to be made."""
        return self._load(image, image.shape, image.dtype, name)

    def load_into(self, image: Image, buffer: Buffer, start: int, at: int, name: str) -> None:
        """Load an image into partitions from `start` on of a buffer, from byte `at` on."""
        self._into(image, image.shape, image.dtype, buffer, (start, at), name)

    def constant_into(self, image: Array, dtype: DType, buffer: Buffer, at: int, name: str) -> None:
        """Load a packed image into the first partitions of a buffer, from byte `at` on."""
        stored = np.ascontiguousarray(image.astype(dtype.numpy))
        data = stored.reshape(-1).view(np.uint8)
        self._into(data, stored.shape, dtype, buffer, (0, at), name)

    def _load(
        self,
        data: NDArray[np.uint8] | Image,
        shape: tuple[int, ...],
        dtype: DType,
        name: str,
    ) -> Buffer:
        partitions, elements = shape
        buffer = self.kernel.sbuf(partitions, elements * dtype.size_bytes, name)
        self._into(data, shape, dtype, buffer, (0, 0), name)
        return buffer

    def _into(
        self,
        data: NDArray[np.uint8] | Image,
        shape: tuple[int, ...],
        dtype: DType,
        buffer: Buffer,
        place: tuple[int, int],
        name: str,
    ) -> None:
        (partitions, elements), (start, at) = shape, place
        home = self.kernel.dram(name, data.nbytes, BufferKind.CONSTANT, dtype, shape)
        self.constant_data[home.id] = data
        self.kernel.dma(
            DmaAp(buffer, start, partitions, at, dtype, ((1, elements),)),
            DmaAp(home, 0, 1, 0, dtype, ((1, partitions * elements),)),
        )

    def constant_like(self, array: Array, dtype: DType, like: View, name: str) -> View:
        """A constant operand beside `like`; the array has extent 1 where it is broadcast."""
        varies = [n > 1 for n in array.shape]
        replicated = not any(varies[d] for d in like.part_dims())
        if not replicated:  # broadcast over some of the partitions: repeated there
            for d in like.part_dims():
                varies[d] = True
                array = np.repeat(array, like.shape[d] // array.shape[d], axis=d)
        factors, stride = compact(
            fs if wide else () for fs, wide in zip(like.factors, varies, strict=True)
        )
        if like.buffer.start:
            raise Mismatch(-1, "constants beside a shifted buffer")
        parts = [f for fs in like.factors for f in fs if f.part]
        last = like.start + sum((f.extent - 1) * f.stride for f in parts)
        partitions = like.buffer.partitions if like.replicated else last + 1
        if replicated and partitions > 1:
            row = packed(array, factors, 0, 1, stride)
            buffer = self._repeated(row, partitions, dtype, name)
        else:
            buffer = self.constant_image(
                packed(array, factors, like.start, partitions, stride), dtype, name
            )
        start = 0 if replicated else like.start
        view = View(buffer, dtype, array.shape, tuple(factors), start, 0, replicated)
        return view.broadcast(like.shape)

    def _repeated(self, row: Array, partitions: int, dtype: DType, name: str) -> Buffer:
        """A row [1, elements] in so many partitions: read from DRAM once, copied on chip."""
        elements = row.shape[1]
        once = self.constant_image(row, dtype, name)
        buffer = self.kernel.sbuf(partitions, elements * dtype.size_bytes, f"{name}/repeated")
        self.kernel.dma(
            DmaAp(buffer, 0, partitions, 0, dtype, ((1, elements),)),
            DmaAp(once, 0, 1, 0, dtype, ((0, partitions), (1, elements))),
        )
        return buffer

    def identity(self, dtype: DType) -> View:
        """The identity matrix [128, 128], rows on partitions; DRAM holds a block of it."""
        if dtype not in self._identity:
            buffer = self.kernel.sbuf(PARTITIONS, PARTITIONS * dtype.size_bytes, "identity")
            self.kernel.memset(Ap(buffer, 0, PARTITIONS, 0, dtype, ((1, PARTITIONS),)), 0.0)
            block = np.eye(QUADRANT, dtype=dtype.numpy).reshape(-1).view(np.uint8)
            shape = (QUADRANT, QUADRANT)
            home = self.kernel.dram("identity", block.nbytes, BufferKind.CONSTANT, dtype, shape)
            self.constant_data[home.id] = block
            source = DmaAp(home, 0, 1, 0, dtype, ((1, QUADRANT * QUADRANT),))
            for at in range(0, PARTITIONS, QUADRANT):
                run, column = ((1, QUADRANT),), at * dtype.size_bytes
                self.kernel.dma(DmaAp(buffer, at, QUADRANT, column, dtype, run), source)
            factors = ((Factor(PARTITIONS, 1, True),), (Factor(PARTITIONS, 1),))
            self._identity[dtype] = View(buffer, dtype, (PARTITIONS, PARTITIONS), factors)
        return self._identity[dtype]

    def wide_identity(self, dtype: DType, first: int, width: int) -> Buffer:
        """[128, width], zero but for the identity from column `first` on."""
        key = (dtype, first, width)
        if key not in self._wide:
            buffer = self.kernel.sbuf(PARTITIONS, width * dtype.size_bytes, "wide identity")
            whole = Ap(buffer, 0, PARTITIONS, 0, dtype, ((1, width),))
            self.kernel.memset(whole, 0.0)
            narrow = self.identity(dtype).buffer
            run = ((1, PARTITIONS),)
            at = Ap(buffer, 0, PARTITIONS, first * dtype.size_bytes, dtype, run)
            self.engine_copy(at, Ap(narrow, 0, PARTITIONS, 0, dtype, run))
            self._wide[key] = buffer
        return self._wide[key]

    def stacked_identity(self, dtype: DType, size: int, times: int = 2) -> Buffer:
        """[times * size, size]: the identity more than once, one on the other."""
        key = (dtype, 1 - times, size)
        if key not in self._wide:
            image = np.concatenate([np.eye(size, dtype=np.float32)] * times)
            self._wide[key] = self.constant_image(image, dtype, "stacked identity")
        return self._wide[key]

    def filled(self, dtype: DType, value: float) -> View:
        """A matrix [128, 128] of one value, rows on partitions."""
        key = (dtype, value)
        if key not in self._ones:
            size = PARTITIONS * dtype.size_bytes
            buffer = self.kernel.sbuf(PARTITIONS, size, "filled")
            factors = ((Factor(PARTITIONS, 1, True),), (Factor(PARTITIONS, 1),))
            view = View(buffer, dtype, (PARTITIONS, PARTITIONS), factors)
            for _, (ap,) in tiles([view], 65535):
                self.kernel.memset(ap, value)
            self._ones[key] = view
        return self._ones[key]
