"""Samplers of operators that move, choose or repeat elements."""

from __future__ import annotations

import math

import numpy as np

from tests.fuzz.draft import ANY, FLOATS, NUMBERS, Attributes, Draft, Value
from tests.fuzz.oracle import Unsuitable
from tests.fuzz.table import draws


@draws("Reshape")
def reshape(d: Draft, op: str) -> None:
    a = d.pick(ANY)
    sizes: list[int] = []
    left = math.prod(a.shape)
    while len(sizes) < d.integer(0, 4) and left > 1:
        sizes.append(d.one_of([n for n in range(1, left + 1) if left % n == 0]))
        left //= sizes[-1]
    sizes.insert(d.integer(0, len(sizes)), left)
    if d.chance(0.3):
        sizes[d.integer(0, len(sizes) - 1)] = -1
    d.add(op, [a, d.constant(sizes)], exact=True)


@draws("Flatten")
def flatten(d: Draft, op: str) -> None:
    a = d.pick(ANY)
    d.add(op, [a], exact=True, axis=d.integer(-a.rank, a.rank))


@draws("Squeeze")
def squeeze(d: Draft, op: str) -> None:
    a = d.pick(ANY, where=lambda v: 1 in v.shape)
    axes = [i for i, n in enumerate(a.shape) if n == 1 and d.chance(0.7)]
    _with_axes(d, op, a, axes)


@draws("Unsqueeze")
def unsqueeze(d: Draft, op: str) -> None:
    a = d.pick(ANY, rank=(0, 3))
    rank = a.rank + d.integer(1, 2)
    axes = d.rng.permutation(rank)[: rank - a.rank].tolist()
    _with_axes(d, op, a, [x - rank if d.chance(0.3) else x for x in axes])


def _with_axes(d: Draft, op: str, a: Value, axes: list[int]) -> None:
    if not axes:
        d.add(op, [a], exact=True)
    elif d.opset >= 13:
        d.add(op, [a, d.constant(axes)], exact=True)
    else:
        d.add(op, [a], exact=True, axes=axes)


@draws("Transpose")
def transpose(d: Draft, op: str) -> None:
    a = d.pick(ANY, rank=(1, 5))
    order: Attributes = {"perm": d.rng.permutation(a.rank).tolist()} if d.chance(0.85) else {}
    d.add(op, [a], exact=True, **order)


@draws("Concat")
def concat(d: Draft, op: str) -> None:
    a = d.pick(ANY)
    axis = d.axis(a)
    parts = [a]
    for _ in range(d.integer(0, 3)):
        shape = list(a.shape)
        shape[axis] = d.integer(1, 5)
        again = d.chance(0.3)
        parts.append(d.one_of(parts) if again else d.fresh(a.dtype, shape))
    d.add(op, d.rng.permutation(np.array(parts, object)).tolist(), exact=True, axis=axis)


@draws("Split")
def split(d: Draft, op: str) -> None:
    a = d.pick(ANY, where=lambda v: max(v.shape) > 1)
    axis = d.one_of([i for i, n in enumerate(a.shape) if n > 1])
    size = a.shape[axis]
    count = d.integer(1, min(4, size))
    cuts = sorted(d.rng.permutation(size - 1)[: count - 1] + 1)
    sizes = np.diff([0, *cuts, size]).tolist()
    axis -= a.rank if d.chance(0.3) else 0
    if d.opset >= 13:
        d.add(op, [a, d.constant(sizes)], count, exact=True, axis=axis)
    else:
        d.add(op, [a], count, exact=True, axis=axis, split=sizes)


@draws("Slice")
def slices(d: Draft, op: str) -> None:
    a = d.pick(ANY)
    starts, ends, steps, axes = [], [], [], d.axes(a)
    for axis in axes:
        n = a.shape[axis]
        step = d.one_of((1, 1, 1, 2, 3, -1, -2))
        low = d.integer(0, n - 1)
        high = d.integer(low + 1, n)
        if step > 0:
            starts.append(low - n if d.chance(0.3) else low)
            ends.append(2**31 - 1 if high == n and d.chance(0.5) else high)
        else:
            starts.append(high - 1)
            ends.append(low - 1 if low else -n - 1)
        steps.append(step)
    if d.opset < 10:
        axes = [axis % a.rank for axis in axes]
        if any(step != 1 for step in steps):
            raise Unsuitable
        d.add(op, [a], exact=True, starts=starts, ends=ends, axes=axes)
    else:
        d.add(op, [a, *map(d.constant, (starts, ends, axes, steps))], exact=True)


