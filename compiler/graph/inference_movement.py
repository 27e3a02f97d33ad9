"""Result types of the ops that move, index and scan; see `inference.py` for the conventions."""

from __future__ import annotations

import itertools

from compiler.graph.graph import INT64, Shape, TensorType
from compiler.graph.inference import (
    Attrs,
    Types,
    broadcast_shapes,
    listing,
    need,
    need_axes,
    need_kind,
    promote,
    text,
)


def transpose(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    perm = attrs["perm"]
    need(
        sorted(perm) == list(range(len(x.shape))),
        "SYS-F117",
        "a transposition names every dimension once",
        lambda: f"perm {perm} for {text(x)}",
    )
    return (TensorType(tuple(x.shape[p] for p in perm), x.dtype),)


def reshape(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    new = attrs["shape"]
    need(
        _size(x.shape) == _size(new) and min(new, default=0) >= 0,
        "SYS-F116",
        "a reshape keeps the number of elements",
        lambda: f"{x.shape} has {_size(x.shape)} elements, {new} has {_size(new)}",
    )
    return (TensorType(new, x.dtype),)


def bitcast(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    to = attrs["to"]
    need(
        x.dtype.itemsize == to.itemsize,
        "SYS-F123",
        "bits are read as a type of the same width",
        lambda: f"{text(x)} as {to}",
    )
    return (TensorType(x.shape, to),)


def broadcast_to(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    new = attrs["shape"]
    need(
        min(new, default=0) >= 0 and broadcast_shapes([x.shape, new]) == new,
        "SYS-F112",
        "a tensor broadcasts only to a shape that contains it",
        lambda: f"{x.shape} to {new}",
    )
    return (TensorType(new, x.dtype),)


def slice_(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    starts, sizes, steps = attrs["starts"], attrs["sizes"], attrs["steps"]
    ok = len(starts) == len(sizes) == len(steps) == len(x.shape)
    for extent, start, size, step in zip(x.shape, starts, sizes, steps, strict=False):
        last = start + (size - 1) * step
        ok = ok and step != 0 and size >= 0
        ok = ok and (size == 0 or (0 <= start < extent and 0 <= last < extent))
    need(
        ok,
        "SYS-F117",
        "a slice stays inside its operand",
        lambda: f"starts {starts}, sizes {sizes}, steps {steps} of {text(x)}",
    )
    return (TensorType(sizes, x.dtype),)


def concat(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    axis, first = attrs["axis"], types[0].shape
    need_axes((axis,), len(first))
    rest = {t.shape[:axis] + t.shape[axis + 1 :] for t in types}
    same = len(rest) == 1 and all(len(t.shape) == len(first) for t in types)
    need(
        same,
        "SYS-F118",
        "concatenated tensors differ only along the axis",
        lambda: f"axis {axis}, {listing(types)}",
    )
    total = sum(t.shape[axis] for t in types)
    return (TensorType((*first[:axis], total, *first[axis + 1 :]), promote(types)),)


def assemble(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    grid = attrs["grid"]
    places = list(itertools.product(*map(range, grid)))
    rank_fits = all(len(t.shape) == len(grid) for t in types) and len(places) == len(types)
    shape = []
    for d in range(len(grid) if rank_fits else 0):
        extents: dict[int, list[int]] = {at: [] for at in range(grid[d])}
        for place, kind in zip(places, types, strict=True):
            extents[place[d]].append(kind.shape[d])
        rank_fits = rank_fits and all(len(set(e)) == 1 for e in extents.values())
        shape.append(sum(e[0] for e in extents.values()))
    need(
        rank_fits,
        "SYS-F118",
        "boxes that are assembled stand in a grid",
        lambda: f"grid {grid}, {listing(types)}",
    )
    return (TensorType(tuple(shape), promote(types)),)


def pad(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    pads, mode = attrs["pads"], attrs["mode"]
    ok = len(pads) == len(x.shape) and all(lo >= 0 and hi >= 0 for lo, hi in pads)
    limit = {"reflect": -1, "wrap": 0}.get(mode)
    if ok and limit is not None:
        ok = all(max(p) <= extent + limit for p, extent in zip(pads, x.shape, strict=True))
    if ok and mode == "edge":
        ok = all(max(p) == 0 or extent > 0 for p, extent in zip(pads, x.shape, strict=True))
    need(
        ok and mode in ("constant", "edge", "reflect", "wrap"),
        "SYS-F113",
        "pads are not negative, one pair a dimension, and no larger than the mode can fill",
        lambda: f"{mode} pads {pads} of {text(x)}",
    )
    shape = tuple(extent + lo + hi for extent, (lo, hi) in zip(x.shape, pads, strict=True))
    return (TensorType(shape, x.dtype),)


def gather(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    x, indices = types
    axis = attrs["axis"]
    need_axes((axis,), len(x.shape))
    need_kind((indices,), "i")
    return (TensorType(x.shape[:axis] + indices.shape + x.shape[axis + 1 :], x.dtype),)


def scatter(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    x, indices, updates = types
    need_kind((indices,), "i")
    need(
        attrs["kind"] in ("none", "sum", "prod", "max", "min"),
        "SYS-F113",
        "a scatter combines by none, sum, prod, max or min",
        lambda: str(attrs["kind"]),
    )
    ok = len(indices.shape) == 1 and updates.shape == indices.shape + x.shape[1:]
    need(
        ok and updates.dtype == x.dtype,
        "SYS-F114",
        "a scatter has x [N, *R], indices [K] and updates [K, *R] of x's type",
        lambda: listing(types),
    )
    return (x,)


def cumsum(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    need_kind(types, "fi")
    need_axes((attrs["axis"],), len(types[0].shape))
    return (types[0],)


def topk(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    axis, k = attrs["axis"], attrs["k"]
    need_axes((axis,), len(x.shape))
    need(
        0 <= k <= x.shape[axis],
        "SYS-F113",
        "k is at most the extent of the axis",
        lambda: f"k {k} of {text(x)}",
    )
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return TensorType(shape, x.dtype), TensorType(shape, INT64)


def _size(shape: Shape) -> int:
    n = 1
    for extent in shape:
        n *= extent
    return n
