"""Samplers of operators that work element by element, and of reductions."""

from __future__ import annotations

import numpy as np

from tests.fuzz.draft import ANY, FLOATS, INTEGERS, NUMBERS, Attributes, Draft, Value, named
from tests.fuzz.oracle import Unsuitable
from tests.fuzz.table import draws

DOMAINS = {
    "Exp": (-5, 5), "Log": (0.05, 20), "Sqrt": (0, 50), "Reciprocal": (0.1, 20),
    "Acos": (-0.95, 0.95), "Asin": (-0.95, 0.95), "Atanh": (-0.95, 0.95), "Acosh": (1.05, 20),
    "Sin": (-10, 10), "Cos": (-10, 10), "Tan": (-1.4, 1.4), "Sinh": (-4, 4), "Cosh": (-4, 4),
}  # fmt: skip
WITH_ALPHA = {
    "Elu": (0.2, 2), "Celu": (0.2, 2), "LeakyRelu": (-0.5, 1.5), "ThresholdedRelu": (-1, 1),
    "Swish": (0.5, 2), "Selu": (0.5, 2),
}  # fmt: skip


@draws(*DOMAINS)
def in_a_domain(d: Draft, op: str) -> None:
    d.add(op, [d.pick(within=DOMAINS[op], rank=(0, 4))])


@draws("Asinh", "Atan", "Tanh", "Sigmoid", "Erf", "Softplus", "Softsign", "HardSwish", "Mish")
def unary(d: Draft, op: str) -> None:
    d.add(op, [d.pick(rank=(0, 4))])


@draws("Floor", "Ceil", "Round")
def exact_float(d: Draft, op: str) -> None:
    d.add(op, [d.pick(rank=(0, 4))], exact=True)


@draws("Relu", "Abs", "Neg", "Sign", "Identity")
def exact_number(d: Draft, op: str) -> None:
    d.add(op, [d.pick(ANY if op == "Identity" else NUMBERS, rank=(0, 4))], exact=True)


@draws("IsNaN", "IsInf")
def is_special(d: Draft, op: str) -> None:
    chosen: Attributes = {}
    if op == "IsInf" and d.chance(0.5):
        chosen = {"detect_negative": d.integer(0, 1), "detect_positive": d.integer(0, 1)}
    d.add(op, [d.pick()], **chosen)


@draws(*WITH_ALPHA)
def with_alpha(d: Draft, op: str) -> None:
    given: Attributes = {"alpha": float(d.rng.uniform(*WITH_ALPHA[op]))} if d.chance(0.7) else {}
    if op == "Selu" and d.chance(0.5):
        given["gamma"] = float(d.rng.uniform(0.5, 2))
    d.add(op, [d.pick()], exact=op == "ThresholdedRelu", **given)


@draws("HardSigmoid")
def hard_sigmoid(d: Draft, op: str) -> None:
    d.add(op, [d.pick()], alpha=float(d.rng.uniform(0.1, 0.5)), beta=float(d.rng.uniform(0, 1)))


@draws("Gelu")
def gelu(d: Draft, op: str) -> None:
    d.add(op, [d.pick()], approximate=d.one_of(("none", "tanh")))


@draws("Shrink")
def shrink(d: Draft, op: str) -> None:
    d.add(op, [d.pick()], bias=float(d.rng.uniform(0, 1)), lambd=float(d.rng.uniform(0, 1.5)))


@draws("Not")
def negation(d: Draft, op: str) -> None:
    d.add(op, [d.pick(("bool",))])


@draws("And", "Or", "Xor")
def logical(d: Draft, op: str) -> None:
    a = d.pick(("bool",))
    d.add(op, _either_way(d, a, d.partner(a)))


@draws("Add", "Sub", "Mul")
def arithmetic(d: Draft, op: str) -> None:
    a = d.pick(NUMBERS, rank=(0, 4))
    d.add(op, _either_way(d, a, d.partner(a)))


@draws("Max", "Min", "Sum", "Mean")
def variadic(d: Draft, op: str) -> None:
    a = d.pick(NUMBERS if op in ("Max", "Min") else FLOATS)
    others = [d.partner(a) for _ in range(d.integer(0, 2))]
    if d.opset < 8:
        others = [d.fresh(a.dtype, a.shape) for _ in others]
    d.add(op, [a, *others], exact=op in ("Max", "Min"))


