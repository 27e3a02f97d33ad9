"""Quantised operators: integers to floats and back, products of integers."""

from __future__ import annotations

import numpy as np

from compiler.frontends.onnx.operators.contraction import convolved, product
from compiler.frontends.onnx.operators.normalization import per_channel
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.frontends.onnx.tensors import dtype_of
from compiler.graph.graph import FP32, INT32, DType, Value, is_float


def _spread(n: OnnxNode, parameter: Value, x: Value, axis: int) -> Value:
    """A scale or zero point (scalar, one an entry of axis, or one a block of entries) shaped to
    broadcast over x."""
    if parameter.size == 1:
        return n.reshape(parameter, ())
    size = n.attr("block_size", 0)
    if size > 0 and parameter.rank == x.rank:
        return _blocked(n, parameter, x, axis, size)
    if parameter.rank != 1 or parameter.size != x.shape[axis]:
        raise n.refuse("blocked scales")
    return n.reshape(parameter, [e if i == axis else 1 for i, e in enumerate(x.shape)])


def _blocked(n: OnnxNode, parameter: Value, x: Value, axis: int, size: int) -> Value:
    """Every entry along the axis `size` times, the last perhaps fewer."""
    wanted = tuple(-(-e // size) if i == axis else e for i, e in enumerate(x.shape))
    if parameter.shape != wanted:
        raise n.refuse("blocked scales that do not cover the tensor")
    around, behind = wanted[: axis + 1], wanted[axis + 1 :]
    apart = n.reshape(parameter, (*around, 1, *behind))
    spread = n.b.emit("broadcast_to", apart, shape=(*around, size, *behind))
    whole = n.reshape(spread, (*wanted[:axis], wanted[axis] * size, *behind))
    return (
        n.emit("slice", whole, starts=(0,) * x.rank, sizes=x.shape, steps=(1,) * x.rank)
        if whole.shape != x.shape
        else whole
    )


def quantized(n: OnnxNode, x: Value, scale: Value, zero: Value | None, to: DType) -> Value:
    """saturate(round(x / scale) + zero)."""
    if is_float(to) or to.itemsize > 4:
        raise n.refuse(f"quantisation to {to}")
    y = n.emit("round", n.emit("div", n.cast(x, FP32), n.cast(scale, FP32)))
    if zero is not None:
        y = n.emit("add", y, n.cast(zero, FP32))
    bounds = np.iinfo(to)
    y = n.emit("min", n.emit("max", y, n.like(bounds.min, y)), n.like(bounds.max, y))
    return n.cast(y, to)


def dequantized(n: OnnxNode, x: Value, scale: Value, zero: Value | None) -> Value:
    """(x - zero) * scale."""
    if is_float(x.dtype):
        raise n.refuse(f"dequantisation of {x.dtype}")
    y = n.cast(x, INT32)
    if zero is not None:
        y = n.emit("sub", y, n.cast(zero, INT32))
    return n.emit("mul", n.cast(y, FP32), n.cast(scale, FP32))


@imports("QuantizeLinear")
def quantize_linear(n: OnnxNode) -> Value:
    x, axis = n[0], n.axis(n.attr("axis", 1), n[0].rank) if n[0].rank > 1 else 0
    scale = _spread(n, n[1], x, axis)
    zero = _spread(n, n[2], x, axis) if n.has(2) else None
    to = zero.dtype if zero is not None else np.dtype(np.uint8)
    if zero is None and n.attr("output_dtype", 0):
        to = dtype_of(n.attr("output_dtype"), "QuantizeLinear")
    return quantized(n, x, scale, zero, to)


@imports("DequantizeLinear")
def dequantize_linear(n: OnnxNode) -> Value:
    x, axis = n[0], n.axis(n.attr("axis", 1), n[0].rank) if n[0].rank > 1 else 0
    scale = _spread(n, n[1], x, axis)
    zero = _spread(n, n[2], x, axis) if n.has(2) else None
    return n.cast(dequantized(n, x, scale, zero), n[1].dtype)


@imports("MatMulInteger")
def matmul_integer(n: OnnxNode) -> Value:
    a, b = n.cast(n[0], INT32), n.cast(n[1], INT32)
    if n.has(2):
        zero = n.cast(n[2], INT32)
        a = n.emit(
            "sub", a, n.reshape(zero, (zero.size, 1)) if zero.size > 1 else n.reshape(zero, ())
        )
    if n.has(3):
        b = n.emit("sub", b, n.cast(n[3], INT32))
    return product(n, a, b)


@imports("ConvInteger")
def conv_integer(n: OnnxNode) -> Value:
    x, w = n.cast(n[0], INT32), n.cast(n[1], INT32)
    if n.has(2):
        x = n.emit("sub", x, n.reshape(n.cast(n[2], INT32), ()))
    if n.has(3):
        zero = n.cast(n[3], INT32)
        shape = (zero.size, *(1,) * (w.rank - 1)) if zero.size > 1 else ()
        w = n.emit("sub", w, n.reshape(zero, shape))
    return convolved(n, x, w)


@imports("QLinearMatMul")
def qlinear_matmul(n: OnnxNode) -> Value:
    """round(acc * (a_scale * b_scale / y_scale)) + y_zero with an exact INT32 accumulation."""
    a = n.emit("sub", n.cast(n[0], INT32), n.cast(_of_rows(n, n[2], True), INT32))
    b = n.emit("sub", n.cast(n[3], INT32), n.cast(_of_rows(n, n[5], False), INT32))
    scales = _product(n, _of_rows(n, n[1], True), _of_rows(n, n[4], False))
    return _rescaled(n, product(n, a, b), scales, 6)


def _product(n: OnnxNode, a: Value, b: Value) -> Value:
    """Of two scales, in FP32 whatever they are."""
    return n.emit("mul", n.cast(a, FP32), n.cast(b, FP32))


def _of_rows(n: OnnxNode, parameter: Value, rows: bool) -> Value:
    """A scale or zero point of a matrix: one number, or one a row (a column)."""
    if parameter.size == 1:
        return n.reshape(parameter, ())
    return n.reshape(parameter, (parameter.size, 1) if rows else (1, parameter.size))


def _rescaled(n: OnnxNode, acc: Value, scales: Value, at: int) -> Value:
    """saturate(round(acc * (scales / y_scale)) + y_zero), y's being operands `at` and the next."""
    to = n[at + 1].dtype
    if is_float(to) or to.itemsize > 4:
        raise n.refuse(f"quantisation to {to}")
    factor = n.emit("div", scales, n.cast(n.reshape(n[at], ()), FP32))
    y = n.emit("round", n.emit("mul", n.cast(acc, FP32), factor))
    y = n.emit("add", y, n.cast(n.reshape(n[at + 1], ()), FP32))
    bounds = np.iinfo(to)
    return n.cast(n.emit("min", n.emit("max", y, n.like(bounds.min, y)), n.like(bounds.max, y)), to)


@imports("QLinearConv")
def qlinear_conv(n: OnnxNode) -> Value:
    """round(acc * (x_scale * w_scale / y_scale)) + y_zero with an exact INT32 accumulation."""
    x = n.emit("sub", n.cast(n[0], INT32), n.reshape(n.cast(n[2], INT32), ()))
    w, zero = n.cast(n[3], INT32), n.cast(n[5], INT32)
    w = n.emit("sub", w, n.reshape(zero, (zero.size, *(1,) * (w.rank - 1))))
    y = convolved(n, x, w)
    if n.has(8):
        y = n.emit("add", y, per_channel(n, n[8], y.rank))
    w_scale = per_channel(n, n[4], y.rank) if n[4].size > 1 else n.reshape(n[4], ())
    return _rescaled(n, y, _product(n, n.reshape(n[1], ()), w_scale), 6)


def _number(n: OnnxNode, i: int, what: str) -> np.float32:
    """A scale or zero point for the whole tensor; 0 where it is left out."""
    if not n.has(i):
        return np.float32(0)
    if n[i].size != 1:
        raise n.refuse(f"a {what} for each channel")
    known = n.b.array(n[i])
    if known is None:
        raise n.refuse(f"a {what} computed at run time")
    return np.float32(known.ravel()[0])


def _saturated(n: OnnxNode, y: Value, to: DType) -> Value:
    bounds = np.iinfo(to)
    y = n.emit("max", n.emit("round", y), n.like(bounds.min, y))
    return n.cast(n.emit("min", y, n.like(bounds.max, y)), to)


@imports("QLinearAdd", domain="com.microsoft")
def qlinear_add(n: OnnxNode) -> Value:
    """round(a * ra + (b * rb + (zero - (ra * a_zero + rb * b_zero)))), r the ratio of scales.

    In onnxruntime's own order, the innermost sum fused: so ties go the same way.
    """
    scales = [_number(n, i, "scale") for i in (1, 4, 6)]
    zeros = [_number(n, i, "zero point") for i in (2, 5, 7)]
    ra, rb = scales[0] / scales[2], scales[1] / scales[2]
    inner = np.float32(np.float64(ra) * np.float64(zeros[0]) + np.float64(rb * zeros[1]))
    a, b = (n.cast(n[i], FP32) for i in (0, 3))
    right = n.emit("mul", b, n.like(float(rb), b))
    right = n.emit("add", right, n.like(float(zeros[2] - inner), b))
    return _saturated(n, n.emit("add", n.emit("mul", a, n.like(float(ra), a)), right), n[0].dtype)


@imports("QLinearGlobalAveragePool", domain="com.microsoft")
def qlinear_global_average_pool(n: OnnxNode) -> Value:
    """Quantise the mean over every spatial position."""
    x = dequantized(n, n[0], n.reshape(n[1], ()), n.reshape(n[2], ()))
    last = n.attr("channels_last", 0)
    axes = tuple(range(1, x.rank - 1)) if last else tuple(range(2, x.rank))
    mean = n.emit("reduce", x, kind="mean", axes=axes, keepdims=True)
    return quantized(n, mean, n.reshape(n[3], ()), n.reshape(n[4], ()), n[0].dtype)
