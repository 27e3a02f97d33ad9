"""Result types of the core ops: shapes by arithmetic, dtypes by rule.

Every function takes the operand types and the attributes and returns the result types, or raises
`ShapeError`. Shapes follow numpy: right-aligned broadcasting, extent 1 stretches.
Float dtypes may mix (the wider one results); integers may not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from compiler.errors import ShapeError
from compiler.graph.graph import (
    BOOL,
    FP32,
    FP64,
    INT64,
    DType,
    Shape,
    TensorType,
    is_float,
    is_integer,
)

Attrs: TypeAlias = Mapping[str, Any]  # checked against the op's declared attributes beforehand
Types: TypeAlias = Sequence[TensorType]
Infer: TypeAlias = Callable[[Types, Attrs], tuple[TensorType, ...]]


def text(kind: TensorType) -> str:
    """`float32[1,3,224,224]`."""
    return f"{kind.dtype}[{','.join(map(str, kind.shape))}]"


def listing(types: Types) -> str:
    return " and ".join(text(t) for t in types)


def _need(claim: bool, code: str, message: str, found: str) -> None:
    if not claim:
        raise ShapeError(code, message, found=found)


def broadcast_shapes(shapes: Sequence[Shape]) -> Shape:
    """Numpy's broadcast of several shapes."""
    rank = max((len(s) for s in shapes), default=0)
    out = [1] * rank
    for shape in shapes:
        for i, extent in enumerate(shape, start=rank - len(shape)):
            if extent == 1 or extent == out[i]:
                continue
            _need(
                out[i] == 1,
                "SYS-F112",
                "operands broadcast only where extents are equal or 1",
                f"shapes {' and '.join(map(str, shapes))} differ in dimension {i - rank}",
            )
            out[i] = extent
    return tuple(out)


def promote(types: Types) -> DType:
    """The common dtype: the wider float, or the one integer or boolean dtype of all."""
    dtypes = list(dict.fromkeys(t.dtype for t in types))
    if len(dtypes) == 1:
        return dtypes[0]
    _need(
        all(is_float(d) for d in dtypes),
        "SYS-F111",
        "operands have one data type, or are all floating-point",
        listing(types),
    )
    if FP64 in dtypes:
        return FP64
    return FP32  # two different narrow floats have no narrower common type


def accepts(kinds: str) -> Callable[[DType], bool]:
    """A predicate over dtypes: letters f(loat), i(nteger), b(oolean)."""

    def predicate(dtype: DType) -> bool:
        return (
            ("f" in kinds and is_float(dtype))
            or ("i" in kinds and is_integer(dtype))
            or ("b" in kinds and dtype == BOOL)
        )

    return predicate


_KIND_NAMES = {"f": "floating-point", "i": "integer", "b": "boolean"}


def _need_kind(types: Types, kinds: str) -> None:
    ok = accepts(kinds)
    _need(
        all(ok(t.dtype) for t in types),
        "SYS-F111",
        f"operands are {' or '.join(_KIND_NAMES[k] for k in kinds)}",
        listing(types),
    )


