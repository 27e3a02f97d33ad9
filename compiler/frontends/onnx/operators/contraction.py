"""Matrix products, convolutions and Einstein sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

from compiler.errors import ShapeError
from compiler.frontends.onnx.operators.movement import part
from compiler.frontends.onnx.operators.normalization import per_channel
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import Attr, Value


def product(n: OnnxNode, a: Value, b: Value) -> Value:
    """numpy's matmul: a vector on the left is a row, on the right a column, and drops again."""
    left = n.reshape(a, (1, *a.shape)) if a.rank == 1 else a
    right = n.reshape(b, (*b.shape, 1)) if b.rank == 1 else b
    y = n.emit("matmul", left, right)
    shape = list(y.shape)
    if b.rank == 1:
        shape.pop(-1)
    if a.rank == 1:
        shape.pop(-1 if b.rank == 1 else -2)
    return n.reshape(y, shape)


@imports("MatMul")
def matmul(n: OnnxNode) -> Value:
    return product(n, n[0], n[1])


@imports("Gemm")
def gemm(n: OnnxNode) -> Value:
    """alpha * A' B' + beta * C."""
    alpha, beta = n.attr("alpha", 1.0), n.attr("beta", 1.0)
    y = n.emit(
        "matmul",
        n[0],
        n[1],
        transpose_a=bool(n.attr("transA", 0)),
        transpose_b=bool(n.attr("transB", 0)),
    )
    if alpha != 1.0:
        y = n.emit("mul", y, n.like(alpha, y))
    if n.has(2) and beta != 0.0:
        c = n[2] if beta == 1.0 else n.emit("mul", n[2], n.like(beta, n[2]))
        y = n.emit("add", y, c)
    return y


