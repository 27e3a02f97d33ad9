"""Operators that move data: reshapes, transpositions, slices, joins, padding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from compiler.errors import ShapeError
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import INT64, Value
from compiler.graph.inference import broadcast_shapes


@imports("Reshape")
def reshape(n: OnnxNode) -> Value:
    """0 keeps the extent of x (unless allowzero), one -1 takes what is left."""
    x, wanted = n[0], list(n.ints(1, "shape"))
    if not n.attr("allowzero", 0):
        wanted = [x.shape[i] if e == 0 and i < x.rank else e for i, e in enumerate(wanted)]
    if -1 in wanted:
        known = math.prod(e for e in wanted if e != -1)
        if wanted.count(-1) > 1 or known == 0 or x.size % known:
            raise ShapeError(
                "SYS-F116", "a reshape keeps the number of elements", found=f"{x} to {wanted}"
            )
        wanted[wanted.index(-1)] = x.size // known
    return n.reshape(x, wanted)


@imports("Flatten")
def flatten(n: OnnxNode) -> Value:
    x = n[0]
    axis = n.axis(n.attr("axis", 1), x.rank, 1) if n.attr("axis", 1) < 0 else n.attr("axis", 1)
    axis = axis - 1 if n.attr("axis", 1) < 0 else axis
    return n.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def _axes(n: OnnxNode, rank: int) -> tuple[int, ...] | None:
    """Axes from the attribute (up to opset 12) or operand 1."""
    if "axes" in n.attributes:
        axes: Sequence[int] = n.attributes["axes"]
    elif n.has(1):
        axes = n.ints(1, "axes")
    else:
        return None
    return tuple(n.axis(int(a), rank) for a in axes)


@imports("Squeeze")
def squeeze(n: OnnxNode) -> Value:
    x = n[0]
    axes = _axes(n, x.rank)
    if axes is None:
        axes = tuple(i for i, e in enumerate(x.shape) if e == 1)
    return n.reshape(x, [e for i, e in enumerate(x.shape) if i not in axes])


@imports("Unsqueeze")
def unsqueeze(n: OnnxNode) -> Value:
    x = n[0]
    given = n.attributes.get("axes") if "axes" in n.attributes else n.ints(1, "axes")
    rank = x.rank + len(given or ())
    axes = {n.axis(int(a), rank) for a in given or ()}
    rest = iter(x.shape)
    return n.reshape(x, [1 if i in axes else next(rest) for i in range(rank)])


@imports("Transpose")
def transpose(n: OnnxNode) -> Value:
    x = n[0]
    return n.transpose(x, n.attr("perm") or range(x.rank)[::-1])


@imports("Expand")
def expand(n: OnnxNode) -> Value:
    return n.broadcast(n[0], broadcast_shapes([n[0].shape, n.ints(1, "shape")]))


@imports("Tile")
def tile(n: OnnxNode) -> Value:
    """[a, b] repeated (r, s) times: reshape to [1, a, 1, b], broadcast to [r, a, s, b], reshape."""
    x, repeats = n[0], n.ints(1, "repeats")
    before = [e for extent in x.shape for e in (1, extent)]
    during = [e for r, extent in zip(repeats, x.shape, strict=True) for e in (r, extent)]
    after = [r * extent for r, extent in zip(repeats, x.shape, strict=True)]
    return n.reshape(n.broadcast(n.reshape(x, before), during), after)


@imports("Concat")
def concat(n: OnnxNode) -> Value:
    operands = n.present()
    axis = n.axis(n.required("axis"), operands[0].rank)
    return operands[0] if len(operands) == 1 else n.emit("concat", *operands, axis=axis)


@imports("Split")
def split(n: OnnxNode) -> list[Value]:
    x = n[0]
    axis, parts = n.axis(n.attr("axis", 0), x.rank), len(n.proto.output)
    if n.attr("split"):
        sizes = [int(s) for s in n.attr("split")]
    elif n.has(1):
        sizes = list(n.ints(1, "split"))
    else:
        each = -(-x.shape[axis] // n.attr("num_outputs", parts))
        sizes = [min(each, x.shape[axis] - i * each) for i in range(parts)]
    if sum(sizes) != x.shape[axis] or len(sizes) != parts:
        raise ShapeError(
            "SYS-F120", "the parts of a split make up the whole", found=f"{sizes} of {x}"
        )
    starts = np.cumsum([0, *sizes]).tolist()
    return [part(n, x, axis, at, size) for at, size in zip(starts, sizes, strict=False)]


def part(n: OnnxNode, x: Value, axis: int, start: int, size: int) -> Value:
    """x[start : start + size] along an axis."""
    if start == 0 and size == x.shape[axis]:
        return x
    starts = tuple(start if i == axis else 0 for i in range(x.rank))
    sizes = tuple(size if i == axis else e for i, e in enumerate(x.shape))
    return n.emit("slice", x, starts=starts, sizes=sizes, steps=(1,) * x.rank)


@imports("Slice")
def slice_attributes(n: OnnxNode) -> Value:
    starts, ends = n.required("starts"), n.required("ends")
    axes = n.attr("axes") or range(len(starts))
    return _slice(n, starts, ends, axes, [1] * len(starts))


@imports("Slice", since=10)
def slice_operands(n: OnnxNode) -> Value:
    starts, ends = n.ints(1, "starts"), n.ints(2, "ends")
    axes = n.ints(3, "axes") if n.has(3) else range(len(starts))
    steps = n.ints(4, "steps") if n.has(4) else [1] * len(starts)
    return _slice(n, starts, ends, axes, steps)


def _slice(
    n: OnnxNode,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int],
    steps: Sequence[int],
) -> Value:
    """Python's slice along each axis."""
    x = n[0]
    first, count, stride = [0] * x.rank, list(x.shape), [1] * x.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step == 0:
            raise ShapeError("SYS-F113", "the step of a slice is not 0", found=f"axis {axis}")
        at = n.axis(int(axis), x.rank)
        begin, stop, by = slice(_int(start), _int(end), _int(step)).indices(x.shape[at])
        if step < 0 and end < -x.shape[at]:
            stop = -1
        size = len(range(begin, stop, by))
        first[at], count[at], stride[at] = (begin if size else 0), size, (by if size > 1 else 1)
    if count == list(x.shape) and all(s > 0 for s in stride):
        return x
    return n.emit("slice", x, starts=tuple(first), sizes=tuple(count), steps=tuple(stride))


