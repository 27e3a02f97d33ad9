"""Blocks of a matrix product held in vector registers: the one place that emits machine code.

    out[i, j] := the sum from +0 of fma(a[k, i], b[k, j], sum) for k = 0, 1, ..., depth - 1

`llvm.fma` is a true fused multiply-add on every machine: one instruction where the processor has
it, a correctly rounded library call where not. So the shape of a block changes the speed and never
a bit. A block is emitted with its loop over k and all its accumulators as SSA values; what the
vectoriser would make of scalar loops is not left to chance.

Numba's cache watches the file of a kernel, not of what it calls: after a change here, delete the
cached `matmul` kernels (`*.nbi` in `__pycache__`) and those of their callers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils as untyped_cgutils
from numba.core.errors import TypingError
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from isa.fma import canonical, systolic_matmul

Block = Callable[..., None]

cgutils: Any = untyped_cgutils  # it has no annotations

_INTERPRETED = bool(getattr(config, "DISABLE_JIT", False))  # set at run time: unknown to mypy
_INDEX = ir.IntType(64)
_LANE = ir.IntType(32)
_FLOAT = ir.FloatType()


def cpu_features() -> frozenset[str]:
    """The features of the processor that Numba compiles for, such as "avx2"."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return frozenset(name[1:] for name in features.split(",") if name.startswith("+"))


def block_shape(features: frozenset[str]) -> tuple[int, int]:
    """Rows and columns of the largest block whose accumulators stay in the vector registers."""
    if "avx512f" in features:
        return 8, 32  # 16 of 32 registers of 16 lanes
    if "avx2" in features:
        return 6, 16  # 12 of 16 registers of 8 lanes
    return 4, 16  # 16 of 32 registers of 4 lanes, as on AArch64


def block_product(rows: int, columns: int) -> Block:
    """A function for use in Numba kernels, computing one [rows, columns] block.

        block(a, a_start, a_stride, b, b_start, b_stride, depth, out, start, stride, accumulate)

    a[k, i] is element a_start + k * a_stride + i of the float32 array `a`; so for b[k, j] and for
    out[i, j], which is overwritten or, with `accumulate`, added to. A NaN result is the canonical
    one.
    """
    if _INTERPRETED:
        return _interpreted_block(rows, columns)

    @intrinsic
    def block(  # type: ignore[no-untyped-def]  # Numba calls it with its own types
        context, a, a_start, a_stride, b, b_start, b_stride, depth, out, start, stride, accumulate
    ):
        _require_contiguous(a, b, out)
        index = types.intp
        operands = (a, index, index, b, index, index, index, out, index, index, types.boolean)
        return types.void(*operands), partial(_emit_block, rows, columns)

    chosen: Block = block
    return chosen


def panel_copy(columns: int) -> Block:
    """A function for use in Numba kernels, copying [depth, columns] values to consecutive memory.

        copy(b, start, stride, depth, panel)

    Plain loops leave the choice of vectors to the compiler, which prefers longer rows than these.
    """
    if _INTERPRETED:
        return _interpreted_copy(columns)

    @intrinsic
    def copy(context, b, start, stride, depth, panel):  # type: ignore[no-untyped-def]
        _require_contiguous(b, panel)
        index = types.intp
        return types.void(b, index, index, index, panel), partial(_emit_copy, columns)

    chosen: Block = copy
    return chosen


def _emit_copy(columns: int, context: Any, builder: Any, signature: Any, values: Any) -> Any:
    b, panel = _data_pointers(context, builder, signature, values)
    _, start, stride, depth, _ = values
    vector = ir.VectorType(_FLOAT, columns)
    with cgutils.for_range(builder, depth) as loop:
        row = _load(builder, _row(builder, b, start, loop.index, stride), vector)
        _store(builder, row, _row(builder, panel, _INDEX(0), loop.index, _INDEX(columns)))
    return context.get_dummy_value()


