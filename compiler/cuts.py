"""The graph that a setting of the knobs makes: folded, cut in strips, its types chosen.

In    a simplified graph
Out   what `compiler.lowering.lower` takes, for each setting that `drafts.py` tries
Read  `graph_passes/stripe.py`, `nested.py` and `spill.py` for the cuts themselves

Settings share most of it, so each step is made once: what is folded, what is cut in how many
strips, and the rounded weights.
"""

from __future__ import annotations

from functools import partial

from compiler.clock import Clock
from compiler.errors import CapacityError
from compiler.graph.graph import Graph
from compiler.graph_passes import auto_cast
from compiler.graph_passes.align_concat import align_concat
from compiler.graph_passes.apart import borders, images_apart
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
from compiler.graph_passes.spill import Fits, spill
from compiler.graph_passes.stripe import stripe_everywhere
from compiler.knobs import AS_NEEDED, SPILLED, Knobs
from compiler.lowering.layout import bytes_a_partition
from compiler.options import Options
from isa.hardware import Hardware

_Base = tuple[bool, int]
"""The knobs that a graph in front of the cuts depends on."""

_Key = tuple[bool, int, int, int]
"""The knobs that a cut depends on."""


class Cuts:
    """The cuts of one graph."""

    def __init__(
        self, graph: Graph, hw: Hardware, options: Options, clock: Clock, fits: Fits
    ) -> None:
        """`fits` says whether a graph whose types are chosen can be lowered and has room."""
        self.graph, self.hw, self.options, self.clock = graph, hw, options, clock
        self._fits = fits
        self._shifted = graph if "fuse-loops" in options.without else bias_last(shift_clips(graph))
        self._rounded: Rounded = {}
        self._borders: list[tuple[int, ...]] | None = None
        self._bases: dict[_Base, Graph] = {}
        self._cut: dict[_Key, Graph | None] = {}
        self._prepared: dict[_Key, Graph] = {}

    def prepared(self, knobs: Knobs) -> Graph:
        """The graph in strips, its types chosen. Raises CapacityError where nothing is cut."""
        key = _key(knobs)
        if key not in self._prepared:
            cut = self.cut(knobs)
            if cut is None:
                raise CapacityError("SYS-S005", "there are layers to cut", found="none")
            self.clock.step("auto-cast")
            self._prepared[key] = with_types(cut, self.options, self._rounded)
        return self._prepared[key]

    def uncut(self) -> Graph:
        """The graph as it came, its types chosen: what a bound is reckoned of."""
        self.clock.step("auto-cast")
        return with_types(self.graph, self.options, self._rounded)

    def cut(self, knobs: Knobs) -> Graph | None:
        """The graph in strips, or None if no layer is too large, or no such border is there."""
        if knobs.apart and knobs.apart > sum(map(len, self.borders())):
            return None
        if knobs.strips == 0:
            return self._base(knobs.fold_rows, knobs.apart)
        key = _key(knobs)
        if key not in self._cut and knobs.strips == SPILLED:
            self._cut[key] = self._spilled(knobs.strip_room)
        if key not in self._cut:
            graph = self._base(knobs.fold_rows, knobs.apart)
            self.clock.step("stripe")
            self._cut[key] = _in_strips(graph, self.hw, self.options, knobs)
        return self._cut[key]

    def _spilled(self, room: int) -> Graph:
        """Every value in DRAM that is read far from where it is made. Raises UnfitError."""
        self.clock.step("spill")
        graph = gather_parts(self._shifted, self.hw)

        def fits(tile: Graph) -> bool:
            return self._fits(with_types(tile, self.options, self._rounded))

        return spill(graph, self.hw, _item_bytes(self.options), fits, room)

    def may_fit(self, cut: Graph) -> bool:
        """Whether the values of a cut graph fit in SBUF at every moment."""
        return self.most_held(cut) <= self.hw.sbuf_partition_bytes

    def most_held(self, cut: Graph) -> int:
        """Bytes a partition of the values of a cut graph that are live at its fullest moment."""
        return max(profile(cut, _bytes_of(cut, self.hw, self.options)))

    def folds(self) -> bool:
        """Whether folding rows onto partitions changes anything."""
        return self._base(True) is not self._base(False)

    def borders(self) -> list[tuple[int, ...]]:
        """Where the images of a batch may join that are computed one by one before."""
        if self._borders is None:
            blind = {"stripe", "tensorize", "plan-memory"} & self.options.without
            graph = self._shifted
            held = _bytes_of(graph, self.hw, self.options)
            self._borders = [] if blind else borders(graph, held, self.hw.sbuf_partition_bytes)
        return self._borders

    def _base(self, folded: bool, apart: int = 0) -> Graph:
        """The graph before it is cut into strips."""
        key = folded, apart
        if key not in self._bases:
            self.clock.step("stripe")
            blind = {"tensorize", "plan-memory"} & self.options.without
            whole = graph = self._parted(apart)
            if folded and not blind:
                graph = fold_pooled(fold_shuffles(fold_rows(graph)))
            if graph is whole and folded:
                self._bases[key] = self._base(False, apart)
            else:
                if "tensorize" not in self.options.without:
                    graph = place_channels(align_concat(fold_shuffles(graph)))
                graph = gather_parts(graph, self.hw)
                self._bases[key] = panels(graph, self.hw, _item_bytes(self.options))
        return self._bases[key]

    def _parted(self, apart: int) -> Graph:
        """The graph with its images apart up to a border."""
        places = [i for level in self.borders() for i in level]
        return images_apart(self._shifted, places[apart - 1]) if apart else self._shifted


def _key(knobs: Knobs) -> _Key:
    return knobs.fold_rows, knobs.apart, knobs.strips, knobs.strip_room


def with_types(graph: Graph, options: Options, rounded: Rounded | None = None) -> Graph:
    """Storage types chosen, casts where values are made or read."""
    chosen = auto_cast(graph, options.auto_cast, options.auto_cast_type, rounded)
    return sink_casts(chosen)


def _item_bytes(options: Options) -> int:
    """Bytes of an element of most values."""
    return 2 if options.auto_cast == "all" else 4


def _in_strips(graph: Graph, hw: Hardware, options: Options, knobs: Knobs) -> Graph | None:
    """Every chain of layers too large for its room in strips; None where there is none."""
    room = hw.sbuf_partition_bytes * knobs.strip_room // 100
    bytes_for = partial(_bytes_of, hw=hw, options=options)
    if knobs.strips == AS_NEEDED:
        return cut_as_needed(graph, room, bytes_for)
    return stripe_everywhere(graph, room, bytes_for, knobs.strips)


def _bytes_of(graph: Graph, hw: Hardware, options: Options) -> Bytes:
    """Bytes a partition of each value; constants are not counted."""
    packed = not {"tensorize", "plan-memory"} & options.without  # as `lower` does
    known = bytes_a_partition(graph, _item_bytes(options), hw, from_dram=packed)
    return lambda value: known.get(value.id, 0)
