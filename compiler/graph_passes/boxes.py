"""Boxes: which part of its operands a node reads to make a part of its result.

In    a node, a box of its result
Out   `Piece`: the box that is really made (at least the one asked for), a box of each operand, and
      the attributes of a node that makes the one from the others
Read  `spill.py`, which computes a graph box by box with it

A dimension that an op cannot part (the axis of a running sum) is made whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from compiler.graph.attrs import flag, integer, integers, numbers, pairs
from compiler.graph.graph import Array, Attr, Node
from compiler.graph.ops import CORE_OPS, Family
from compiler.graph_passes.reshaped_boxes import reshaped

Box = tuple[tuple[int, int], ...]
"""(first, size) of each dimension."""

ELEMENTWISE = (Family.UNARY, Family.BINARY, Family.COMPARE, Family.SELECT, Family.CONVERT)


@dataclass(frozen=True)
class Piece:
    """A node on a part of its operands.

    Attributes:
        made: the box of the result that it makes.
        reads: the box of each operand; None for one that is not read.
        attrs: those that differ from the node's own.
        replaced: operand -> a constant in its place.
        filled: nothing is read: the box is of this one number.
    """

    made: Box
    reads: tuple[Box | None, ...]
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    replaced: Mapping[int, Array] = field(default_factory=dict)
    filled: float | None = None


def whole(shape: tuple[int, ...]) -> Box:
    """All of a tensor."""
    return tuple((0, extent) for extent in shape)


def sizes(box: Box) -> tuple[int, ...]:
    """The shape of a box."""
    return tuple(size for _, size in box)


def volume(box: Box) -> int:
    """Elements of a box."""
    return math.prod(size for _, size in box)


def union(a: Box, b: Box) -> Box:
    """The least box around two."""
    ends = [(min(p, q), max(p + n, q + m)) for (p, n), (q, m) in zip(a, b, strict=True)]
    return tuple((first, last - first) for first, last in ends)


def piece(node: Node, box: Box, constants: Mapping[int, Array]) -> Piece:
    """What makes a box of a node's result."""
    if CORE_OPS[node.op].family in ELEMENTWISE or node.op == "broadcast_to":
        attrs: dict[str, Attr] = {"shape": sizes(box)} if node.op == "broadcast_to" else {}
        return Piece(box, tuple(_broadcast(v.shape, box) for v in node.inputs), attrs)
    if node.op == "gather":
        return _gather(node, box, constants)
    rule = _RULES.get(node.op)
    if rule is None:
        return Piece(whole(node.output.shape), tuple(whole(v.shape) for v in node.inputs))
    return rule(node, box)


def _broadcast(shape: tuple[int, ...], box: Box) -> Box:
    """The part of an operand that is broadcast to a box."""
    inner = box[len(box) - len(shape) :]
    return tuple((0, 1) if e == 1 else part for e, part in zip(shape, inner, strict=True))


def _with(box: Box, dims: Mapping[int, tuple[int, int]]) -> Box:
    return tuple(dims.get(d, part) for d, part in enumerate(box))


# -- products and windows -------------------------------------------------------------------------


def _matmul(node: Node, box: Box) -> Piece:
    a, b = node.inputs
    swap_a, swap_b = flag(node, "transpose_a"), flag(node, "transpose_b")
    inner = (0, a.shape[-2 if swap_a else -1])
    rows, columns = (box[-2], inner), (inner, box[-1])
    read_a = (*_broadcast(a.shape[:-2], box[:-2]), *(rows[::-1] if swap_a else rows))
    read_b = (*_broadcast(b.shape[:-2], box[:-2]), *(columns[::-1] if swap_b else columns))
    return Piece(box, (read_a, read_b))


def _channels(node: Node, box: Box) -> tuple[tuple[int, int], int, int]:
    """(outputs made, first group, groups): some outputs of one group, or whole groups."""
    groups, outputs = integer(node, "groups"), node.output.shape[1]
    first, size = box[1]
    each = outputs // groups
    low, high = first // each, -(-(first + size) // each)
    if high - low == 1 and node.op == "conv":
        return (first, size), low, 1
    if groups == 1:
        return (first, size), 0, 1
    return (low * each, (high - low) * each), low, high - low


