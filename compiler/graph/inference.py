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


def need(claim: bool, code: str, message: str, found: Callable[[], str]) -> None:
    """Raise unless the claim holds; `found` is only put into words then."""
    if not claim:
        raise ShapeError(code, message, found=found())


def broadcast_shapes(shapes: Sequence[Shape]) -> Shape:
    """Numpy's broadcast of several shapes."""
    rank = max((len(s) for s in shapes), default=0)
    out = [1] * rank
    for shape in shapes:
        for i, extent in enumerate(shape, start=rank - len(shape)):
            if extent == 1 or extent == out[i]:
                continue
            if out[i] != 1:
                raise ShapeError(
                    "SYS-F112",
                    "operands broadcast only where extents are equal or 1",
                    found=f"shapes {' and '.join(map(str, shapes))} differ in dimension {i - rank}",
                )
            out[i] = extent
    return tuple(out)


def promote(types: Types) -> DType:
    """The common dtype: the wider float, or the one integer or boolean dtype of all."""
    dtypes = list(dict.fromkeys(t.dtype for t in types))
    if len(dtypes) == 1:
        return dtypes[0]
    need(
        all(is_float(d) for d in dtypes),
        "SYS-F111",
        "operands have one data type, or are all floating-point",
        lambda: listing(types),
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


def need_kind(types: Types, kinds: str) -> None:
    ok = accepts(kinds)
    need(
        all(ok(t.dtype) for t in types),
        "SYS-F111",
        f"operands are {' or '.join(_KIND_NAMES[k] for k in kinds)}",
        lambda: listing(types),
    )


def elementwise(kinds: str, result: DType | None = None) -> Infer:
    """Any number of operands, broadcast; `result` overrides the operands' common dtype."""

    def infer(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
        need_kind(types, kinds)
        common = promote(types)
        shape = broadcast_shapes([t.shape for t in types])
        return (TensorType(shape, result or common),)

    return infer


def select(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    need_kind(types[:1], "b")
    shape = broadcast_shapes([t.shape for t in types])
    return (TensorType(shape, promote(types[1:])),)


def cast(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    return (TensorType(types[0].shape, attrs["to"]),)


def matmul(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    a, b = types
    need_kind(types, "fi")
    need(
        len(a.shape) >= 2 and len(b.shape) >= 2,
        "SYS-F114",
        "matmul operands have at least two dimensions",
        lambda: listing(types),
    )
    m, k = a.shape[-2:][::-1] if attrs["transpose_a"] else a.shape[-2:]
    k2, n = b.shape[-2:][::-1] if attrs["transpose_b"] else b.shape[-2:]
    need(
        k == k2,
        "SYS-F114",
        "both operands of a matmul have one contraction extent",
        lambda: f"{k} and {k2} in {listing(types)}",
    )
    batch = broadcast_shapes([a.shape[:-2], b.shape[:-2]])
    return (TensorType((*batch, m, n), promote(types)),)


def need_axes(axes: Sequence[int], rank: int) -> None:
    ok = all(0 <= a < rank for a in axes) and len(set(axes)) == len(axes)
    need(
        ok, "SYS-F117", "axes are distinct and in [0, rank)", lambda: f"axes {axes} for rank {rank}"
    )


def _without(shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    if keepdims:
        return tuple(1 if i in axes else e for i, e in enumerate(shape))
    return tuple(e for i, e in enumerate(shape) if i not in axes)


def reduce(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    kind, axes = attrs["kind"], attrs["axes"]
    need(
        kind in ("sum", "mean", "max", "min", "prod"),
        "SYS-F113",
        "a reduction is sum, mean, max, min or prod",
        lambda: str(kind),
    )
    need_kind(types, "f" if kind == "mean" else "fib" if kind in ("max", "min") else "fi")
    need_axes(axes, len(x.shape))
    empty = any(x.shape[a] == 0 for a in axes)
    need(
        not (empty and kind in ("max", "min", "mean")),
        "SYS-F115",
        f"a {kind} is over at least one element",
        lambda: text(x),
    )
    return (TensorType(_without(x.shape, axes, attrs["keepdims"]), x.dtype),)


def arg_reduce(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    (x,) = types
    need_axes((attrs["axis"],), len(x.shape))
    need(
        x.shape[attrs["axis"]] > 0,
        "SYS-F115",
        "an arg-max is over at least one element",
        lambda: text(x),
    )
    return (TensorType(_without(x.shape, (attrs["axis"],), attrs["keepdims"]), INT64),)


def same(types: Types, attrs: Attrs) -> tuple[TensorType, ...]:
    return (types[0],)