def _int(value: int) -> int:
    return int(value)


@imports("Pad")
def pad_attributes(n: OnnxNode) -> Value:
    x = n[0]
    return padded(n, x, n.required("pads"), n.attr("mode", "constant"), n.attr("value", 0.0))


@imports("Pad", since=11)
def pad(n: OnnxNode) -> Value:
    x, pads = n[0], n.ints(1, "pads")
    value = n.array(2, "padding value").ravel()[0].item() if n.has(2) else 0
    if n.has(3):
        axes = [n.axis(a, x.rank) for a in n.ints(3, "axes")]
        full = [0] * (2 * x.rank)
        for i, axis in enumerate(axes):
            full[axis], full[axis + x.rank] = pads[i], pads[i + len(axes)]
        pads = tuple(full)
    return padded(n, x, pads, n.attr("mode", "constant"), value)


def padded(n: OnnxNode, x: Value, pads: Sequence[int], mode: str, value: float) -> Value:
    """Negative pads cut, then positive ones fill."""
    if len(pads) != 2 * x.rank:
        raise ShapeError("SYS-F113", "there are two pads a dimension", found=f"{pads} for {x}")
    pairs = [(int(pads[i]), int(pads[i + x.rank])) for i in range(x.rank)]
    if any(min(p) < 0 for p in pairs):
        starts = tuple(max(0, -lo) for lo, _ in pairs)
        sizes = tuple(
            max(0, e + min(lo, 0) + min(hi, 0)) for e, (lo, hi) in zip(x.shape, pairs, strict=True)
        )
        x = n.emit("slice", x, starts=starts, sizes=sizes, steps=(1,) * x.rank)
        pairs = [(max(lo, 0), max(hi, 0)) for lo, hi in pairs]
    if not any(any(p) for p in pairs):
        return x
    value = value if x.dtype.kind in "iub" else float(value)
    return n.emit("pad", x, pads=tuple(pairs), mode=mode, value=value)


@imports("DepthToSpace")
def depth_to_space(n: OnnxNode) -> Value:
    """DCR: [b, r, s, c] channels; CRD: [c, r, s]; each (r, s) becomes a pixel of a block."""
    x, block = n[0], n.required("blocksize")
    b, c, h, w = x.shape
    inner = c // (block * block)
    if n.attr("mode", "DCR") == "DCR":
        split, perm = (b, block, block, inner, h, w), (0, 3, 4, 1, 5, 2)
    else:
        split, perm = (b, inner, block, block, h, w), (0, 1, 4, 2, 5, 3)
    return n.reshape(n.transpose(n.reshape(x, split), perm), (b, inner, h * block, w * block))


@imports("SpaceToDepth")
def space_to_depth(n: OnnxNode) -> Value:
    x, block = n[0], n.required("blocksize")
    b, c, h, w = x.shape
    split = n.reshape(x, (b, c, h // block, block, w // block, block))
    perm = (0, 3, 5, 1, 2, 4) if n.attr("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    moved = n.transpose(split, perm)
    return n.reshape(moved, (b, c * block * block, h // block, w // block))


@imports("Trilu")
def trilu(n: OnnxNode) -> Value:
    """Keep the upper (j >= i + k) or lower (j <= i + k) triangle, zero elsewhere."""
    x, k = n[0], int(n.array(1, "diagonal").ravel()[0]) if n.has(1) else 0
    rows, columns = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])[None, :]
    kept = columns >= rows + k if n.attr("upper", 1) else columns <= rows + k
    return n.emit("select", n.b.constant(kept), x, n.like(0, x))


@imports("ReverseSequence")
def reverse_sequence(n: OnnxNode) -> Value:
    """The first lengths[b] steps of each batch entry in reverse order."""
    x, lengths = n[0], n.array(1, "sequence lengths").astype(np.int64)
    batch, time = n.attr("batch_axis", 1), n.attr("time_axis", 0)
    steps = np.arange(x.shape[time])
    order = np.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)  # [B, T]
    front = (batch, time, *(i for i in range(x.rank) if i not in (batch, time)))
    rest = tuple(x.shape[i] for i in front[2:])
    rows = n.reshape(n.transpose(x, front), (order.size, *rest))
    index = (order + steps.size * np.arange(len(lengths))[:, None]).ravel().astype(INT64)
    moved = n.emit("gather", rows, n.b.constant(index), axis=0)
    back = tuple(int(i) for i in np.argsort(front))
    return n.transpose(n.reshape(moved, tuple(x.shape[i] for i in front)), back)
