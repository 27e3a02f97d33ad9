"""Reductions: along the free dimensions by the vector engine, across partitions by the array.

Across partitions a sum is a product with a matrix of ones, whose result is the same in every
partition: just what the elementwise nodes that read it need.
"""

from __future__ import annotations

import math
from dataclasses import replace

from compiler.graph.attrs import integers, text
from compiler.graph.graph import Node, Value
from compiler.lowering.context import PARTITIONS, Lowering, Spec, device_dtype
from compiler.lowering.expression import FUNCTIONS
from compiler.lowering.reduce_free import ELEMENTS, REDUCED_DIMS, reduce_views, reduced_loops
from compiler.tiles.iterate import (
    Mismatch,
    engines_reach,
    legal_start,
    sliced,
    tiles,
)
from compiler.tiles.view import Factor, View, compact
from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.instructions.tensor import MATMUL_DTYPES
from isa.kernel import Ap

OPS = {"sum": AluOp.ADD, "mean": AluOp.ADD, "max": AluOp.MAX, "min": AluOp.MIN,
       "prod": AluOp.MULTIPLY}  # fmt: skip
LEAST = 256
PIECES = 8
"""A reduction goes in so many instructions, of at least `LEAST` elements a partition: the first can
run while its operand is still made."""
FEW = 16
"""Elements a partition beside the blocks of a reduced dimension, up to which the vector engine
reduces the blocks first: the array's instructions would be as many as for 64 columns."""


def lower_reduce(lo: Lowering, node: Node) -> None:
    """y = kind of x over axes."""
    value, out, kind = node.inputs[0], node.output, text(node, "kind")
    axes = integers(node, "axes")
    view = replace(lo.views[value.id], replicated=False)  # one partition will do
    if not engines_reach(view):
        view = lo.view(value, _other_layout(value, axes))
    tall = _tall(view, axes)
    if tall is not None:
        view = _one_block(lo, view, tall, kind, value.name)
    across = [d for d in view.part_dims() if d in axes]
    if across and (kind not in ("sum", "mean") or view.dtype not in MATMUL_DTYPES):
        view = lo.view(value, _other_layout(value, axes))
        across = [d for d in view.part_dims() if d in axes]
    if across and not _summable(view, across):
        largest = max(across, key=lambda d: value.shape[d])
        spec = Spec.of(value.shape, largest)
        view = lo.view(value, spec)
        across = [d for d in view.part_dims() if d in axes]
        if across and not _summable(view, across):  # its blocks are those of `spec`, not their runs
            plain = lo.allocate(value.shape, view.dtype, spec, f"{value.name}/plain")
            lo.copy(plain, view)
            view = plain
    kept_shape = tuple(1 if d in axes else e for d, e in enumerate(value.shape))
    scale = 1.0 / math.prod(value.shape[a] for a in axes) if kind == "mean" else 1.0
    free_axes = [a for a in axes if a not in across and view.shape[a] > 1]
    dtype = device_dtype(out.dtype)
    partial = view
    if free_axes:
        partial = _reduce_free(lo, view, free_axes, OPS[kind], value.name, dtype, across, scale)
    if across:
        partial = _across(lo, partial, across, kept_shape, scale, dtype, value.name, out)
    elif not free_axes:
        partial = _scaled(lo, partial, 1.0, dtype, value.name)
    shaped = partial.reshape(out.shape)
    assert shaped is not None, "dropping dimensions of extent 1 is always possible"
    lo.views[out.id] = shaped


def _tall(view: View, axes: tuple[int, ...]) -> int | None:
    """The reduced dimension on partitions, if it has several blocks of little else."""
    dims = view.part_dims()
    if view.replicated or len(dims) != 1 or dims[0] not in axes or view.start:
        return None
    factors = [f for f in view.factors[dims[0]] if f.extent > 1]
    blocks = [f.extent for f in factors if not f.part]
    rest = math.prod(e for d, e in enumerate(view.shape) if d != dims[0])
    dense = len(factors) == 2 and factors[1].part and factors[1].stride == 1
    return dims[0] if dense and blocks[0] > 2 and rest <= FEW else None


