"""Compile a model as a pipeline: a program a core, weights resident, values handed on.

import, simplify, auto-cast   the whole graph, as for one core (`compiler.pipeline`)
cut, split                    into a graph a core, then again with what the stages took (`cut.py`,
                              `split.py`)
then for each stage           what the one-core pipeline does behind auto-cast, with its weights
                              pinned (`pin.py`) and what it hands on stored as it lies
                              (`compiler.lowering.hand_over`)

The result is one NEFF with a section a core. The timing of all cores together, and so the report's
throughput, is the simulator's (`compiler.cost`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compiler.bound import bound
from compiler.clock import Clock, Progress
from compiler.cost import Simulated, Throughput
from compiler.draft import Draft, draft_of
from compiler.drafts import attempts
from compiler.errors import CapacityError, UsageError
from compiler.frontends.onnx import import_onnx
from compiler.graph.graph import Graph, Value
from compiler.graph_passes import simplify
from compiler.lowering.context import Spec
from compiler.lowering.finite import may_be_infinite
from compiler.lowering.hand_over import Handed, HandOver
from compiler.lowering.layout import wishes
from compiler.multicore.cut import Place, atoms_of, corrected, cut
from compiler.multicore.pin import Pinned
from compiler.multicore.split import Stage, split
from compiler.options import Options
from compiler.pipeline import (
    COMPILER_VERSION,
    TIMES,
    Compiled,
    compile_graph,
    finished,
    prepare_graph,
)
from isa.hardware import Hardware, load_target
from neff.layout import MAX_NODES
from neff.model import Link, ModelTensor, Neff

ROUNDS = 4
"""Cuts that are tried: by estimates, then by what the stages of the last cut took."""


@dataclass(frozen=True)
class CompiledPipeline(Compiled):
    """A model cut over cores; `program` and `plan` are the first stage's.

    Attributes:
        neff: a section a stage.
        graph: the whole, as it was cut; stages: what became of each part.
        report: the keys of every report, of a beat; `pipeline` has the stages.
    """

    stages: tuple[Compiled, ...] = ()


def compile_for_cores(graph: Graph, hw: Hardware, options: Options, clock: Clock) -> Compiled:
    """Compile an imported graph, for one core or as a pipeline. Raises as `compile_model`."""
    if options.pipeline_cores == 1:
        return compile_graph(graph, hw, options, clock)
    return pipeline_of(graph, hw, options, clock)


def compile_pipeline(
    model: str | Path | bytes | Any, options: Options, progress: Progress = lambda _: None
) -> CompiledPipeline:
    """Compile an ONNX model for `options.pipeline_cores` cores. Raises SystolaError."""
    clock = Clock(progress)
    hw = load_target(options.target)
    clock.step("import")
    return pipeline_of(import_onnx(model, dict(options.shapes)), hw, options, clock)


def pipeline_of(graph: Graph, hw: Hardware, options: Options, clock: Clock) -> CompiledPipeline:
    """Compile an imported graph. Raises as `compile_pipeline`."""
    if not 1 <= options.pipeline_cores <= MAX_NODES:
        raise UsageError(
            "SYS-C120",
            f"a pipeline has 1 to {MAX_NODES} cores",
            found=str(options.pipeline_cores),
        )
    options = replace(options, pin_weights=True)
    clock.step("simplify")
    graph = prepare_graph(simplify(graph), options, clock)
    atoms = atoms_of(graph, hw, options.pipeline_cores)
    best: _Attempt | None = None
    drafts: dict[str, Draft] = {}
    tried: list[list[Place]] = []
    for _ in range(ROUNDS):
        clock.step("cut")
        places = cut(atoms, hw, options.pipeline_cores)
        if places in tried:
            break
        tried.append(places)
        made = _attempt(graph, places, drafts, hw, options, clock)
        if best is None or made.rank < best.rank:
            best = made
        atoms = corrected(atoms, places, made.seconds(hw), made.needed)
    assert best is not None, "there is a first round"
    stages = [
        finished(d, hw, options, clock, bound(p.graph, hw))
        for d, p in zip(best.drafts, best.parts, strict=True)
    ]
    neff = _neff(graph, best.parts, stages, hw)
    clock.step("time")
    found = Simulated().pipeline(neff, hw)
    clock.stop()
    report = _report(graph, best.parts, stages, found, hw, clock)
    kept = {k: v for k, v in report.items() if k not in TIMES}
    metadata = {"compiler": COMPILER_VERSION, "options": options.to_json(), "report": kept}
    first = stages[0]
    neff = replace(neff, metadata=metadata)
    return CompiledPipeline(neff, graph, first.program, first.plan, report, tuple(stages))


@dataclass(frozen=True)
class _Attempt:
    """A cut, and what the stages would be."""

    parts: list[Stage]
    drafts: list[Draft]

    @property
    def pinned(self) -> list[Pinned]:
        """What stays, by stage."""
        return [d.pinned for d in self.drafts if d.pinned is not None]

    @property
    def needed(self) -> list[int]:
        """Bytes a partition that each stage holds beside its weights."""
        return [p.needed for p in self.pinned]

    @property
    def rank(self) -> tuple[int, int]:
        """Less is better: weights that stay count before time."""
        streamed = sum(p.total_bytes - p.constant_bytes for p in self.pinned)
        return streamed, max(d.planned.predicted_ticks for d in self.drafts)

    def seconds(self, hw: Hardware) -> list[float]:
        """What each stage is expected to take."""
        return [d.planned.predicted_ticks / hw.ticks_per_s for d in self.drafts]


def _attempt(
    graph: Graph,
    places: list[Place],
    drafts: dict[str, Draft],
    hw: Hardware,
    options: Options,
    clock: Clock,
) -> _Attempt:
    """Stage after stage, since each begins with what others have laid down. `drafts` are those of
    earlier cuts, by everything that they depend on."""
    infinite = may_be_infinite(graph)
    results = {v.name for v in graph.outputs}
    wanted = wishes(graph)
    parts = split(graph, places)
    ends = [None, *places, None]
    known: dict[str, Handed] = {}
    made: list[Draft] = []
    for number, part in enumerate(parts):
        later = {name for p in parts[number + 1 :] for name in p.received}
        over = HandOver(
            received={name: known[name] for name in part.received if name in known},
            finite=frozenset(v.name for v in part.graph.inputs if v.id not in infinite),
            free=frozenset(v.name for v in part.graph.outputs if v.name in later - results),
            wanted={
                v.name: _narrowed(wanted[part.origin[v.name].id], v) for v in part.graph.outputs
            },
        )
        key = repr((ends[number : number + 2], sorted(over.received.items()), sorted(over.free)))
        if key not in drafts:
            drafts[key] = _draft(part.graph, hw, options, clock, over)
        made.append(drafts[key])
        known |= made[-1].lowered.handed
    return _Attempt(parts, made)


def _narrowed(wanted: dict[Spec, float], value: Value) -> dict[Spec, float]:
    """The wishes for a whole, said of a piece."""
    return {Spec(s.dim, min(s.block, value.shape[s.dim])): w for s, w in wanted.items()}


def _neff(graph: Graph, parts: Sequence[Stage], made: Sequence[Compiled], hw: Hardware) -> Neff:
    """A section a stage."""
    return Neff(
        graph.name,
        hw.name,
        tuple(c.neff.sections[0] for c in made),
        inputs=_tensors(graph.inputs, [c.neff.inputs for c in made]),
        outputs=_tensors(graph.outputs, [c.neff.outputs for c in made]),
        cores=len(made),
        links=_links(parts, made),
    )


def _draft(graph: Graph, hw: Hardware, options: Options, clock: Clock, over: HandOver) -> Draft:
    """The first cut into strips that fits; the whole stage first."""
    refused: CapacityError | None = None
    for attempt in (graph, *attempts(graph, hw, options)):
        try:
            return draft_of(attempt, hw, options, clock, over=over)
        except CapacityError as error:
            refused = error
    assert refused is not None, "there was an attempt"
    raise refused


def _tensors(
    values: Sequence[Any], found: list[tuple[ModelTensor, ...]]
) -> tuple[ModelTensor, ...]:
    """The model's tensors, each in the first section that has it."""
    by_name: dict[str, ModelTensor] = {}
    for section, tensors in enumerate(found):
        for t in tensors:
            by_name.setdefault(t.name, replace(t, section=section))
    return tuple(by_name[v.name] for v in values if v.name in by_name)


