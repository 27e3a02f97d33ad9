"""Unary, binary, compare, select and convert ops.

Functions of FP32 operands are computed in double precision and rounded once, so that the result
does not depend on the machine's math library (but for its last bit of double precision).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from compiler.graph.graph import BF16, BOOL, FP32, FP64, Array, is_float
from compiler.graph.semantics.registry import MEANINGS, Attrs, meaning
from compiler.graph.strided import to_bfloat16

LARGE = 1 << 14
"""Elements from which on rounding is worth a compiled loop."""


def _in_double(f: Callable[..., Array]) -> Callable[..., Array]:
    def run(*operands: Array, attrs: Attrs) -> Array:
        result: Array = f(*(x.astype(FP64) for x in operands)).astype(operands[0].dtype)
        return result

    return run


def _plain(f: Callable[..., Array]) -> Callable[..., Array]:
    def run(*operands: Array, attrs: Attrs) -> Array:
        return f(*operands)

    return run


def erf(x: Array) -> Array:
    """The error function of doubles."""
    flat = np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size)
    return flat.reshape(x.shape)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e**-x), without overflow on either side."""
    small = np.exp(-np.abs(x))
    whole: Array = np.where(x >= 0, 1.0, small) / (1.0 + small)
    return np.where(np.isnan(x), x, whole)


def softplus(x: Array) -> Array:
    """log(1 + e**x), without overflow."""
    return np.logaddexp(0.0, x)


def gelu(x: Array) -> Array:
    return x * 0.5 * (1.0 + erf(x / math.sqrt(2.0)))


def gelu_tanh(x: Array) -> Array:
    return x * 0.5 * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def divide(a: Array, b: Array) -> Array:
    """a / b; integers truncate towards zero (and give 0 for a zero divisor)."""
    if is_float(a.dtype):
        return np.asarray(a / b)
    quotient = np.where(b == 0, 0, np.floor_divide(a, np.where(b == 0, 1, b)))
    inexact = quotient * b != a
    negative = (a < 0) != (b < 0)
    rounded = np.where(inexact & negative & (b != 0), quotient + 1, quotient)
    return np.asarray(rounded.astype(a.dtype))


def power(a: Array, b: Array) -> Array:
    """a ** b, doubles for floats; integers wrap, a negative power truncates towards zero."""
    if is_float(a.dtype):
        return np.asarray(np.power(a.astype(FP64), b.astype(FP64)).astype(a.dtype))
    raised = np.power(a, np.maximum(b, 0))
    inverse = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0))
    return np.where(b >= 0, raised, inverse).astype(a.dtype)


def shift_left(a: Array, b: Array) -> Array:
    width = a.dtype.itemsize * 8
    return np.where(b < width, np.left_shift(a, np.minimum(b, width - 1)), 0).astype(a.dtype)


def shift_right(a: Array, b: Array) -> Array:
    width = a.dtype.itemsize * 8
    kept = np.right_shift(a, np.minimum(b, width - 1))
    fill = np.where(a < 0, -1, 0) if a.dtype.kind == "i" else np.zeros_like(a)
    return np.where(b < width, kept, fill).astype(a.dtype)


# fmt: off
_IN_DOUBLE: dict[str, Callable[..., Array]] = {
    "exp": np.exp, "log": np.log, "erf": erf, "tanh": np.tanh, "sigmoid": sigmoid,
    "softplus": softplus, "gelu": gelu, "gelu_tanh": gelu_tanh,
    "silu": lambda x: x * sigmoid(x),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "sin": np.sin, "cos": np.cos, "atan": np.arctan,
}
_PLAIN: dict[str, Callable[..., Array]] = {
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "relu": lambda x: np.maximum(x, 0),
    "sqrt": np.sqrt, "reciprocal": lambda x: 1 / x,
    "floor": np.floor, "ceil": np.ceil, "round": np.rint,
    "isnan": np.isnan, "isinf": np.isinf, "not": np.logical_not, "bit_not": np.invert,
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": divide, "pow": power,
    "mod": np.mod, "rem": np.fmod, "max": np.maximum, "min": np.minimum,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "shl": shift_left, "shr": shift_right,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal,
    "select": np.where, "copy": lambda x: x,
}
# fmt: on
MEANINGS.update({name: _in_double(f) for name, f in _IN_DOUBLE.items()})
MEANINGS.update({name: _plain(f) for name, f in _PLAIN.items()})


@meaning("cast")
def cast(x: Array, attrs: Attrs) -> Array:
    """Convert; float to integer truncates and saturates, NaN gives 0."""
    to = attrs["to"]
    if to == BOOL:
        return np.asarray(x != 0)
    if to == BF16 and x.dtype == FP32 and x.size >= LARGE:
        return to_bfloat16(x)
    if not is_float(x.dtype) or is_float(to):
        return np.asarray(x.astype(to))
    bounds = np.iinfo(to)
    whole = np.trunc(x.astype(FP64))
    above, below = whole >= float(bounds.max), whole <= float(bounds.min)
    inside = np.where(above | below | np.isnan(whole), 0.0, whole).astype(to)
    saturated = np.where(above, bounds.max, np.where(below, bounds.min, inside))
    return np.asarray(saturated.astype(to))
