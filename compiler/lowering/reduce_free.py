"""Reductions along the free dimensions, by the vector engine: instructions for any views."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

from compiler.lowering.context import Lowering
from compiler.tiles.iterate import (
    NUM_LIMIT,
    STEP_LIMIT,
    Loop,
    Mismatch,
    ragged_regions,
    sliced,
)
from compiler.tiles.view import Atom, View, common_atoms
from isa.alu import AluOp
from isa.dtypes import DType
from isa.kernel import Ap

REDUCED_DIMS = 3


ELEMENTS = 8192


def reduce_views(
    lo: Lowering, out: View, src: View, axes: list[int], op: AluOp, most: int = ELEMENTS
) -> None:
    """out := op over `axes` of src; the other dimensions agree. Windows may overlap in src.

    An instruction reads `most` elements a partition, or more if one result takes more.
    """
    for box in ragged_regions(out):
        wide = [(0, src.shape[d]) if d in axes else b for d, b in enumerate(box)]
        _reduce_region(lo, sliced(out, box), sliced(src, wide), axes, op, most)


def reduced_loops(view: View, axes: list[int]) -> list[Loop]:
    """The loops over what is reduced, each as long as strides allow."""
    factors = [f for d in axes for f in view.factors[d] if f.extent > 1]
    return _join([Loop(f.extent, (f.stride,)) for f in factors])


def _reduce_region(
    lo: Lowering, out: View, src: View, axes: list[int], op: AluOp, most: int
) -> None:
    kept_dims = [d for d in range(len(src.shape)) if d not in axes]
    pair = [_select(out, kept_dims), _select(src, kept_dims)]
    by_dim = common_atoms(pair)
    if by_dim is None:
        raise Mismatch(1, "the reduction's operand has other factors")
    kept = [a for dim in by_dim for a in dim]
    parts = [a for a in kept if any(a.parts)]
    count = _dense_count(parts)
    free = [Loop(a.extent, a.strides) for a in kept if not any(a.parts)]
    free.sort(key=lambda a: -abs(a.strides[1]))
    free = _join(free)
    reduced = reduced_loops(src, axes) or [Loop(1, (0,))]
    if len(reduced) > REDUCED_DIMS:
        raise Mismatch(1, "more than three reduced dimensions")
    size = math.prod(r.extent for r in reduced)
    inner = 0
    elements = size
    while inner < min(4 - len(reduced), len(free)):
        loop = free[len(free) - 1 - inner]
        if elements * loop.extent > most or any(abs(s) > STEP_LIMIT for s in loop.strides):
            break
        elements *= loop.extent
        inner += 1
    cut = len(free) - inner
    share = 1  # positions of the innermost looped dimension that an instruction takes
    if (
        cut
        and inner < 4 - len(reduced)
        and all(abs(s) <= STEP_LIMIT for s in free[cut - 1].strides)
    ):
        share = max(1, most // elements)
    fast = out.dtype is src.dtype is DType.BF16 and op in (AluOp.ADD, AluOp.MAX)
    steps = [1] * max(0, cut - 1) + [share] * min(1, cut)
    for at in itertools.product(
        *(range(0, a.extent, n) for a, n in zip(free[:cut], steps, strict=True))
    ):
        starts = [
            v.offset + sum(x * a.strides[i] for x, a in zip(at, free[:cut], strict=True))
            for i, v in enumerate((out, src))
        ]
        body = free[cut:]
        if share > 1:
            some = min(share, free[cut - 1].extent - at[-1])
            body = [Loop(some, free[cut - 1].strides), *body]
        out_dims = tuple((a.strides[0], a.extent) for a in body) or ((0, 1),)
        src_dims = (*((a.strides[1], a.extent) for a in body),
                    *((r.strides[0], r.extent) for r in reduced))  # fmt: skip
        read = math.prod(n for _, n in src_dims) / (2 if fast else 1)
        lo.vector_busy(read)
        lo.kernel.tensor_reduce(
            Ap(out.buffer, out.start, count, starts[0] * out.dtype.size_bytes, out.dtype, out_dims),
            Ap(src.buffer, src.start, count, starts[1] * src.dtype.size_bytes, src.dtype, src_dims),
            op,
            len(reduced),
        )


def _select(view: View, dims: list[int]) -> View:
    return replace(
        view,
        shape=tuple(view.shape[d] for d in dims),
        factors=tuple(view.factors[d] for d in dims),
    )


def _dense_count(parts: list[Atom]) -> int:
    count = 1
    for a in sorted(parts, key=lambda a: a.strides[0]):
        if not all(a.parts) or a.strides[0] != a.strides[1] or a.strides[0] != count:
            raise Mismatch(1, "the reduction's partitions are not dense")
        count *= a.extent
    return count


def _join(loops: list[Loop]) -> list[Loop]:
    out: list[Loop] = []
    for loop in loops:
        if (
            out
            and out[-1].extent * loop.extent <= NUM_LIMIT
            and all(
                a == b * loop.extent for a, b in zip(out[-1].strides, loop.strides, strict=True)
            )
        ):
            out[-1] = Loop(out[-1].extent * loop.extent, loop.strides)
        else:
            out.append(loop)
    return out