def _conv(node: Node, box: Box) -> Piece:
    x, w = node.inputs
    if node.attrs.get("folds", (1, 1)) != (1, 1):
        made = (box[0], *whole(node.output.shape)[1:])
        return Piece(made, ((box[0], *whole(x.shape)[1:]), whole(w.shape)))
    outputs, group, many = _channels(node, box)
    depth = w.shape[1]
    channels = (group * depth, many * depth)
    spatial = [_window(node, d, w.shape[d], box[d]) for d in range(2, len(box))]
    made = (box[0], outputs, *(m for m, _, _ in spatial))
    attrs: dict[str, Attr] = {"groups": many, "pads": tuple(p for _, _, p in spatial)}
    fill = numbers(node, "fill")
    if fill:
        attrs["fill"] = tuple(fill[channels[0] : sum(channels)])
    read = (box[0], channels, *(r for _, r, _ in spatial))
    return Piece(made, (read, (outputs, *whole(w.shape)[1:])), attrs)


def _reduce_window(node: Node, box: Box) -> Piece:
    window = integers(node, "window")
    spatial = [_window(node, d, window[d - 2], box[d]) for d in range(2, len(box))]
    made = (*box[:2], *(m for m, _, _ in spatial))
    read = (*box[:2], *(r for _, r, _ in spatial))
    return Piece(made, (read,), {"pads": tuple(p for _, _, p in spatial)})


Ranged = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def _window(node: Node, d: int, taps: int, part: tuple[int, int]) -> Ranged:
    """(made, read, pads) along dimension d."""
    extent = node.inputs[0].shape[d]
    stride, low = integers(node, "strides")[d - 2], pairs(node, "pads")[d - 2][0]
    reach = (taps - 1) * integers(node, "dilations")[d - 2] + 1
    first, last = part[0] * stride - low, (sum(part) - 1) * stride - low + reach
    a, z = max(0, first), min(extent, last)
    if z <= a:  # of padding alone
        return (0, node.output.shape[d]), (0, extent), pairs(node, "pads")[d - 2]
    return part, (a, z - a), (max(0, -first), max(0, last - extent))


def _conv_transpose(node: Node, box: Box) -> Piece:
    x, w = node.inputs
    outputs, group, many = _channels(node, box)
    depth = x.shape[1] // integer(node, "groups")
    channels = (group * depth, many * depth)
    per_group = outputs if integer(node, "groups") == 1 else (0, w.shape[1])
    spatial = [_scattered(node, d, box[d]) for d in range(2, len(box))]
    made = (box[0], outputs, *(m for (m, _, _), _ in spatial))
    read = (box[0], channels, *(r for (_, r, _), _ in spatial))
    attrs: dict[str, Attr] = {
        "groups": many,
        "pads": tuple(p for (_, _, p), _ in spatial),
        "output_padding": tuple(extra for _, extra in spatial),
    }
    return Piece(made, (read, (channels, per_group, *whole(w.shape)[2:])), attrs)


