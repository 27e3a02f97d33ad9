"""The activation functions: what each one means, where it is promised, and how it is evaluated.

In    nothing; this is the list that the tables, both evaluators, the manual and the costs read
Out   `ActivationFunction` (the identifiers in an instruction), `ActivationSet`, `FACTS`
Read  `tables.py` for the table format, `reference.py` for the arithmetic

Which functions there are and the ranges in which they are promised follow the public list of the
scalar engine. The grouping into sets, the identifiers and every result outside the promised range
are assumptions of ours: the first two are not public, and the hardware calls the third invalid.
"""

import math
from dataclasses import dataclass
from enum import Enum, IntEnum

NAN = math.nan
INF = math.inf
HALF_PI = math.pi / 2


class ActivationFunction(IntEnum):
    """The function field of an activation instruction; the numbers are part of the encoding."""

    COPY = 0
    RELU = 1
    PRELU = 2
    ABS = 3
    SIGN = 4
    SQUARE = 5
    SIGMOID = 6
    TANH = 7
    SILU = 8
    SILU_DX = 9
    GELU = 10
    GELU_DX = 11
    GELU_APPRX_TANH = 12
    GELU_APPRX_SIGMOID = 13
    GELU_APPRX_SIGMOID_DX = 14
    ERF = 15
    ERF_DX = 16
    EXP = 17
    LOG = 18
    SOFTPLUS = 19
    MISH = 20
    SQRT = 21
    RSQRT = 22
    RECIPROCAL = 23
    SIN = 24
    ARCTAN = 25


class ActivationSet(IntEnum):
    """Functions whose tables are loaded together; `EVERY` needs no table and is in each set."""

    EVERY = 0
    SIGMOID_AND_OTHERS = 1
    GELU_AND_OTHERS = 2
    NATURAL_LOG_EXP_AND_OTHERS = 3
    RECIPROCAL_SQRT_AND_SMALL = 4
    RECIPROCAL_AND_SMALL = 5
    TRIGONOMETRIC_AND_SMALL = 6


class Method(Enum):
    """How the engine comes to the result; the arithmetic of each is in `reference.py`."""

    ARITHMETIC = "direct FP32 arithmetic or selection, no table"
    POLYNOMIAL = "the segment's polynomial, found by the bits of x"
    POWER = "x = m * 2^(step*k); the polynomial in m, then times 2^(sign*k)"
    LOGARITHM = "x = m * 2^k with 0.75 <= m < 1.5; the polynomial in m, plus k ln 2 in two parts"


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """One function: its formula in prose and every result that its table does not give.

    `promised` is the closed range of x for which the error bound is part of the specification;
    `valid` is the range over which the bound was measured here, never narrower. `limits` are the
    results at +inf and -inf, `zeros` at +0 and -0 (None: the table gives them).
    """

    formula: str
    group: ActivationSet
    method: Method
    limits: tuple[float, float]
    promised: tuple[float, float] = (-INF, INF)
    valid: tuple[float, float] = (-INF, INF)
    zeros: tuple[float, float] | None = None


F = ActivationFunction
_EVERY = ActivationSet.EVERY
_SIGMOID = ActivationSet.SIGMOID_AND_OTHERS
_GELU = ActivationSet.GELU_AND_OTHERS
_EXP = ActivationSet.NATURAL_LOG_EXP_AND_OTHERS
_ROOT = ActivationSet.RECIPROCAL_SQRT_AND_SMALL
_DIRECT, _TABLE, _POWER = Method.ARITHMETIC, Method.POLYNOMIAL, Method.POWER

