"""Running sums along rows: y[i] = y[i - 1] + x[i], by tensor_tensor_scan.

`exclusive` writes one position further on, behind a zero; `reverse` reads and writes backwards.
"""

from __future__ import annotations

from dataclasses import replace

from compiler.graph.attrs import flag, integer
from compiler.graph.graph import Node
from compiler.lowering.context import Lowering, device_dtype
from compiler.lowering.rows import empty_along, free_along, rows
from isa.alu import AluOp
from isa.instructions.vector_reduce import TensorTensorScan
from isa.kernel import Ap
from isa.memory import SBUF, Engine
from isa.tiles import Immediate, Tile


def scan_refusal(largest: float) -> str:
    """Why a running sum of at most `largest` cannot be lowered, or an empty string."""
    if largest > 2**24:
        return "it sums integers that may pass 2**24, beyond which FP32 is not exact"
    return ""


def lower_cumsum(lo: Lowering, node: Node) -> None:
    """y[i] = sum of x[0..i] along axis, or of x[0..i-1] (exclusive), from either end (reverse)."""
    value, out, axis = node.inputs[0], node.output, integer(node, "axis")
    n, reverse, exclusive = value.shape[axis], flag(node, "reverse"), flag(node, "exclusive")
    src = free_along(lo, value, axis)
    made = empty_along(lo, out.shape, axis, device_dtype(out.dtype), out.name)
    for ap, target in rows([src, made], axis):
        if exclusive:
            lo.kernel.memset(_part(target, 0, 1, reverse), 0.0)
        count = n - exclusive
        if count:
            ends = _part(target, int(exclusive), count, reverse)
            _scan(lo, ends, _part(ap, 0, count, reverse))
    lo.views[out.id] = made


def _part(ap: Ap, first: int, count: int, reverse: bool) -> Ap:
    """Elements first, first + 1, .. of a row, counted from its end where `reverse`."""
    (step, n), size = ap.dims[-1], ap.dtype.size_bytes
    at = (n - 1 - first) if reverse else first
    return replace(
        ap, offset=ap.offset + at * step * size, dims=((-step if reverse else step, count),)
    )


def _scan(lo: Lowering, out: Ap, x: Ap) -> None:
    """out[i] := bypass(out[i - 1]) + x[i]."""

    def tile(ap: Ap) -> Tile:
        return Tile(SBUF, ap.start, ap.partitions, ap.offset, ap.dtype, ap.dims)

    made = TensorTensorScan(
        dst=tile(out),
        a=tile(x),
        b=tile(x),
        initial=Immediate.of(0.0),
        op0=AluOp.BYPASS,
        op1=AluOp.ADD,
        reverse0=True,
        reverse1=False,
    )
    lo.kernel.emit(Engine.VECTOR, made, dst=out.buffer, a=x.buffer, b=x.buffer)
