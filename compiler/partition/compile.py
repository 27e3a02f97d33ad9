"""Compile any model: whole for the device if it can be, else in sections.

    calls     the model's nodes                                        (calls.py)
    probe     who cannot be on the device: no decomposition, no type   (probe.py)
    refuse    who has no mapping to the machine                        (lowering/refusals.py)
    prefer    who is better with the host, since it is there anyway    (prefer.py)
    cut       sections; those not worth the crossing join the host     (cut.py)
    compile   every device section by the pipeline; host sections as ONNX models

A step that sends a call to the host starts again at the probe, with less on the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from compiler.clock import Clock, Progress
from compiler.errors import ShapeError, UnsupportedError, UsageError
from compiler.frontends.onnx.importer import Importer
from compiler.frontends.onnx.model import Model, read_model
from compiler.graph.graph import Graph, Node
from compiler.host import choose, deviates
from compiler.lowering.refusals import RefusedError, refused_gathers
from compiler.multicore.stages import compile_for_cores
from compiler.options import Options
from compiler.partition.calls import Call, calls_of, inlined
from compiler.partition.cut import Border, Section, borders, crossing, cut, too_small
from compiler.partition.device_graph import section_graph, without_unread_inputs
from compiler.partition.handed_on import constants_as_calls, handed_on, hands_on_an_input
from compiler.partition.host_model import host_model
from compiler.partition.macs import call_macs
from compiler.partition.model import DeviceSection, HostOp, HostSection, Partitioned
from compiler.partition.prefer import preferred
from compiler.partition.probe import Probed, probe
from compiler.partition.refused import depends_on_data, unsupported
from compiler.partition.report import combined
from compiler.partition.types import Static, static
from compiler.pipeline import (
    COMPILER_VERSION,
    TIMES,
    Compiled,
)
from isa.hardware import Hardware, load_target
from neff.partitioned import HostPart, PartTensor

FOR_THE_HOST = ("SYS-F200", "SYS-F203", "SYS-F204", "SYS-F205", "SYS-C101")
"""Refusals that a host can make good: operators, types, uses without a mapping."""
DEPENDS_ON_DATA = "SYS-F102"


def compile_any(
    model: str | Path | bytes | Any, options: Options, progress: Progress = lambda _: None
) -> Compiled | Partitioned:
    """Compile an ONNX model; in sections where the device cannot do all of it.

    Raises:
        SystolaError: as `compile_model`.
        UnsupportedError: SYS-P001, `must_compile` and something is for the host; SYS-P004, nothing
            is left for the device; SYS-H001, not even the host can run an operator.
        ShapeError: SYS-P002, shapes depend on data and `host_dynamic` does not allow that.
        UsageError: SYS-P005, what is to be kept on the host is not in the model.
    """
    clock = Clock(progress)
    hw = load_target(options.target)
    clock.step("import")
    source = read_model(model)
    if not options.host_ops and not options.host_nodes and not hands_on_an_input(source):
        try:
            graph = Importer(source).run(dict(options.shapes), options.batch)
            if not refused_gathers(graph):
                return compile_for_cores(graph, hw, options, clock)
        except (UnsupportedError, ShapeError) as refused:
            allowed = (*FOR_THE_HOST, *((DEPENDS_ON_DATA,) if options.host_dynamic else ()))
            if refused.code not in allowed:
                if refused.code == DEPENDS_ON_DATA:
                    refused.hint += "; or leave what depends on data to the host: --host-dynamic"
                raise
    return _Partition(inlined(source), hw, options, clock).run()


@dataclass(frozen=True)
class _Cut:
    """A model cut, each device section as the graph that will be compiled."""

    probed: Probed
    sections: list[Section]
    borders: list[Border]
    graphs: list[Graph]  # of the device sections, in order


class _Partition:
    def __init__(self, model: Model, hw: Hardware, options: Options, clock: Clock) -> None:
        self.model, self.hw, self.options, self.clock = model, hw, options, clock

    def run(self) -> Compiled | Partitioned:
        forced = _named(calls_of(self.model.proto.graph), self.options)
        types: Mapping[str, onnx.TypeProto] = {}
        while True:
            self.clock.step("partition")
            probed = probe(self.model, self.options.shapes, forced, self.options.batch, types)
            types = probed.types
            if probed.dynamic and not self.options.host_dynamic:
                raise depends_on_data(probed)
            more = self._further(probed)
            if not more:
                made = self._cut(probed)
                more = self._too_small(made)
                if not more:
                    try:
                        return self._compiled(made)
                    except RefusedError as refused:
                        more = _calls_behind(refused.nodes, probed)
            forced = {**forced, **probed.host, **more}

    # -- who goes to the host -----------------------------------------------------------------

    def _further(self, probed: Probed) -> dict[str, str]:
        """Calls of the device that are better with the host, or at first sight have no mapping."""
        found = _calls_behind(refused_gathers(probed.graph), probed)
        if (found or probed.host) and not self.options.must_compile:
            found = {**preferred(probed, {**probed.host, **found}), **found}
        return found

    def _cut(self, probed: Probed) -> _Cut:
        sections = [
            part for s in cut(probed.calls, probed.host) for part in self._of_one_engine(s, probed)
        ]
        found = borders(sections, {*probed.constants, *self._weights()}, probed.outputs)
        pairs = [(s, b) for s, b in zip(sections, found, strict=True) if not s.on_host]
        if len(pairs) == 1:
            own = {*probed.inputs}  # not those which a host made that nobody reads any more
            foreign = any(v.name not in own for v in probed.graph.inputs)
            cuts = foreign or probed.host or handed_on(probed)
            whole = without_unread_inputs(probed.graph) if cuts else probed.graph
            return _Cut(probed, sections, found, [whole])
        graphs = [
            section_graph(self.model, s.calls, b, probed.values, probed.constants) for s, b in pairs
        ]
        return _Cut(probed, sections, found, graphs)

    def _of_one_engine(self, section: Section, probed: Probed) -> list[Section]:
        """A section of the host in parts: what onnxruntime runs as the standard says, and the rest.

        The reference evaluator has faults of its own: it gets no more than it has to.
        """
        if not section.on_host:
            return [section]
        found = []
        for part in cut(section.calls, [c.name for c in section.calls if deviates(c.proto)]):
            other: list[str] = []
            if len(part.calls) > 1 and self._needs_reference(part.calls, probed):
                other = [c.name for c in part.calls if self._needs_reference([c], probed)]
            found += [Section(True, smaller.calls) for smaller in cut(part.calls, other)]
        return found

    def _needs_reference(self, calls: Sequence[Call], probed: Probed) -> bool:
        """Whether onnxruntime lacks something that the calls have."""
        made = tuple(w for c in calls for w in c.writes)
        known = {*probed.constants, *self._weights(), *made}
        takes = dict.fromkeys(r for c in calls for r in c.reads if r not in known)
        border = Border(tuple(takes), made)
        outline = host_model(self.model, calls, border, probed.types, probed.constants).outline
        try:
            return choose(outline)[0] != "onnxruntime"
        except UnsupportedError:  # nor does the reference have all of them
            return True

    def _weights(self) -> set[str]:
        """The initializers; text, 4-bit and sparse ones are no arrays of ours."""
        graph = self.model.proto.graph
        sparse = {s.values.name for s in graph.sparse_initializer}
        return {t.name for t in graph.initializer} | sparse

    def _too_small(self, made: _Cut) -> dict[str, str]:
        """Calls that go to the host for what their section is."""
        shapes = _shapes(made.probed)
        return too_small(
            made.sections, lambda call: call_macs(call, shapes), self.options.minimum_segment_size
        )

    # -- what is made of it -------------------------------------------------------------------

    def _compiled(self, made: _Cut) -> Compiled | Partitioned:
        probed = made.probed
        handed = handed_on(probed)
        host_ops = handed + tuple(
            HostOp(c.name, c.op, probed.host[c.name]) for c in probed.calls if c.name in probed.host
        )
        self._check_worth(host_ops, made)
        if not host_ops and len(probed.inputs) == len(made.graphs[0].inputs):
            return compile_for_cores(made.graphs[0], self.hw, self.options, self.clock)
        graphs = iter(made.graphs)
        sections = tuple(
            self._host(s, b, probed)
            if s.on_host
            else DeviceSection(
                compile_for_cores(next(graphs), self.hw, self.options, self.clock), len(s.calls)
            )
            for s, b in zip(made.sections, made.borders, strict=True)
        )
        constants = tuple(constants_as_calls(self.model, probed, handed))
        if constants:
            border = Border((), tuple(c.name for c in constants))
            sections = (self._host(Section(True, constants), border, probed), *sections)
        name = self.model.proto.graph.name or "graph"
        report = self._report(name, made, sections, host_ops)
        kept = {k: v for k, v in report.items() if k not in TIMES}
        metadata = {
            "compiler": COMPILER_VERSION, "options": self.options.to_json(), "report": kept,
        }  # fmt: skip
        return Partitioned(
            name, self.hw.name, sections, _tensors(probed, probed.inputs),
            _tensors(probed, probed.outputs), host_ops, metadata, report,
        )  # fmt: skip

    def _check_worth(self, host_ops: tuple[HostOp, ...], made: _Cut) -> None:
        if self.options.must_compile and host_ops:
            raise unsupported(
                "SYS-P001",
                f"every operation runs on the device, as asked; {len(host_ops)} cannot",
                host_ops,
                "leave out --must-compile to run these on the host",
            )
        if not made.graphs:
            raise unsupported(
                "SYS-P004",
                "some part of the model runs on the device",
                host_ops,
                "there is nothing to compile: run the model in its framework",
            )

    def _host(self, section: Section, border: Border, probed: Probed) -> HostSection:
        self.clock.step("host")
        made = host_model(self.model, section.calls, border, probed.types, probed.constants)
        engine, apart = choose(made.outline)
        return HostSection(
            HostPart(made.whole, border.takes, border.gives, engine, apart), len(section.calls)
        )

    def _report(
        self,
        name: str,
        made: _Cut,
        sections: tuple[HostSection | DeviceSection, ...],
        host_ops: tuple[HostOp, ...],
    ) -> dict[str, Any]:
        shapes = _shapes(made.probed)
        macs = sum(call_macs(c, shapes) for c in made.probed.calls if c.name in made.probed.host)
        peak = self.hw.macs_per_cycle * self.hw.pe_clock_hz / self.hw.base_clock_hz
        moved = crossing(made.sections, made.borders, _sizes(made.probed))
        self.clock.stop()
        report = combined(name, sections, host_ops, macs, moved, peak)
        report["compile_s"] = sum(self.clock.seconds.values())
        report["compile_s_by_step"] = dict(self.clock.seconds)
        return report


def _named(calls: list[Call], options: Options) -> dict[str, str]:
    """What the user keeps on the host, by name."""
    found: dict[str, str] = {}
    for call in calls:
        if call.op in options.host_ops:
            found[call.name] = f"{call.op} is kept on the host, as asked"
        if call.name in options.host_nodes:
            found[call.name] = "it is kept on the host, as asked"
    operators, names = {c.op for c in calls}, {c.name for c in calls}
    unknown = [*(options.host_ops - operators), *(options.host_nodes - names)]
    if unknown:
        raise UsageError(
            "SYS-P005",
            "what is kept on the host is in the model",
            found=f"no operator or node {', '.join(map(repr, sorted(unknown)))}; "
            f"its operators are {', '.join(sorted(operators))}",
        )
    return found


def _calls_behind(bad: Sequence[tuple[Node, str]], probed: Probed) -> dict[str, str]:
    """The calls that refused nodes came from."""
    known = {c.name for c in probed.calls} - set(probed.host)
    found: dict[str, str] = {}
    for node, reason in bad:
        name = next((s.name for s in node.sources if s.name in known), None)
        if name is None:  # a cast that a pass has put in, say: whoever reads it in the model
            name = _maker_of(node, known, probed)
        found.setdefault(name, reason)
    return found


def _maker_of(node: Node, known: set[str], probed: Probed) -> str:
    """The call whose tensor the node's first output is named after."""
    names = [v.name for v in (*node.outputs, *node.inputs)]
    for call in probed.calls:
        if call.name in known and any(n.startswith(w) for w in call.writes for n in names):
            return call.name
    readers = (c.name for c in probed.calls if c.name in known and set(names) & set(c.reads))
    found = next(readers, None)
    assert found is not None, "every core op comes from a node of the model"
    return found


def _shapes(probed: Probed) -> dict[str, tuple[int, ...]]:
    found = {}
    for name, kind in probed.types.items():
        tensor = static(kind)
        if isinstance(tensor, Static):
            found[name] = tensor.shape
    return found


def _sizes(probed: Probed) -> dict[str, int]:
    return {n: v.size_bytes for n, v in probed.values.items() if v is not None}


def _tensors(probed: Probed, names: tuple[str, ...]) -> tuple[PartTensor, ...]:
    found = []
    for name in names:
        kind = static(probed.types.get(name))
        if isinstance(kind, Static):
            found.append(PartTensor(name, kind.dtype.name, kind.shape))
        else:
            found.append(PartTensor(name, "", None))
    return tuple(found)
