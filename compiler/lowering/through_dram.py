"""Without memory management: what an operation makes goes to DRAM, and each reader fetches it.

Values lie in DRAM as they lay in SBUF, partition by partition, so that a transfer is as cheap as
can be: what is measured against this is keeping values on chip, not the manner of the transfers.
A view of a value (a reshape, a slice) needs no transfer of its own, and is fetched with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from compiler.graph.graph import Node, Value
from compiler.lowering.context import Lowering, Spec, dense, lies_so
from compiler.tiles.view import Factor, View
from isa.kernel import Buffer
from isa.program import BufferKind


@dataclass(frozen=True)
class _Home:
    """A value, where it lay when it was made, and where it is now."""

    value: Value
    lay: View
    home: View


@dataclass
class ThroughDram:
    """The values of one walk that are in DRAM, by the id of each buffer that holds a copy."""

    lo: Lowering
    outputs: dict[int, Buffer]  # by value id
    homes: dict[int, list[_Home]] = field(default_factory=dict)
    first_new: int = 0  # buffers from this id on are made by the group under way
    stored: set[int] = field(default_factory=set)  # outputs of the graph that are at home

    def fetch(self, nodes: Iterable[Node]) -> None:
        """Load what a group of nodes reads, anew for each group."""
        fresh: dict[int, View] = {}
        for value in {v.id: v for n in nodes for v in n.inputs}.values():
            view = self.lo.views.get(value.id)
            if view is None or view.buffer.id not in self.homes:
                continue
            known = self.homes[view.buffer.id]
            if view.buffer.id not in fresh:
                fresh[view.buffer.id] = self._loaded(known)
            made = fresh[view.buffer.id]
            self.homes[made.buffer.id] = known
            self.lo.views[value.id] = replace(view, buffer=made.buffer)
            for key in [k for k in self.lo.copies if k[0] == value.id]:
                del self.lo.copies[key]
        self.first_new = len(self.lo.kernel.buffers)

    def store(self, nodes: Iterable[Node]) -> None:
        """Store what a group has made, and what of it the graph gives."""
        for value in (v for n in nodes for v in n.outputs):
            view = self.lo.views.get(value.id)
            if view is None or not value.shape or view.replicated:
                continue
            if value.id in self.outputs:
                self.lo.dma(dense(self.outputs[value.id], view.dtype, value.shape), view)
                self.stored.add(value.id)
            if view.buffer.id >= self.first_new:  # not a view of what was there before
                home = self._home(value, view)
                self.lo.dma(home, view)
                self.homes.setdefault(view.buffer.id, []).append(_Home(value, view, home))

    def _home(self, value: Value, view: View) -> View:
        """A tensor in DRAM whose dimensions follow each other as those of `view` do."""
        places = [(d, i) for d, fs in enumerate(view.factors) for i in range(len(fs))]
        places.sort(key=lambda at: _inside_out(view.factors[at[0]][at[1]]))
        made = [list(fs) for fs in view.factors]
        stride = 1
        for d, i in places:
            extent = view.factors[d][i].extent
            made[d][i] = Factor(extent, stride)
            stride *= extent
        size = stride * view.dtype.size_bytes
        name = f"{value.name}/home"
        buffer = self.lo.kernel.dram(name, size, BufferKind.SCRATCH, view.dtype, (stride,))
        return View(buffer, view.dtype, value.shape, tuple(tuple(fs) for fs in made))

    def _loaded(self, known: list[_Home]) -> View:
        """A copy in SBUF that lies as the values did when they were made, padding included."""
        lo, lay = self.lo, known[0].lay
        made = replace(lay, buffer=self._like(lay.buffer, known[0].value.name))
        for value, halo in ((h.value, lo.haloed.get(h.value.id)) for h in known):
            if halo and any(low or high for low, high in halo.values()):
                spec = self._spec(lay)
                assert spec is not None, "padding goes with one dimension on partitions"
                fill = lo.fills.get(value.id, 0.0)
                made = lo.allocate(value.shape, lay.dtype, spec, value.name, halo, fill)
        if lay.buffer.id in lo.spoiling:
            lo.spoiling.add(made.buffer.id)
        for h in known:
            lo.dma(replace(h.lay, buffer=made.buffer), h.home)
        return made

    def _like(self, buffer: Buffer, name: str) -> Buffer:
        return self.lo.kernel.sbuf(buffer.partitions, buffer.size_bytes, name)

    def _spec(self, lay: View) -> Spec | None:
        blocks = [Spec(d, f.extent) for d, fs in enumerate(lay.factors) for f in fs if f.part] or [
            Spec(d, 1) for d, e in enumerate(lay.shape) if e == 1
        ]
        return next((s for s in blocks if lies_so(lay, s)), None)


def _inside_out(factor: Factor) -> tuple[bool, int]:
    """Bytes of a partition before partitions, near before far."""
    return factor.part, abs(factor.stride)
