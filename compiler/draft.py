"""A draft: a graph lowered and planned with one setting of the knobs.

In    a graph cut, its types chosen (`cuts.py`)
Out   a plan of a lowered program, its end predicted to the tick
Read  `drafts.py` for the search among them
"""

from __future__ import annotations

from dataclasses import dataclass, field

from compiler.clock import Clock
from compiler.graph.graph import Graph
from compiler.knobs import Knobs
from compiler.lowering.hand_over import HandOver
from compiler.lowering.lower import Lowered, lower
from compiler.multicore.pin import Pinned, plan_pinned
from compiler.options import Options
from compiler.schedule import Plan, ScheduleOptions, plan
from compiler.schedule.policies import IN_ORDER
from isa.hardware import Hardware
from isa.kernel.dependencies import Dependencies, dependencies
from isa.kernel.virtual import VirtualProgram


@dataclass(frozen=True)
class Draft:
    """A graph lowered and planned, not yet made into a program."""

    graph: Graph
    lowered: Lowered
    program: VirtualProgram
    deps: Dependencies
    planned: Plan
    pinned: Pinned | None = None
    knobs: Knobs = field(default_factory=Knobs)

    @property
    def ticks(self) -> int:
        """When the last instruction is expected to complete."""
        return self.planned.predicted_ticks


def schedule_options(
    options: Options, *, thorough: bool = True, exhaustive: bool = False
) -> ScheduleOptions:
    """What the options leave of scheduling. Arguments as in `ScheduleOptions`."""
    off = options.without
    return ScheduleOptions(
        reorder="schedule" not in off,
        prefetch=not {"prefetch", "plan-memory", "schedule"} & off,
        queues=1 if "schedule" in off else None,
        policies=IN_ORDER if options.level == 1 else None,
        thorough=thorough,
        exhaustive=exhaustive,
    )


def lowered_of(
    graph: Graph, hw: Hardware, options: Options, knobs: Knobs, over: HandOver | None = None
) -> Lowered:
    """Lower a graph whose types are chosen, as far as the options let it."""
    off = options.without
    return lower(
        graph,
        hw,
        fuse="fuse-loops" not in off,
        tensorize="tensorize" not in off,
        resident="plan-memory" not in off,
        over=over,
        knobs=knobs,
    )


def draft_of(
    graph: Graph,
    hw: Hardware,
    options: Options,
    clock: Clock,
    knobs: Knobs | None = None,
    *,
    over: HandOver | None = None,
    thorough: bool = True,
    exhaustive: bool = False,
) -> Draft:
    """Lower and plan a graph whose types are chosen.

    Args:
        over: as in `lower`.
        thorough, exhaustive: as in `ScheduleOptions`.
    Raises:
        CapacityError: it does not fit.
    """
    knobs = knobs or Knobs()
    clock.step("tensorize")
    lowered = lowered_of(graph, hw, options, knobs, over)
    clock.step("schedule")
    wanted = schedule_options(options, thorough=thorough, exhaustive=exhaustive)
    if options.pin_weights:
        pinned, deps, planned = plan_pinned(lowered.program, hw, wanted)
        return Draft(graph, lowered, pinned.run, deps, planned, pinned, knobs)
    deps = dependencies(lowered.program)
    planned = plan(lowered.program, deps, hw, wanted)
    return Draft(graph, lowered, lowered.program, deps, planned, None, knobs)
