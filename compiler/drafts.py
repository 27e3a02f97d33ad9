"""The search for the best setting of knobs: drafts, as many as it takes.

In    a simplified graph
Out   the best `Draft` (`draft.py`)
Read  `knobs.py` for what can be set, `cuts.py` for what drafts share, `autotune.py` for a longer
      search

What only the winner needs (the bytes of weights, the longest search for places) waits until there
is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from compiler.bound import bound
from compiler.clock import Clock
from compiler.cuts import Cuts
from compiler.draft import Draft, draft_of, lowered_of, schedule_options
from compiler.errors import CapacityError
from compiler.graph.graph import Graph
from compiler.graph_passes.spill import UnfitError
from compiler.knobs import AS_NEEDED, SPILLED, STRIPS, Knobs
from compiler.lowering.brief import brief_values
from compiler.lowering.image import find_images
from compiler.lowering.refusals import RefusedError, refused_nodes
from compiler.options import Options
from compiler.schedule import fits, plan
from isa.hardware import Hardware
from isa.kernel.dependencies import dependencies

ROOMS = (100, 50, 35)
"""Percent of SBUF that values may fill uncut, the next where nothing fits."""

ROOMS_AS_NEEDED = (75, 65, 50)
"""The same for a batch that is cut as each layer needs, where what passes by takes the rest."""

ROOMS_SPILLED = (45, 25)
"""The same for a tile that goes from DRAM to DRAM, as estimated: the next is loaded beside it."""

SHORT = 8_000
"""Instructions of the longest program that is also tried with half as many columns a tile."""

APART = 4
"""Times as many where images are apart, whose layers are as short as those of one image."""

PATIENCE = 2
"""Cuts in a row that gain nothing, after which finer ones are not tried."""

MOST_DRAFTED = 20_000
"""Instructions drafted after which one cut that gains nothing is enough to stop."""


MOST_REFUSED = 3_000
"""Nodes in drafts without room after which everything goes from DRAM to DRAM instead."""

FREE_DMA = 30
"""Percent that loading counts where the array is what a program waits for."""

FAR = 1.15
"""Times the bound from which on images of a batch are also tried one by one."""

REPEATED = 2
"""Times that a program fails for the very bytes of the one before: finer strips cut elsewhere."""

CLOSE = 1.02
"""Drafts not slower than this have places searched for before one is taken."""


class Drafts:
    """Drafts of one graph."""

    def __init__(self, graph: Graph, hw: Hardware, options: Options, clock: Clock) -> None:
        self.hw, self.options, self.clock = hw, options, clock
        self.cuts = Cuts(graph, hw, options, clock, self._fits)
        self._refused: CapacityError | None = None  # the last draft, if it was
        self._repeated = 0  # refusals in a row that are one
        self._hopeless: set[tuple[bool, int]] = set()  # folding and room where finer cuts fail too
        self._in_vain = 0  # nodes of all drafts that did not fit
        self._odd: RefusedError | CapacityError | None = None  # of the last tile, if not for room

    def draft(self, knobs: Knobs, *, thorough: bool = True, exhaustive: bool = False) -> Draft:
        """Lower and plan, as `draft_of`. Raises CapacityError."""
        return draft_of(
            self.cuts.prepared(knobs),
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
        if uncut or self.cuts.cut(Knobs(strips=STRIPS[0], fold_rows=folded)) is None:
            yield Knobs(fold_rows=folded)
            room = 50
        passed: Knobs | None = None
        held: list[int] = []
        for strips in () if uncut else STRIPS:
            stays = len(held) > REPEATED and len(set(held[-1 - REPEATED :])) == 1
            if stays and strips < STRIPS[-1]:
                continue  # what is fullest is not what is cut
            knobs = Knobs(strips=strips, strip_room=room, fold_rows=folded)
            cut = self.cuts.cut(knobs)
            if (folded, room) in self._hopeless or cut is None or len(cut.nodes) == nodes:
                break  # it is no finer, or no better
            nodes, passed = len(cut.nodes), knobs
            held.append(self.cuts.most_held(cut))
            if held[-1] <= self.hw.sbuf_partition_bytes:
                yield knobs
                passed = None
        # the finest of all, for the estimate may be wrong
        if passed is not None and (folded, room) not in self._hopeless:
            yield passed

    def best(self) -> Draft:
        """The best of the candidates. Raises CapacityError where none fits."""
        try:
            return self._best(folded=True)
        except CapacityError:
            if self.cuts.folds() and self._hopeful():
                with suppress(CapacityError):
                    return self._best(folded=False)
            if "stripe" in self.options.without:
                raise
            return self._spilled()

    def _spilled(self) -> Draft:
        """Everything from DRAM to DRAM. Raises RefusedError for a node without room even so."""
        for room in ROOMS_SPILLED:
            try:
                return self.draft(Knobs(strips=SPILLED, strip_room=room))
            except UnfitError as error:
                raise self._unfit(error) from error
            except CapacityError as error:
                refused = error
        raise refused

    def _fits(self, graph: Graph) -> bool:
        """Whether a graph can be lowered and has room in the order in which it stands."""
        try:
            program = lowered_of(graph, self.hw, self.options, Knobs(strips=SPILLED)).program
        except (RefusedError, CapacityError) as error:
            self._odd = error
            return False
        self._odd = None
        return fits(program, dependencies(program), self.hw)

    def _unfit(self, error: UnfitError) -> RefusedError:
        """The refusal of a node that has no room, or no layout, however it is cut."""
        node, graph = error.node, self.cuts.graph.name
        if isinstance(self._odd, RefusedError):
            return refused_nodes([(node, reason) for _, reason in self._odd.nodes], graph)
        if self._odd is not None:
            reason = f"no instruction holds it, however it is cut: {self._odd.found}"
            return refused_nodes([(node, reason)], graph)
        reason = (
            f"it wants at least {error.partition_bytes} bytes a partition of SBUF however it is "
            f"cut, and there are {self.hw.sbuf_partition_bytes}"
        )
        return refused_nodes([(node, reason)], graph)

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
                self._note(error, knobs)
                self._in_vain += len(self.cuts.prepared(knobs).nodes)
                continue
            self._refused, self._repeated = None, 0
            found.append(draft)
            drafted += len(draft.program)
            if best is None or draft.ticks < best.ticks:
                best, worse = draft, 0
            else:
                worse += 1
            enough = worse >= PATIENCE or (worse > 0 and drafted > MOST_DRAFTED)
            if first or knobs.strips == 0 or enough:
                break
        if not first:
            found += self._apart(best, folded)
            best = min(found, key=lambda d: d.ticks, default=None)
        if best is None:
            best = self._by_search(folded, refused)
        if first:
            return best
        near = [self.settled(d) for d in found if d.ticks <= best.ticks * CLOSE]
        return self.settled(self._refined(min(near or [best], key=lambda d: d.ticks)))

    def _apart(self, best: Draft | None, folded: bool) -> list[Draft]:
        """Drafts whose first layers take the images of a batch one by one: to the first border
        behind which the rest fits, and on while that gains; then to those beside the best."""
        levels = self.cuts.borders() if best is None or self._far_from_bound(best) else []
        firsts = [1 + sum(map(len, levels[:i])) for i in range(len(levels))]
        found: list[Draft] = []
        for knobs in (Knobs(apart=place, fold_rows=folded) for place in firsts):
            draft = self._tried(knobs)
            if draft is not None:
                found.append(draft)
                if draft.ticks > min(d.ticks for d in found):
                    break
        least = min(found, key=lambda d: d.ticks, default=None)
        if least is None or (best is not None and best.ticks <= least.ticks):
            return found
        for place in (least.knobs.apart - 1, least.knobs.apart + 1):
            beside = Knobs(apart=place, fold_rows=folded)
            draft = self._tried(beside) if place not in firsts else None
            if draft is not None:
                found.append(draft)
                if draft.ticks < least.ticks:
                    break
        return found

    def _tried(self, knobs: Knobs) -> Draft | None:
        """A draft of images apart, the rest as it is where that fits, or in parts as needed."""
        parts = replace(knobs, strips=AS_NEEDED, strip_room=ROOMS_AS_NEEDED[0])
        for setting in (knobs, parts) if knobs.apart else ():
            cut = self.cuts.cut(setting)
            if cut is not None and self.cuts.may_fit(cut):
                try:
                    return self.draft(setting, thorough=False)
                except CapacityError:
                    pass
        return None

    def _far_from_bound(self, draft: Draft) -> bool:
        """Whether less time is possible by far, going by the columns that products take."""
        limits = bound(self.cuts.uncut(), self.hw)
        least = max(limits.cycles, limits.column_cycles)
        return draft.ticks * self.hw.base_clock_hz > FAR * least * self.hw.ticks_per_s

    def _note(self, error: CapacityError, knobs: Knobs) -> None:
        """A draft was refused. What fails again and again for the same bytes is not what is cut."""
        last, self._refused = self._refused, error
        alike = last is not None and _needed(last) == _needed(error)
        self._repeated = self._repeated + 1 if alike else 0
        if self._repeated >= REPEATED and error.code == "SYS-S001":
            self._hopeless.add((knobs.fold_rows, knobs.strip_room))

    def _refined(self, best: Draft) -> Draft:
        """The draft, or one with smaller pieces: of weights where strips leave little room, of
        products where layers are short and wait for each other; or with images loaded for few
        passes, where strips make much work for the array; or with nothing but products in PSUM."""
        variants = []
        if best.knobs.strips:
            best = self.settled(best)
            variants.append(replace(best.knobs, weight_kib=256))
            blocks = [find_images(best.graph, self.hw, p) for p in (best.knobs.image_dma, FREE_DMA)]
            if blocks[0] != blocks[1]:
                variants.append(replace(best.knobs, image_dma=FREE_DMA))
        if len(best.program) <= SHORT and brief_values(best.graph, self.hw):
            variants.append(replace(best.knobs, brief=False))
        for knobs in variants:
            best = self._better(best, knobs)
        if len(best.program) <= SHORT * (APART if best.knobs.apart else 1):
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
            if not self._hopeful():
                return
            knobs = Knobs(strips=AS_NEEDED, strip_room=room, fold_rows=folded)
            if (not found or room == ROOMS_AS_NEEDED[0]) and self.cuts.cut(knobs) is not None:
                yield knobs
        for room in ROOMS[1:]:
            if not found and self._hopeful():
                yield from self.candidates(folded, room)

    def _hopeful(self) -> bool:
        """Whether looking on for a cut that fits is worth the time; there is another way."""
        return self._in_vain < MOST_REFUSED

    def _by_search(self, folded: bool, refused: CapacityError | None) -> Draft:
        """The first candidate that fits with places searched for."""
        for knobs in self.candidates(folded):
            if knobs.strips and self._hopeful():
                try:
                    return self.draft(knobs)
                except CapacityError as error:
                    refused = error
        assert refused is not None, "there is at least one candidate"
        raise refused


def _needed(error: CapacityError) -> tuple[str, str]:
    """What was refused: the rule, and the bytes against those that there are."""
    return error.code, error.found.partition(";")[0]


def attempts(graph: Graph, hw: Hardware, options: Options) -> Iterator[Graph]:
    """The graphs of `Drafts.candidates`, types still to be chosen."""
    drafts = Drafts(graph, hw, options, Clock(lambda _: None))
    for knobs in drafts.candidates(folded=False):
        cut = drafts.cuts.cut(knobs)
        assert cut is not None, "candidates can be cut"
        yield cut
