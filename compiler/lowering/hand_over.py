"""Values handed on between cores: stored to DRAM as they lie in SBUF, partition by partition.

What a graph's caller sees is row-major. What one stage of a pipeline leaves for the next is not
seen by anybody, so its order in DRAM is that of the producer's layout: long runs a partition, and
the next stage begins with the value in the layout in which the last one held it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from compiler.graph.graph import Value
from compiler.lowering.context import Lowering, Spec, dense, device_dtype
from compiler.tiles.view import Factor, Factors, View
from isa.kernel import Buffer


@dataclass(frozen=True)
class Handed:
    """How a value lies.

    Attributes:
        there: its factors in DRAM.
        here: those that it had in SBUF, from partition 0; None where it is row-major.
    """

    there: tuple[Factors, ...]
    here: tuple[Factors, ...] | None


@dataclass(frozen=True)
class HandOver:
    """What a stage gets from stages before it, and which of its outputs only stages read.

    Attributes:
        received: by the input's name.
        finite: inputs that are known to hold no infinity and no NaN.
        free: names of outputs whose order in DRAM nobody prescribes.
        wanted: layouts that later stages want of them, by weight.
    """

    received: Mapping[str, Handed] = field(default_factory=dict)
    finite: frozenset[str] = frozenset()
    free: frozenset[str] = frozenset()
    wanted: Mapping[str, dict[Spec, float]] = field(default_factory=dict)


def hand_on(lo: Lowering, value: Value, home: Buffer) -> Handed:
    """Store a value in the order in which it lies."""
    view = lo.views[value.id]
    if view.replicated:
        view = replace(view, replicated=False)  # one partition will do
    here = _from_first(view)
    if any(view.ragged(d) for d in range(len(view.shape))):
        there = _partitions_outermost(view)
    else:
        there = _as_it_lies(here)
    lo.dma(View(home, view.dtype, view.shape, there), view)
    return Handed(there, here)


def receive(lo: Lowering, value: Value, handed: Handed, home: Buffer) -> None:
    """Load a value in the layout in which it was held, with the halo that readers want."""
    assert handed.here is not None, "row-major values are loaded as a caller's are"
    dtype = device_dtype(value.dtype)
    parts = [(d, f) for d, fs in enumerate(handed.here) for f in fs if f.part and f.extent > 1]
    if len(parts) == 1 and parts[0][1].stride == 1:
        made = lo.produce(value, Spec(parts[0][0], parts[0][1].extent))
    else:
        made = lo.produce_like(value, View(home, dtype, value.shape, handed.here))
    lo.dma(made, View(home, dtype, value.shape, handed.there))


def row_major(value: Value, home: Buffer) -> Handed:
    """A value in the order that a caller sees."""
    return Handed(dense(home, device_dtype(value.dtype), value.shape).factors, None)


def _from_first(view: View) -> tuple[Factors, ...]:
    """The factors in the order in which they lie, with no partition and no element left out."""
    steps: dict[tuple[int, int], int] = {}
    places = [(d, k) for d, fs in enumerate(view.factors) for k in range(len(fs))]
    for part in (True, False):
        mine = [p for p in places if view.factors[p[0]][p[1]].part is part]
        count = 1
        for d, k in sorted(mine, key=lambda p: (view.factors[p[0]][p[1]].stride, p)):
            steps[d, k] = count
            count *= view.factors[d][k].extent
    return tuple(
        tuple(Factor(f.extent, steps[d, k], f.part) for k, f in enumerate(fs))
        for d, fs in enumerate(view.factors)
    )


def _as_it_lies(here: tuple[Factors, ...]) -> tuple[Factors, ...]:
    """Partition after partition, each as it is."""
    row = math.prod(f.extent for fs in here for f in fs if not f.part)
    return tuple(
        tuple(Factor(f.extent, f.stride * row) if f.part else f for f in fs) for fs in here
    )


def _partitions_outermost(view: View) -> tuple[Factors, ...]:
    """Row-major with the dimensions on partitions in front: no place is left empty."""
    rank = len(view.shape)
    front = view.part_dims()
    order = [*front, *(d for d in range(rank) if d not in front)]
    made: list[Factors] = [()] * rank
    stride = 1
    for d in reversed(order):
        made[d] = (Factor(view.shape[d], stride),)
        stride *= view.shape[d]
    return tuple(made)
