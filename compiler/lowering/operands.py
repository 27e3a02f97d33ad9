"""Operands of an elementwise group: constants, columns and tiles beside the results."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from compiler.graph.graph import Array, Value
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.expression import Term
from compiler.tiles.iterate import Mismatch, check_alike
from compiler.tiles.view import View
from isa.dtypes import DType


@dataclass
class Operands:
    """What a group reads, as it is found.

    Attributes:
        like: a result; spec: its layout, or `shared`: the view that results copy theirs from.
        tiles, columns: views to step along with the results; a column has one number a partition.
        known: the term of each value looked up before, by its id.
        first_tile: tiles that come before: 1 behind a product, which is tile 0.
    """

    lo: Lowering
    like: View
    spec: Spec
    shared: View | None
    tiles: list[View]
    columns: list[View]
    known: dict[int, Term]
    first_tile: int

    def term(self, value: Value) -> Term:
        """The term that reads a value beside the results."""
        if value.id not in self.known:
            self.known[value.id] = self._new(value)
        return self.known[value.id]

    def _new(self, value: Value) -> Term:
        lo, shape = self.lo, self.like.shape
        if value.id in lo.streamed:
            self.tiles.append(lo.streamed[value.id])
            return Term("tile", self.first_tile + len(self.tiles) - 1)
        if value.id in lo.graph.constants:
            array = lo.graph.constants[value.id]
            if array.size == 1:
                return Term("constant", value=float(array.reshape(-1)[0]))
            array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
            return self._place(self._constant(value, array))
        return self._place(self._aligned(value))

    def _constant(self, value: Value, array: Array) -> View:
        varies = [d for d, n in enumerate(array.shape) if n > 1]
        narrow = device_dtype(value.dtype)
        dtype = DType.FP32 if varies == [self.spec.dim] and narrow.is_float else narrow
        return self.lo.constant_like(array, dtype, self.like, value.name)

    def _aligned(self, value: Value) -> View:
        """The value beside the results: same partitions or replicated, broadcast to them."""
        lo, shape, spec = self.lo, self.like.shape, self.spec
        view = lo.views[value.id]
        lead = len(shape) - len(view.shape)
        if self.shared is not None and self.shared.replicated:
            return lo.replicated(value, PARTITIONS).broadcast(shape)
        if self.shared is not None:
            return self._beside(view.broadcast(shape), value)
        if not shape:
            return self._beside(view, value)
        d = spec.dim - lead
        full = (1,) * lead + value.shape
        if full[spec.dim] == 1 and shape[spec.dim] > 1:
            return lo.replicated(value, min(spec.block, shape[spec.dim])).broadcast(shape)
        if not view.replicated or shape[spec.dim] > 1:
            if d < 0:
                return lo.replicated(value, 1).broadcast(shape)
            view = lo.view(value, Spec(d, spec.block))
        return self._beside(view.broadcast(shape), value)

    def _beside(self, view: View, value: Value) -> View:
        """The view if engines can read it beside the results, else a copy that they can."""
        try:
            check_alike([self.like, view])
        except Mismatch:
            pass
        else:
            return view
        lo, shape = self.lo, self.like.shape
        full = (1,) * (len(shape) - len(value.shape)) + value.shape
        shaped = lo.views[value.id].reshape(full)
        assert shaped is not None, "leading dimensions of extent 1 are always possible"
        varies = [n > 1 for n in full]
        replicated = not any(varies[d] for d in self.like.part_dims())
        if replicated and self.like.part_dims():
            return lo.replicated(value, 128).broadcast(shape)
        spread = tuple(  # broadcast over some of the partitions: repeated there
            shape[d] if d in self.like.part_dims() else e for d, e in enumerate(full)
        )
        factors = tuple(f if spread[d] > 1 else () for d, f in enumerate(self.like.factors))
        frame = replace(self.like, shape=spread, factors=factors)
        made = lo.produce_like(replace(value, id=-value.id - 1, shape=spread), frame)
        lo.copy(made, shaped.broadcast(spread))
        return made.broadcast(shape)

    def _short_blocks(self) -> bool:
        """Whether instructions block by block, as columns want them, would be all overhead."""
        shape, d = self.like.shape, self.spec.dim
        if self.first_tile or not shape or d < 0 or shape[d] <= self.spec.block:
            return False
        return math.prod(shape) // shape[d] < self.lo.hw.engine_min_interval // 2

    def _place(self, view: View) -> Term:
        if _is_column(view, self.spec.dim) and not self._short_blocks():
            self.columns.append(view)
            return Term("column", len(self.columns) - 1)
        self.tiles.append(view)
        return Term("tile", self.first_tile + len(self.tiles) - 1)


def _is_column(view: View, dim: int) -> bool:
    return view.dtype.is_float and all(
        f.stride == 0 or f.extent == 1
        for d, fs in enumerate(view.factors)
        for f in fs
        if d != dim and not f.part
    )


def term_of(value: Value, index: dict[int, int], lead: Value | None, made: Operands) -> Term:
    """A value as the lead's tile, as a node of the group (`index`), or as an operand."""
    if lead is not None and value.id == lead.id:
        return Term("tile", 0)
    if value.id in index:
        return Term("node", index[value.id])
    return made.term(value)
