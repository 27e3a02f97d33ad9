"""Arg-max, arg-min and top-k along rows, by the vector engine's choosing instructions.

    argmax  i = find_index8(x, max8(x)[0])
    argmin  of -x;  the last of equals: over the row read backwards, n - 1 - i
    topk    k times: value = max8(x)[0], index = where it stands first, that element := -inf

Rows are copied to FP32 first and filled up with -inf to the eight elements that the instructions
need. A row with a NaN has no index; of a row with fewer than k elements above -inf the rest of
`topk` is unspecified.
"""

from __future__ import annotations

import math
from dataclasses import replace

from compiler.graph.attrs import flag, integer
from compiler.graph.graph import Node
from compiler.lowering.context import Lowering, device_dtype
from compiler.lowering.rows import empty_along, free_along, rows
from isa.alu import AluOp
from isa.dtypes import DType
from isa.instructions.vector_select import FindIndex8, MatchReplace8, Max8
from isa.kernel import Ap
from isa.memory import SBUF, Engine
from isa.tiles import Immediate, Tile

LEAST, MOST = 8, 16384
"""Elements of a row that max8 takes."""

EXACT = 2**24


def sort_refusal(node: Node, largest: float) -> str:
    """Why an arg-max, arg-min or top-k cannot be lowered, or an empty string."""
    x = node.inputs[0]
    if x.shape[integer(node, "axis")] > MOST:
        return f"its rows have more than {MOST} elements"
    if largest > EXACT:
        return "it sorts integers that may pass 2**24, beyond which FP32 does not tell them apart"
    return ""


def lower_arg(lo: Lowering, node: Node) -> None:
    """index = argmax or argmin of x along axis."""
    value, out, axis = node.inputs[0], node.output, integer(node, "axis")
    n, last = value.shape[axis], flag(node, "select_last")
    src = free_along(lo, value, axis)
    shape = tuple(1 if d == axis else e for d, e in enumerate(value.shape))
    made = empty_along(lo, shape, axis, device_dtype(out.dtype), out.name)
    sign = -1.0 if node.op == "argmin" else 1.0
    for ap, target in rows([src, made], axis):
        row = _copied(lo, _backwards(ap) if last else ap, sign)
        index = _column(_index(lo, row, _max8(lo, row)))
        if last:
            lo.kernel.tensor_scalar(target, index, AluOp.MULTIPLY, -1.0, AluOp.ADD, float(n - 1))
        else:
            lo.kernel.tensor_copy(target, index)
    view = made.reshape(out.shape)
    assert view is not None, "dropping a dimension of extent 1 is always possible"
    lo.views[out.id] = view


def lower_topk(lo: Lowering, node: Node) -> None:
    """values, indices = the k largest (or smallest) of x along axis, in order."""
    value, axis, k = node.inputs[0], integer(node, "axis"), integer(node, "k")
    sign = 1.0 if flag(node, "largest") else -1.0
    src = free_along(lo, value, axis)
    made = [empty_along(lo, v.shape, axis, device_dtype(v.dtype), v.name) for v in node.outputs]
    for ap, values, indices in rows([src, *made], axis):
        row = _copied(lo, ap, sign)
        chosen = _scratch(lo, row, LEAST, DType.FP32, "chosen")
        lo.kernel.memset(chosen, math.nan)  # what no element equals: one is replaced at a time
        for j in range(k):
            most = _column(_max8(lo, row))
            lo.kernel.tensor_copy(_column(chosen), most)
            lo.kernel.tensor_copy(_column(indices, j), _column(_index(lo, row, chosen)))
            lo.kernel.tensor_scalar(_column(values, j), most, AluOp.MULTIPLY, sign)
            if j + 1 < k:
                _replace(lo, row, chosen)
    for v, view in zip(node.outputs, made, strict=True):
        lo.views[v.id] = view


def _backwards(ap: Ap) -> Ap:
    (step, n), size = ap.dims[-1], ap.dtype.size_bytes
    assert len(ap.dims) == 1, "a row is one dimension"
    return replace(ap, offset=ap.offset + (n - 1) * step * size, dims=((-step, n),))


def _copied(lo: Lowering, ap: Ap, sign: float) -> Ap:
    """The row times `sign` in FP32, at least eight elements long."""
    n = max(LEAST, ap.free)
    row = _scratch(lo, ap, n, DType.FP32, "row")
    if n > ap.free:
        lo.kernel.memset(row, -math.inf)
    lo.kernel.tensor_scalar(replace(row, dims=((1, ap.free),)), ap, AluOp.MULTIPLY, sign)
    return row


def _scratch(lo: Lowering, like: Ap, n: int, dtype: DType, name: str) -> Ap:
    buffer = lo.kernel.sbuf(like.partitions, n * dtype.size_bytes, name, _start(like))
    return Ap(buffer, 0, like.partitions, 0, dtype, ((1, n),))


def _start(ap: Ap) -> int:
    return ap.start + ap.buffer.start


def _column(ap: Ap, at: int = 0) -> Ap:
    step = ap.dims[-1][0]
    return replace(ap, offset=ap.offset + at * step * ap.dtype.size_bytes, dims=((1, 1),))


def _tile(ap: Ap) -> Tile:
    return Tile(SBUF, ap.start, ap.partitions, ap.offset, ap.dtype, ap.dims)


def _max8(lo: Lowering, row: Ap) -> Ap:
    out = _scratch(lo, row, LEAST, DType.FP32, "largest")
    lo.kernel.emit(
        Engine.VECTOR, Max8(dst=_tile(out), src=_tile(row)), dst=out.buffer, src=row.buffer
    )
    return out


def _index(lo: Lowering, row: Ap, values: Ap) -> Ap:
    out = _scratch(lo, row, LEAST, DType.UINT32, "places")
    made = FindIndex8(dst=_tile(out), src=_tile(row), values=_tile(values))
    lo.kernel.emit(Engine.VECTOR, made, dst=out.buffer, src=row.buffer, values=values.buffer)
    return out


def _replace(lo: Lowering, row: Ap, values: Ap) -> None:
    made = MatchReplace8(
        dst=_tile(row), src=_tile(row), values=_tile(values), replacement=Immediate.of(-math.inf)
    )
    lo.kernel.emit(Engine.VECTOR, made, dst=row.buffer, src=row.buffer, values=values.buffer)
