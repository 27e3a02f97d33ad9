"""Quantised operators: integers to floats and back, products of integers."""

from __future__ import annotations

import numpy as np

from compiler.frontends.onnx.operators.contraction import convolved, product
from compiler.frontends.onnx.operators.normalization import per_channel
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.frontends.onnx.tensors import dtype_of
from compiler.graph.graph import FP32, INT32, DType, Value, is_float


def _spread(n: OnnxNode, parameter: Value, x: Value, axis: int) -> Value:
    """A scale or zero point (scalar, or one an entry of axis) shaped to broadcast over x."""
    if parameter.size == 1:
        return n.reshape(parameter, ())
    if parameter.rank != 1 or parameter.size != x.shape[axis]:
        raise n.refuse("blocked scales")
    return n.reshape(parameter, [e if i == axis else 1 for i, e in enumerate(x.shape)])


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
    """Quantise the product of what the operands stand for."""
    a = _scaled(n, n[0], n[1], n[2], rows=True)
    b = _scaled(n, n[3], n[4], n[5], rows=False)
    scale, zero = n.reshape(n[6], ()), n.reshape(n[7], ())
    return quantized(n, product(n, a, b), scale, zero, n[7].dtype)


def _scaled(n: OnnxNode, x: Value, scale: Value, zero: Value, rows: bool) -> Value:
    if scale.size == 1:
        return dequantized(n, x, n.reshape(scale, ()), n.reshape(zero, ()))
    shape = (scale.size, 1) if rows else (1, scale.size)
    return dequantized(n, x, n.reshape(scale, shape), n.reshape(zero, shape))


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
    factor = n.emit("mul", n.reshape(n[1], ()), w_scale)
    real = n.emit("mul", n.cast(y, FP32), factor)
    return quantized(n, real, n.reshape(n[6], ()), n.reshape(n[7], ()), n[7].dtype)
