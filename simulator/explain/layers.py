"""Layer by layer: time, engines, bytes, arithmetic, and the resource that binds.

A layer's ticks are those of the tensor engine: in which it multiplied for the layer, or stood idle
because of one of the layer's instructions or transfers. So the layers' ticks add up to the run's.
Within a layer's ticks every resource has a utilisation, whoever used it. What binds the layer is
the tensor engine, or what it waits for most (`_binding`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.columns import by_kind
from isa.memory import FIRST_QUEUE, Engine
from isa.spec import BY_MNEMONIC
from simulator.explain.attribution import Attribution
from simulator.explain.causes import Cause
from simulator.explain.facts import BUSY
from simulator.explain.releases import stream_of_rows
from simulator.explain.transfers import AT, IDLE, IDLE_NOW
from simulator.timing.tables import KIND, LOAD, PORT, PSUM_PORT, Ints

RESOURCES = ("PE", "ACT", "DVE", "POOL", "PSUM port", "DMA")
"""What can bind a layer by being busy. The port is that which ACT and DVE share, where they do."""

NO_LAYER = "-"

GROUPS = {
    Cause.STATIONARY: "PE",
    Cause.ACT: "ACT",
    Cause.TABLE: "ACT",
    Cause.DVE: "DVE",
    Cause.POOL: "POOL",
    Cause.PORT: "PSUM port",
    Cause.WEIGHTS_RATE: "DMA",
    Cause.INPUT_RATE: "DMA",
    Cause.OUTPUT_RATE: "DMA",
    Cause.SPILL_RATE: "DMA",
    Cause.COPY_RATE: "DMA",
    Cause.DESCRIPTORS: "DMA",
    Cause.FEW_DESCRIPTORS: "DMA",
}
"""The resource whose work a cause of idle ticks is; the others are latency, order or room."""

GROUP_OF_CAUSE = np.array(
    [RESOURCES.index(GROUPS[c]) if c in GROUPS else len(RESOURCES) for c in Cause]
)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LayerCost:
    """One of the model's layers in a run. Times in ticks.

    Attributes:
        begin, end: from its first instruction's start to its last one's end, prefetches left out.
        ticks: its share of the run, `multiply` and `idle` (by cause) together.
        busy: ticks that each engine worked for it; of DMA, engine time over the engines of a core.
        utilization: of each resource within the layer's ticks, whoever used it.
        macs: multiply-accumulates issued, of transposes and padding too.
        binding: the resource or cause that binds it.
    """

    name: str
    begin: int
    end: int
    ticks: int
    multiply: int
    idle: dict[Cause, int]
    busy: dict[str, int]
    utilization: dict[str, float]
    read_bytes: int
    written_bytes: int
    macs: int
    instructions: int
    binding: str


def layer_costs(found: Attribution) -> list[LayerCost]:
    """Every layer that has instructions, in the order in which they take the run's time."""
    names, layer = _merged(found)
    count, timing = len(names), found.timing
    ticks = np.zeros((count, len(Cause)), np.int64)
    of_segment = layer[found.row]
    np.add.at(ticks, (of_segment, found.cause), found.ticks)
    used = _utilization(found, of_segment, count)
    busy = _busy(found, layer, count)
    begin, end = _spans(found, layer, count)
    read, written, macs = (
        np.bincount(layer, weights=w, minlength=count).astype(np.int64)
        for w in (timing.program.read_bytes, timing.program.written_bytes, macs_of_rows(found))
    )
    instructions = np.bincount(layer, minlength=count)
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, of_segment, found.begin)
    order = np.lexsort((begin, first))
    return [
        LayerCost(
            names[i],
            int(begin[i]),
            int(end[i]),
            int(ticks[i].sum()),
            int(ticks[i, Cause.MULTIPLY]),
            {c: int(ticks[i, c]) for c in Cause if c is not Cause.MULTIPLY and ticks[i, c]},
            {r: int(busy[i, k]) for k, r in enumerate(RESOURCES) if busy[i, k]},
            {r: float(used[i, k]) for k, r in enumerate(RESOURCES) if used[i, k]},
            int(read[i]),
            int(written[i]),
            int(macs[i]),
            int(instructions[i]),
            _binding(ticks[i], used[i], busy[i]),
        )
        for i in order.tolist()
        if instructions[i]
    ]


def macs_of_rows(found: Attribution) -> Ints:
    """Multiply-accumulates of each row. Shape [n]."""
    macs = np.zeros(len(found.words), np.int64)
    for kind, index, columns in by_kind(found.words):
        if kind is BY_MNEMONIC["matmul"]:
            macs[index] = columns.moving.partitions * columns.dst.partitions * columns.moving.free
    return macs


def _merged(found: Attribution) -> tuple[list[str], Ints]:
    """Distinct layer names, and each row's; strips of a layer are one, rows without come last."""
    numbers: dict[str, int] = {}
    new = [numbers.setdefault(name, len(numbers)) for name in found.layers]
    names = [*numbers, NO_LAYER]
    return names, np.array([*new, len(numbers)], np.int64)[found.layer]