@draws("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")
def comparison(d: Draft, op: str) -> None:
    a = d.pick(ANY if op == "Equal" else NUMBERS)
    d.add(op, _either_way(d, a, d.partner(a)))


@draws("Div")
def division(d: Draft, op: str) -> None:
    a = d.pick(NUMBERS)
    whole = a.array.dtype.kind in "iu" and a.array.dtype.itemsize == 4
    d.add(op, [a, d.partner(a, (1, d.one_of((5, 2**31 - 1)) if whole else 5))])


@draws("Mod")
def remainder(d: Draft, op: str) -> None:
    a = d.pick(NUMBERS)
    floating = a.dtype == d.real
    whole = a.array.dtype.kind in "iu" and a.array.dtype.itemsize == 4
    b = d.partner(a, (1, d.one_of((5, 2**31 - 1)) if whole else 5))
    d.add(op, [a, b], fmod=1 if floating else d.integer(0, 1))


@draws("Pow")
def power(d: Draft, op: str) -> None:
    if d.chance(0.15):
        bases, exponents = d.fresh("int32", d.shape(), -4, 4), (0, 14)
        d.add(op, [bases, d.fresh("int32", bases.shape, *exponents)], exact=True)
    elif d.chance(0.5):
        a = d.pick(("float32", "float32", "int32"))
        exponent = d.one_of((0, 1, 2, 3)) if a.dtype != d.real else d.one_of((2, 3, 4, 1, 0))
        if a.dtype != d.real and float(np.abs(a.array.astype(float)).max()) ** exponent > 2**31:
            raise Unsuitable  # not defined
        dtype = named(d.one_of((a.dtype, "float32", "int64")))
        d.add(op, [a, d.constant(exponent, dtype)])
    else:
        a = d.pick(within=(0.05, 6))
        d.add(op, [a, d.partner(a, (-2, 2))])


@draws("PRelu")
def prelu(d: Draft, op: str) -> None:
    a = d.pick(rank=(2, 4))
    slope = [1 if d.chance(0.4) else n for n in a.shape[1:]]
    d.add(op, [a, d.fresh(a.dtype, slope, -1, 1)])


@draws("BitwiseAnd", "BitwiseOr", "BitwiseXor")
def bits(d: Draft, op: str) -> None:
    a = d.pick(INTEGERS)
    d.add(op, _either_way(d, a, d.partner(a, (-100, 100))))


@draws("BitwiseNot")
def bit_not(d: Draft, op: str) -> None:
    d.add(op, [d.pick(INTEGERS)])


@draws("BitShift")
def shift(d: Draft, op: str) -> None:
    a = d.pick(("uint8", "uint16", "uint32"))
    d.add(op, [a, d.partner(a, (0, 7))], direction=d.one_of(("LEFT", "RIGHT")))


@draws("Where")
def where(d: Draft, op: str) -> None:
    a = d.pick(NUMBERS)
    condition = d.partner(Value("", np.zeros(a.shape, bool), a.noisy))
    d.add(op, [condition, *_either_way(d, a, d.partner(a))], exact=True)


@draws("Clip")
def clip(d: Draft, op: str) -> None:
    a = d.pick(NUMBERS)
    low, high = (d.constant(v, a.dtype) if d.chance(0.8) else None for v in (d.integer(0, 1), 2))
    if d.opset < 11 and a.dtype == d.real:
        d.add(op, [a], exact=True, min=0.0, max=2.0)
        return
    if d.opset < 12 and a.dtype != d.real:
        return
    d.add(op, [a, low, high], exact=True)


@draws("Cast")
def cast(d: Draft, op: str) -> None:
    a = d.pick(ANY)
    to = d.one_of(("float32", "float16", "bfloat16", "int32", "int64", "int8", "uint8", "bool",
                   "int16", "uint32"))  # fmt: skip
    whole = a.array.dtype.kind in "iu"
    if not whole and a.array.size and a.array.min() < 0 and to.startswith("u"):
        to = "int32"  # what a negative number becomes is not defined
    if not whole and np.abs(a.array.astype("f")).max(initial=0) > 127 and to in ("int8", "uint8"):
        to = "int32"
    d.add(op, [a], exact=to not in ("float16", "bfloat16"), to=_code(to))


@draws("CastLike")
def cast_like(d: Draft, op: str) -> None:
    a, like = d.pick(NUMBERS), d.pick(("float32", "int32"))
    if like.dtype.startswith("u") and a.array.dtype.kind not in "iu" and (a.array < 0).any():
        raise Unsuitable  # what a negative number becomes is not defined
    d.add(op, [a, like], exact=True)


