"""simplify-arithmetic: identities of arithmetic, logic and conversion.

Each rule has its equation as docstring. Float identities hold for every finite input; the sign of
a zero and the last bit of a quotient may differ.
"""

from __future__ import annotations

import numpy as np

from compiler.graph.graph import BOOL, DType, Value, is_float, is_integer
from compiler.graph.inference import broadcast_shapes
from compiler.graph_passes.rewriting import Match, RuleSet, rule_for

RULES: RuleSet = {}


def _spread(m: Match, value: Value) -> Value:
    """value with the shape of the whole op."""
    shape = broadcast_shapes([v.shape for v in m.inputs])
    return value if value.shape == shape else m.emit("broadcast_to", value, shape=shape)


@rule_for(RULES, "copy")
def drop_copy(m: Match) -> Value | None:
    """copy(x) = x   (an output that needs one gets it back)"""
    return m[0]


@rule_for(RULES, "cast")
def drop_cast(m: Match) -> Value | None:
    """cast(x: T, T) = x;  cast(cast(x, wide), to) = cast(x, to) where wide holds every x"""
    if m[0].dtype == m.attrs["to"]:
        return m[0]
    inner = m.behind(m[0], "cast", shared=True)
    if inner is None or not _holds(m[0].dtype, inner.inputs[0].dtype):
        return None
    if is_float(m.attrs["to"]) or m.attrs["to"] == BOOL or not is_float(m[0].dtype):
        return m.emit("cast", inner.inputs[0], to=m.attrs["to"])
    return None


def _holds(wide: DType, narrow: DType) -> bool:
    """Every value of `narrow` is one of `wide`."""
    if narrow == BOOL:
        return True
    if is_float(wide) and is_float(narrow):
        return wide.itemsize > narrow.itemsize
    if is_integer(wide) and is_integer(narrow):
        return bool(np.can_cast(narrow, wide))
    return False


@rule_for(RULES, "add", "sub", "or", "xor", "shl", "shr")
def drop_zero(m: Match) -> Value | None:
    """x + 0 = x - 0 = x | 0 = x ^ 0 = x << 0 = x >> 0 = x"""
    pair = m.split() if m.op in ("add", "or", "xor") else (m[0], m[1])
    if pair is not None and m.is_number(pair[1], 0) and pair[0].dtype == _dtype(m):
        return _spread(m, pair[0])
    return None


@rule_for(RULES, "mul", "div", "pow")
def drop_one(m: Match) -> Value | None:
    """x * 1 = x / 1 = x ** 1 = x"""
    pair = m.split() if m.op == "mul" else (m[0], m[1])
    if pair is not None and m.is_number(pair[1], 1) and pair[0].dtype == _dtype(m):
        return _spread(m, pair[0])
    return None


def _dtype(m: Match) -> DType:
    return m[0].dtype if m[0].dtype == m[1].dtype else np.dtype(np.float32)


@rule_for(RULES, "and")
def drop_true(m: Match) -> Value | None:
    """b & true = b"""
    pair = m.split()
    if pair is not None and m[0].dtype == BOOL and m.is_number(pair[1], 1):
        return _spread(m, pair[0])
    return None


@rule_for(RULES, "not", "neg", "bit_not")
def drop_double(m: Match) -> Value | None:
    """not not b = b;  -(-x) = x;  ~~i = i"""
    inner = m.behind(m[0], m.op, shared=True)
    return None if inner is None else inner.inputs[0]


@rule_for(RULES, "select")
def decide_select(m: Match) -> Value | None:
    """select(true, a, b) = a;  select(false, a, b) = b;  select(not c, a, b) = select(c, b, a)"""
    cond, a, b = m.inputs
    known = m.number(cond)
    if known is not None:
        return _spread(m, a if known else b)
    if a is b:
        return _spread(m, a)
    flipped = m.behind(cond, "not", shared=True)
    return m.emit("select", flipped.inputs[0], b, a) if flipped else None


@rule_for(RULES, "max")
def relu(m: Match) -> Value | None:
    """max(x, 0) = relu(x)"""
    pair = m.split()
    if pair is not None and m.is_number(pair[1], 0) and pair[0].dtype == _dtype(m):
        return _spread(m, m.emit("relu", pair[0]))
    return None


@rule_for(RULES, "relu")
def relu_once(m: Match) -> Value | None:
    """relu(relu(x)) = relu(x)"""
    return m[0] if m.behind(m[0], "relu", shared=True) else None


@rule_for(RULES, "sub")
def sub_constant(m: Match) -> Value | None:
    """x - c = x + (-c)"""
    if m.array(m[1]) is None or m.array(m[0]) is not None or not is_float(m[1].dtype):
        return None
    return m.emit("add", m[0], m.emit("neg", m[1]))


