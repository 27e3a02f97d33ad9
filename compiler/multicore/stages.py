"""Compile a model as a pipeline: a program a core, weights resident, values handed on.

import, simplify, auto-cast   the whole graph, as for one core (`compiler.pipeline`)
cut, split                    into a graph a core (`cut.py`, `split.py`)
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
from compiler.cost import Simulated
from compiler.errors import CapacityError, UsageError
from compiler.frontends.onnx import import_onnx
from compiler.graph.graph import Graph
from compiler.graph_passes import simplify
from compiler.lowering.finite import may_be_infinite
from compiler.lowering.hand_over import Handed, HandOver
from compiler.multicore.cut import cut
from compiler.multicore.split import Stage, split
from compiler.options import Options
from compiler.pipeline import (
    COMPILER_VERSION,
    TIMES,
    Clock,
    Compiled,
    Draft,
    Progress,
    attempts,
    draft_of,
    finished,
    prepare_graph,
)
from isa.hardware import Hardware, load_target
from neff.layout import MAX_NODES
from neff.model import Link, ModelTensor, Neff


@dataclass(frozen=True)
class CompiledPipeline:
    """A model cut over cores.

    Attributes:
        neff: a section a stage.
        graph: the whole, as it was cut; stages: what became of each part.
        report: the keys of every report, of a beat; `pipeline` has the stages.
    """

    neff: Neff
    graph: Graph
    stages: tuple[Compiled, ...]
    report: dict[str, Any]


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
    clock.step("cut")
    parts = split(graph, cut(graph, hw, options.pipeline_cores))
    made = _compiled(graph, parts, hw, options, clock)
    clock.step("time")
    sections = tuple(c.neff.sections[0] for c in made)
    neff = Neff(
        graph.name,
        hw.name,
        sections,
        inputs=_tensors(graph.inputs, [c.neff.inputs for c in made]),
        outputs=_tensors(graph.outputs, [c.neff.outputs for c in made]),
        cores=len(made),
        links=_links(parts, made),
    )
    report = _report(graph, neff, made, parts, hw, clock)
    kept = {k: v for k, v in report.items() if k not in TIMES}
    metadata = {"compiler": COMPILER_VERSION, "options": options.to_json(), "report": kept}
    return CompiledPipeline(replace(neff, metadata=metadata), graph, tuple(made), report)


def _compiled(
    graph: Graph, parts: Sequence[Stage], hw: Hardware, options: Options, clock: Clock
) -> list[Compiled]:
    """Stage after stage, since each begins with what others have laid down."""
    infinite = may_be_infinite(graph)
    results = {v.name for v in graph.outputs}
    known: dict[str, Handed] = {}
    made: list[Compiled] = []
    for number, part in enumerate(parts):
        later = {name for p in parts[number + 1 :] for name in p.received}
        over = HandOver(
            received={name: known[name] for name in part.received if name in known},
            finite=frozenset(v.name for v in part.graph.inputs if v.id not in infinite),
            free=frozenset(v.name for v in part.graph.outputs if v.name in later - results),
        )
        draft = _draft(part.graph, hw, options, clock, over)
        known |= draft.lowered.handed
        made.append(finished(draft, hw, options, clock, bound(part.graph, hw)))
    return made


def _draft(graph: Graph, hw: Hardware, options: Options, clock: Clock, over: HandOver) -> Draft:
    """The first cut into strips that fits; the whole stage first."""
    refused: CapacityError | None = None
    for attempt in (graph, *attempts(graph, hw, options)):
        try:
            return draft_of(attempt, hw, options, clock, over)
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
    neff: Neff,
    made: Sequence[Compiled],
    parts: Sequence[Stage],
    hw: Hardware,
    clock: Clock,
) -> dict[str, Any]:
    found = Simulated().pipeline(neff, hw)
    clock.stop()
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
        "predicted_cycles": max(r["predicted_cycles"] for r in reports),
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
