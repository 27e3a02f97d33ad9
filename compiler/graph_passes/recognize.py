"""recognize-functions: an activation written out in arithmetic becomes one op.

The product around it is taken apart into its factors, and what stands inside the inner function
into a polynomial of x, so that every way of writing the same formula is found:

    gelu        c x (1 + erf(x / sqrt 2)),                          c = 1/2
    gelu_tanh   c x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))),      c = 1/2
    silu        x sigmoid(k x) = silu(k x) / k
    mish        x tanh(softplus(x))
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from compiler.graph.graph import Value, is_float
from compiler.graph_passes.rewriting import Match, RuleSet, rule_for

RULES: RuleSet = {}

_LIKE = 1e-4  # a coefficient within this share of the formula's: exporters print 4 to 7 digits
_HIGHEST = 4  # degree


@dataclass
class _Product:
    """coefficient * product of factors."""

    coefficient: float
    factors: list[Value]


def _factors(m: Match, value: Value, root: bool = False) -> _Product:
    """A value as a product, through multiplications that nobody else reads."""
    number = m.number(value)
    if number is not None and m.array(value) is not None and value.size == 1:
        return _Product(number, [])
    node = None
    if root:
        operands: tuple[Value, ...] = m.inputs
    else:
        node = m.behind(value, "mul", "neg")
        if node is None:
            return _Product(1.0, [value])
        operands = node.inputs
    parts = [_factors(m, v) for v in operands]
    sign = -1.0 if node is not None and node.op == "neg" else 1.0
    return _Product(
        sign * math.prod(p.coefficient for p in parts), [f for p in parts for f in p.factors]
    )


def _polynomial(m: Match, value: Value, x: Value) -> dict[int, float] | None:
    """Degree -> coefficient of a value as a polynomial of x, else None."""
    if value is x:
        return {1: 1.0}
    number = m.number(value)
    if number is not None:
        return {0: number}
    node = m.behind(value, "add", "sub", "mul", "neg", shared=True)
    if node is None:
        return None
    terms = [_polynomial(m, v, x) for v in node.inputs]
    if any(t is None for t in terms):
        return None
    known = [t for t in terms if t is not None]
    if node.op == "neg":
        return {d: -c for d, c in known[0].items()}
    left, right = known
    result: dict[int, float] = {}
    if node.op == "mul":
        for d, c in left.items():
            for e, k in right.items():
                if d + e > _HIGHEST:
                    return None
                result[d + e] = result.get(d + e, 0.0) + c * k
        return result
    sign = -1.0 if node.op == "sub" else 1.0
    for d in {*left, *right}:
        result[d] = left.get(d, 0.0) + sign * right.get(d, 0.0)
    return result


def _like(found: dict[int, float] | None, wanted: dict[int, float]) -> bool:
    if found is None:
        return False
    terms = {d: c for d, c in found.items() if c != 0.0}
    return set(terms) == set(wanted) and all(
        abs(terms[d] - c) <= _LIKE * abs(c) for d, c in wanted.items()
    )


def _shifted(m: Match, value: Value) -> tuple[float, str, Value] | None:
    """(a, f, u) where value = a + a f(u), f erf or tanh."""
    node = m.behind(value, "add")
    if node is None:
        return None
    for i in (0, 1):
        constant = m.number(node.inputs[i])
        if constant is None:
            continue
        inner = _factors(m, node.inputs[1 - i])
        if len(inner.factors) != 1 or abs(inner.coefficient - constant) > _LIKE * abs(constant):
            continue
        function = m.behind(inner.factors[0], "erf", "tanh")
        if function is not None:
            return constant, function.op, function.inputs[0]
    return None


_GELU = {1: math.sqrt(0.5)}
_GELU_TANH = {1: math.sqrt(2 / math.pi), 3: 0.044715 * math.sqrt(2 / math.pi)}


@rule_for(RULES, "mul")
def activation(m: Match) -> Value | None:
    """A product with x and a function of x among its factors (see the module's table)."""
    if not all(is_float(v.dtype) for v in m.inputs):
        return None
    product = _factors(m, m.inputs[0], root=True)
    if len(product.factors) < 2:
        return None
    for i, factor in enumerate(product.factors):
        for j, x in enumerate(product.factors):
            if i == j:
                continue
            found = _gelu(m, factor, x) or _gated(m, factor, x)
            if found is not None:
                value, coefficient = found
                rest = [f for k, f in enumerate(product.factors) if k not in (i, j)]
                return _rebuilt(m, value, product.coefficient * coefficient, rest)
    return None


def _gelu(m: Match, factor: Value, x: Value) -> tuple[Value, float] | None:
    """x * factor as (gelu of x, coefficient)."""
    shifted = _shifted(m, factor)
    if shifted is None:
        return None
    constant, function, inside = shifted
    wanted = _GELU if function == "erf" else _GELU_TANH
    if not _like(_polynomial(m, inside, x), wanted):
        return None
    return m.emit("gelu" if function == "erf" else "gelu_tanh", x), 2.0 * constant


def _gated(m: Match, factor: Value, x: Value) -> tuple[Value, float] | None:
    """x * sigmoid(k x) as (silu(k x), 1 / k);  x * tanh(softplus(x)) as (mish(x), 1)."""
    node = m.behind(factor, "sigmoid", "tanh")
    if node is None:
        return None
    if node.op == "tanh":
        inner = m.behind(node.inputs[0], "softplus")
        return (m.emit("mish", x), 1.0) if inner is not None and inner.inputs[0] is x else None
    if node.inputs[0] is x:
        return m.emit("silu", x), 1.0
    terms = _polynomial(m, node.inputs[0], x)
    if terms is None or set(terms) != {1} or terms[1] == 0.0:
        return None
    scaled = m.emit("mul", x, m.constant(terms[1], x.dtype))
    return m.emit("silu", scaled), 1.0 / terms[1]


def _rebuilt(m: Match, value: Value, coefficient: float, rest: list[Value]) -> Value:
    """value * coefficient * the other factors; a coefficient of nearly 1 drops."""
    if abs(coefficient - 1.0) > _LIKE * 1e-2:
        value = m.emit("mul", value, m.constant(coefficient, value.dtype))
    for factor in rest:
        value = m.emit("mul", value, factor)
    return value


@rule_for(RULES, "reciprocal")
def sigmoid(m: Match) -> Value | None:
    """1 / (1 + exp(-x)) = sigmoid(x)"""
    inside = _one_plus_exp(m, m[0])
    return None if inside is None else m.emit("sigmoid", m.emit("neg", inside))


@rule_for(RULES, "log")
def softplus(m: Match) -> Value | None:
    """log(1 + exp(x)) = softplus(x)"""
    inside = _one_plus_exp(m, m[0])
    return None if inside is None else m.emit("softplus", inside)


def _one_plus_exp(m: Match, value: Value) -> Value | None:
    """u where value = 1 + exp(u)."""
    node = m.behind(value, "add")
    if node is None:
        return None
    for i in (0, 1):
        if m.is_number(node.inputs[i], 1.0):
            power = m.behind(node.inputs[1 - i], "exp")
            if power is not None:
                return power.inputs[0]
    return None