def _scattered(node: Node, d: int, part: tuple[int, int]) -> tuple[Ranged, int]:
    """((made, read, pads), output padding) along dimension d of a transposed convolution."""
    extent, taps = node.inputs[0].shape[d], node.inputs[1].shape[d]
    stride, (low, high) = integers(node, "strides")[d - 2], pairs(node, "pads")[d - 2]
    reach = (taps - 1) * integers(node, "dilations")[d - 2] + 1
    a, z = part[0] + low, sum(part) + low
    first, last = max(0, -(-(a - reach + 1) // stride)), min(extent, (z - 1) // stride + 1)
    front = a - first * stride
    if last <= first or front < 0:
        everything = (0, node.output.shape[d]), (0, extent), (low, high)
        return everything, integers(node, "output_padding")[d - 2]
    back = (last - first - 1) * stride + reach - front - part[1]
    return (part, (first, last - first), (front, max(0, back))), max(0, -back)


# -- reductions and movements ---------------------------------------------------------------------


def _reduce(node: Node, box: Box) -> Piece:
    x, axes = node.inputs[0], set(integers(node, "axes"))
    if flag(node, "keepdims"):
        read = tuple((0, e) if d in axes else box[d] for d, e in enumerate(x.shape))
    else:
        kept = iter(box)
        read = tuple((0, e) if d in axes else next(kept) for d, e in enumerate(x.shape))
    return Piece(box, (read,))


def _argument(node: Node, box: Box) -> Piece:
    x, axis = node.inputs[0], integer(node, "axis")
    all_of_it = (0, x.shape[axis])
    if flag(node, "keepdims"):
        return Piece(box, (_with(box, {axis: all_of_it}),))
    return Piece(box, ((*box[:axis], all_of_it, *box[axis:]),))


def _along_axis(node: Node, box: Box) -> Piece:
    """A running sum, the largest few: the axis is not parted."""
    axis = integer(node, "axis")
    made = _with(box, {axis: (0, node.output.shape[axis])})
    return Piece(made, (_with(box, {axis: (0, node.inputs[0].shape[axis])}),))


def _transpose(node: Node, box: Box) -> Piece:
    perm = integers(node, "perm")
    return Piece(box, (tuple(box[perm.index(d)] for d in range(len(box))),))


def _slice(node: Node, box: Box) -> Piece:
    reads, starts = [], []
    listed = zip(box, *(integers(node, k) for k in ("starts", "steps")), strict=True)
    for (first, size), start, step in listed:
        a, z = start + first * step, start + (first + size - 1) * step
        reads.append((min(a, z), abs(z - a) + 1))
        starts.append(0 if step > 0 else abs(z - a))
    return Piece(box, (tuple(reads),), {"starts": tuple(starts), "sizes": sizes(box)})


def _concat(node: Node, box: Box) -> Piece:
    axis, at = integer(node, "axis"), 0
    first, last = box[axis][0], sum(box[axis])
    reads: list[Box | None] = []
    for v in node.inputs:
        a, z = max(first, at), min(last, at + v.shape[axis])
        reads.append(_with(box, {axis: (a - at, z - a)}) if z > a else None)
        at += v.shape[axis]
    return Piece(box, tuple(reads))


def _pad(node: Node, box: Box) -> Piece:
    x, out = node.inputs[0].shape, node.output.shape
    made, read, pads = [], [], []
    for d, (low, high) in enumerate(pairs(node, "pads")):
        part = box[d]
        if node.attrs["mode"] != "constant" and (low or high):
            part = (0, out[d])
        a, z = max(0, part[0] - low), min(x[d], sum(part) - low)
        if z <= a:
            value = float(np.asarray(node.attrs["value"]))
            return Piece(box, (None,), filled=value)
        made.append(part)
        read.append((a, z - a))
        pads.append((max(0, low - part[0]), max(0, sum(part) - low - x[d])))
    return Piece(tuple(made), (tuple(read),), {"pads": tuple(pads)})


def _reshape(node: Node, box: Box) -> Piece:
    made, read = reshaped(node.inputs[0].shape, node.output.shape, box)
    return Piece(made, (read,), {"shape": sizes(made)})


def _gather(node: Node, box: Box, constants: Mapping[int, Array]) -> Piece:
    x, indices = node.inputs
    axis, rank = integer(node, "axis"), len(indices.shape)
    before, asked, behind = box[:axis], box[axis : axis + rank], box[axis + rank :]
    rows, replaced = (0, x.shape[axis]), {}
    if indices.id in constants:
        cut = tuple(slice(first, first + size) for first, size in asked)
        mine = np.asarray(constants[indices.id][cut])
        mine = np.where(mine < 0, mine + x.shape[axis], mine)
        low, high = int(mine.min()), int(mine.max()) + 1
        rows, replaced = (low, high - low), {1: mine - low}
    reads: tuple[Box | None, ...] = ((*before, rows, *behind), None if replaced else asked)
    return Piece(box, reads, replaced=replaced)


def _scatter(node: Node, box: Box) -> Piece:
    x, indices, updates = node.inputs
    made = ((0, x.shape[0]), *box[1:])
    return Piece(made, (made, whole(indices.shape), ((0, updates.shape[0]), *box[1:])))


_RULES: dict[str, Callable[[Node, Box], Piece]] = {
    "matmul": _matmul,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "reduce_window": _reduce_window,
    "reduce": _reduce,
    "argmax": _argument,
    "argmin": _argument,
    "topk": _along_axis,
    "cumsum": _along_axis,
    "transpose": _transpose,
    "reshape": _reshape,
    "slice": _slice,
    "concat": _concat,
    "pad": _pad,
    "scatter": _scatter,
}
