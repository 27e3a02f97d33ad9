"""The pipeline: every step from a model to a NEFF, in order, and what each left behind.

import      model -> graph of core ops with static shapes
simplify    fold constants, merge and recognise, until nothing changes
stripe      chains of layers too large for SBUF, strip by strip           (graph_passes/stripe.py)
auto-cast   storage types of values: after simplify, which folds in FP32
fuse-loops  elementwise nodes run on each tile behind their producer       (lowering/groups.py)
tensorize   loops over tiles become engine instructions on virtual buffers (lowering/)
schedule    order and queues; needs every instruction                      (schedule/)
plan-memory addresses; needs the order, for a live range is a span of it   (schedule/)
synchronize semaphores; last, it keeps the orders that the others made     (isa/kernel)
verify      the program is sound, or this is a fault of ours
explain     where the time goes, by cause and layer                        (simulator/explain/)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.bound import Bound, bound, without_traffic
from compiler.cost import Simulated
from compiler.errors import CapacityError, VerifyError
from compiler.frontends.onnx import import_onnx
from compiler.graph.graph import Graph, Value
from compiler.graph_passes import auto_cast, simplify
from compiler.graph_passes.auto_cast import Rounded
from compiler.graph_passes.fold_rows import fold_rows
from compiler.graph_passes.panels import panels
from compiler.graph_passes.sink_casts import sink_casts
from compiler.graph_passes.stripe import stripe_everywhere
from compiler.lowering.hand_over import HandOver
from compiler.lowering.layout import bytes_a_partition
from compiler.lowering.lower import Lowered, lower
from compiler.multicore.pin import Pinned, plan_pinned
from compiler.options import Options
from compiler.schedule import Plan, ScheduleOptions, plan
from isa.errors import IllegalError
from isa.hardware import Hardware, load_target
from isa.kernel import synchronize
from isa.kernel.dependencies import Dependencies, dependencies
from isa.kernel.virtual import VirtualProgram
from isa.program import Program
from isa.verify import require_sound
from neff.model import ModelTensor, Neff

Progress = Callable[[str], None]
COMPILER_VERSION = "0.1.0"


@dataclass
class Clock:
    """Wall time by step."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    rounded: Rounded = field(default_factory=dict)
    _name: str = ""
    _since: float = 0.0

    def step(self, name: str) -> None:
        """The step before ends, `name` begins."""
        self.stop()
        self._name, self._since = name, time.perf_counter()
        self.progress(name)

    def stop(self) -> None:
        """The last step ends."""
        if self._name:
            took = time.perf_counter() - self._since
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + took
        self._name = ""


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
    graph = import_onnx(model, dict(options.shapes))
    return compile_graph(graph, hw, options, clock)


STRIPS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""How finely a chain of layers is cut: ever finer until the program fits, then while it gains."""


def prepare_graph(graph: Graph, options: Options, clock: Clock) -> Graph:
    """The graph-level passes."""
    clock.step("auto-cast")
    kept = clock.rounded
    return sink_casts(auto_cast(graph, options.auto_cast, options.auto_cast_type, kept))


def attempts(graph: Graph, hw: Hardware, options: Options) -> Iterator[Graph]:
    """The graph as it is where it may fit, then in ever finer strips."""
    item = 2 if options.auto_cast == "all" else 4
    budget = hw.sbuf_partition_bytes
    graph = panels(graph, hw, item)

    def bytes_for(graph: Graph) -> Callable[[Value], int]:
        packed = not {"tensorize", "plan-memory"} & options.without  # as `lower` does
        known = bytes_a_partition(graph, item, hw, from_dram=packed)
        return lambda value: known.get(value.id, 0)  # constants are not counted

    tight = stripe_everywhere(graph, budget, bytes_for, 2) is None
    if tight or "stripe" in options.without:
        yield graph
        budget //= 2
    if "stripe" not in options.without:
        for strips in STRIPS:
            cut = stripe_everywhere(graph, budget, bytes_for, strips)
            if cut is None:
                return
            yield cut


@dataclass(frozen=True)
class Draft:
    """A graph lowered and planned, not yet made into a program."""

    graph: Graph
    lowered: Lowered
    program: VirtualProgram
    deps: Dependencies
    planned: Plan
    pinned: Pinned | None = None


def compile_graph(graph: Graph, hw: Hardware, options: Options, clock: Clock) -> Compiled:
    """Compile an imported graph. Raises as `compile_model`."""
    clock.step("simplify")
    graph = simplify(graph)
    folded = graph if {"tensorize", "plan-memory"} & options.without else fold_rows(graph)
    try:
        best = _best_draft(folded, hw, options, clock)
    except CapacityError:
        if folded is graph:
            raise
        best = _best_draft(graph, hw, options, clock)
    limits = bound(prepare_graph(graph, options, clock), hw)
    return finished(best, hw, options, clock, limits)


def _best_draft(graph: Graph, hw: Hardware, options: Options, clock: Clock) -> Draft:
    """The fastest of the attempts. Raises CapacityError where none fits."""
    best: Draft | None = None
    refused: CapacityError | None = None
    for attempt in attempts(graph, hw, options):
        try:
            draft = _draft(attempt, hw, options, clock)
        except CapacityError as error:
            refused = error
            continue
        if best is not None and draft.planned.predicted_ticks >= best.planned.predicted_ticks:
            break
        best = draft
        if attempt is graph:
            break
    if best is None:
        assert refused is not None, "there is at least one attempt"
        raise refused
    return best


def _draft(graph: Graph, hw: Hardware, options: Options, clock: Clock) -> Draft:
    return draft_of(prepare_graph(graph, options, clock), hw, options, clock)


def draft_of(
    graph: Graph, hw: Hardware, options: Options, clock: Clock, over: HandOver | None = None
) -> Draft:
    """Lower and plan a graph whose types are chosen. `over` as in `lower`. Raises CapacityError."""
    clock.step("tensorize")
    off = options.without
    lowered = lower(
        graph,
        hw,
        fuse="fuse-loops" not in off,
        tensorize="tensorize" not in off,
        resident="plan-memory" not in off,
        over=over,
    )
    clock.step("schedule")
    wanted = ScheduleOptions(
        reorder="schedule" not in off,
        prefetch=not {"prefetch", "plan-memory", "schedule"} & off,
        queues=1 if "schedule" in off else None,
    )
    if options.pin_weights:
        pinned, deps, planned = plan_pinned(lowered.program, hw, wanted)
        return Draft(graph, lowered, pinned.run, deps, planned, pinned)
    deps = dependencies(lowered.program)
    planned = plan(lowered.program, deps, hw, wanted)
    return Draft(graph, lowered, lowered.program, deps, planned)


def finished(draft: Draft, hw: Hardware, options: Options, clock: Clock, limits: Bound) -> Compiled:
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