def _spans(found: Attribution, layer: Ints, count: int) -> tuple[Ints, Ints]:
    """Of the engines' instructions; of the transfers where a layer has no other."""
    timing = found.timing
    begin, end = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64)
    queued = stream_of_rows(timing) >= FIRST_QUEUE
    for chosen in (np.flatnonzero(~queued), np.flatnonzero(queued)):
        open_yet = end[layer[chosen]] == 0
        rows = chosen[open_yet]
        np.minimum.at(begin, layer[rows], timing.start[rows])
        np.maximum.at(end, layer[rows], timing.end[rows])
    return np.minimum(begin, end), end


def _busy(found: Attribution, layer: Ints, count: int) -> Ints:
    """Ticks of each resource by layer. Shape [count, RESOURCES]."""
    busy = np.zeros((count, len(RESOURCES)), np.int64)
    for k, (rows, ticks) in enumerate(_work(found)):
        np.add.at(busy[:, k], layer[rows], ticks)
    work = found.timing.program.tables.dma[:, 0]
    total = np.zeros(count, np.int64)
    np.add.at(total, layer, work)
    busy[:, -1] = total // found.sharing.engines
    return busy


def _work(found: Attribution) -> list[tuple[Ints, Ints]]:
    """Of each resource but DMA the rows that use it, and their ticks."""
    timing, rows = found.timing, found.timing.program.tables.rows
    stream, ticks = stream_of_rows(timing), timing.end - timing.start
    chosen = [
        np.flatnonzero((stream == engine) & (rows[:, KIND] != LOAD))
        for engine in (Engine.TENSOR, Engine.SCALAR, Engine.VECTOR, Engine.GPSIMD)
    ]
    chosen[0] = np.flatnonzero(found.facts[:, BUSY] == Cause.MULTIPLY)
    port = np.flatnonzero((rows[:, PORT] & PSUM_PORT) > 0)
    return [(r, ticks[r]) for r in (*chosen, port)]


def _utilization(found: Attribution, of_segment: Ints, count: int) -> Floats:
    """Of each resource within each layer's ticks. Shape [count, RESOURCES]."""
    own = np.maximum(1, np.bincount(of_segment, weights=found.ticks, minlength=count))
    used = np.zeros((count, len(RESOURCES)))
    for k, (rows, ticks) in enumerate(_work(found)):
        spent = worked_by(found.timing.start[rows], ticks, found.end)
        spent -= worked_by(found.timing.start[rows], ticks, found.begin)
        used[:, k] = np.bincount(of_segment, weights=spent, minlength=count) / own
    idle = _idle_by(found, found.end) - _idle_by(found, found.begin)
    share = np.bincount(of_segment, weights=idle, minlength=count) / found.sharing.engines
    used[:, -1] = np.clip(1 - share / own, 0, 1) * (own > 1)
    return used


def worked_by(start: Ints, ticks: Ints, when: Ints) -> Ints:
    """Ticks that rows which exclude each other have worked by each moment."""
    order = np.argsort(start, kind="stable")
    start, ticks = start[order], ticks[order]
    total = np.concatenate([[0], np.cumsum(ticks)])
    k = np.searchsorted(start, when, side="right")
    if not len(start):
        return np.zeros(len(when), np.int64)
    last = np.maximum(k - 1, 0)
    running = np.clip(when - start[last], 0, ticks[last])
    worked: Ints = np.where(k > 0, total[last] + running, 0)
    return worked


def _idle_by(found: Attribution, when: Ints) -> Ints:
    """Idle engine time of DMA by each moment."""
    line = found.sharing.line
    k = np.searchsorted(line[:, AT], when, side="right") - 1
    idle: Ints = line[k, IDLE] + (when - line[k, AT]) * line[k, IDLE_NOW]
    return idle


def _binding(ticks: Ints, used: Floats, busy: Ints) -> str:
    """The resource or cause that binds a layer.

    It is the tensor engine, unless it idles most of the time, or waits most for a resource that is
    busier than itself, or longer for latency, room or order than it multiplies: then it is what
    most of its idle ticks are for.
    """
    if not ticks.any():  # all of it runs beside other layers
        return f"hidden ({RESOURCES[int(np.argmax(busy))]})" if busy.any() else "hidden"
    groups = np.zeros(len(RESOURCES) + 1, np.int64)
    np.add.at(groups, GROUP_OF_CAUSE[1:], ticks[1:])
    most = int(np.argmax(groups))
    share = used[most] if most < len(RESOURCES) else groups[most] / ticks.sum()
    if share <= used[0] and 2 * ticks[Cause.MULTIPLY] >= ticks.sum():
        return RESOURCES[0]
    held = np.where(most == GROUP_OF_CAUSE, ticks, 0)
    held[Cause.MULTIPLY] = 0
    return Cause(int(np.argmax(held))).text
