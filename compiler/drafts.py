"""Drafts: a graph cut, lowered and planned, as often as it takes to find the best setting of knobs.

In    a simplified graph
Out   `Draft`: a plan of a lowered program, its end predicted to the tick
Read  `knobs.py` for what can be set, `autotune.py` for a longer search

Everything that drafts share is made once: cut graphs, chosen types, rounded weights. What only the
winner needs (the bytes of weights, the longest search for places) waits until there is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from compiler.clock import Clock
from compiler.errors import CapacityError
from compiler.graph.graph import Graph
from compiler.graph_passes import auto_cast
from compiler.graph_passes.align_concat import align_concat
from compiler.graph_passes.auto_cast import Rounded
from compiler.graph_passes.bias_last import bias_last
from compiler.graph_passes.fold_pooled import fold_pooled
from compiler.graph_passes.fold_rows import fold_rows
from compiler.graph_passes.fold_shuffles import fold_shuffles
from compiler.graph_passes.gather_parts import gather_parts
from compiler.graph_passes.nested import cut_as_needed
from compiler.graph_passes.panels import panels
from compiler.graph_passes.place_channels import place_channels
from compiler.graph_passes.shift_clips import shift_clips
from compiler.graph_passes.sink_casts import sink_casts
from compiler.graph_passes.spans import Bytes, profile
from compiler.graph_passes.stripe import stripe_everywhere
from compiler.knobs import AS_NEEDED, STRIPS, Knobs
from compiler.lowering.hand_over import HandOver
from compiler.lowering.image import find_images
from compiler.lowering.layout import bytes_a_partition
from compiler.lowering.lower import Lowered, lower
from compiler.multicore.pin import Pinned, plan_pinned
from compiler.options import Options
from compiler.schedule import Plan, ScheduleOptions, plan
from compiler.schedule.policies import IN_ORDER
from isa.hardware import Hardware
from isa.kernel.dependencies import Dependencies, dependencies
from isa.kernel.virtual import VirtualProgram

ROOMS = (100, 50, 35)
"""Percent of SBUF that values may fill uncut, the next where nothing fits."""

ROOMS_AS_NEEDED = (75, 65, 50)
"""The same for a batch that is cut as each layer needs, where what passes by takes the rest."""

SHORT = 8_000
"""Instructions of the longest program that is also tried with half as many columns a tile."""

PATIENCE = 2
"""Cuts in a row that gain nothing, after which finer ones are not tried."""

MOST_DRAFTED = 20_000
"""Instructions drafted after which one cut that gains nothing is enough to stop."""


FREE_DMA = 30
"""Percent that loading counts where the array is what a program waits for."""

CLOSE = 1.02
"""Drafts not slower than this have places searched for before one is taken."""


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


class Drafts:
    """Drafts of one graph."""

    def __init__(self, graph: Graph, hw: Hardware, options: Options, clock: Clock) -> None:
        self.graph, self.hw, self.options, self.clock = graph, hw, options, clock
        self._capacity = hw.sbuf_partition_bytes
        self._shifted = graph if "fuse-loops" in options.without else bias_last(shift_clips(graph))
        self._rounded: Rounded = {}
        self._bases: dict[bool, Graph] = {}
        self._cut: dict[tuple[bool, int, int], Graph | None] = {}
        self._prepared: dict[tuple[bool, int, int], Graph] = {}

    def prepared(self, knobs: Knobs) -> Graph:
        """The graph in strips, its types chosen. Raises CapacityError where nothing is cut."""
        key = (knobs.fold_rows, knobs.strips, knobs.strip_room)
        if key not in self._prepared:
            cut = self.cut(knobs)
            if cut is None:
                raise CapacityError("SYS-S005", "there are layers to cut", found="none")
            self.clock.step("auto-cast")
            self._prepared[key] = prepare_graph(cut, self.options, self._rounded)
        return self._prepared[key]

    def uncut(self) -> Graph:
        """The graph as it came, its types chosen: what a bound is reckoned of."""
        self.clock.step("auto-cast")
        return prepare_graph(self.graph, self.options, self._rounded)

    def cut(self, knobs: Knobs) -> Graph | None:
        """The graph in strips, or None if no layer is too large."""
        key = (knobs.fold_rows, knobs.strips, knobs.strip_room)
        if knobs.strips == 0:
            return self._base(knobs.fold_rows)
        if key not in self._cut:
            graph = self._base(knobs.fold_rows)
            self.clock.step("stripe")
            self._cut[key] = in_strips(graph, self.hw, self.options, knobs)
        return self._cut[key]

    def _base(self, folded: bool) -> Graph:
        """The graph before it is cut into strips."""
        if folded not in self._bases:
            self.clock.step("stripe")
            blind = {"tensorize", "plan-memory"} & self.options.without
            graph = self._shifted
            if folded and not blind:
                graph = fold_pooled(fold_shuffles(fold_rows(graph)))
            if graph is self._shifted and folded:
                self._bases[folded] = self._base(False)
            else:
                if "tensorize" not in self.options.without:
                    graph = place_channels(align_concat(fold_shuffles(graph)))
                graph = gather_parts(graph, self.hw)
                self._bases[folded] = panels(graph, self.hw, item_bytes(self.options))
        return self._bases[folded]

    def draft(self, knobs: Knobs, *, thorough: bool = True, exhaustive: bool = False) -> Draft:
        """Lower and plan, as `draft_of`. Raises CapacityError."""
        return draft_of(
            self.prepared(knobs),
            self.hw,
            self.options,
            self.clock,
            knobs,
            thorough=thorough,
            exhaustive=exhaustive,
        )

    def settled(self, draft: Draft) -> Draft:
        """The draft with places searched for longer, where that can make it faster."""
        if draft.planned.settled:
            return draft
        if draft.pinned is not None:
            return self.draft(draft.knobs)
        self.clock.step("schedule")
        wanted = schedule_options(self.options, thorough=True)
        return replace(draft, planned=plan(draft.program, draft.deps, self.hw, wanted))

    def candidates(self, folded: bool = True, room: int = ROOMS[0]) -> Iterator[Knobs]:
        """The graph as it is where it may fit, then in ever finer strips: from where values alone
        may fit until finer makes no difference."""
        uncut = "stripe" in self.options.without
        nodes = 0
        if uncut or self.cut(Knobs(strips=STRIPS[0], fold_rows=folded)) is None:
            yield Knobs(fold_rows=folded)
            room = 50
        passed: Knobs | None = None
        for strips in () if uncut else STRIPS:
            knobs = Knobs(strips=strips, strip_room=room, fold_rows=folded)
            cut = self.cut(knobs)
            if cut is None or len(cut.nodes) == nodes:
                break  # it is no finer
            nodes, passed = len(cut.nodes), knobs
            if max(profile(cut, _bytes_of(cut, self.hw, self.options))) <= self._capacity:
                yield knobs
                passed = None
        if passed is not None:  # the finest, for the estimate may be wrong
            yield passed

    def best(self) -> Draft:
        """The best of the candidates. Raises CapacityError where none fits."""
        try:
            return self._best(folded=True)
        except CapacityError:
            if self._base(True) is self._base(False):
                raise
            return self._best(folded=False)

    def _best(self, folded: bool) -> Draft:
        best: Draft | None = None
        refused: CapacityError | None = None
        worse, drafted, first = 0, 0, self.options.level == 1
        found: list[Draft] = []
        for knobs in self._in_less_room(folded, found):
            try:
                # what fits only by a search is a reason not to cut
                draft = self.draft(knobs, thorough=knobs.strips == 0)
            except CapacityError as error:
                refused = error
                continue
            found.append(draft)
            drafted += len(draft.program)
            if best is None or draft.ticks < best.ticks:
                best, worse = draft, 0
            else:
                worse += 1
            enough = worse >= PATIENCE or (worse > 0 and drafted > MOST_DRAFTED)
            if first or knobs.strips == 0 or enough:
                break
        if best is None:
            best = self._by_search(folded, refused)
        if first:
            return best
        near = [self.settled(d) for d in found if d.ticks <= best.ticks * CLOSE]
        return self.settled(self._refined(min(near or [best], key=lambda d: d.ticks)))

    def _refined(self, best: Draft) -> Draft:
        """The draft, or one with smaller pieces: of weights where strips leave little room, of
        products where layers are short and wait for each other; or with images loaded for few
        passes, where strips make much work for the array."""
        variants = []
        if best.knobs.strips:
            best = self.settled(best)
            variants.append(replace(best.knobs, weight_kib=256))
            blocks = [find_images(best.graph, self.hw, p) for p in (best.knobs.image_dma, FREE_DMA)]
            if blocks[0] != blocks[1]:
                variants.append(replace(best.knobs, image_dma=FREE_DMA))
        for knobs in variants:
            best = self._better(best, knobs)
        if len(best.program) <= SHORT:
            whole = best
            for columns in (256, 384):  # the middle where halves gain nothing
                if best is whole:
                    best = self._better(best, replace(best.knobs, tile_columns=columns))
        return best

    def _better(self, best: Draft, knobs: Knobs) -> Draft:
        """The draft, or one with other knobs if that takes less time."""
        try:
            other = self.draft(knobs, thorough=best.planned.settled)
        except CapacityError:
            return best
        return other if other.ticks < best.ticks else best

    def _in_less_room(self, folded: bool, found: Sequence[Draft]) -> Iterator[Knobs]:
        """The candidates, then a batch cut as each layer needs; where none of them fits, those that
        leave more room."""
        yield from self.candidates(folded)
        for room in () if "stripe" in self.options.without else ROOMS_AS_NEEDED:
            knobs = Knobs(strips=AS_NEEDED, strip_room=room, fold_rows=folded)
            if (not found or room == ROOMS_AS_NEEDED[0]) and self.cut(knobs) is not None:
                yield knobs
        for room in ROOMS[1:]:
            if not found:
                yield from self.candidates(folded, room)

    def _by_search(self, folded: bool, refused: CapacityError | None) -> Draft:
        """The first candidate that fits with places searched for."""
        for knobs in self.candidates(folded):
            if knobs.strips:
                try:
                    return self.draft(knobs)
                except CapacityError as error:
                    refused = error
        assert refused is not None, "there is at least one candidate"
        raise refused


def prepare_graph(graph: Graph, options: Options, rounded: Rounded | None = None) -> Graph:
    """Storage types chosen, casts where values are made or read."""
    chosen = auto_cast(graph, options.auto_cast, options.auto_cast_type, rounded)
    return sink_casts(chosen)


def item_bytes(options: Options) -> int:
    """Bytes of an element of most values."""
    return 2 if options.auto_cast == "all" else 4


def in_strips(graph: Graph, hw: Hardware, options: Options, knobs: Knobs) -> Graph | None:
    """Every chain of layers too large for its room in strips; None where there is none."""
    room = hw.sbuf_partition_bytes * knobs.strip_room // 100
    bytes_for = partial(_bytes_of, hw=hw, options=options)
    if knobs.strips == AS_NEEDED:
        return cut_as_needed(graph, room, bytes_for)
    return stripe_everywhere(graph, room, bytes_for, knobs.strips)


def _bytes_of(graph: Graph, hw: Hardware, options: Options) -> Bytes:
    """Bytes a partition of each value; constants are not counted."""
    packed = not {"tensorize", "plan-memory"} & options.without  # as `lower` does
    known = bytes_a_partition(graph, item_bytes(options), hw, from_dram=packed)
    return lambda value: known.get(value.id, 0)


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


def attempts(graph: Graph, hw: Hardware, options: Options) -> Iterator[Graph]:
    """The graphs of `Drafts.candidates`, types still to be chosen."""
    drafts = Drafts(graph, hw, options, Clock(lambda _: None))
    for knobs in drafts.candidates(folded=False):
        cut = drafts.cut(knobs)
        assert cut is not None, "candidates can be cut"
        yield cut


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
    off = options.without
    clock.step("tensorize")
    lowered = lower(
        graph,
        hw,
        fuse="fuse-loops" not in off,
        tensorize="tensorize" not in off,
        resident="plan-memory" not in off,
        over=over,
        knobs=knobs,
    )
    clock.step("schedule")
    wanted = schedule_options(options, thorough=thorough, exhaustive=exhaustive)
    if options.pin_weights:
        pinned, deps, planned = plan_pinned(lowered.program, hw, wanted)
        return Draft(graph, lowered, pinned.run, deps, planned, pinned, knobs)
    deps = dependencies(lowered.program)
    planned = plan(lowered.program, deps, hw, wanted)
    return Draft(graph, lowered, lowered.program, deps, planned, None, knobs)
