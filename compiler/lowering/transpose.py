"""Transposes on the tensor engine: a block times the identity, through PSUM.

psum[q, p] = sum over p' of src[p', q] * identity[p', p]
"""

from __future__ import annotations

import itertools

from compiler.lowering.context import Lowering
from compiler.tiles.iterate import Mismatch, legal_start, tiles
from compiler.tiles.view import Factor, View
from isa.dtypes import DType
from isa.instructions.tensor import MATMUL_DTYPES
from isa.kernel import Ap

PSUM_COLUMNS = 512


def transpose_on_array(lo: Lowering, dst: View, src: View) -> bool:
    """Move the partition dimension by matmuls with the identity; False where that cannot be."""
    if src.dtype not in MATMUL_DTYPES or src.replicated:
        return False
    p, q = _single_part(src), _single_part(dst)
    if p is None or q is None or p == q or src.ragged(q) or dst.ragged(p):
        return False
    try:
        _transpose(lo, dst, src, p, q)
    except Mismatch:
        return False
    return True


def _single_part(view: View) -> int | None:
    """The dimension on partitions; the first of extent 1 if none is."""
    dims = view.part_dims()
    if len(dims) > 1:
        return None
    if dims:
        factors = [f for f in view.factors[dims[0]] if f.extent > 1]
        whole = sum(f.part for f in factors) == 1 and factors[-1].part and factors[-1].stride == 1
        return dims[0] if whole else None
    ones = [d for d, e in enumerate(view.shape) if e == 1]
    return ones[0] if ones else None


def _blocks(view: View, dim: int) -> list[tuple[int, int]]:
    parts = [f.extent for f in view.factors[dim] if f.part]
    block, extent = (parts[0] if parts else 1), view.shape[dim]
    return [(i, min(block, extent - i)) for i in range(0, extent, block)]


def _transpose(lo: Lowering, dst: View, src: View, p: int, q: int) -> None:
    rest = [d for d in range(len(src.shape)) if d not in (p, q)]
    plan = []
    for at in itertools.product(*(range(src.shape[d]) for d in rest)):
        for q0, qn in _blocks(dst, q):
            group: list[tuple[int, int]] = []
            for p0, pn in _blocks(src, p):
                if group and sum(n for _, n in group) + pn > PSUM_COLUMNS:
                    plan.append((at, (q0, qn), group))
                    group = []
                group.append((p0, pn))
            plan.append((at, (q0, qn), group))
    ready = [_prepare(dst, src, p, q, rest, *item) for item in plan]
    identity = lo.identity(src.dtype)
    for target, pieces, rows in ready:
        buffer = lo.kernel.psum(rows, "transposed")
        column = 0
        for source, count in pieces:
            for low in range(0, rows, lo.hw.pe_columns):
                n = min(lo.hw.pe_columns, rows - low)
                part = Ap(
                    source.buffer, source.start, count,
                    source.offset + low * source.dims[0][0] * source.dtype.size_bytes,
                    source.dtype, ((source.dims[0][0], n),),
                )  # fmt: skip
                out = Ap(buffer, low, n, column * 4, DType.FP32, ((1, count),))
                moving = Ap(
                    identity.buffer, source.start, count,
                    source.start * identity.dtype.size_bytes, identity.dtype, ((1, count),),
                )  # fmt: skip
                lo.kernel.matmul(out, part, moving, start=True, stop=True)
            column += count
        factors: list[tuple[Factor, ...]] = [()] * len(dst.shape)
        factors[q], factors[p] = (Factor(rows, 1, True),), (Factor(column, 1),)
        tile = View(buffer, DType.FP32, target.shape, tuple(factors))
        for _, (out, ap) in tiles([target, tile], PSUM_COLUMNS):
            lo.engine_copy(out, ap)


def _prepare(
    dst: View,
    src: View,
    p: int,
    q: int,
    rest: list[int],
    at: tuple[int, ...],
    q_box: tuple[int, int],
    group: list[tuple[int, int]],
) -> tuple[View, list[tuple[Ap, int]], int]:
    """Operands of one PSUM tile, all checked before anything is emitted."""
    first, count = group[0][0], sum(n for _, n in group)
    target = _cut(
        dst, {**{d: (i, 1) for d, i in zip(rest, at, strict=True)}, q: q_box, p: (first, count)}
    )
    pieces = []
    for p0, pn in group:
        block = _cut(
            src, {**{d: (i, 1) for d, i in zip(rest, at, strict=True)}, q: q_box, p: (p0, pn)}
        )
        free = [f for f in block.factors[q] if f.extent > 1]
        if len(free) > 1 or any(f.part for f in free):
            raise Mismatch(1, "its columns have several factors")
        if not legal_start(block.start + block.buffer.start, pn):
            raise Mismatch(1, "its block starts inside a quadrant")
        step = free[0].stride if free else 1
        size = block.dtype.size_bytes
        ap = Ap(
            block.buffer, block.start, pn, block.offset * size, block.dtype, ((step, q_box[1]),)
        )
        pieces.append((ap, pn))
    list(tiles([target], PSUM_COLUMNS))
    return target, pieces, q_box[1]


def _cut(view: View, box: dict[int, tuple[int, int]]) -> View:
    for d, (first, size) in box.items():
        made = view.slice(d, first, size)
        if made is None:
            raise Mismatch(1, f"cannot cut dimension {d}")
        view = made
    return view