def elementwise(kinds: str, result: DType | None = None) -> Infer:
    """Any number of operands, broadcast; `result` overrides the operands' common dtype."""

    def infer(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
        _need_kind(types, kinds)
        common = promote(types)
        shape = broadcast_shapes([t.shape for t in types])
        return (TensorType(shape, result or common),)

    return infer


def select(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    _need_kind(types[:1], "b")
    shape = broadcast_shapes([t.shape for t in types])
    return (TensorType(shape, promote(types[1:])),)


def cast(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    return (TensorType(types[0].shape, attrs["to"]),)


def matmul(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    a, b = types
    _need_kind(types, "fi")
    _need(
        len(a.shape) >= 2 and len(b.shape) >= 2,
        "SYS-F114",
        "matmul operands have at least two dimensions",
        listing(types),
    )
    m, k = a.shape[-2:][::-1] if attrs["transpose_a"] else a.shape[-2:]
    k2, n = b.shape[-2:][::-1] if attrs["transpose_b"] else b.shape[-2:]
    _need(k == k2, "SYS-F114", "both operands of a matmul have one contraction extent",
          f"{k} and {k2} in {listing(types)}")  # fmt: skip
    batch = broadcast_shapes([a.shape[:-2], b.shape[:-2]])
    return (TensorType((*batch, m, n), promote(types)),)


def window_extent(
    extent: int, window: int, stride: int, dilation: int, pads: tuple[int, int]
) -> int:
    """How many windows fit: floor((extent + pads - span) / stride) + 1."""
    span = (window - 1) * dilation + 1
    padded = extent + pads[0] + pads[1]
    _need(
        window > 0 and stride > 0 and dilation > 0 and min(pads) >= 0,
        "SYS-F113",
        "window, stride and dilation are positive and pads are not negative",
        f"window {window}, stride {stride}, dilation {dilation}, pads {pads}",
    )
    _need(
        span <= padded,
        "SYS-F115",
        "a window fits in its padded input",
        f"the window spans {span}; the input has {extent} elements and pads {pads}",
    )
    return (padded - span) // stride + 1


def _spatial(rank: int, attrs: Attrs, names: Sequence[str]) -> None:
    for name in names:
        _need(
            len(attrs[name]) == rank,
            "SYS-F113",
            "window attributes have one entry for each spatial dimension",
            f"{name} = {attrs[name]}; {rank} spatial dimensions",
        )


def conv(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    x, w = types
    _need_kind(types, "fi")
    rank, groups = len(x.shape) - 2, attrs["groups"]
    _need(rank >= 1 and len(w.shape) == len(x.shape), "SYS-F114",
          "a convolution has x [N, C, *S] and w [O, C/groups, *K]", listing(types))  # fmt: skip
    _need(
        groups > 0 and x.shape[1] == w.shape[1] * groups and w.shape[0] % groups == 0,
        "SYS-F114",
        "channels of x = groups * channels of w, and groups divides the output channels",
        f"groups {groups}, {listing(types)}",
    )
    _spatial(rank, attrs, ("strides", "pads", "dilations"))
    spatial = tuple(
        window_extent(*args)
        for args in zip(
            x.shape[2:], w.shape[2:], attrs["strides"], attrs["dilations"], attrs["pads"],
            strict=True,
        )
    )  # fmt: skip
    return (TensorType((x.shape[0], w.shape[0], *spatial), promote(types)),)


def conv_transpose(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    x, w = types
    _need_kind(types, "fi")
    rank, groups = len(x.shape) - 2, attrs["groups"]
    _need(rank >= 1 and len(w.shape) == len(x.shape), "SYS-F114",
          "a transposed convolution has x [N, C, *S] and w [C, O/groups, *K]",
          listing(types))  # fmt: skip
    _need(
        groups > 0 and x.shape[1] == w.shape[0] and x.shape[1] % groups == 0,
        "SYS-F114",
        "x and w have the same input channels, and groups divides them",
        f"groups {groups}, {listing(types)}",
    )
    _spatial(rank, attrs, ("strides", "pads", "dilations", "output_padding"))
    spatial = []
    for i in range(rank):
        span = (w.shape[2 + i] - 1) * attrs["dilations"][i] + 1
        full = (x.shape[2 + i] - 1) * attrs["strides"][i] + span + attrs["output_padding"][i]
        extent = full - sum(attrs["pads"][i])
        _need(extent >= 1, "SYS-F115", "a transposed convolution leaves a positive extent",
              f"{extent} in spatial dimension {i}")  # fmt: skip
        spatial.append(extent)
    shape = (x.shape[0], w.shape[1] * groups, *spatial)
    return (TensorType(shape, promote(types)),)


def reduce_window(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    _need_kind(types, "fi")
    rank = len(x.shape) - 2
    _need(attrs["kind"] in ("max", "sum"), "SYS-F113", "a window reduces by max or sum",
          str(attrs["kind"]))  # fmt: skip
    _need(rank >= 1, "SYS-F114", "a windowed op has x [N, C, *S]", listing(types))
    _spatial(rank, attrs, ("window", "strides", "dilations", "pads"))
    spatial = tuple(
        window_extent(*args)
        for args in zip(
            x.shape[2:], attrs["window"], attrs["strides"], attrs["dilations"], attrs["pads"],
            strict=True,
        )
    )  # fmt: skip
    return (TensorType((*x.shape[:2], *spatial), x.dtype),)


def _axes(axes: Sequence[int], rank: int) -> None:
    ok = all(0 <= a < rank for a in axes) and len(set(axes)) == len(axes)
    _need(ok, "SYS-F117", "axes are distinct and in [0, rank)", f"axes {axes} for rank {rank}")


def _without(shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    if keepdims:
        return tuple(1 if i in axes else e for i, e in enumerate(shape))
    return tuple(e for i, e in enumerate(shape) if i not in axes)


def reduce(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    kind, axes = attrs["kind"], attrs["axes"]
    _need(kind in ("sum", "mean", "max", "min", "prod"), "SYS-F113",
          "a reduction is sum, mean, max, min or prod", str(kind))  # fmt: skip
    _need_kind(types, "f" if kind == "mean" else "fib" if kind in ("max", "min") else "fi")
    _axes(axes, len(x.shape))
    empty = any(x.shape[a] == 0 for a in axes)
    _need(not (empty and kind in ("max", "min", "mean")), "SYS-F115",
          f"a {kind} is over at least one element", text(x))  # fmt: skip
    return (TensorType(_without(x.shape, axes, attrs["keepdims"]), x.dtype),)


def arg_reduce(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    _axes((attrs["axis"],), len(x.shape))
    _need(
        x.shape[attrs["axis"]] > 0, "SYS-F115", "an arg-max is over at least one element", text(x)
    )
    return (TensorType(_without(x.shape, (attrs["axis"],), attrs["keepdims"]), INT64),)


def transpose(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    perm = attrs["perm"]
    _need(sorted(perm) == list(range(len(x.shape))), "SYS-F117",
          "a transposition names every dimension once", f"perm {perm} for {text(x)}")  # fmt: skip
    return (TensorType(tuple(x.shape[p] for p in perm), x.dtype),)


def reshape(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    new = attrs["shape"]
    _need(_size(x.shape) == _size(new) and min(new, default=0) >= 0, "SYS-F116",
          "a reshape keeps the number of elements",
          f"{x.shape} has {_size(x.shape)} elements, {new} has {_size(new)}")  # fmt: skip
    return (TensorType(new, x.dtype),)


def broadcast_to(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    new = attrs["shape"]
    _need(broadcast_shapes([x.shape, new]) == new, "SYS-F112",
          "a tensor broadcasts only to a shape that contains it",
          f"{x.shape} to {new}")  # fmt: skip
    return (TensorType(new, x.dtype),)


def slice_(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    starts, sizes, steps = attrs["starts"], attrs["sizes"], attrs["steps"]
    ok = len(starts) == len(sizes) == len(steps) == len(x.shape)
    for extent, start, size, step in zip(x.shape, starts, sizes, steps, strict=False):
        last = start + (size - 1) * step
        ok = ok and step != 0 and size >= 0
        ok = ok and (size == 0 or (0 <= start < extent and 0 <= last < extent))
    _need(ok, "SYS-F117", "a slice stays inside its operand",
          f"starts {starts}, sizes {sizes}, steps {steps} of {text(x)}")  # fmt: skip
    return (TensorType(sizes, x.dtype),)


def concat(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    axis, first = attrs["axis"], types[0].shape
    _axes((axis,), len(first))
    rest = {t.shape[:axis] + t.shape[axis + 1 :] for t in types}
    same = len(rest) == 1 and all(len(t.shape) == len(first) for t in types)
    _need(same, "SYS-F118", "concatenated tensors differ only along the axis",
          f"axis {axis}, {listing(types)}")  # fmt: skip
    total = sum(t.shape[axis] for t in types)
    return (TensorType((*first[:axis], total, *first[axis + 1 :]), promote(types)),)


def pad(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    pads, mode = attrs["pads"], attrs["mode"]
    ok = len(pads) == len(x.shape) and all(lo >= 0 and hi >= 0 for lo, hi in pads)
    limit = {"reflect": -1, "wrap": 0}.get(mode)
    if ok and limit is not None:
        ok = all(max(p) <= extent + limit for p, extent in zip(pads, x.shape, strict=True))
    if ok and mode == "edge":
        ok = all(max(p) == 0 or extent > 0 for p, extent in zip(pads, x.shape, strict=True))
    _need(ok and mode in ("constant", "edge", "reflect", "wrap"), "SYS-F113",
          "pads are not negative, one pair a dimension, and no larger than the mode can fill",
          f"{mode} pads {pads} of {text(x)}")  # fmt: skip
    shape = tuple(extent + lo + hi for extent, (lo, hi) in zip(x.shape, pads, strict=True))
    return (TensorType(shape, x.dtype),)


def gather(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    x, indices = types
    axis = attrs["axis"]
    _axes((axis,), len(x.shape))
    _need_kind((indices,), "i")
    return (TensorType(x.shape[:axis] + indices.shape + x.shape[axis + 1 :], x.dtype),)


def scatter(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    x, indices, updates = types
    _need_kind((indices,), "i")
    _need(attrs["kind"] in ("none", "sum", "prod", "max", "min"), "SYS-F113",
          "a scatter combines by none, sum, prod, max or min", str(attrs["kind"]))  # fmt: skip
    ok = len(indices.shape) == 1 and updates.shape == indices.shape + x.shape[1:]
    _need(ok and updates.dtype == x.dtype, "SYS-F114",
          "a scatter has x [N, *R], indices [K] and updates [K, *R] of x's type",
          listing(types))  # fmt: skip
    return (x,)


def cumsum(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    _need_kind(types, "fi")
    _axes((attrs["axis"],), len(types[0].shape))
    return (types[0],)


def topk(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    axis, k = attrs["axis"], attrs["k"]
    _axes((axis,), len(x.shape))
    _need(0 <= k <= x.shape[axis], "SYS-F113", "k is at most the extent of the axis",
          f"k {k} of {text(x)}")  # fmt: skip
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return TensorType(shape, x.dtype), TensorType(shape, INT64)


def same(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    return (types[0],)


def _size(shape: Shape) -> int:
    n = 1
    for extent in shape:
        n *= extent
    return n
