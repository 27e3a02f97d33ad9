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

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from compiler.clock import Clock, Progress
from compiler.errors import ShapeError, UnsupportedError, UsageError
from compiler.frontends.onnx.importer import Importer
from compiler.frontends.onnx.model import Model, read_model
from compiler.graph.graph import Graph
from compiler.host import choose
from compiler.lowering.refusals import RefusedError, refused_gathers
from compiler.multicore.stages import compile_for_cores
from compiler.options import Options
from compiler.partition.calls import Call, calls_of, inlined
from compiler.partition.cut import Border, Section, borders, crossing, cut, too_small
from compiler.partition.device_graph import section_graph, without_unread_inputs
from compiler.partition.engines import Engines
from compiler.partition.handed_on import constants_as_calls, handed_on, hands_on_an_input
from compiler.partition.host_model import host_model
from compiler.partition.macs import call_macs
from compiler.partition.model import DeviceSection, HostOp, HostSection, Partitioned
from compiler.partition.prefer import preferred
from compiler.partition.probe import Probed, probe
from compiler.partition.refused import calls_behind, depends_on_data, unsupported
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
                        more = calls_behind(refused.nodes, probed)
            forced = {**forced, **probed.host, **more}

    # -- who goes to the host -----------------------------------------------------------------

    def _further(self, probed: Probed) -> dict[str, str]:
        """Calls of the device that are better with the host, or at first sight have no mapping."""
        found = calls_behind(refused_gathers(probed.graph), probed)
        if (found or probed.host) and not self.options.must_compile:
            found = {**preferred(probed, {**probed.host, **found}), **found}
        return found

    def _cut(self, probed: Probed) -> _Cut:
        engines = Engines(self.model, probed)
        sections = [part for s in cut(probed.calls, probed.host) for part in engines.parts(s)]
        found = borders(sections, engines.known, probed.outputs)
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
