"""Transposes on the tensor engine: a block times the identity, through PSUM.

psum[q, p] = sum over p' of src[p', q] * identity[p', p]
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from compiler.lowering.moving import Moving
from compiler.lowering.places import PARTITIONS, Spec
from compiler.tiles.iterate import STEP_LIMIT, Mismatch, legal_start, tiles
from compiler.tiles.view import Factor, View, joined_dims
from isa.dtypes import DType
from isa.instructions.tensor import MATMUL_DTYPES
from isa.instructions.vector_move import VectorTranspose
from isa.kernel import Ap
from isa.memory import SBUF, Engine
from isa.tiles import Tile

PSUM_COLUMNS = 512


def transpose_on_array(lo: Moving, dst: View, src: View) -> bool:
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


def _transpose(lo: Moving, dst: View, src: View, p: int, q: int) -> None:
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


BANK = 32
"""Partitions and columns of a block that the vector engine transposes by itself."""


def transpose_on_vector(lo: Moving, dst: View, src: View) -> bool:
    """Move the partition dimension by 32 x 32 blocks, bit exact; False where that cannot be."""
    if src.dtype is not dst.dtype or src.replicated or src.buffer.memory is not SBUF:
        return False
    p, q = _single_part(src), _single_part(dst)
    if p is None or q is None or p == q or src.ragged(q) or dst.ragged(p):
        return False
    try:
        for out, ap in list(_vector_blocks(dst, src, p, q)):
            vector_block(lo, out, ap)
    except Mismatch:
        return False
    return True


def _vector_blocks(dst: View, src: View, p: int, q: int) -> Iterator[tuple[Ap, Ap]]:
    """Operands of each instruction: rows of whole blocks, then what is left at the borders."""
    rest = [d for d in range(len(src.shape)) if d not in (p, q)]
    q_block = _blocks(dst, q)[0][1]
    whole = src.shape[q] // q_block if q_block % BANK == 0 else 0
    edges = [b for b in _blocks(dst, q) if b[0] >= whole * q_block]
    for at in itertools.product(*(range(src.shape[d]) for d in rest)):
        box = {d: (i, 1) for d, i in zip(rest, at, strict=True)}
        a, b = _cut(dst, box), _cut(src, box)
        for p0, pn in _pieces(_blocks(src, p)):
            rows, lines = _cut(a, {p: (p0, pn)}), _cut(b, {p: (p0, pn)})
            across = whole * q_block if pn == BANK else 0
            for q0 in range(0, min(across, q_block), BANK):
                yield _wide(rows, lines, p, q, q0, q_block, whole)
            left = edges if across else _blocks(dst, q)
            for q0, qn in _pieces(left):
                yield _wide(
                    _cut(rows, {q: (q0, qn)}), _cut(lines, {q: (q0, qn)}), p, q, 0, qn, 1, qn
                )


def _pieces(blocks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(f + i, min(BANK, n - i)) for f, n in blocks for i in range(0, n, BANK)]


def _wide(
    dst: View,
    src: View,
    p: int,
    q: int,
    first: int,
    q_block: int,
    count: int,
    size: int = BANK,
) -> tuple[Ap, Ap]:
    """Blocks of `size` positions of q from `first` on, one in each of `count` runs of q_block."""
    corner = _cut(dst, {q: (first, size)})
    start = corner.start + dst.buffer.start
    p_step, q_step = _step(dst, p), _step(src, q)
    runs = [f for f in dst.factors[q] if not f.part and f.extent > 1]
    if start % BANK or (src.start + src.buffer.start) % BANK or len(runs) > 1:
        raise Mismatch(1, "a block starts inside a quadrant")
    outer = runs[0].stride if runs else 0
    lines, bytes_each = src.shape[p], src.dtype.size_bytes
    offset = src.offset + first * q_step
    out_dims, dims = ((outer, count), (p_step, lines)), ((q_step * q_block, count), (q_step, size))
    if max(abs(s) for s, _ in (*out_dims, *dims)) > STEP_LIMIT:
        raise Mismatch(1, "too large a step")
    return (
        Ap(dst.buffer, corner.start, size, corner.offset * bytes_each, dst.dtype, out_dims),
        Ap(src.buffer, src.start, lines, offset * bytes_each, src.dtype, dims),
    )


def _step(view: View, dim: int) -> int:
    factors = [f for f in view.factors[dim] if f.extent > 1]
    if len(factors) > 1 or any(f.part for f in factors):
        raise Mismatch(1, "its columns have several factors")
    return factors[0].stride if factors else 0


def vector_block(lo: Moving, out: Ap, ap: Ap) -> None:
    dst, src = (
        Tile(SBUF, x.start, x.partitions, x.offset, x.dtype, joined_dims(x.dims)) for x in (out, ap)
    )
    lo.vector_busy(ap.free)
    made = VectorTranspose(dst=dst, src=src)
    lo.kernel.emit(Engine.VECTOR, made, dst=out.buffer, src=ap.buffer)


SHORT_RUN_BYTES = 64
"""A transfer in runs this short pays more for its descriptors than a transpose on chip costs."""
FEW = 2048
"""Elements that DMA moves one by one in about the time of its own start-up."""


def row_major_stage(lo: Moving, chip: View, home: View) -> View | None:
    """A place to stage a transfer whose runs are short: rows as they lie in DRAM; None if not."""
    size = math.prod(chip.shape)
    wide = [d for d, e in enumerate(chip.shape) if e > 1]
    if size < FEW or len(wide) < 2 or chip.replicated:
        return None
    inner = min(wide, key=lambda d: home.factors[d][-1].stride if home.factors[d] else STEP_LIMIT)
    if chip.part_dims() != [inner] or home.factors[inner][-1].stride != 1:
        return None
    if chip.shape[inner] * chip.dtype.size_bytes <= SHORT_RUN_BYTES:
        return None
    dim = max((d for d in wide if d != inner), key=lambda d: min(chip.shape[d], PARTITIONS))
    block = _block_of(home, dim)
    if block < BANK:
        return None
    return lo.allocate(chip.shape, chip.dtype, Spec(dim, block), "staged rows")


def _block_of(home: View, dim: int) -> int:
    """The most partitions on which a transfer can put a dimension that lies so in DRAM."""
    factors = [f for f in home.factors[dim] if f.extent > 1]
    if len(factors) == 1:
        return min(home.shape[dim], PARTITIONS)
    block = 1
    for f in reversed(factors):
        if block * f.extent > PARTITIONS:
            most = PARTITIONS // block
            return block * max(n for n in range(1, most + 1) if f.extent % n == 0)
        block *= f.extent
    return block
