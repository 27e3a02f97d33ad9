"""The pipeline: every step from a model to a NEFF, in order, and what each left behind.

import      model -> graph of core ops with static shapes
simplify    fold constants, merge and recognise, until nothing changes
            from here to plan-memory once a setting of the knobs          (drafts.py, autotune.py)
cut         few channels folded, many aligned; what is too large for SBUF in parts       (cuts.py)
auto-cast   storage types of values: after simplify, which folds in FP32                 (cuts.py)
fuse-loops  elementwise nodes run on each tile behind their producer       (lowering/groups.py)
tensorize   loops over tiles become engine instructions on virtual buffers (lowering/)
schedule    order and queues; needs every instruction                      (schedule/)
plan-memory addresses; needs the order, for a live range is a span of it   (schedule/)
synchronize semaphores; last, it keeps the orders that the others made     (isa/kernel)
verify      the program is sound, or this is a fault of ours
explain     where the time goes, by cause and layer                        (simulator/explain/)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.autotune import Tuned, autotune
from compiler.autotune_cache import Cache, default_folder, key_of
from compiler.bound import Bound, bound, without_traffic
from compiler.clock import Clock, Progress
from compiler.cost import Simulated
from compiler.cuts import with_types
from compiler.draft import Draft
from compiler.drafts import Drafts
from compiler.errors import VerifyError
from compiler.frontends.onnx import import_onnx
from compiler.graph.graph import Graph
from compiler.graph_passes import simplify
from compiler.lowering.lower import Lowered
from compiler.options import Options, require_level
from compiler.schedule import Plan
from isa.errors import IllegalError
from isa.hardware import Hardware, load_target
from isa.kernel import synchronize
from isa.program import Program
from isa.verify import require_sound
from neff.model import ModelTensor, Neff

COMPILER_VERSION = "0.1.0"


@dataclass(frozen=True)
class Compiled:
    """A compiled model, and what is known of it.

    Attributes:
        graph: the graph that was lowered: values keep the model's tensor names.
        report: the keys of the command line's reports; wall times included.
    """

    neff: Neff
    graph: Graph
    program: Program
    plan: Plan
    report: dict[str, Any]


def compile_model(
    model: str | Path | bytes | Any, options: Options, progress: Progress = lambda _: None
) -> Compiled:
    """Compile an ONNX model (path, bytes or ModelProto).

    Raises:
        SystolaError: whatever is wrong with the model, the options or the target; a VerifyError
            is a fault of the compiler's own.
    """
    clock = Clock(progress)
    hw = load_target(options.target)
    clock.step("import")
    graph = import_onnx(model, dict(options.shapes), options.batch)
    return compile_graph(graph, hw, options, clock)


def prepare_graph(graph: Graph, options: Options, clock: Clock) -> Graph:
    """The graph-level passes behind simplify."""
    clock.step("auto-cast")
    return with_types(graph, options)


def compile_graph(graph: Graph, hw: Hardware, options: Options, clock: Clock) -> Compiled:
    """Compile an imported graph. Raises as `compile_model`."""
    clock.step("simplify")
    graph = simplify(graph)
    drafts = Drafts(graph, hw, options, clock)
    tuned: Tuned | None = None
    require_level(options)
    if options.level == 3:
        cache = Cache(key_of(graph, hw, options), default_folder())
        best, tuned = autotune(drafts, options.budget, cache)
    else:
        best = drafts.best()
    limits = bound(drafts.cuts.uncut(), hw)
    return finished(best, hw, options, clock, limits, tuned)


def finished(
    draft: Draft,
    hw: Hardware,
    options: Options,
    clock: Clock,
    limits: Bound,
    tuned: Tuned | None = None,
) -> Compiled:
    """The program of a draft, proved, timed, with its NEFF. Raises VerifyError."""
    planned = draft.planned
    clock.step("synchronize")
    placed = planned.apply(draft.program)
    program = synchronize(placed, draft.deps, planned.order, planned.address, hw)
    if draft.pinned is not None:
        program = replace(program, pinned=draft.pinned.words(planned))
        limits = without_traffic(limits, draft.pinned.constant_bytes, hw)
    clock.step("verify")
    _require_sound(program, hw)
    clock.step("time")
    timing = Simulated().timing(program, hw)
    clock.step("explain")
    explained = Simulated().explanation(
        program, timing, limits.macs, limits.dram_bytes, planned.predicted_ticks
    )
    clock.stop()
    report = _report(draft.graph, program, planned, limits, timing, hw, clock)
    if draft.pinned is not None:
        kept = draft.pinned.constant_bytes
        report |= {"pinned_bytes": kept, "streamed_bytes": draft.pinned.total_bytes - kept}
        report["unpinned_partition_bytes"] = draft.pinned.needed
    report["knobs"] = draft.knobs.to_json()
    if tuned is not None:
        report["autotune"] = tuned.report(hw)
    report["explain"] = explained
    if "note" in explained["prediction"]:
        error = explained["prediction"]["error"]
        report["notes"].append(f"predicted {100 * error:+.1f} %: {explained['prediction']['note']}")
    neff = _neff(draft.graph, draft.lowered, program, planned, hw, options, report)
    return Compiled(neff, draft.graph, program, planned, report)


def _require_sound(program: Program, hw: Hardware) -> None:
    try:
        require_sound(program, hw)
    except IllegalError as error:
        raise VerifyError(
            "SYS-C900",
            "the compiler made a program that does not verify: a fault of ours",
            found=str(error),
            at="after synchronize",
            hint="please report it with the model",
        ) from error


def _report(
    graph: Graph,
    program: Program,
    planned: Plan,
    limits: Bound,
    timing: Any,
    hw: Hardware,
    clock: Clock,
) -> dict[str, Any]:
    cycles = timing.cycles
    peak = hw.macs_per_cycle * hw.pe_clock_hz / hw.base_clock_hz
    return {
        "model": graph.name,
        "target": hw.name,
        "cycles": cycles,
        "time_s": timing.time_s,
        "bound_cycles": limits.cycles,
        "bound_finite_sbuf_cycles": limits.sbuf_cycles,
        "bound_column_cycles": limits.column_cycles,
        "bound_ratio": cycles / limits.cycles,
        "pe_utilization": limits.macs / (peak * max(1, cycles)),
        "macs": limits.macs,
        "macs_on_device": limits.macs,
        "dram_bytes": timing.dram_read_bytes + timing.dram_written_bytes,
        "dram_bytes_compulsory": limits.dram_bytes,
        "sbuf_peak_bytes": planned.sbuf_peak_bytes * hw.partitions,
        "psum_peak_bytes": planned.psum_peak_banks * hw.psum_bank_bytes * hw.partitions,
        "instructions": program.instructions,
        "predicted_cycles": -(-planned.predicted_ticks * hw.base_clock_hz // hw.ticks_per_s),
        "host_ops": [],
        "compile_s": sum(clock.seconds.values()),
        "compile_s_by_step": dict(clock.seconds),
        "notes": [*graph.notes, *planned.notes],
    }


TIMES = ("compile_s", "compile_s_by_step")


def _neff(
    graph: Graph,
    lowered: Lowered,
    program: Program,
    planned: Plan,
    hw: Hardware,
    options: Options,
    report: dict[str, Any],
) -> Neff:
    by_address = {b.address: b.name for b in program.buffers if b.size_bytes}
    constants: dict[str, NDArray[np.uint8]] = {
        by_address[int(planned.address[b])]: data for b, data in lowered.constants.items()
    }
    tensors = [
        [
            ModelTensor(
                v.name, v.dtype.name, v.shape, by_address[int(planned.address[home[v.name].id])]
            )
            for v in values
        ]
        for values, home in ((graph.inputs, lowered.inputs), (graph.outputs, lowered.outputs))
    ]
    kept = {
        k: v for k, v in report.items() if k not in TIMES
    }  # the same model gives the same bytes
    return Neff.single(
        graph.name,
        hw.name,
        program,
        constants,
        inputs=tuple(tensors[0]),
        outputs=tuple(tensors[1]),
        metadata={"compiler": COMPILER_VERSION, "options": options.to_json(), "report": kept},
    )
