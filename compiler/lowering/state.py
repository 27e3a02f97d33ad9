"""The state of one walk over a graph: values, their buffers, and what engines have to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from compiler.graph.graph import Array, Graph, Node, Value
from compiler.knobs import Knobs
from compiler.lowering.emission import Load
from compiler.lowering.halos import Fill, fill_halo
from compiler.lowering.packing import Constants
from compiler.lowering.places import (
    PARTITIONS,
    Halo,
    Spec,
    device_dtype,
    lies_so,
    whole_spec,
)
from compiler.tiles.view import Factor, View, compact
from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.hardware import Hardware
from isa.kernel import Ap, Buffer, Kernel

if TYPE_CHECKING:
    from compiler.lowering.image import Source


@dataclass
class State(ABC):
    """What is known so far. `constant_data` holds the bytes of every constant buffer, by id."""

    graph: Graph
    hw: Hardware
    kernel: Kernel
    tensorize: bool = True  # see `lower`
    knobs: Knobs = field(default_factory=Knobs)
    views: dict[int, View] = field(default_factory=dict)
    copies: dict[tuple[int, Spec], View] = field(default_factory=dict)
    wanted: dict[int, dict[Spec, float]] = field(default_factory=dict)
    halos: dict[int, Halo] = field(default_factory=dict)
    fills: dict[int, Fill] = field(default_factory=dict)
    haloed: dict[int, Halo] = field(default_factory=dict)  # halos as they were made
    parts: dict[int, tuple[Value, int, int]] = field(default_factory=dict)
    joined: set[int] = field(default_factory=set)  # parts made in place
    outside: dict[int, View] = field(default_factory=dict)  # values still in DRAM, by id
    boxes: dict[int, list[View]] = field(default_factory=dict)  # their places, see `assemble.py`
    exact: set[int] = field(default_factory=set)  # `last_bits` of the graph
    brief: set[int] = field(default_factory=set)  # see `brief.py`
    infinite: set[int] = field(default_factory=set)  # values that may be, by id
    spoiling: set[int] = field(default_factory=set)  # buffers that hold such
    streamed: dict[int, View] = field(default_factory=dict)  # of these, read piece by piece
    far: dict[int, View] = field(default_factory=dict)  # constants left in DRAM, by id
    images: dict[int, Source] = field(default_factory=dict)  # convolved from DRAM, by id
    constant_data: Constants = field(default_factory=Constants)
    load: Load = field(default_factory=Load)
    spent: dict[int, Load] = field(default_factory=dict)  # by id(anchor) of a group, when lowered
    staging: bool = False  # a transfer is being laid out row-major on chip
    _identity: dict[DType, View] = field(default_factory=dict)
    _ones: dict[tuple[DType, float], View] = field(default_factory=dict)
    marks: dict[tuple[int | bytes, ...], Buffer] = field(default_factory=dict)  # see `grouped.py`
    spread: dict[Hashable, list[Buffer]] = field(default_factory=dict)  # see `grouped.py`
    bordered: set[tuple[int, int, int]] = field(default_factory=set)  # see `folded.py`
    _wide: dict[tuple[DType, int, int], Buffer] = field(default_factory=dict)

    @cached_property
    def readers(self) -> dict[int, list[Node]]:
        """Value id -> the nodes that read it."""
        return self.graph.consumers()

    def allocate(
        self,
        shape: tuple[int, ...],
        dtype: DType,
        spec: Spec,
        name: str,
        halo: Halo | None = None,
        fill: Fill = 0.0,
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
            fill_halo(self, view, spec.dim, halo, fill)
        return view

    def produce(self, value: Value, spec: Spec, dtype: DType | None = None) -> View:
        """The view of a value about to be computed, with the halo that its readers want."""
        halo, fill = self.halos.get(value.id), self.fills.get(value.id, 0.0)
        if isinstance(fill, tuple) and spec.dim != 1:
            halo = None  # a number a channel is a column only where channels are on partitions
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
            buffer = self.on_all(value, stride * dtype.size_bytes, value.name)
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

    def on_all(self, value: Value, size_bytes: int, name: str) -> Buffer:
        """A buffer over all partitions: in PSUM for what is read there before long."""
        if value.id in self.brief:
            return self.kernel.psum(PARTITIONS, name, size_bytes)
        return self.kernel.sbuf(PARTITIONS, size_bytes, name)

    def note_infinite(self, values: Iterable[Value]) -> None:
        """Remember the buffers of values that may hold infinities."""
        for value in values:
            if value.id in self.infinite and value.id in self.views:
                self.spoiling.add(self.views[value.id].buffer.id)

    @abstractmethod
    def constant_image(self, image: Array, dtype: DType, name: str) -> Buffer:
        """Load a packed image [partitions, elements] into a new SBUF buffer."""

    def scalar_busy(self, elements: float) -> None:
        """Count an instruction of the scalar engine over so many elements a partition."""
        self.load.act += max(self.hw.engine_min_interval, elements) / self.hw.act_clock_hz

    def vector_busy(self, elements: float) -> None:
        """Count an instruction of the vector engine over so many elements a partition."""
        self.load.dve += max(self.hw.engine_min_interval, elements) / self.hw.dve_clock_hz

    def engine_copy(self, out: Ap, ap: Ap) -> None:
        """One copy by the elementwise engine that has less to do."""
        if out.dtype.is_float and ap.dtype.is_float and self.load.act <= self.load.dve:
            self.scalar_busy(out.free)
            self.kernel.activation(out, ap, ActivationFunction.COPY)
        else:
            self.vector_busy(out.free)
            self.kernel.tensor_copy(out, ap)

    def engine_scale(self, out: Ap, ap: Ap, column: Ap) -> None:
        """out := ap * column, one value a partition, by the engine that has less to do."""
        if self.load.act <= self.load.dve:
            self.scalar_busy(out.free)
            self.kernel.activation(out, ap, ActivationFunction.COPY, column)
        else:
            self.vector_busy(out.free)
            self.kernel.tensor_scalar(out, ap, AluOp.MULTIPLY, column)
