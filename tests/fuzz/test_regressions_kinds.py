"""What the fuzzer found in models with halves, special values, wide integers or newer opsets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from tests.fuzz.draft import Attributes, Draft, Value
from tests.fuzz.judge import Model, judge
from tests.fuzz.test_regressions import TARGETS, given


def passes(opset: int, draw: Callable[[Draft], object], target: str, kind: str, real: str) -> None:
    """Judge the model that `draw` makes of this kind; its outputs are what no node reads."""
    d = Draft(np.random.default_rng(7), opset, kind, real)
    draw(d)
    read = {id(v) for s in d.steps for v in s.inputs if v}
    made = [v for s in d.steps for v in s.outputs if id(v) not in read]
    outcome = judge(Model(tuple(d.steps), tuple(made), opset, kind), target)
    assert outcome.kind == "passed", outcome


def exactly(d: Draft, array: object, dtype: str) -> Value:
    """An input with these numbers."""
    value = d.constant(array, dtype)
    value.constant = False
    return value


@pytest.mark.parametrize("real", ["float16", "bfloat16"])
@pytest.mark.parametrize("op", ["Asinh", "Acosh", "Atanh", "Softsign", "Tan", "Selu"])
def test_functions_of_several_steps_are_rounded_once(op: str, real: str) -> None:
    def draw(d: Draft) -> None:
        low, high = (1.05, 2) if op == "Acosh" else (-0.01, 0.01)
        d.add(op, [given(d, "float32", (5, 40), low, high)])

    passes(22 if op == "Softsign" else 24, draw, "inf1", "half", real)


def test_a_half_scale_gives_half_numbers() -> None:
    def draw(d: Draft) -> None:
        operands = [given(d, "float32", (2,), 0.1, 1), given(d, "uint8", (2,), 0, 9)]
        d.add("DequantizeLinear", [given(d, "uint8", (3, 2), 0, 99), *operands], axis=1)

    passes(25, draw, "inf1", "half", "float16")


@pytest.mark.parametrize("target", TARGETS)
def test_an_affine_grid_of_one(target: str) -> None:
    def draw(d: Draft) -> None:
        d.add("AffineGrid", [given(d, "float32", (1, 2, 3)), d.constant([1, 2, 6, 4])])
        sizes = d.constant([2, 3, 3, 5, 6])
        d.add("AffineGrid", [given(d, "float32", (2, 3, 4)), sizes], align_corners=1)

    passes(24, draw, target, "plain", "float32")
    passes(24, draw, target, "half", "bfloat16")


def test_what_the_host_makes_has_the_model_s_type() -> None:
    def draw(d: Draft) -> None:
        d.add("Det", [given(d, "float32", (5, 1, 1))])
        d.add("Relu", [given(d, "float32", (5,))])

    passes(23, draw, "inf1", "half", "bfloat16")


def test_the_host_runs_operators_that_a_new_opset_left_alone() -> None:
    """onnxruntime lacks opset 28; onnx's reference evaluator gives an int64 sum for it."""

    def draw(d: Draft) -> None:
        d.add("ReduceProd", [given(d, "int32", (5,)), d.constant([0])])
        d.add("Relu", [given(d, "float32", (5,))])

    passes(28, draw, "inf1", "plain", "float32")


@pytest.mark.parametrize("constant", [True, False])
def test_functions_at_infinity(constant: bool) -> None:
    numbers = [np.inf, -np.inf, 1.5, -100.0, 0.0, 100.0]

    def draw(d: Draft) -> None:
        for op in ("Sigmoid", "Tanh", "Exp", "Erf", "Atan", "Softplus", "Elu", "HardSigmoid"):
            made = exactly(d, numbers, "float32")
            made.constant = constant
            d.add(op, [made])
        d.add("Tan", [given(d, "float32", (), -1, 1)])

    passes(13, draw, "inf1", "special", "float32")