# fmt: off
FACTS: dict[ActivationFunction, FunctionFacts] = {
    F.COPY: FunctionFacts("x", _EVERY, _DIRECT, (INF, -INF)),
    F.RELU: FunctionFacts("x if x > 0, else +0", _EVERY, _DIRECT, (INF, 0.0)),
    F.PRELU: FunctionFacts("alpha*x if x < 0, else x", _EVERY, _DIRECT, (INF, -INF)),
    F.ABS: FunctionFacts("|x|", _EVERY, _DIRECT, (INF, INF)),
    F.SIGN: FunctionFacts("1 if x > 0, -1 if x < 0, else +0", _EVERY, _DIRECT, (1.0, -1.0)),
    F.SQUARE: FunctionFacts("x*x", _EVERY, _DIRECT, (INF, INF)),
    F.SIGMOID: FunctionFacts("1 / (1 + exp(-x))", _SIGMOID, _TABLE, (1.0, 0.0)),
    F.TANH: FunctionFacts("tanh(x)", _SIGMOID, _TABLE, (1.0, -1.0)),
    F.SILU: FunctionFacts("x * sigmoid(x)", _SIGMOID, _TABLE, (INF, -0.0)),
    F.SILU_DX: FunctionFacts("d/dx silu(x)", _SIGMOID, _TABLE, (1.0, -0.0)),
    F.GELU: FunctionFacts("x * (1 + erf(x/sqrt 2)) / 2", _GELU, _TABLE, (INF, -0.0)),
    F.GELU_DX: FunctionFacts("d/dx gelu(x)", _GELU, _TABLE, (1.0, -0.0)),
    F.GELU_APPRX_TANH: FunctionFacts(
        "x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2", _GELU, _TABLE, (INF, -0.0)),
    F.GELU_APPRX_SIGMOID: FunctionFacts("x * sigmoid(1.702 x)", _GELU, _TABLE, (INF, -0.0)),
    F.GELU_APPRX_SIGMOID_DX: FunctionFacts(
        "d/dx gelu_apprx_sigmoid(x)", _GELU, _TABLE, (1.0, -0.0)),
    F.ERF: FunctionFacts("erf(x)", _GELU, _TABLE, (1.0, -1.0)),
    F.ERF_DX: FunctionFacts("2/sqrt(pi) * exp(-x^2)", _GELU, _TABLE, (0.0, 0.0)),
    F.EXP: FunctionFacts("exp(x)", _EXP, _TABLE, (INF, 0.0)),
    F.LOG: FunctionFacts(
        "natural logarithm of x; NaN if x < 0", _EXP, Method.LOGARITHM, (INF, NAN),
        promised=(2.0**-64, 2.0**64), valid=(2.0**-149, INF), zeros=(-INF, -INF)),
    F.SOFTPLUS: FunctionFacts("log(1 + exp(x))", _EXP, _TABLE, (INF, 0.0)),
    F.MISH: FunctionFacts("x * tanh(softplus(x))", _EXP, _TABLE, (INF, -0.0)),
    F.SQRT: FunctionFacts(
        "square root of x; NaN if x < 0", _ROOT, _POWER, (INF, NAN),
        promised=(2.0**-116, 2.0**118), valid=(2.0**-149, INF), zeros=(0.0, -0.0)),
    F.RSQRT: FunctionFacts(
        "1 / sqrt(x); NaN if x < 0", _ROOT, _POWER, (0.0, NAN),
        promised=(2.0**-87, 2.0**97), valid=(2.0**-149, INF), zeros=(INF, -INF)),
    F.RECIPROCAL: FunctionFacts(  # promised for 2^-42 <= |x|; the hole about zero is in the formula
        "1 / x (promised for 2^-42 <= |x| <= 2^42)", ActivationSet.RECIPROCAL_AND_SMALL, _POWER,
        (0.0, -0.0), promised=(-(2.0**42), 2.0**42), zeros=(INF, -INF)),
    F.SIN: FunctionFacts(
        "sin(x); for |x| >= 4, sin(4) with the sign it has at 4 or -4; NaN at the infinities",
        ActivationSet.TRIGONOMETRIC_AND_SMALL, _TABLE, (NAN, NAN),
        promised=(-math.pi, math.pi), valid=(-4.0, 4.0)),
    F.ARCTAN: FunctionFacts(
        "arctan(x)", ActivationSet.TRIGONOMETRIC_AND_SMALL, _TABLE, (HALF_PI, -HALF_PI),
        promised=(-HALF_PI, HALF_PI)),
}
# fmt: on

# POWER: x = m * 2^(step*k), result polynomial(m) * 2^(sign*k)
POWER_STEP = {F.SQRT: 2, F.RSQRT: 2, F.RECIPROCAL: 1}
POWER_SIGN = {F.SQRT: 1, F.RSQRT: -1, F.RECIPROCAL: -1}

# LOGARITHM: ln 2 in two parts. The high one has 15 significant bits, so k times it is exact.
LN2_HIGH_BITS = 0x3F317200
LN2_LOW_BITS = 0x35BFBE8E
LOG_CUT_BITS = 0x3F400000  # 0.75: the mantissa m starts here, so that x near 1 has k = 0

CANONICAL_NAN_BITS = 0x7FC00000

# The error bound of every table function over its valid range, in units in the last place.
# `errors.json` has the measured worst of each, most near 1; the largest is at the zero of gelu_dx.
ERROR_BOUND_ULP = 2.25


def needs_table_load(function: ActivationFunction, loaded: ActivationSet | None) -> bool:
    """True when `function` cannot run with the set that is loaded (None: no set yet)."""
    group = FACTS[function].group
    return group is not ActivationSet.EVERY and group is not loaded


def members(group: ActivationSet) -> tuple[ActivationFunction, ...]:
    """The functions usable while `group` is loaded, in order of identifier."""
    return tuple(f for f in F if FACTS[f].group in (group, ActivationSet.EVERY))


def function_named(name: str) -> ActivationFunction:
    """The function of this name in any letter case; `identity` is another name of `copy`.

    Raises KeyError for a name that is not in the list.
    """
    return F.COPY if name.lower() == "identity" else ActivationFunction[name.upper()]
