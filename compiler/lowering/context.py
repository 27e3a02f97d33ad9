"""Lowering: the state of one walk over a graph: where values lie, what has been emitted.

A value is in SBUF in the layout that its producer chose; `view(value, spec)` gives it in another
layout, moving it once and remembering the copy. Constants are packed by the compiler into the very
bytes that SBUF will hold, so that loading one is a copy of whole partition rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compiler.graph.graph import Array, Graph, Value
from compiler.knobs import Knobs
from compiler.lowering.expression import Load
from compiler.lowering.packing import Constants, Image
from compiler.tiles.iterate import Mismatch, check_alike, legal_start, ragged_regions, sliced, tiles
from compiler.tiles.view import Factor, View, common_atoms, compact, joined_dims
from isa.activation.functions import ActivationFunction
from isa.dtypes import DType
from isa.hardware import Hardware
from isa.instructions.tensor import MATMUL_DTYPES
from isa.kernel import Ap, Buffer, DmaAp, Kernel
from isa.memory import DRAM, SBUF
from isa.program import BufferKind

if TYPE_CHECKING:
    from compiler.lowering.image import Source

PARTITIONS = 128
TRANSPOSED_LANES = 32
"""Lanes of the vector engine that a 32 x 32 transpose keeps busy."""

Halo = dict[int, tuple[int, int]]
"""Dimension -> elements of padding before and behind it in the buffer."""

_DTYPES = {
    "float32": DType.FP32,
    "float64": DType.FP32,
    "bfloat16": DType.BF16,
    "float16": DType.FP16,
    "bool": DType.UINT8,
    "int64": DType.INT32,
    "uint64": DType.INT32,
    "float8_e5m2": DType.FP8_E5M2,
}


def device_dtype(dtype: np.dtype[np.generic]) -> DType:
    """The machine's type for a graph's: booleans are bytes, 64-bit integers are narrowed."""
    name = dtype.name
    return _DTYPES[name] if name in _DTYPES else DType[name.upper()]


def has_device_dtype(dtype: np.dtype[np.generic]) -> bool:
    """Whether `device_dtype` knows the type."""
    return dtype.name in _DTYPES or dtype.name.upper() in DType.__members__


@dataclass(frozen=True, slots=True)
class Spec:
    """A layout: dimension `dim` lies on partitions, in blocks of `block`."""

    dim: int
    block: int

    @staticmethod
    def of(shape: tuple[int, ...], dim: int) -> Spec:
        """The dimension in blocks as large as the machine allows."""
        return Spec(dim, min(PARTITIONS, shape[dim]))


@dataclass
class Lowering:
    """One walk. `constant_data` holds the bytes of every constant buffer, by buffer id."""

    graph: Graph
    hw: Hardware
    kernel: Kernel
    tensorize: bool = True  # see `lower`
    knobs: Knobs = field(default_factory=Knobs)
    views: dict[int, View] = field(default_factory=dict)
    copies: dict[tuple[int, Spec], View] = field(default_factory=dict)
    wanted: dict[int, dict[Spec, float]] = field(default_factory=dict)
    halos: dict[int, Halo] = field(default_factory=dict)
    fills: dict[int, float] = field(default_factory=dict)
    haloed: dict[int, Halo] = field(default_factory=dict)  # halos as they were made
    parts: dict[int, tuple[Value, int, int]] = field(default_factory=dict)
    joined: set[int] = field(default_factory=set)  # parts made in place
    outside: dict[int, View] = field(default_factory=dict)  # values still in DRAM, by id
    infinite: set[int] = field(default_factory=set)  # values that may be, by id
    spoiling: set[int] = field(default_factory=set)  # buffers that hold such
    streamed: dict[int, View] = field(default_factory=dict)  # of these, read piece by piece
    images: dict[int, Source] = field(default_factory=dict)  # convolved from DRAM, by id
    constant_data: Constants = field(default_factory=Constants)
    load: Load = field(default_factory=Load)
    staging: bool = False  # a transfer is being laid out row-major on chip
    _identity: dict[DType, View] = field(default_factory=dict)
    _ones: dict[tuple[DType, float], View] = field(default_factory=dict)
    bordered: set[tuple[int, int, int]] = field(default_factory=set)  # see `folded.py`
    _wide: dict[tuple[DType, int, int], Buffer] = field(default_factory=dict)

    # --- buffers ---------------------------------------------------------------------------------

    def allocate(
        self,
        shape: tuple[int, ...],
        dtype: DType,
        spec: Spec,
        name: str,
        halo: Halo | None = None,
        fill: float = 0.0,
    ) -> View:
        """A new SBUF tensor in a layout; a halo is filled with `fill`."""
        if not shape:
            return replace(self.allocate((1,), dtype, spec, name), shape=(), factors=())
        halo = {d: pads for d, pads in (halo or {}).items() if d != spec.dim}
        extent, block = shape[spec.dim], min(spec.block, shape[spec.dim])
        blocks = -(-extent // block)
        factors: list[tuple[Factor, ...]] = [()] * len(shape)
        stride, offset = 1, 0
        for d in range(len(shape) - 1, -1, -1):
            if d == spec.dim:
                continue
            low, high = halo.get(d, (0, 0))
            factors[d] = (Factor(shape[d], stride),)
            offset += low * stride
            stride *= shape[d] + low + high
        factors[spec.dim] = (Factor(blocks, stride), Factor(block, 1, True))
        buffer = self.kernel.sbuf(block, blocks * stride * dtype.size_bytes, name)
        view = View(buffer, dtype, shape, tuple(factors), 0, offset)
        if any(low or high for low, high in halo.values()):
            self._fill_halo(view, halo, stride, blocks, fill)
        return view

    def produce(self, value: Value, spec: Spec, dtype: DType | None = None) -> View:
        """The view of a value about to be computed, with the halo that its readers want."""
        halo, fill = self.halos.get(value.id), self.fills.get(value.id, 0.0)
        part = self._part_of_whole(value, spec) if not halo and dtype is None else None
        if part is not None:
            self.views[value.id] = part
            return part
        made = self.allocate(
            value.shape, dtype or device_dtype(value.dtype), spec, value.name, halo, fill
        )
        if halo:
            self.haloed[value.id] = {d: p for d, p in halo.items() if d != spec.dim}
        self.views[value.id] = made
        return made

    def _part_of_whole(self, value: Value, spec: Spec) -> View | None:
        """Where the value lies in the concatenation that it is part of, if it can be made there."""
        place = self.parts.get(value.id)
        if place is None:
            return None
        whole, axis, at = place
        if whole.id in self.outside or whole.dtype != value.dtype:
            return None
        if whole.id not in self.views:
            self.produce(whole, whole_spec(whole, spec, axis))
        part = self.views[whole.id].slice(axis, at, value.shape[axis])
        if part is None or not lies_so(part, spec):
            return None
        self.joined.add(value.id)
        return part

    def produce_like(self, value: Value, like: View) -> View:
        """The view of a value about to be computed, with the partition factors of another."""
        factors, stride = compact(like.factors)
        dtype = device_dtype(value.dtype)
        if like.replicated:
            buffer = self.kernel.sbuf(PARTITIONS, stride * dtype.size_bytes, value.name)
            view = View(buffer, dtype, value.shape, factors, replicated=True)
            self.views[value.id] = view
            return view
        last = like.start + sum(
            f.stride * (f.extent - 1) for fs in like.factors for f in fs if f.part
        )
        buffer = self.kernel.sbuf(last + 1, stride * dtype.size_bytes, value.name)
        view = View(buffer, dtype, value.shape, factors, like.start)
        self.views[value.id] = view
        return view

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

    def note_infinite(self, values: Iterable[Value]) -> None:
        """Remember the buffers of values that may hold infinities."""
        for value in values:
            if value.id in self.infinite and value.id in self.views:
                self.spoiling.add(self.views[value.id].buffer.id)

    def _fill_halo(self, view: View, halo: Halo, row: int, blocks: int, fill: float) -> None:
        """Memset the border strips of a padded tensor, each once."""
        outer = View(
            view.buffer,
            view.dtype,
            (blocks, row, view.buffer.partitions),
            ((Factor(blocks, row),), (Factor(row, 1),), (Factor(view.buffer.partitions, 1, True),)),
        )
        if row * blocks <= 4096:  # small: one fill is cheaper than its strips
            for _, (ap,) in tiles([outer], 65535):
                self.kernel.memset(ap, fill)
            return
        padded = {d: view.factors[d][0] for d in halo if halo[d] != (0, 0)}
        for d, factor in padded.items():
            low, high = halo[d]
            extent = view.shape[d]
            for first, size in ((-low, low), (extent, high)):
                if size:
                    self._fill_strip(view, halo, d, first, size, factor, fill)

    def _fill_strip(
        self, view: View, halo: Halo, dim: int, first: int, size: int, factor: Factor, fill: float
    ) -> None:
        """One side of one padded dimension, over the padded extents of the dimensions inside."""
        shape, factors, offset = list(view.shape), list(view.factors), view.offset
        shape[dim], factors[dim] = size, (Factor(size, factor.stride),)
        offset += first * factor.stride
        for d, (low, high) in halo.items():
            if d > dim and (low or high):
                stride = view.factors[d][0].stride
                shape[d] += low + high
                factors[d] = (Factor(shape[d], stride),)
                offset -= low * stride
        strip = View(view.buffer, view.dtype, tuple(shape), tuple(factors), view.start, offset)
        for _, (ap,) in tiles([strip], 65535):
            self.kernel.memset(ap, fill)

    # --- constants -------------------------------------------------------------------------------

    def constant_image(self, image: Array, dtype: DType, name: str) -> Buffer:
        """Load a packed image [partitions, elements] into a new SBUF buffer."""
        stored = np.ascontiguousarray(image.astype(dtype.numpy))
        return self._load(stored.reshape(-1).view(np.uint8), stored.shape, dtype, name)

    def load_image(self, image: Image, name: str) -> Buffer:
        """`constant_image` of an image that is still to be made."""
        return self._load(image, image.shape, image.dtype, name)

    def load_into(self, image: Image, buffer: Buffer, start: int, at: int, name: str) -> None:
        """Load an image into partitions from `start` on of a buffer, from byte `at` on."""
        partitions, elements = image.shape
        home = self.kernel.dram(name, image.nbytes, BufferKind.CONSTANT, image.dtype, image.shape)
        self.constant_data[home.id] = image
        self.kernel.dma(
            DmaAp(buffer, start, partitions, at, image.dtype, ((1, elements),)),
            DmaAp(home, 0, 1, 0, image.dtype, ((1, partitions * elements),)),
        )

    def _load(
        self,
        data: NDArray[np.uint8] | Image,
        shape: tuple[int, ...],
        dtype: DType,
        name: str,
    ) -> Buffer:
        partitions, elements = shape
        home = self.kernel.dram(name, data.nbytes, BufferKind.CONSTANT, dtype, shape)
        self.constant_data[home.id] = data
        buffer = self.kernel.sbuf(partitions, elements * dtype.size_bytes, name)
        self.kernel.dma(
            DmaAp(buffer, 0, partitions, 0, dtype, ((1, elements),)),
            DmaAp(home, 0, 1, 0, dtype, ((1, partitions * elements),)),
        )
        return buffer

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
        partitions = like.buffer.partitions
        image = packed(array, factors, like.start, partitions, stride)
        buffer = self.constant_image(image, dtype, name)
        if like.buffer.start:
            raise Mismatch(-1, "constants beside a shifted buffer")
        start = 0 if replicated else like.start
        view = View(buffer, dtype, array.shape, tuple(factors), start, 0, replicated)
        return view.broadcast(like.shape)

    def identity(self, dtype: DType) -> View:
        """The identity matrix [128, 128], rows on partitions."""
        if dtype not in self._identity:
            buffer = self.constant_image(np.eye(PARTITIONS, dtype=np.float32), dtype, "identity")
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

    # --- moving data -----------------------------------------------------------------------------

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

    def engine_copy(self, out: Ap, ap: Ap) -> None:
        """One copy by the elementwise engine that has less to do."""
        hw = self.hw
        cycles = max(hw.engine_min_interval, out.free)
        if out.dtype.is_float and ap.dtype.is_float and self.load.act <= self.load.dve:
            self.load.act += cycles / hw.act_clock_hz
            self.kernel.activation(out, ap, ActivationFunction.COPY)
        else:
            self.load.dve += cycles / hw.dve_clock_hz
            self.kernel.tensor_copy(out, ap)

    def _move(self, dst: View, src: View) -> None:
        from compiler.lowering.transpose import transpose_on_array, transpose_on_vector

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
        return self.load.dve + vector < self.load.pe + array

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
        """Through DRAM, in row-major order: slow, and right for every pair of layouts."""
        size = math.prod(src.shape) * src.dtype.size_bytes
        home = self.kernel.dram("relayout", size, BufferKind.SCRATCH, src.dtype, src.shape)
        between = dense(home, src.dtype, src.shape)
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

    def reshape_through_dram(self, dst: View, src: View) -> None:
        """dst := src in row-major order; the shapes differ, the number of elements does not."""
        size = math.prod(src.shape) * src.dtype.size_bytes
        home = self.kernel.dram("reshape", size, BufferKind.SCRATCH, src.dtype, src.shape)
        self.dma(dense(home, src.dtype, src.shape), src)
        self.dma(dst, dense(home, src.dtype, dst.shape))

    def constant_view(self, value: Value, like: View) -> View:
        """A whole constant in the layout of `like`, for copies."""
        array = self.graph.constants[value.id]
        made = [d for d, fs in enumerate(like.factors) if any(f.part for f in fs)]
        dim = made[0] if made else 0
        block = next((f.extent for f in like.factors[dim] if f.part), 1)
        spec = Spec(dim, min(block, array.shape[dim]))
        dtype = device_dtype(value.dtype)
        size = math.prod(array.shape) * dtype.size_bytes
        home = self.kernel.dram(value.name, size, BufferKind.CONSTANT, dtype, array.shape)
        stored = np.ascontiguousarray(array.astype(dtype.numpy))
        self.constant_data[home.id] = stored.reshape(-1).view(np.uint8)
        view = self.allocate(array.shape, dtype, spec, value.name)
        self.dma(view, dense(home, dtype, array.shape))
        return view

    def load_constant(self, value: Value, spec: Spec) -> None:
        """A constant as a tensor in SBUF, like any other value."""
        array = self.graph.constants[value.id]
        dtype = device_dtype(value.dtype)
        stored = np.ascontiguousarray(array.astype(dtype.numpy))
        home = self.kernel.dram(
            value.name, max(1, stored.nbytes), BufferKind.CONSTANT, dtype, array.shape
        )
        self.constant_data[home.id] = stored.reshape(-1).view(np.uint8)
        view = self.allocate(array.shape, dtype, spec, value.name)
        self.dma(view, dense(home, dtype, array.shape))
        self.views[value.id] = view

    def dma(self, dst: View, src: View) -> None:
        """dst := src by DMA; one of them is in DRAM."""
        from compiler.lowering.transpose import row_major_stage

        loads = src.buffer.memory is DRAM
        chip = dst if loads else src
        far = src if loads else dst
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

    # --- values ----------------------------------------------------------------------------------

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

    # --- layouts ---------------------------------------------------------------------------------

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


def whole_spec(whole: Value, part: Spec, axis: int) -> Spec:
    """The layout of a concatenation whose part has layout `part`."""
    if part.dim == axis:
        return Spec.of(whole.shape, axis)
    return Spec(part.dim, part.block)


def lies_so(view: View, spec: Spec) -> bool:
    """Whether a view has just the dimension of `spec` on partitions, in its blocks."""
    if view.replicated:
        return False
    want = min(spec.block, view.shape[spec.dim])
    parts = [(d, f) for d, fs in enumerate(view.factors) for f in fs if f.part and f.extent > 1]
    if not legal_start(view.start + view.buffer.start, want):
        return False
    if want == 1:
        return not parts
    return len(parts) == 1 and parts[0][0] == spec.dim and parts[0][1].extent == want


def dense(buffer: Buffer, dtype: DType, shape: tuple[int, ...]) -> View:
    """A row-major tensor over a whole buffer."""
    factors: list[tuple[Factor, ...]] = []
    stride = 1
    for extent in reversed(shape):
        factors.insert(0, (Factor(extent, stride),))
        stride *= extent
    return View(buffer, dtype, shape, tuple(factors))


def packed(
    array: Array, factors: Sequence[tuple[Factor, ...]], start: int, partitions: int, row: int
) -> Array:
    """The image [partitions, row] of an array whose dimensions lie by `factors`.

    Without a partition factor every partition gets the same row.
    """
    part: NDArray[np.int64] = np.zeros((), np.int64)
    free: NDArray[np.int64] = np.zeros((), np.int64)
    for d, extent in enumerate(array.shape):
        p, f, left = np.zeros(extent, np.int64), np.zeros(extent, np.int64), np.arange(extent)
        for factor in reversed(factors[d]):
            digit = left % factor.extent
            left = left // factor.extent
            if factor.part:
                p += digit * factor.stride
            else:
                f += digit * factor.stride
        shape = [1] * array.ndim
        shape[d] = extent
        part = part + p.reshape(shape)
        free = free + f.reshape(shape)
    part, free = np.broadcast_to(part, array.shape), np.broadcast_to(free, array.shape)
    image = np.zeros((partitions, row), array.dtype)
    if any(f.part for fs in factors for f in fs):
        image[part + start, free] = array
    else:
        image[:, free.reshape(-1)] = array.reshape(-1)
    return image