@pytest.mark.parametrize("target", TARGETS)
def test_the_logarithm_of_an_infinite_sum(target: str) -> None:
    rows = [[0.5, np.inf, 1], [-np.inf, -np.inf, -np.inf], [-np.inf, 2, 3]]

    def draw(d: Draft) -> None:
        d.add("ReduceLogSumExp", [exactly(d, rows, "float32"), d.constant([1])], keepdims=0)

    passes(18, draw, target, "special", "float32")


@pytest.mark.parametrize("target", TARGETS)
def test_large_constants_and_conversions_of_integers(target: str) -> None:
    def draw(d: Draft) -> None:
        d.add("ReduceMax", [d.constant([904341964, 4294967292], "uint32")], axes=[0], keepdims=0)
        d.add("Cast", [exactly(d, [-3, 2**31 - 1, -(2**31), 5], "int64")], to=12)
        large = exactly(d, [2**24, 2**24 + 1, 2**24 - 1, 2**31 - 1], "int32")
        d.add("Equal", [large, d.constant(2**24 + 1, "int32")])
        d.add("Less", [large, exactly(d, [2**24 + 1, 2**24, 2**24, 2**31 - 2], "int32")])

    passes(12, draw, target, "wide", "float32")


def test_what_either_engine_of_the_host_lacks() -> None:
    """onnxruntime has no top of uint32, onnx's reference evaluator no contributors' sum."""

    def draw(d: Draft) -> None:
        d.add("TopK", [given(d, "uint32", (5,)), d.constant([2])], 2, exact=True)
        quantised = [given(d, "uint8", (6,), 0, 99), d.fresh("float32", (), 0.1, 1)]
        quantised.append(d.fresh("uint8", (), 0, 9))
        third = [d.fresh("float32", (), 0.1, 1), d.fresh("uint8", (), 0, 9)]
        for value in (quantised[1], third[1]):
            value.constant = False
        d.add("QLinearAdd", [*quantised, *quantised, *third], domain="com.microsoft")
        d.add("Relu", [given(d, "float32", (5,))])

    passes(14, draw, "inf1", "wide", "float32")


def test_a_look_up_in_nothing() -> None:
    def draw(d: Draft) -> None:
        (table,) = d.add("IsInf", [d.constant(np.zeros((3, 0, 0)), "float32")])
        d.add("GatherND", [table, exactly(d, [1], "int64")], exact=True)
        d.add("Relu", [given(d, "float32", (5,))])

    passes(14, draw, "inf1", "empty", "float32")


def test_what_folds_has_the_model_s_type() -> None:
    def draw(d: Draft) -> None:
        (found,) = d.add("Det", [d.constant([[[1.5, 2], [0.5, 3]]], "float32")])
        d.add("Add", [found, given(d, "float32", (5,))])

    passes(23, draw, "inf1", "half", "bfloat16")


def test_a_split_of_nothing_among_what_is_turned() -> None:
    def draw(d: Draft) -> None:
        (line,) = d.add("Tile", [given(d, "float32", (3, 1, 0)), d.constant([2, 1, 1])], exact=True)
        d.add("Split", [line, d.constant([2, 4])], 2, exact=True, axis=0)
        (flat,) = d.add("Reshape", [line, d.constant([0, 6])], exact=True, allowzero=1)
        d.add("ReduceMin", [given(d, "float32", (5, 3))], exact=True, axes=[0])
        d.add("Selu", [flat])

    passes(16, draw, "inf2", "empty", "float32")


@pytest.mark.parametrize("target", TARGETS)
def test_groups_that_would_wait_for_each_other(target: str) -> None:
    """The halves of one number serve a comparison and, with its result's group, a reduction."""

    def draw(d: Draft) -> None:
        x = given(d, "int32", (2, 5))
        d.add("Less", [x, given(d, "int32", (2, 5))])
        (least,) = d.add("ReduceMin", [x], keepdims=0)
        (rest,) = d.add("Sub", [least, given(d, "int32", (16, 5))])
        d.add("Identity", [rest], exact=True)

    passes(10, draw, target, "wide", "float32")


