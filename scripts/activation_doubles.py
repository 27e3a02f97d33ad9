"""The activation functions in float64: the quick yardstick for samples of millions.

Good to about 1e-14 relative away from the zeros of the derivatives; the measurement repeats the
worst points, and a subsample, with mpmath, so nothing that is reported rests on these formulas.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isa.activation.functions import ActivationFunction as F

Doubles = NDArray[np.float64]
PRELU_ALPHA = np.float32(0.1)  # the slope with which prelu is measured


def elementwise(f: Callable[[float], float]) -> Callable[[Doubles], Doubles]:
    """A function of Python floats over an array."""
    over = np.frompyfunc(f, 1, 1)
    return lambda x: np.asarray(over(x), np.float64)


erf, erfc = elementwise(math.erf), elementwise(math.erfc)


def sigmoid(x: Doubles) -> Doubles:
    result: Doubles = 1 / (1 + np.exp(-x))
    return result


def sigmoid_product_dx(x: Doubles) -> Doubles:
    """d/dz of z * sigmoid(z); the product is 0, not NaN, where the sigmoid has vanished."""
    result: Doubles = sigmoid(x) * (1 + x / (1 + np.exp(x)))
    return result


def normal_cdf(x: Doubles) -> Doubles:
    return erfc(-x / math.sqrt(2)) / 2


def gelu_dx(x: Doubles) -> Doubles:
    return normal_cdf(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def gelu_apprx_tanh(x: Doubles) -> Doubles:
    return x * sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def mish(x: Doubles) -> Doubles:
    u = np.exp(-np.abs(x))
    right = x * (1 + 2 * u) / (1 + 2 * u + 2 * u * u)
    left = x * u * (u + 2) / (u * (u + 2) + 2)
    result: Doubles = np.where(x > 0, right, left)
    return result


DOUBLES: dict[F, Callable[[Doubles], Doubles]] = {
    F.COPY: lambda x: x,
    F.RELU: lambda x: np.maximum(x, 0),
    F.PRELU: lambda x: np.where(x < 0, float(PRELU_ALPHA) * x, x),
    F.ABS: np.abs,
    F.SIGN: np.sign,
    F.SQUARE: lambda x: x * x,
    F.SIGMOID: sigmoid,
    F.TANH: np.tanh,
    F.SILU: lambda x: x * sigmoid(x),
    F.SILU_DX: sigmoid_product_dx,
    F.GELU: lambda x: x * normal_cdf(x),
    F.GELU_DX: gelu_dx,
    F.GELU_APPRX_TANH: gelu_apprx_tanh,
    F.GELU_APPRX_SIGMOID: lambda x: x * sigmoid(1.702 * x),
    F.GELU_APPRX_SIGMOID_DX: lambda x: sigmoid_product_dx(1.702 * x),
    F.ERF: erf,
    F.ERF_DX: lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x),
    F.EXP: np.exp,
    F.LOG: np.log,
    F.SOFTPLUS: lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    F.MISH: mish,
    F.SQRT: np.sqrt,
    F.RSQRT: lambda x: 1 / np.sqrt(x),
    F.RECIPROCAL: lambda x: 1 / x,
    F.SIN: np.sin,
    F.ARCTAN: np.arctan,
}