def _links(parts: Sequence[Stage], made: Sequence[Compiled]) -> tuple[Link, ...]:
    found = []
    for number, part in enumerate(parts):
        here = {t.name: t.buffer for t in made[number].neff.inputs}
        for name, source in part.received.items():
            neff = made[source].neff
            there = {t.name: t.buffer for t in (*neff.inputs, *neff.outputs)}
            found.append(Link((source, there[name]), (number, here[name])))
    return tuple(found)


def _report(
    graph: Graph,
    parts: Sequence[Stage],
    made: Sequence[Compiled],
    found: Throughput,
    hw: Hardware,
    clock: Clock,
) -> dict[str, Any]:
    cycles = -(-found.beat_ticks * hw.base_clock_hz // hw.ticks_per_s)
    reports = [c.report for c in made]
    whole = bound(graph, hw)
    least = max(r["bound_cycles"] for r in reports)
    peak = hw.macs_per_cycle * hw.pe_clock_hz / hw.base_clock_hz
    stages = [
        {
            "cycles": timing.cycles,
            "pinned_bytes": c.report["pinned_bytes"],
            "streamed_bytes": c.report["streamed_bytes"],
            "received_bytes": sum(v.size_bytes for v in p.graph.inputs),
            "handed_on_bytes": sum(v.size_bytes for v in p.graph.outputs),
            "sbuf_peak_bytes": c.report["sbuf_peak_bytes"],
        }
        for c, p, timing in zip(made, parts, found.timings, strict=True)
    ]
    return {
        "model": graph.name,
        "target": hw.name,
        "cycles": cycles,
        "time_s": found.beat_s,
        "bound_cycles": least,
        "bound_ratio": cycles / least,
        "pe_utilization": whole.macs / (peak * max(1, cycles) * len(made)),
        "macs": whole.macs,
        "macs_on_device": whole.macs,
        "dram_bytes": sum(t.dram_read_bytes + t.dram_written_bytes for t in found.timings),
        "dram_bytes_compulsory": sum(r["dram_bytes_compulsory"] for r in reports),
        "sbuf_peak_bytes": max(r["sbuf_peak_bytes"] for r in reports),
        "psum_peak_bytes": max(r["psum_peak_bytes"] for r in reports),
        "instructions": sum(r["instructions"] for r in reports),
        "host_ops": [],
        "compile_s": sum(clock.seconds.values()),
        "compile_s_by_step": dict(clock.seconds),
        "notes": list(graph.notes),
        "pipeline": {
            "cores": len(made),
            "runs_per_s": 1 / found.beat_s,
            "latency_s": found.pipeline_latency_s,
            "link_ticks": list(found.links),
            "stages": stages,
        },
    }
