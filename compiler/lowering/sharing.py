"""Which engines do which tiles of a depthwise layer, so that all end together.

In    the tiles' sizes, and what the layers in front and behind give the engines meanwhile
Out   for each tile whether the array does it; the others are products and sums of elements
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compiler.graph.attrs import integer
from compiler.graph.graph import Array, Node, Value
from compiler.lowering.classes import Classes
from compiler.lowering.context import PARTITIONS
from compiler.lowering.groups import is_elementwise
from isa.hardware import Hardware

if TYPE_CHECKING:
    from compiler.lowering.context import Lowering

OVERLAP = 0.4
"""The share of the neighbours' work that runs while a layer does: they hand tiles on."""


@dataclass
class Shares:
    """Cycles of work for each engine."""

    pe: float = 0.0
    act: float = 0.0
    dve: float = 0.0

    @property
    def longest(self) -> float:
        """Cycles of the engine that has most to do."""
        return max(self.pe, self.act, self.dve)


@dataclass(frozen=True)
class Rates:
    """Cycles an element of a partition, for a layer of `taps` taps.

    Attributes:
        array: of one pass of the array.
        sums: of the sums, on the vector engine.
        moved: of a product that the vector engine takes from the scalar engine.
        behind: of the instructions behind an array tile, and behind sums.
        either: whether either engine can do these; else only the vector engine.
    """

    taps: int
    array: float
    sums: float
    moved: float
    behind: tuple[float, float]
    either: bool = True


def rates(
    hw: Hardware, kernel: tuple[int, int], size_bytes: int, nodes: tuple[int, int], either: bool
) -> Rates:
    """The rates of the machine; `nodes` stand behind an array tile, and behind sums.

    An instruction takes about two elementwise nodes. `kernel`: taps in all, and in a row of it.
    """
    taps, row = kernel
    fp32 = size_bytes == 4
    slow = row * size_bytes > hw.slow_stride_bytes
    first, second = (max(1.0, n / 2) for n in nodes)
    return Rates(
        taps,
        hw.pe_fp32_passes if fp32 else 1,
        taps if fp32 else taps / 2,
        2.0 if slow else 1.0,
        (first, second),
        either,
    )


def on_array(tiles: list[tuple[int, int]], rate: Rates, start: Shares) -> list[bool]:
    """For each tile (elements, array passes) whether the array does it.

    The other way costs the same for every tile, so the array takes those of fewest passes first.
    """
    order = sorted(range(len(tiles)), key=lambda i: tiles[i][1])
    n_all = sum(n for n, _ in tiles)
    best, chosen, n_array, pe = math.inf, 0, 0, start.pe
    for count in range(len(tiles) + 1):
        if count:
            n, passes = tiles[order[count - 1]]
            n_array += n
            pe += rate.array * n * passes
        longest = max(pe, _elements(rate, start, n_array, n_all - n_array))
        if longest < best:
            best, chosen = longest, count
    return _spread([passes for _, passes in tiles], order[:chosen])


def _spread(passes: list[int], taken: list[int]) -> list[bool]:
    """Which tiles the array takes: as many of each number of passes, but evenly among them.

    Neighbours on different engines: so both have work from the first row on to the last.
    """
    chosen = [False] * len(passes)
    for kind in set(passes):
        of_kind = [i for i, p in enumerate(passes) if p == kind]
        count = sum(passes[i] == kind for i in taken)
        for i in range(count):
            chosen[of_kind[i * len(of_kind) // count]] = True
    return chosen


def _elements(rate: Rates, start: Shares, n_array: int, n: int) -> float:
    """Cycles of the busier elementwise engine, after products have moved to the vector engine."""
    act, dve = start.act + rate.taps * n, start.dve + rate.sums * n
    free = rate.behind[0] * n_array + rate.behind[1] * n
    level = max(act, dve) - min(act, dve)
    if not rate.either:
        dve += free
    elif free <= level:
        act, dve = (act + free, dve) if act < dve else (act, dve + free)
    else:
        act = dve = (act + dve + free) / 2
    if act > dve:
        moved = min((act - dve) / (1 + rate.moved), rate.taps * n)
        return act - moved
    return dve


def neighbours(lo: Lowering, node: Node) -> Shares:
    """What the convolutions in front of and behind a layer give the engines while it runs: the
    first is known, as it has been lowered."""
    shares, graph = Shares(), lo.graph
    front = _in_front(node.inputs[0], graph.producers())
    spent = lo.spent.get(id(front))
    if spent is not None:
        shares.pe += OVERLAP * spent.pe * lo.hw.pe_clock_hz
        shares.act += OVERLAP * spent.act * lo.hw.act_clock_hz
        shares.dve += OVERLAP * spent.dve * lo.hw.dve_clock_hz
    for conv, follow in _behind(node.output, graph.consumers()):
        _add(shares, conv, follow, lo.hw, graph.constants.get(conv.inputs[1].id))
    return shares


def _in_front(value: Value, producers: dict[int, Node]) -> Node | None:
    node = producers.get(value.id)
    while node is not None and is_elementwise(node):
        node = producers.get(node.inputs[0].id)
    return node


def _behind(value: Value, readers: dict[int, list[Node]]) -> list[tuple[Node, list[Node]]]:
    """The convolutions that read a value, each with the elementwise nodes behind it."""
    while True:
        after = readers.get(value.id, [])
        if len(after) != 1 or not is_elementwise(after[0]):
            return [(r, _following(r, readers)) for r in after if r.op == "conv"]
        value = after[0].output


def _following(conv: Node, readers: dict[int, list[Node]]) -> list[Node]:
    found: list[Node] = []
    value = conv.output
    while True:
        after = readers.get(value.id, [])
        if len(after) != 1 or not is_elementwise(after[0]):
            return found
        found.append(after[0])
        value = after[0].output


def on_either(nodes: Iterable[str]) -> bool:
    """Whether the scalar engine can do elementwise ops of these names, too."""
    return not {"max", "min", "select"} & set(nodes)


def _add(
    shares: Shares, node: Node, follow: list[Node], hw: Hardware, weights: Array | None
) -> None:
    """A convolution, or a gather of channels, which is a product too; and what follows it."""
    outputs = node.output.shape[1]
    positions = math.prod(node.output.shape) / outputs
    depth, taps = node.inputs[0].shape[1], 1
    if node.op == "conv":
        groups, each = integer(node, "groups"), node.inputs[1].shape[1]
        taps = math.prod(node.inputs[1].shape[2:])
        block = min(outputs, hw.pe_columns)
        depth = min(depth, (block * groups // outputs + 1) * each)
    passes = taps * -(-depth // PARTITIONS) * -(-outputs // hw.pe_columns)
    classes = Classes.find(weights) if weights is not None and depth == weights.shape[1] else None
    if classes is not None:
        passes = taps * int(classes.live(PARTITIONS, hw.pe_columns).sum())
    work = OVERLAP * -(-outputs // PARTITIONS) * positions
    shares.pe += OVERLAP * passes * positions
    if on_either(n.op for n in follow):
        shares.act += work / 2
        shares.dve += work / 2
    else:
        shares.dve += work