def test_a_mean_of_halves_on_the_host_is_rounded_once() -> None:
    """A thousand terms, for which the look-up is the host's; BF16 sums of them stand still."""

    def draw(d: Draft) -> None:
        scores, labels = given(d, "float32", (13, 5, 8, 17)), given(d, "int64", (13, 8, 17), 0, 4)
        d.add("SoftmaxCrossEntropyLoss", [scores, labels], reduction="mean")
        d.add("Ceil", [given(d, "float32", (3, 7))])

    passes(20, draw, "inf1", "half", "bfloat16")


@pytest.mark.parametrize(
    ("op", "bound", "real"),
    [("Shrink", "lambd", "float16"), ("ThresholdedRelu", "alpha", "float16"),
     ("ThresholdedRelu", "alpha", "bfloat16")],
)  # fmt: skip
def test_a_threshold_between_two_halves_is_not_rounded(op: str, bound: str, real: str) -> None:
    """The half that it would be rounded to is above it."""

    def draw(d: Draft) -> None:
        above = 1.4013671875 if real == "float16" else 1.40625
        x = exactly(d, [above, 1.3984375, -above, 2], "float32")
        threshold: Attributes = {bound: above - 1e-4}
        d.add(op, [x], **threshold)

    passes(22, draw, "inf2", "half", real)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("to", [onnx.TensorProto.UINT8, onnx.TensorProto.INT16])
def test_what_is_left_of_large_integers_is_their_low_bits(target: str, to: int) -> None:
    def draw(d: Draft) -> None:
        d.add("Cast", [exactly(d, [[1], [-1], [300], [70000], [-40000]], "int64")], to=to)
        d.add("Cast", [exactly(d, [[1], [300], [70000]], "uint64")], to=to)

    passes(13, draw, target, "plain", "float32")


def test_a_product_with_a_constant_of_no_elements() -> None:
    """Each round of the passes would have made several products of it."""

    def draw(d: Draft) -> None:
        d.add("Mul", [given(d, "int32", (3, 0)), d.constant(np.zeros((3, 0)), "int32")])
        d.add("Relu", [given(d, "float32", (5,))])

    passes(14, draw, "inf2", "empty", "float32")


def test_scales_in_bf16_are_multiplied_in_fp32() -> None:
    def draw(d: Draft) -> None:
        a, b = given(d, "int8", (17, 3, 17), -9, 9), given(d, "int8", (17, 4), -9, 9)
        scales = [exactly(d, value, "bfloat16") for value in (0.0859375, 0.0703125, 0.1123046875)]
        zero = exactly(d, 0, "int8")
        operands = [a, scales[0], zero, b, scales[1], zero, scales[2], zero]
        d.add("QLinearMatMul", operands, exact=True)

    passes(27, draw, "inf1", "half", "bfloat16")


def test_a_transform_of_one_signal_alone() -> None:
    passes(20, lambda d: d.add("DFT", [given(d, "float32", (33, 2))]), "inf1", "plain", "float32")


@pytest.mark.parametrize("op", ["Cos", "Tanh"])
def test_a_nan_that_a_bounded_function_makes_stays_alone(op: str) -> None:
    """A selection on the array is a product with zeros."""

    def draw(d: Draft) -> None:
        x = given(d, "float32", (130,))
        x.array[3] = x.noisy[3] = np.inf if op == "Cos" else np.nan
        (y,) = d.add(op, [x])
        kept = d.rng.random(130) < 0.5
        kept[3] = True
        d.add("Compress", [y, d.constant(kept, "bool")], axis=0)

    passes(10, draw, "inf1", "special", "float32")


def test_a_product_of_no_integers_is_one() -> None:
    def draw(d: Draft) -> None:
        d.add("ReduceProd", [given(d, "int32", (0, 3, 0)), d.constant([0, 2])], exact=True)
        d.add("Relu", [given(d, "float32", (5,))])

    passes(18, draw, "inf2", "empty", "float32")