def window_pads(
    n: OnnxNode,
    extents: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    """Pads from the attribute, or what SAME_UPPER, SAME_LOWER or VALID ask for."""
    rank = len(window)
    auto = n.attr("auto_pad", "NOTSET")
    if auto == "VALID":
        return ((0, 0),) * rank
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for e, k, s, d in zip(extents, window, strides, dilations, strict=True):
            total = max(0, (-(-e // s) - 1) * s + (k - 1) * d + 1 - e)
            small, large = total // 2, total - total // 2
            pads.append((small, large) if auto == "SAME_UPPER" else (large, small))
        return tuple(pads)
    flat = n.attr("pads") or [0] * (2 * rank)
    if len(flat) != 2 * rank:
        raise ShapeError("SYS-F113", "there are two pads a spatial dimension", found=f"{flat}")
    return tuple((int(flat[i]), int(flat[i + rank])) for i in range(rank))


def spatial(n: OnnxNode, name: str, rank: int) -> tuple[int, ...]:
    """strides or dilations, 1 by default."""
    return tuple(int(v) for v in n.attr(name) or [1] * rank)


def convolved(n: OnnxNode, x: Value, w: Value) -> Value:
    """The convolution with the node's attributes, without bias."""
    rank = x.rank - 2
    if w.rank != x.rank or rank < 1:
        raise ShapeError(
            "SYS-F114", "a convolution has x [N, C, *S] and w [O, C/groups, *K]", found=f"{x}, {w}"
        )
    _check_window(n, w)
    strides, dilations = spatial(n, "strides", rank), spatial(n, "dilations", rank)
    pads = window_pads(n, x.shape[2:], w.shape[2:], strides, dilations)
    if any(min(p) < 0 for p in pads):
        raise n.refuse("negative pads")
    return _by_groups(n, "conv", x, w, strides=strides, pads=pads, dilations=dilations)


def _check_window(n: OnnxNode, w: Value) -> None:
    """The attribute says what the weights say, or nothing."""
    window = n.attr("kernel_shape")
    if window is not None and tuple(window) != w.shape[2:]:
        raise ShapeError(
            "SYS-F113", "kernel_shape is the window of the weights", found=f"{list(window)}, {w}"
        )


MOST_GROUPS = 64  # beyond, a convolution a group would be more work than it is worth


def _by_groups(n: OnnxNode, op: str, x: Value, w: Value, **attrs: Attr) -> Value:
    """The (transposed) convolution. Computed weights are multiplied group by group: only constant
    ones can be laid out as one matrix for all groups."""
    groups = int(n.attr("group", 1))
    if groups == 1 or groups > MOST_GROUPS or n.b.array(w) is not None or w.shape[0] % groups:
        return n.emit(op, x, w, groups=groups, **attrs)
    channels, rows = x.shape[1] // groups, w.shape[0] // groups
    parts = [
        n.emit(
            op,
            part(n, x, 1, i * channels, channels),
            part(n, w, 0, i * rows, rows),
            groups=1,
            **attrs,
        )
        for i in range(groups)
    ]
    return n.emit("concat", *parts, axis=1)


@imports("Conv")
def conv(n: OnnxNode) -> Value:
    y = convolved(n, n[0], n[1])
    return n.emit("add", y, per_channel(n, n[2], y.rank)) if n.has(2) else y


@imports("ConvTranspose")
def conv_transpose(n: OnnxNode) -> Value:
    x, w = n[0], n[1]
    rank = x.rank - 2
    _check_window(n, w)
    strides, dilations = spatial(n, "strides", rank), spatial(n, "dilations", rank)
    extra = tuple(n.attr("output_padding") or [0] * rank)
    spans = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    full = [(e - 1) * s + span for e, s, span in zip(x.shape[2:], strides, spans, strict=True)]
    auto, wanted = n.attr("auto_pad", "NOTSET"), n.attr("output_shape")
    if wanted is None and auto.startswith("SAME"):
        wanted = [e * s for e, s in zip(x.shape[2:], strides, strict=True)]
    if wanted is None:
        pads = window_pads(n, x.shape[2:], w.shape[2:], strides, dilations)
    else:
        pairs = []
        for f, more, e in zip(full, extra, list(wanted)[-rank:], strict=True):
            total = f + more - e
            small, large = total // 2, total - total // 2
            pairs.append((large, small) if auto != "SAME_UPPER" else (small, large))
        pads = tuple(pairs)
    y = _with_negative_pads(n, x, w, strides, dilations, extra, pads)
    return n.emit("add", y, per_channel(n, n[2], y.rank)) if n.has(2) else y


def _with_negative_pads(
    n: OnnxNode,
    x: Value,
    w: Value,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    extra: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
) -> Value:
    """A negative pad of a transposed convolution is zeros around its result."""
    kept = tuple((max(lo, 0), max(hi, 0)) for lo, hi in pads)
    grown = tuple((max(-lo, 0), max(-hi, 0)) for lo, hi in pads)
    y = _by_groups(
        n, "conv_transpose", x, w, strides=strides, pads=kept, dilations=dilations,
        output_padding=extra,
    )  # fmt: skip
    if not any(any(p) for p in grown):
        return y
    return n.emit("pad", y, pads=((0, 0), (0, 0), *grown))


@imports("Einsum")
def einsum(n: OnnxNode) -> Value:
    """Products of two at a time; a label that neither the result nor a later term has is summed."""
    terms, result = _parse_einsum(n)
    values = n.present()
    if len(terms) != len(values):
        raise ShapeError(
            "SYS-F121", "an Einsum has one term an operand", found=n.required("equation")
        )
    pairs = [
        _summed(n, value, term, _others(terms, i) | set(result))
        for i, (value, term) in enumerate(zip(values, terms, strict=True))
    ]
    value, labels = pairs[0]
    for i, (other, more) in enumerate(pairs[1:], start=2):
        later = set(result).union(*(set(t) for _, t in pairs[i:]))
        value, labels = _contracted(n, value, labels, other, more, later)
    missing = [c for c in labels if c not in result]
    assert not missing
    return n.transpose(value, [labels.index(c) for c in result])


def _others(terms: list[str], i: int) -> set[str]:
    return {c for j, t in enumerate(terms) if j != i for c in t}


def _parse_einsum(n: OnnxNode) -> tuple[list[str], str]:
    """Terms and result as plain labels; an ellipsis becomes capital Greek letters."""
    equation = n.required("equation").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms, values = left.split(","), n.present()
    width = 0
    for term, value in zip(terms, values, strict=False):
        if "..." in term:
            width = max(width, value.rank - len(term.replace("...", "")))
    dots = "".join(chr(0x391 + i) for i in range(width))
    full = []
    for term, value in zip(terms, values, strict=False):
        own = value.rank - len(term.replace("...", ""))
        full.append(term.replace("...", dots[width - own :] if own else ""))
    if arrow:
        return full, right.replace("...", dots)
    letters = "".join(full)
    free = sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots)
    return full, dots + "".join(free)


def _summed(n: OnnxNode, v: Value, term: str, kept: set[str]) -> tuple[Value, str]:
    """Take diagonals of repeated labels and sum labels that nobody else has."""
    if len(set(term)) != len(term):
        raise n.refuse("a repeated label in one term (a diagonal)")
    axes = tuple(i for i, c in enumerate(term) if c not in kept)
    if axes:
        v = n.emit("reduce", v, kind="sum", axes=axes, keepdims=False)
    return v, "".join(c for c in term if c in kept)


def _contracted(
    n: OnnxNode, a: Value, left: str, b: Value, right: str, later: set[str]
) -> tuple[Value, str]:
    """Batch labels are shared and kept, contracted ones shared and dropped."""
    shared = [c for c in left if c in right]
    batch, inner = [c for c in shared if c in later], [c for c in shared if c not in later]
    rows = [c for c in left if c not in shared]
    columns = [c for c in right if c not in shared]
    sizes: dict[str, int] = {}
    for labels, value in ((left, a), (right, b)):
        for c, e in zip(labels, value.shape, strict=True):
            sizes[c] = max(sizes.get(c, 1), e)

    def arranged(value: Value, labels: str, order: list[str], shape: list[int]) -> Value:
        moved = n.transpose(value, [labels.index(c) for c in order])
        return n.reshape(n.broadcast(moved, [sizes[c] for c in order]), shape)

    def extent(labels: list[str]) -> int:
        return math.prod(sizes[c] for c in labels)

    outer = [sizes[c] for c in batch]
    x = arranged(a, left, [*batch, *rows, *inner], [*outer, extent(rows), extent(inner)])
    y = arranged(b, right, [*batch, *inner, *columns], [*outer, extent(inner), extent(columns)])
    labels = "".join([*batch, *rows, *columns])
    return n.reshape(n.emit("matmul", x, y), [sizes[c] for c in labels]), labels