def _one_block(lo: Lowering, view: View, dim: int, kind: str, name: str) -> View:
    """The blocks of a dimension reduced to one, and where the array cannot, to one partition."""
    outer, part = (f for f in view.factors[dim] if f.extent > 1)
    full, rest = divmod(view.shape[dim], part.extent)
    shape = tuple(part.extent if d == dim else e for d, e in enumerate(view.shape))
    blocks = replace(
        view,
        shape=(*shape, full),
        factors=(
            *((part,) if d == dim else fs for d, fs in enumerate(view.factors)),
            (Factor(full, outer.stride),),
        ),
    )
    made = _like(lo, replace(blocks, shape=shape, factors=blocks.factors[:-1]), shape,
                 DType.FP32, f"{name}/blocks")  # fmt: skip
    wide = replace(made, shape=(*shape, 1), factors=(*made.factors, ()))
    reduce_views(lo, wide, blocks, [len(shape)], OPS[kind])
    if rest:
        box = [(0, rest) if d == dim else (0, e) for d, e in enumerate(shape)]
        last = view.slice(dim, full * part.extent, rest)
        assert last is not None, "the last block is a range of partitions"
        head = sliced(made, box)
        for _, (out, a, b) in tiles([head, head, last], ELEMENTS):
            lo.kernel.tensor_tensor(out, a, b, OPS[kind])
    if kind in ("sum", "mean"):
        return made
    row = lo.allocate((1, *shape), DType.FP32, Spec(0, 1), f"{name}/row")
    flat = replace(row, shape=shape, factors=row.factors[1:])
    lo.copy(flat, made)
    return flat


def _summable(view: View, across: list[int]) -> bool:
    """Whether the array can sum over the partitions: one dimension, in blocks of neighbours, from
    legal starts."""
    if len(across) > 1 or len(view.part_dims()) > 1:
        return False
    if not [f for f in view.factors[across[0]] if f.extent > 1][-1].part:
        return False  # neighbours lie on one partition
    blocks = _part_blocks(view, across[0])
    return all(legal_start(view.start + view.buffer.start, size) for _, size in blocks)


def _other_layout(value: Value, axes: tuple[int, ...]) -> Spec:
    """A layout with no reduced dimension on partitions."""
    dims = [d for d in range(len(value.shape)) if d not in axes]
    if not dims:
        return Spec(0, 1) if value.shape[0] == 1 else Spec(axes[0], 1)
    return Spec.of(value.shape, max(dims, key=lambda d: min(value.shape[d], PARTITIONS)))


def _like(lo: Lowering, view: View, shape: tuple[int, ...], dtype: DType, name: str) -> View:
    """A compact tensor of `shape` with the partition factors of `view`."""
    factors, stride = compact(
        fs if extent > 1 else () for fs, extent in zip(view.factors, shape, strict=True)
    )
    buffer = lo.kernel.sbuf(view.buffer.partitions, stride * dtype.size_bytes, name)
    return View(buffer, dtype, shape, factors, view.start, 0, view.replicated)