@rule_for(RULES, "sub")
def sub_from_zero(m: Match) -> Value | None:
    """0 - x = -x   (floats; the sign of a zero aside)"""
    if m.is_number(m[0], 0) and is_float(m[1].dtype):
        return _spread(m, m.emit("neg", m[1]))
    return None


@rule_for(RULES, "mul")
def mul_minus_one(m: Match) -> Value | None:
    """x * -1 = -x"""
    pair = m.split()
    if pair is not None and m.is_number(pair[1], -1) and is_float(_dtype(m)):
        return _spread(m, m.emit("neg", pair[0]))
    return None


@rule_for(RULES, "div")
def div_constant(m: Match) -> Value | None:
    """x / c = x * (1 / c)   (1 / c finite and normal; exact where the last bit counts)"""
    array = m.array(m[1])
    if array is None or not is_float(m[1].dtype) or m[1].dtype.itemsize < 4:
        return None
    if m.exact and np.any(np.frexp(array)[0] != 0.5):  # 1 / c is exact for powers of two alone
        return None
    inverse = 1.0 / array.astype(np.float64)
    size = np.abs(inverse)
    if not np.all(np.isfinite(inverse) & (size > 1e-37) & (size < 1e37)):
        return None
    return m.emit("mul", m[0], m.constant(inverse, m[1].dtype))


@rule_for(RULES, "div")
def div_smaller(m: Match) -> Value | None:
    """a / b = a * (1 / b) where b is broadcast: one division for each of b, not of a"""
    if not is_float(m[1].dtype) or m.array(m[1]) is not None:
        return None
    if m.is_number(m[0], 1):
        return _spread(m, m.emit("reciprocal", m[1]))
    if 2 * m[1].size <= m[0].size and not m.exact:
        return m.emit("mul", m[0], m.emit("reciprocal", m[1]))
    return None


@rule_for(RULES, "pow")
def pow_constant(m: Match) -> Value | None:
    """x**2 = x x;  x**3 = x x x;  x**4 = (x x)(x x);  x**.5 = sqrt x;  x**-.5 = rsqrt x"""
    x, power = m[0], m.number(m[1])
    if power is None or not is_float(x.dtype) or (m[1].size != 1 and m[1].shape != x.shape):
        return None
    square = m.emit("mul", x, x) if power in (2, 3, 4) else x
    if power == 2:
        result = square
    elif power == 3:
        result = m.emit("mul", square, x)
    elif power == 4:
        result = m.emit("mul", square, square)
    elif power in (0.5, -0.5, -1):
        result = m.emit({0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}[power], x)
    else:
        return None
    return _spread(m, result)


@rule_for(RULES, "reciprocal")
def reciprocal_of_root(m: Match) -> Value | None:
    """1 / sqrt(x) = rsqrt(x)"""
    root = m.behind(m[0], "sqrt")
    if root is not None:
        return m.emit("rsqrt", root.inputs[0])
    return None


@rule_for(RULES, "div")
def divide_by_root(m: Match) -> Value | None:
    """a / sqrt(x) = a * rsqrt(x)"""
    root = m.behind(m[1], "sqrt")
    return None if root is None else m.emit("mul", m[0], m.emit("rsqrt", root.inputs[0]))


@rule_for(RULES, "reduce")
def reduce_of_one(m: Match) -> Value | None:
    """reduce(x, axes of extent 1) = reshape(x)"""
    x, axes = m[0], m.attrs["axes"]
    if any(x.shape[a] != 1 for a in axes):
        return None
    if m.attrs["keepdims"] or not axes:
        return x
    return m.reshape(x, [e for i, e in enumerate(x.shape) if i not in axes])


@rule_for(RULES, "matmul")
def matmul_of_one_number(m: Match) -> Value | None:
    """matmul(x, c everywhere) = c * sum over k of x, for a number c that is not stored whole"""
    x, spread = m[0], m.behind(m[1], "broadcast_to", shared=True)
    number = None if spread is None else m.number(spread.inputs[0])
    if number is None or not np.isfinite(number) or not is_float(x.dtype) or x.dtype != m[1].dtype:
        return None
    if min(x.rank, m[1].rank) < 2:
        return None
    columns = m[1].shape[-2 if m.attrs["transpose_b"] else -1]
    rows = x.shape[-1 if m.attrs["transpose_a"] else -2]
    axis = x.rank - (2 if m.attrs["transpose_a"] else 1)
    total = m.emit("reduce", x, kind="sum", axes=(axis,), keepdims=False)
    each = m.emit("mul", total, m.constant(number, x.dtype))
    shape = (*broadcast_shapes([x.shape[:-2], m[1].shape[:-2]]), rows, columns)
    return m.emit("broadcast_to", m.reshape(each, (*each.shape, 1)), shape=shape)