@draws("Pad")
def pad(d: Draft, op: str) -> None:
    a = d.pick(NUMBERS)
    modes = ["constant", "constant", "edge", "reflect"]
    mode = d.one_of(modes + (["wrap"] if d.opset >= 19 else []))
    room = [n - 1 if mode == "reflect" else n for n in a.shape]
    pads = [d.integer(0, min(2, r)) for r in room * 2]
    if mode == "constant" and d.chance(0.2):
        i = d.integer(0, a.rank - 1)
        if a.shape[i] > 2:
            pads[i] = -1
    if d.opset < 11:
        d.add(op, [a], exact=True, mode=mode, pads=pads, value=float(d.integer(0, 2)))
        return
    fill = [d.constant(d.integer(0, 2), a.dtype)] if mode == "constant" and d.chance(0.6) else []
    d.add(op, [a, d.constant(pads), *fill], exact=True, mode=mode)


@draws("Expand")
def expand(d: Draft, op: str) -> None:
    a = d.pick(ANY)
    shape = [d.integer(1, 5) if n == 1 else d.one_of((n, 1)) for n in a.shape]
    if d.chance(0.3):
        shape = [d.integer(1, 3), *shape]
    d.add(op, [a, d.constant(shape)], exact=True)


@draws("Tile")
def tile(d: Draft, op: str) -> None:
    a = d.pick(ANY)
    d.add(op, [a, d.constant([d.integer(1, 3) for _ in a.shape])], exact=True)


@draws("Gather")
def gather(d: Draft, op: str) -> None:
    a = d.pick(ANY)
    axis = d.axis(a)
    indices = d.fresh(
        d.one_of(("int64", "int32")), d.shape(0, 2), -a.shape[axis], a.shape[axis] - 1
    )
    d.add(op, [a, indices], exact=True, axis=axis)


@draws("GatherElements")
def gather_elements(d: Draft, op: str) -> None:
    a = d.pick(ANY)
    axis = d.axis(a)
    shape = [d.integer(1, n) for n in a.shape]
    d.add(
        op, [a, d.fresh("int64", shape, -a.shape[axis], a.shape[axis] - 1)], exact=True, axis=axis
    )


@draws("GatherND")
def gather_nd(d: Draft, op: str) -> None:
    a = d.pick(ANY)
    depth = d.integer(1, a.rank)
    lead = d.shape(0, 2)
    columns = [d.rng.integers(-n, n, lead) for n in a.shape[:depth]]
    indices = d.fresh("int64", (*lead, depth), 0, 0)
    indices.array = indices.noisy = np.stack(columns, -1).astype(np.int64)
    d.add(op, [a, indices], exact=True)


@draws("ScatterElements")
def scatter_elements(d: Draft, op: str) -> None:
    a = d.pick(FLOATS)
    axis = d.axis(a)
    count = d.integer(1, a.shape[axis])
    shape = [count if i == axis % a.rank else d.integer(1, n) for i, n in enumerate(a.shape)]
    ranks = np.argsort(d.rng.random((*shape[: axis % a.rank], a.shape[axis],
                                     *shape[axis % a.rank + 1 :])), axis)  # fmt: skip
    indices = d.constant(np.take(ranks, range(count), axis))  # no place twice
    indices.constant = d.chance(0.6)
    reduce: Attributes = {"reduction": d.one_of(("add", "none", "mul"))} if d.opset >= 16 else {}
    d.add(op, [a, indices, d.fresh(a.dtype, shape)], axis=axis, **reduce)


@draws("ScatterND")
def scatter_nd(d: Draft, op: str) -> None:
    a = d.pick(FLOATS)
    depth = d.integer(1, a.rank)
    places = math.prod(a.shape[:depth])
    count = d.integer(1, min(places, 6))
    flat = d.rng.permutation(places)[:count]
    indices = d.constant(np.stack(np.unravel_index(flat, a.shape[:depth]), -1))
    indices.constant = d.chance(0.6)
    reduce: Attributes = {"reduction": d.one_of(("add", "none"))} if d.opset >= 16 else {}
    d.add(op, [a, indices, d.fresh(a.dtype, (count, *a.shape[depth:]))], **reduce)