def _emit_block(
    rows: int, columns: int, context: Any, builder: Any, signature: Any, values: Any
) -> Any:
    a, b, out = _data_pointers(context, builder, signature, values)
    _, a_start, a_stride, _, b_start, b_stride, depth, _, start, stride, accumulate = values
    vector = ir.VectorType(_FLOAT, columns)
    fma = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{columns}f32"
    )
    sums = [cgutils.alloca_once(builder, vector) for _ in range(rows)]
    for total in sums:  # not where it is allocated: the block runs many times
        builder.store(_constant(vector, 0.0), total)
    with cgutils.for_range(builder, depth) as loop:
        a_row = _row(builder, a, a_start, loop.index, a_stride)
        b_row = _row(builder, b, b_start, loop.index, b_stride)
        b_values = _load(builder, b_row, vector)
        for i, total in enumerate(sums):
            scalar = builder.load(builder.gep(a_row, [_INDEX(i)]))
            a_values = _broadcast(builder, scalar, vector)
            builder.store(builder.call(fma, [a_values, b_values, builder.load(total)]), total)
    for i, total in enumerate(sums):
        target = _row(builder, out, start, _INDEX(i), stride)
        held = _load(builder, target, vector)
        addend = builder.select(accumulate, held, _constant(vector, -0.0))  # -0 adds nothing
        result = builder.fadd(addend, builder.load(total))
        is_nan = builder.fcmp_unordered("uno", result, result)
        result = builder.select(is_nan, _constant(vector, float("nan")), result)
        _store(builder, result, target)
    return context.get_dummy_value()


def _require_contiguous(*arrays: Any) -> None:
    for array in arrays:
        if not (isinstance(array, types.Array) and array.layout == "C"):
            raise TypingError(f"a block needs C-contiguous float32 arrays, not {array}")
        if array.dtype != types.float32:
            raise TypingError(f"a block needs float32 values, not {array.dtype}")


def _data_pointers(context: Any, builder: Any, signature: Any, values: Any) -> list[Any]:
    return [
        context.make_array(kind)(context, builder, value).data
        for kind, value in zip(signature.args, values, strict=True)
        if isinstance(kind, types.Array)
    ]


def _constant(vector: ir.VectorType, value: float) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _row(builder: Any, array: Any, start: Any, k: Any, stride: Any) -> Any:
    return builder.gep(array, [builder.add(start, builder.mul(k, stride))])


def _load(builder: Any, row: Any, vector: ir.VectorType) -> Any:
    return builder.load(builder.bitcast(row, vector.as_pointer()), align=4)


def _store(builder: Any, values: Any, row: Any) -> None:
    builder.store(values, builder.bitcast(row, values.type.as_pointer()), align=4)


def _broadcast(builder: Any, scalar: Any, vector: ir.VectorType) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, _LANE(0))
    lanes = ir.Constant(ir.VectorType(_LANE, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, lanes)


def _interpreted_block(rows: int, columns: int) -> Block:
    """The same block without a compiler, for runs under NUMBA_DISABLE_JIT."""

    def block(
        a: Any,
        a_start: int,
        a_stride: int,
        b: Any,
        b_start: int,
        b_stride: int,
        depth: int,
        out: Any,
        start: int,
        stride: int,
        accumulate: bool,
    ) -> None:
        product = systolic_matmul(
            _view(a, a_start, depth, a_stride, rows), _view(b, b_start, depth, b_stride, columns)
        )
        target = _view(out, start, rows, stride, columns)
        target[:] = canonical(target + product if accumulate else product)

    return block


def _interpreted_copy(columns: int) -> Block:
    def copy(b: Any, start: int, stride: int, depth: int, panel: Any) -> None:
        panel[:] = _view(b, start, depth, stride, columns)

    return copy


def _view(array: Any, start: int, count: int, stride: int, width: int) -> Any:
    flat = array.reshape(-1)[start:]
    return np.lib.stride_tricks.as_strided(flat, (count, width), (4 * stride, 4))