@draws("Dropout")
def dropout(d: Draft, op: str) -> None:
    d.add(op, [d.pick()], exact=True)


@draws("ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2",
       "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")  # fmt: skip
def reduction(d: Draft, op: str) -> None:
    types = (*FLOATS, *FLOATS, "int32")
    a = d.pick(types, within=(0.1, 4)) if op == "ReduceLogSum" else d.pick(types)
    keep: Attributes = {"keepdims": d.integer(0, 1)} if d.chance(0.7) else {}
    axes = d.axes(a) if d.chance(0.85) else None
    if axes and d.opset < 11:
        axes = [axis % a.rank for axis in axes]
    if d.kind == "special" and np.isnan(a.array).any():
        raise Unsuitable  # the largest of a NaN is not agreed on
    if a.array.dtype.kind in "iu" and _passes_int32(op, a):
        raise Unsuitable  # onnxruntime's sums saturate
    if op == "ReduceProd" and _overflows_in_some_order(a, axes):
        raise Unsuitable
    by_input = d.opset >= (13 if op == "ReduceSum" else 18)
    exact = op in ("ReduceMax", "ReduceMin")
    if by_input:
        operand = [d.constant(axes)] if axes else []
        if not axes and d.chance(0.4):
            keep["noop_with_empty_axes"] = 1
        d.add(op, [a, *operand], exact=exact, **keep)
    else:
        if axes:
            keep["axes"] = axes
        d.add(op, [a], exact=exact, **keep)


def _passes_int32(op: str, a: Value) -> bool:
    """Whether some sum of a reduction may leave its type."""
    wide = np.abs(a.array.astype(np.float64))
    if op == "ReduceProd":
        return bool(np.prod(np.maximum(wide, 1)) > 2**31)
    wide = wide**2 if op in ("ReduceSumSquare", "ReduceL2") else wide
    return op not in ("ReduceMax", "ReduceMin") and bool(wide.sum() > 2**31)


def _overflows_in_some_order(a: Value, axes: list[int] | None) -> bool:
    """Whether the factors above 1 alone, or those below, leave what FP32 holds."""
    wide = np.abs(a.array.astype(np.float64))
    wide = wide.reshape(-1) if not axes else wide
    along = tuple(axis % wide.ndim for axis in axes) if axes else 0
    with np.errstate(all="ignore"):
        most = np.prod(np.maximum(wide, 1), axis=along)
        least = np.prod(np.where(wide > 0, np.minimum(wide, 1), 1), axis=along)
    return bool((most > 1e37).any() or (least < 1e-37).any())


@draws("ArgMax", "ArgMin")
def arg_reduction(d: Draft, op: str) -> None:
    a = d.pick((*FLOATS, "int32", "uint8", "int8"))
    last: Attributes = {}
    if d.opset >= 12 and d.chance(0.5):
        last["select_last_index"] = d.integer(0, 1)
    d.add(op, [a], axis=d.axis(a), keepdims=d.integer(0, 1), **last)


@draws("CumSum")
def running_sum(d: Draft, op: str) -> None:
    a = d.pick((*FLOATS, *FLOATS, "int32", "int64"))
    given: Attributes = {"exclusive": d.integer(0, 1), "reverse": d.integer(0, 1)}
    d.add(op, [a, d.constant(d.axis(a))], **given)


@draws("TopK")
def top(d: Draft, op: str) -> None:
    a = d.pick((*FLOATS, *FLOATS, "int32"))
    axis = d.axis(a)
    count = d.integer(1, a.shape[axis])
    if d.opset < 10:
        d.add(op, [a], 2, exact=True, axis=axis, k=count)
        return
    k = d.constant([count])
    if d.opset < 11:
        d.add(op, [a, k], 2, exact=True, axis=axis)
        return
    largest = d.integer(0, 1)
    d.add(op, [a, k], 2, exact=True, axis=axis, largest=largest, sorted=1)


def _either_way(d: Draft, a: Value, b: Value) -> list[Value]:
    return [b, a] if d.chance(0.3) else [a, b]


def _code(dtype: str) -> int:
    from onnx.helper import np_dtype_to_tensor_dtype

    return int(np_dtype_to_tensor_dtype(named(dtype)))