@draws("OneHot")
def one_hot(d: Draft, op: str) -> None:
    depth = d.integer(1, 6)
    indices = d.fresh(d.one_of(("int64", "int32")), d.shape(1, 2), -depth, depth - 1)
    dtype = d.one_of(("float32", "int32"))
    values = d.constant([d.integer(-2, 2), d.integer(-2, 2)], dtype)
    d.add(op, [indices, d.constant(depth), values], exact=True, axis=d.one_of((-1, 0, 1)))


@draws("Trilu")
def trilu(d: Draft, op: str) -> None:
    a = d.pick((*NUMBERS, "bool"), rank=(2, 4))
    offset = [d.constant(d.integer(-4, 4))] if d.chance(0.7) else []
    d.add(op, [a, *offset], exact=True, upper=d.integer(0, 1))


@draws("DepthToSpace", "SpaceToDepth")
def depth_and_space(d: Draft, op: str) -> None:
    n, c, h, w = (d.integer(1, 3) for _ in range(4))
    block = d.integer(1, 3)
    if op == "DepthToSpace":
        mode: Attributes = {"mode": d.one_of(("DCR", "CRD"))}
        made = d.pick(rank=(4, 4), where=lambda v: v.shape[1] % 4 == 0) if d.chance(0.4) else None
        a, block = (made, 2) if made else (d.fresh("float32", (n, c * block**2, h, w)), block)
    else:
        a, mode = d.fresh("float32", (n, c, h * block, w * block)), {}
    d.add(op, [a], exact=True, blocksize=block, **mode)


@draws("ReverseSequence")
def reverse_sequence(d: Draft, op: str) -> None:
    a = d.pick(rank=(2, 4))
    batch = d.integer(0, 1)
    lengths = d.fresh("int64", (a.shape[batch],), 1, a.shape[1 - batch])
    d.add(op, [a, lengths], exact=True, batch_axis=batch, time_axis=1 - batch)


@draws("Compress")
def compress(d: Draft, op: str) -> None:
    a = d.pick(ANY)
    axis = d.axis(a)
    kept = d.rng.random(a.shape[axis]) < 0.6
    kept[0] = True
    axis = axis % a.rank if d.opset < 11 else axis
    d.add(op, [a, d.constant(kept, bool)], exact=True, axis=axis)


@draws("Shape", "Size")
def shape_of(d: Draft, op: str) -> None:
    d.add(op, [d.pick(ANY)])


@draws("EyeLike")
def eye_like(d: Draft, op: str) -> None:
    d.add(op, [d.pick(rank=(2, 2))], exact=True, k=d.integer(-2, 2))


@draws("ConstantOfShape", "Range")
def made_of_constants(d: Draft, op: str) -> None:
    if op == "Range":
        d.add(op, [d.constant(v) for v in (d.integer(-3, 3), d.integer(4, 20), d.integer(1, 3))])
    else:
        d.add(op, [d.constant(d.shape(0, 3))])


@draws("Resize")
def resize(d: Draft, op: str) -> None:
    a = d.pick(rank=(4, 4))
    mode = d.one_of(("nearest", "linear", "cubic"))
    factors = [1, 1, d.one_of((1, 2, 3, 0.5)), d.one_of((1, 2, 3, 0.5))]
    if d.opset == 10:
        d.add(op, [a, d.constant(factors, "f")], mode=d.one_of(("nearest", "linear")))
        return
    where = d.one_of(("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"))
    if any(n * f % 1 for n, f in zip(a.shape, factors, strict=True)):
        where = "half_pixel"  # onnxruntime rounds the length that the others divide by
    rounding: Attributes = {}
    if mode == "nearest":
        rounding = {"nearest_mode": d.one_of(("floor", "ceil", "round_prefer_floor"))}
    operands: list[Value | None] = [a, None if d.opset >= 13 else d.constant([], "f")]
    if d.chance(0.5):
        operands.append(d.constant(factors, "f"))
    else:
        sizes = [max(1, math.floor(n * f)) for n, f in zip(a.shape, factors, strict=True)]
        operands += [None if d.opset >= 13 else d.constant([], "f"), d.constant(sizes)]
    d.add(op, operands, mode=mode, coordinate_transformation_mode=where, **rounding)


@draws("NonZero", "Unique")
def data_dependent(d: Draft, op: str) -> None:
    d.add(op, [d.pick((*FLOATS, "int64"), where=lambda v: v.exact)], exact=True)