def _reduce_free(
    lo: Lowering,
    view: View,
    axes: list[int],
    op: AluOp,
    name: str,
    dtype: DType,
    across: list[int],
    scale: float,
) -> View:
    shape = tuple(1 if d in axes else e for d, e in enumerate(view.shape))
    if len(reduced_loops(view, axes)) > REDUCED_DIMS:
        packed = _like(lo, view, view.shape, view.dtype, f"{name}/packed")
        lo.copy(packed, view)
        view = packed
    store = dtype if not across and scale == 1.0 else DType.FP32
    out = _like(lo, view, shape, store, f"{name}/reduced")
    whole = math.prod(f.extent for fs in view.factors for f in fs if not f.part)
    reduce_views(lo, out, view, axes, op, max(LEAST, min(ELEMENTS, whole // PIECES)))
    if scale == 1.0 or across:
        return out
    return _scaled(lo, out, scale, dtype, name)


def _scaled(lo: Lowering, view: View, scale: float, dtype: DType, name: str) -> View:
    out = _like(lo, view, view.shape, dtype, f"{name}/scaled")
    for _, (to, ap) in tiles([out, view], 2048):
        lo.kernel.tensor_scalar(to, ap, AluOp.MULTIPLY, scale)
    return out


def _across(
    lo: Lowering,
    view: View,
    across: list[int],
    shape: tuple[int, ...],
    scale: float,
    dtype: DType,
    name: str,
    result: Value,
) -> View:
    """Sum over the partition dimension by a product with ones; the result is replicated."""
    dim = across[0]
    if len(across) > 1 or len(view.part_dims()) > 1:
        raise Mismatch(0, "two dimensions on partitions are reduced")
    free: list[tuple[Factor, ...]] = []
    stride = 1
    for d in range(len(shape) - 1, -1, -1):
        free.insert(0, (Factor(shape[d], stride),) if shape[d] > 1 else ())
        stride *= shape[d]
    buffer = lo.on_all(result, stride * dtype.size_bytes, f"{name}/sum")
    out = View(buffer, dtype, shape, tuple(free), 0, 0, True)
    ones = lo.filled(view.dtype, 1.0)
    blocks = _part_blocks(view, dim)
    flat = View(buffer, dtype, shape, tuple(free))
    steps = [
        sliced(view, [b if d == dim else (0, e) for d, e in enumerate(view.shape)]) for b in blocks
    ]
    drop = [
        replace(
            s,
            shape=shape,
            factors=tuple(() if d == dim else f for d, f in enumerate(s.factors)),
        )
        for s in steps
    ]
    for _, aps in tiles([flat, *drop], lo.hw.pe_moving_max):
        target, moving = aps[0], aps[1:]
        n = target.free
        halves = [
            (at, min(lo.hw.pe_columns, PARTITIONS - at))
            for at in range(0, PARTITIONS, lo.hw.pe_columns)
        ]
        once = len(blocks) > 1  # a copy of the result costs less than another pass of the blocks
        tile = lo.kernel.psum(halves[0][1] if once else PARTITIONS, "sum")
        for at, columns in halves[:1] if once else halves:
            lo.load.pe += len(blocks) * max(lo.hw.pe_min_interval, n) / lo.hw.pe_clock_hz
            for i, (ap, (_, size)) in enumerate(zip(moving, blocks, strict=True)):
                if not legal_start(ap.start + ap.buffer.start, size):
                    raise Mismatch(1, "the start rule")
                stationary = Ap(ones.buffer, ap.start, size, 0, ones.dtype, ((1, columns),))
                lo.kernel.matmul(
                    Ap(tile, at, columns, 0, DType.FP32, ((1, n),)),
                    stationary,
                    replace(ap, partitions=size),
                    start=i == 0,
                    stop=i == len(blocks) - 1,
                )
        if not once and stride == 1 and scale == 1.0 and _read_where_it_is(lo, result):
            return View(tile, DType.FP32, shape, tuple(free), 0, 0, True)
        for j, (at, columns) in enumerate(halves if once else [(0, PARTITIONS)]):
            source = Ap(tile, 0, columns, 0, DType.FP32, ((1, n),))
            part = replace(target, start=at, partitions=columns)
            if j % 2:
                lo.vector_busy(n)
                lo.kernel.tensor_scalar(part, source, AluOp.MULTIPLY, scale)
            else:
                lo.scalar_busy(n)
                lo.kernel.activation(part, source, ActivationFunction.COPY, scale)
    return out


def _read_where_it_is(lo: Lowering, value: Value) -> bool:
    """Whether only functions of one operand read a single value: it may stay in PSUM for them."""
    readers = lo.readers.get(value.id, [])
    kept = any(v.id == value.id for v in lo.graph.outputs)
    fits = device_dtype(value.dtype) is DType.FP32 and math.prod(value.shape) == 1
    return fits and not kept and all(r.op in FUNCTIONS for r in readers)


def _part_blocks(view: View, dim: int) -> list[tuple[int, int]]:
    block = next((f.extent for f in view.factors[dim] if f.part), 1)
    return [(i, min(block, view.shape[dim] - i)) for i in range(0, view.shape[dim], block)]
