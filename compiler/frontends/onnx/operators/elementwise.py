"""Elementwise operators: functions, arithmetic, logic, comparison, conversion."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from compiler.errors import UnsupportedError
from compiler.frontends.onnx.registry import Importer, OnnxNode, imports
from compiler.frontends.onnx.tensors import dtype_of
from compiler.graph.graph import DType, Value, is_float, is_integer

# fmt: off
_UNARY = {
    "Abs": "abs", "Neg": "neg", "Sign": "sign", "Relu": "relu", "Exp": "exp", "Log": "log",
    "Sqrt": "sqrt", "Reciprocal": "reciprocal", "Erf": "erf", "Tanh": "tanh",
    "Sigmoid": "sigmoid", "Softplus": "softplus", "Mish": "mish", "Sin": "sin", "Cos": "cos",
    "Atan": "atan", "Floor": "floor", "Ceil": "ceil", "Round": "round", "IsNaN": "isnan",
    "Not": "not", "BitwiseNot": "bit_not",
}
_BINARY = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "And": "and", "Or": "or",
    "Xor": "xor", "BitwiseAnd": "and", "BitwiseOr": "or", "BitwiseXor": "xor",
    "Equal": "eq", "Less": "lt", "Greater": "gt", "LessOrEqual": "le", "GreaterOrEqual": "ge",
}
# fmt: on


def _unary(op: str) -> Importer:
    return lambda n: n.emit(op, n[0])


def _binary(op: str) -> Importer:
    return lambda n: n.emit(op, n[0], n[1])


for _onnx, _core in _UNARY.items():
    imports(_onnx)(_unary(_core))
for _onnx, _core in _BINARY.items():
    imports(_onnx)(_binary(_core))


def _variadic(op: str) -> Callable[[OnnxNode], Value]:
    def run(n: OnnxNode) -> Value:
        first, *rest = n.present()
        for value in rest:
            first = n.emit(op, first, value)
        return first

    return run


for _onnx, _core in {"Max": "max", "Min": "min", "Sum": "add"}.items():
    imports(_onnx)(_variadic(_core))


@imports("Mean")
def mean(n: OnnxNode) -> Value:
    total = _variadic("add")(n)
    return n.emit("mul", total, n.like(1.0 / len(n.present()), total))


@imports("Identity", "Dropout")
def identity(n: OnnxNode) -> list[Value | None]:
    """Dropout at inference keeps everything; its mask, if asked for, is all true."""
    if n.op_type == "Dropout" and n.has(2) and bool(n.array(2, "training mode").ravel()[0]):
        raise n.refuse("training mode draws random numbers")
    if len(n.proto.output) > 1 and n.proto.output[1]:
        return [n[0], n.broadcast(n.b.constant(np.asarray(True)), n[0].shape)]
    return [n[0]]


@imports("Pow")
def power(n: OnnxNode) -> Value:
    """The base's type results, whatever the exponent's."""
    base, exponent = n[0], n[1]
    if base.dtype == exponent.dtype or (is_float(base.dtype) and is_float(exponent.dtype)):
        return n.cast(n.emit("pow", base, exponent), base.dtype)
    if is_float(base.dtype):
        return n.emit("pow", base, n.cast(exponent, base.dtype))
    known = n.b.array(exponent)
    if known is None and is_integer(exponent.dtype):
        fits = np.iinfo(base.dtype)
        wanted = np.iinfo(exponent.dtype)
        if fits.min <= wanted.min and wanted.max <= fits.max:
            return n.emit("pow", base, n.cast(exponent, base.dtype))
    if known is None or (known != np.trunc(known)).any() or (known < 0).any():
        raise n.refuse("of integers, by what may not be whole")
    return n.emit("pow", base, n.b.constant(known.astype(base.dtype)))


@imports("Mod")
def mod(n: OnnxNode) -> Value:
    return n.emit("rem" if n.attr("fmod", 0) else "mod", n[0], n[1])


@imports("BitShift")
def bit_shift(n: OnnxNode) -> Value:
    return n.emit("shl" if n.required("direction") == "LEFT" else "shr", n[0], n[1])


@imports("Where")
def where(n: OnnxNode) -> Value:
    return n.emit("select", n[0], n[1], n[2])


@imports("IsInf")
def is_inf(n: OnnxNode) -> Value:
    found = n.emit("isinf", n[0])
    zero = n.like(0, n[0])
    if not n.attr("detect_negative", 1):
        found = n.emit("and", found, n.emit("gt", n[0], zero))
    if not n.attr("detect_positive", 1):
        found = n.emit("and", found, n.emit("lt", n[0], zero))
    return found


def _target(n: OnnxNode, element_type: int) -> DType:
    try:
        return dtype_of(element_type, "")
    except UnsupportedError as error:
        raise n.refuse(error.found) from error


@imports("Cast")
def cast(n: OnnxNode) -> Value:
    return _converted(n, _target(n, n.required("to")))


@imports("CastLike")
def cast_like(n: OnnxNode) -> Value:
    return _converted(n, n[1].dtype)


@imports("BitCast")
def bit_cast(n: OnnxNode) -> Value:
    """The same bits in another type; of booleans only 0 and 1 are any."""
    x, to = n[0], _target(n, n.required("to"))
    if x.dtype.itemsize != to.itemsize or to.itemsize > 4 or (is_float(to) and to.itemsize == 1):
        raise n.refuse(f"the bits of {x.dtype} as {to}")
    if to == x.dtype:
        return x
    if to.kind == "b":
        return n.emit("ne", x, n.like(0, x))
    return n.emit("bitcast", x, to=to)


def _converted(n: OnnxNode, to: DType) -> Value:
    x = n[0]
    if to.itemsize == 1 and is_float(to):
        raise n.refuse(f"conversion to {to}")
    return n.cast(x, to)


@imports("Clip")
def clip_attributes(n: OnnxNode) -> Value:
    """min and max are attributes up to opset 10."""
    x = n[0]
    if "min" in n.attributes:
        x = n.emit("max", x, n.like(n.attr("min"), x))
    if "max" in n.attributes:
        x = n.emit("min", x, n.like(n.attr("max"), x))
    return x


@imports("Clip", since=11)
def clip(n: OnnxNode) -> Value:
    x = n[0]
    if n.has(1):
        x = n.emit("max", x, n[1])
    if n.has(2):
        x = n.emit("min", x, n[2])
    return x


@imports("LeakyRelu")
def leaky_relu(n: OnnxNode) -> Value:
    """alpha x where x < 0; for alpha in [0, 1] that is max(x, alpha x)."""
    x, alpha = n[0], n.attr("alpha", 0.01)
    scaled = n.emit("mul", x, n.like(alpha, x))
    if 0.0 <= alpha <= 1.0:
        return n.emit("max", x, scaled)
    return n.emit("select", n.emit("lt", x, n.like(0, x)), scaled, x)


@imports("PRelu")
def prelu(n: OnnxNode) -> Value:
    x, slope = n[0], n[1]
    return n.emit("select", n.emit("lt", x, n.like(0, x)), n.emit("mul", x, slope), x)


def _exponential_tail(n: OnnxNode, x: Value, alpha: float, inner: float = 1.0) -> Value:
    """max(x, 0) + min(alpha (e**(x / inner) - 1), 0) for alpha >= 0."""
    negative = n.emit("min", x, n.like(0, x))
    if inner != 1.0:
        negative = n.emit("mul", negative, n.like(1.0 / inner, x))
    tail = n.emit("sub", n.emit("exp", negative), n.like(1, x))
    return n.emit("add", n.emit("relu", x), n.emit("mul", tail, n.like(alpha, x)))


@imports("Elu")
def elu(n: OnnxNode) -> Value:
    return _exponential_tail(n, n[0], n.attr("alpha", 1.0))


@imports("Selu")
def selu(n: OnnxNode) -> Value:
    alpha, gamma = n.attr("alpha", 1.6732632423543772), n.attr("gamma", 1.0507009873554805)
    return n.emit("mul", _exponential_tail(n, n[0], alpha), n.like(gamma, n[0]))


@imports("Celu")
def celu(n: OnnxNode) -> Value:
    alpha = n.attr("alpha", 1.0)
    return _exponential_tail(n, n[0], alpha, alpha)


@imports("ThresholdedRelu")
def thresholded_relu(n: OnnxNode) -> Value:
    x = n[0]
    above = n.emit("gt", x, n.like(n.attr("alpha", 1.0), x))
    return n.emit("select", above, x, n.like(0, x))


@imports("Softsign")
def softsign(n: OnnxNode) -> Value:
    x = n[0]
    return n.emit("div", x, n.emit("add", n.emit("abs", x), n.like(1, x)))


@imports("Shrink")
def shrink(n: OnnxNode) -> Value:
    """x + bias below -lambd, x - bias above lambd, 0 between."""
    x, bias, lambd = n[0], n.attr("bias", 0.0), n.attr("lambd", 0.5)
    zero = n.like(0, x)
    low = n.emit("lt", x, n.like(-lambd, x))
    high = n.emit("gt", x, n.like(lambd, x))
    middle = n.emit("select", high, n.emit("sub", x, n.like(bias, x)), zero)
    return n.emit("select", low, n.emit("add", x, n.like(bias, x)), middle)


def _hard_sigmoid(n: OnnxNode, alpha: float, beta: float) -> Value:
    x = n[0]
    line = n.emit("add", n.emit("mul", x, n.like(alpha, x)), n.like(beta, x))
    return n.emit("min", n.emit("max", line, n.like(0, x)), n.like(1, x))


@imports("HardSigmoid")
def hard_sigmoid(n: OnnxNode) -> Value:
    return _hard_sigmoid(n, n.attr("alpha", 0.2), n.attr("beta", 0.5))


@imports("HardSwish")
def hard_swish(n: OnnxNode) -> Value:
    return n.emit("mul", n[0], _hard_sigmoid(n, 1.0 / 6.0, 0.5))


@imports("Gelu")
def gelu(n: OnnxNode) -> Value:
    return n.emit("gelu_tanh" if n.attr("approximate", "none") == "tanh" else "gelu", n[0])


@imports("Swish")
def swish(n: OnnxNode) -> Value:
    x, alpha = n[0], n.attr("alpha", 1.0)
    if alpha == 1.0:
        return n.emit("silu", x)
    return n.emit("mul", x, n.emit("sigmoid", n.emit("mul", x, n.like(alpha, x))))


@imports("Tan")
def tan(n: OnnxNode) -> Value:
    return n.emit("div", n.emit("sin", n[0]), n.emit("cos", n[0]))


@imports("Asin", "Acos")
def asin(n: OnnxNode) -> Value:
    """asin x = atan(x / sqrt((1 - x)(1 + x))), acos x = pi/2 - asin x."""
    x, one = n[0], n.like(1, n[0])
    square = n.emit("mul", n.emit("sub", one, x), n.emit("add", one, x))
    angle = n.emit("atan", n.emit("div", x, n.emit("sqrt", square)))
    return angle if n.op_type == "Asin" else n.emit("sub", n.like(math.pi / 2, x), angle)


@imports("Sinh", "Cosh")
def sinh(n: OnnxNode) -> Value:
    """(e**x - e**-x) / 2 and (e**x + e**-x) / 2; near 0 sinh is tanh x * cosh x."""
    x, half = n[0], n.like(0.5, n[0])
    up, down = n.emit("exp", x), n.emit("exp", n.emit("neg", x))
    cosh = n.emit("mul", n.emit("add", up, down), half)
    if n.op_type == "Cosh":
        return cosh
    far = n.emit("mul", n.emit("sub", up, down), half)
    near = n.emit("mul", n.emit("tanh", x), cosh)
    return n.emit("select", n.emit("lt", n.emit("abs", x), n.like(1, x)), near, far)


@imports("Asinh")
def asinh(n: OnnxNode) -> Value:
    """sign x * log(|x| + sqrt(x^2 + 1))."""
    x, size = n[0], n.emit("abs", n[0])
    root = n.emit("sqrt", n.emit("add", n.emit("mul", x, x), n.like(1, x)))
    return n.emit("mul", n.emit("sign", x), n.emit("log", n.emit("add", size, root)))


@imports("Acosh")
def acosh(n: OnnxNode) -> Value:
    """log(x + sqrt(x^2 - 1))."""
    x, one = n[0], n.like(1, n[0])
    square = n.emit("mul", n.emit("sub", x, one), n.emit("add", x, one))
    return n.emit("log", n.emit("add", x, n.emit("sqrt", square)))


@imports("Atanh")
def atanh(n: OnnxNode) -> Value:
    """log((1 + x) / (1 - x)) / 2."""
    x, one = n[0], n.like(1, n[0])
    ratio = n.emit("div", n.emit("add", one, x), n.emit("sub", one, x))
    return n.emit("mul", n.emit("log", ratio), n.like(0.5, x))
