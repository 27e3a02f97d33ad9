"""Sections of the host in parts of one engine each.

onnxruntime runs what it has as the standard says; the rest is for onnx's reference evaluator, which
has faults of its own: it gets no more than it has to.
"""

from __future__ import annotations

from collections.abc import Sequence

from compiler.errors import UnsupportedError
from compiler.frontends.onnx.model import Model
from compiler.host import choose, deviates
from compiler.partition.calls import Call
from compiler.partition.cut import Border, Section, cut
from compiler.partition.host_model import host_model
from compiler.partition.probe import Probed


class Engines:
    """Which engine each call of the host needs.

    Attributes:
        known: the tensors that are there from the beginning: constants and initializers.
    """

    def __init__(self, model: Model, probed: Probed) -> None:
        self.model, self.probed = model, probed
        self.known = {*probed.constants, *_initializers(model)}

    def parts(self, section: Section) -> list[Section]:
        """The section, or its parts if it is the host's and needs both engines."""
        if not section.on_host:
            return [section]
        found = []
        for part in cut(section.calls, [c.name for c in section.calls if deviates(c.proto)]):
            other: list[str] = []
            if len(part.calls) > 1 and self._needs_reference(part.calls):
                other = [c.name for c in part.calls if self._needs_reference([c])]
            found += [Section(True, smaller.calls) for smaller in cut(part.calls, other)]
        return found

    def _needs_reference(self, calls: Sequence[Call]) -> bool:
        """Whether onnxruntime lacks something that the calls have."""
        made = tuple(w for c in calls for w in c.writes)
        known = self.known.union(made)
        takes = dict.fromkeys(r for c in calls for r in c.reads if r not in known)
        border, probed = Border(tuple(takes), made), self.probed
        outline = host_model(self.model, calls, border, probed.types, probed.constants).outline
        try:
            return choose(outline)[0] != "onnxruntime"
        except UnsupportedError:  # nor does the reference have all of them
            return True


def _initializers(model: Model) -> set[str]:
    """Their names; text, 4-bit and sparse ones are no arrays of ours."""
    graph = model.proto.graph
    sparse = {s.values.name for s in graph.sparse_initializer}
    return {t.name for t in graph.initializer} | sparse
