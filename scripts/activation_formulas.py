"""The activation functions by their formulas, in mpmath: the truth that tables are held against.

Every formula is free of cancellation at the precision in use, or has digits to spare; `zeros_of`
says where a function crosses zero away from x = 0.
"""

from collections.abc import Callable

from mpmath import mp, mpf

from isa.activation.functions import ActivationFunction as F

PRECISION_BITS = 160
mp.prec = PRECISION_BITS

Formula = Callable[[mpf], mpf]


def sigmoid(x: mpf) -> mpf:
    return 1 / (1 + mp.exp(-x))


def sigmoid_product_dx(x: mpf) -> mpf:
    """d/dz of z * sigmoid(z) at z = x."""
    s = sigmoid(x)
    return s * (1 + x / (1 + mp.exp(x)))


def normal_cdf(x: mpf) -> mpf:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def gelu_dx(x: mpf) -> mpf:
    return normal_cdf(x) + x * mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def gelu_apprx_tanh(x: mpf) -> mpf:
    inner = mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3)
    return x * sigmoid(2 * inner)


def softplus(x: mpf) -> mpf:
    return max(x, mpf(0)) + mp.log1p(mp.exp(-abs(x)))


def mish(x: mpf) -> mpf:
    """x tanh(log(1+u)), u = e^x, with the tangent written out: u(u+2) / (u(u+2) + 2)."""
    u = mp.exp(-abs(x))
    if x > 0:
        return x * (1 + 2 * u) / (1 + 2 * u + 2 * u * u)
    return x * u * (u + 2) / (u * (u + 2) + 2)


FORMULAS: dict[F, Formula] = {
    F.SIGMOID: sigmoid,
    F.TANH: mp.tanh,
    F.SILU: lambda x: x * sigmoid(x),
    F.SILU_DX: sigmoid_product_dx,
    F.GELU: lambda x: x * normal_cdf(x),
    F.GELU_DX: gelu_dx,
    F.GELU_APPRX_TANH: gelu_apprx_tanh,
    F.GELU_APPRX_SIGMOID: lambda x: x * sigmoid(mpf("1.702") * x),
    F.GELU_APPRX_SIGMOID_DX: lambda x: sigmoid_product_dx(mpf("1.702") * x),
    F.ERF: mp.erf,
    F.ERF_DX: lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x),
    F.EXP: mp.exp,
    F.LOG: mp.log,
    F.SOFTPLUS: softplus,
    F.MISH: mish,
    F.SQRT: mp.sqrt,
    F.RSQRT: lambda x: 1 / mp.sqrt(x),
    F.RECIPROCAL: lambda x: 1 / x,
    F.SIN: mp.sin,
    F.ARCTAN: mp.atan,
}


def zeros_of(function: F) -> tuple[mpf, ...]:
    """Where the function crosses zero, other than at x = 0, inside the range of its table."""
    match function:
        case F.SIN:
            return (-mp.pi, +mp.pi)
        case F.LOG:
            return (mpf(1),)
        case F.SILU_DX:
            return (mp.findroot(sigmoid_product_dx, mpf("-1.2785")),)
        case F.GELU_DX:
            return (mp.findroot(gelu_dx, mpf("-0.7518")),)
        case F.GELU_APPRX_SIGMOID_DX:
            return (mp.findroot(FORMULAS[function], mpf("-0.7512")),)
        case _:
            return ()
