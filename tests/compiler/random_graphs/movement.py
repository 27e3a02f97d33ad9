"""Draws of ops that move, join and look up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from compiler.graph.graph import Value
from tests.compiler.random_graphs.drawing import ELEMENTS, Drawing
from tests.compiler.random_graphs.elementwise import unary


def transpose(d: Drawing, x: Value) -> Value:
    """A permutation."""
    return d.moved("transpose", x, perm=tuple(int(p) for p in d.rng.permutation(len(x.shape))))


def reshape(d: Drawing, x: Value) -> Value:
    """Any other factorisation of the number of elements."""
    left, extents = x.size, list[int]()
    while left > 1 and len(extents) < 4:
        divisors = [e for e in range(1, left + 1) if left % e == 0]
        extents.append(int(d.rng.choice(divisors)))
        left //= extents[-1]
    return d.moved("reshape", x, shape=(*extents, left))


def broadcast(d: Drawing, x: Value) -> Value:
    """Dimensions of one repeated, and new ones in front."""
    shape = [d.number(1, 5) if e == 1 and x.size < ELEMENTS // 32 else e for e in x.shape]
    if len(shape) < 4 and x.size < ELEMENTS // 4:
        shape.insert(0, d.number(1, 3))
    return d.moved("broadcast_to", x, shape=tuple(shape))


def slices(d: Drawing, x: Value) -> Value:
    """Ranges with steps, backwards too."""
    starts, sizes, steps = [], [], []
    for e in x.shape:
        step = int(d.rng.choice([1, 1, 1, 2, 3, -1, -2]))
        size = d.number(1, max(1, e // abs(step)))
        span = (size - 1) * abs(step)
        first = d.number(0, e - 1 - span)
        starts.append(first if step > 0 else first + span)
        sizes.append(size)
        steps.append(step)
        if d.chance(0.5):
            starts[-1], sizes[-1], steps[-1] = 0, e, 1
    return d.moved("slice", x, starts=tuple(starts), sizes=tuple(sizes), steps=tuple(steps))


def concat(d: Drawing, x: Value) -> Value:
    """Two or three parts of unlike extents along an axis."""
    axis = d.number(0, len(x.shape) - 1)
    parts = [x]
    for _ in range(d.number(1, 2)):
        shape = list(x.shape)
        shape[axis] = d.number(1, 40) if x.size < ELEMENTS // 8 else shape[axis]
        parts.insert(d.number(0, len(parts)), d.other(tuple(shape)))
    for v in parts:
        if d.b.array(v) is not None:
            d.exact.add(v.id)
    return d.moved("concat", *parts, axis=axis)


def shuffle(d: Drawing, x: Value) -> Value:
    """Cut along an axis; some parts are computed on, some used twice; joined in another order."""
    axis = d.number(0, len(x.shape) - 1)
    extent = x.shape[axis]
    cuts = sorted({0, extent, *(d.number(0, extent) for _ in range(2))})
    parts = []
    for first, last in pairwise(cuts):
        starts = tuple(first if i == axis else 0 for i in range(len(x.shape)))
        sizes = tuple(last - first if i == axis else e for i, e in enumerate(x.shape))
        part = d.moved("slice", x, starts=starts, sizes=sizes, steps=(1,) * len(sizes))
        parts.append(unary(d, part) if d.chance(0.4) else part)
    if d.chance(0.3) and x.size < ELEMENTS:
        parts.append(parts[0])
    order = [parts[i] for i in d.rng.permutation(len(parts))]
    return d.moved("concat", *order, axis=axis)


def pad(d: Drawing, x: Value) -> Value:
    """Padding in every mode."""
    mode = d.one_of("constant", "constant", "edge", "reflect", "wrap")
    if mode == "reflect" and min(x.shape) < 3:
        mode = "edge"
    most = [min(3, e - 1) if mode in ("reflect", "wrap") else 3 for e in x.shape]
    pads = tuple((d.number(0, m), d.number(0, m)) if d.chance(0.5) else (0, 0) for m in most)
    return d.moved("pad", x, pads=pads, mode=mode, value=0.5)


def gather(d: Drawing, x: Value) -> Value:
    """Constant or run-time indices, negative ones among them."""
    axis = d.number(0, len(x.shape) - 1)
    extent = x.shape[axis]
    shape = d.shape(0, 2, limit=max(1, min(64, ELEMENTS * extent // x.size)))
    if d.chance(0.5):
        indices = d.b.constant(d.rng.integers(-extent, extent, shape).astype(np.int32))
    else:
        indices = d.whole(shape, -extent, extent - 1)
    table = x if d.chance(0.6) else d.known(x.shape)
    made = d.b.emit("gather", table, indices, axis=axis)
    if table.id in d.exact:
        d.exact.add(made.id)
    return made
