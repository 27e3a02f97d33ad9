"""Operators, version by version, against onnx's reference evaluator."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from compiler.frontends.onnx import import_onnx
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import Graph
from compiler.graph_passes import simplify
from tests.compiler.frontends.single_node import check_node, node_model

RNG = np.random.default_rng(7)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


X = normal(2, 3, 4, 5)
POSITIVE = (np.abs(X) + 0.1).astype(np.float32)
INTS = RNG.integers(-9, 9, (3, 4)).astype(np.int32)
NONZERO = np.where(INTS == 0, 3, INTS).astype(np.int32)


@pytest.mark.parametrize(
    "op",
    ["Abs", "Neg", "Exp", "Tanh", "Sigmoid", "Relu", "Floor", "Ceil", "Softplus", "Elu", "Selu",
     "LeakyRelu", "HardSigmoid", "Softsign", "ThresholdedRelu"],
)  # fmt: skip
@pytest.mark.parametrize("opset", [13, 22])
def test_functions_of_one_operand(op: str, opset: int) -> None:
    check_node(op, [X], opset)


@pytest.mark.parametrize(
    "op", ["Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Asinh", "Erf", "Sign", "HardSwish", "Mish"]
)
def test_newer_functions(op: str) -> None:
    check_node(op, [X], 18)


@pytest.mark.parametrize(("op", "x"), [
    ("Log", POSITIVE), ("Sqrt", POSITIVE), ("Reciprocal", POSITIVE),
    ("Acosh", POSITIVE + 1), ("Atanh", np.tanh(X)), ("Asin", np.tanh(X)), ("Acos", np.tanh(X)),
    ("Round", np.asarray([0.5, 1.5, 2.5, -0.5, -1.5, 3.2], np.float32)),
    ("Not", X > 0), ("IsNaN", np.asarray([1, np.nan, np.inf], np.float32)),
])  # fmt: skip
def test_functions_on_their_domain(op: str, x: Any) -> None:
    check_node(op, [x], 14, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (5,), (4, 1), (3, 1, 1), ()])
def test_arithmetic_broadcasts(op: str, shape: tuple[int, ...]) -> None:
    check_node(op, [X, normal(*shape) + 3], 14)


def test_integers_divide_towards_zero_and_wrap() -> None:
    check_node("Div", [INTS, NONZERO], 14)
    big = np.asarray([2**31 - 1, -(2**31)], np.int32)
    check_node("Add", [big, np.asarray([1, -1], np.int32)], 14)


@pytest.mark.parametrize("fmod", [0, 1])
def test_the_two_remainders(fmod: int) -> None:
    check_node("Mod", [INTS, NONZERO], 13, fmod=fmod)


@pytest.mark.parametrize("exponent", [2.0, 3.0, 0.5, -0.5, -1.0, 1.7])
def test_powers_by_a_constant(exponent: float) -> None:
    check_node("Pow", [POSITIVE, np.asarray(exponent, np.float32)], 15, constants=[1])


def test_a_clip_has_attributes_then_operands() -> None:
    check_node("Clip", [X], 7, min=-0.5, max=0.5, expected=[np.clip(X, -0.5, 0.5)])
    low, high = np.asarray(-0.5, np.float32), np.asarray(0.5, np.float32)
    check_node("Clip", [X, low, high], 13)
    check_node("Clip", [X, None, high], 13)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_a_softmax_before_opset_13_flattens(axis: int) -> None:
    flat = X.reshape(int(np.prod(X.shape[:axis])), -1).astype(np.float64)
    raised = np.exp(flat - flat.max(1, keepdims=True))
    wanted = (raised / raised.sum(1, keepdims=True)).reshape(X.shape).astype(np.float32)
    check_node("Softmax", [X], 11, axis=axis, expected=[wanted])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_softmax_since_opset_13_has_one_axis(axis: int) -> None:
    check_node("Softmax", [X], 13, axis=axis)
    check_node("LogSoftmax", [X], 13, axis=axis)


REDUCTIONS = ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSumExp", "SumSquare", "LogSum"]


@pytest.mark.parametrize("kind", REDUCTIONS)
@pytest.mark.parametrize(("axes", "keepdims"), [([1], 1), ([0, -1], 0), ([2, 3], 1)])
def test_reductions_by_attribute_and_operand(kind: str, axes: list[int], keepdims: int) -> None:
    x = POSITIVE if kind == "LogSum" else X
    operand = np.asarray(axes, np.int64)
    check_node(f"Reduce{kind}", [x, operand], 18, constants=[1], keepdims=keepdims)
    if kind != "Sum":
        check_node(f"Reduce{kind}", [x], 11, axes=axes, keepdims=keepdims)


@pytest.mark.parametrize(
    ("shape", "allowzero"), [([0, -1], 0), ([6, 20], 0), ([-1], 0), ([2, 3, 20], 0)]
)
def test_reshapes(shape: list[int], allowzero: int) -> None:
    check_node("Reshape", [X, np.asarray(shape, np.int64)], 14, constants=[1], allowzero=allowzero)


@pytest.mark.parametrize("axis", [0, 1, 2, 4, -1, -3])
def test_flatten(axis: int) -> None:
    check_node("Flatten", [X], 13, axis=axis)


def test_squeeze_and_unsqueeze_by_attribute_and_operand() -> None:
    thin = X.reshape(2, 1, 3, 20, 1)
    check_node("Squeeze", [thin], 11, axes=[1, 4])
    check_node("Squeeze", [thin], 11)
    check_node("Squeeze", [thin, np.asarray([1, -1])], 13, constants=[1])
    check_node("Unsqueeze", [X], 11, axes=[0, 3])
    check_node("Unsqueeze", [X, np.asarray([0, -1])], 13, constants=[1])


SLICES = [
    ([0], [2], [1], [1]), ([1, 0], [100, 2], [2, 3], [1, 1]), ([-1], [-5], [3], [-1]),
    ([3], [0], [3], [-2]), ([-1], [-(2**60)], [2], [-1]), ([2], [1], [3], [1]),
]  # fmt: skip


@pytest.mark.parametrize(("starts", "ends", "axes", "steps"), SLICES)
def test_slices(starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> None:
    operands = [np.asarray(v, np.int64) for v in (starts, ends, axes, steps)]
    check_node("Slice", [X, *operands], 13, constants=[1, 2, 3, 4])
    if all(s == 1 for s in steps):
        check_node("Slice", [X], 9, starts=starts, ends=ends, axes=axes,
                   expected=[X[_index(starts, ends, axes)]])  # fmt: skip


def _index(starts: list[int], ends: list[int], axes: list[int]) -> tuple[slice, ...]:
    index = [slice(None)] * 4
    for start, end, axis in zip(starts, ends, axes, strict=True):
        index[axis] = slice(start, end)
    return tuple(index)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pads(mode: str) -> None:
    pads = np.asarray([0, 0, 1, 2, 0, 0, 3, 1], np.int64)
    opset = 19 if mode == "wrap" else 13
    check_node("Pad", [X, pads], opset, constants=[1], mode=mode)


def test_a_negative_pad_cuts() -> None:
    pads = np.asarray([0, -1, 1, -2, 0, 0, 0, 1], np.int64)
    wanted = np.pad(X[:, 1:, :, 2:], ((0, 0), (0, 0), (1, 0), (0, 1)))
    check_node("Pad", [X, pads], 13, constants=[1], expected=[wanted])


def test_splits() -> None:
    check_node("Split", [X], 11, outputs=2, axis=3, split=[2, 3])
    check_node("Split", [X, np.asarray([1, 2])], 13, constants=[1], outputs=2, axis=1)
    check_node("Split", [X], 18, outputs=2, axis=3, num_outputs=2)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    check_node("DepthToSpace", [normal(1, 8, 2, 3)], 13, blocksize=2, mode=mode)


CONVOLUTIONS = [
    {"strides": [1, 1]}, {"strides": [2, 1], "pads": [1, 0, 2, 1]},
    {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    {"auto_pad": "VALID"},
]  # fmt: skip


@pytest.mark.parametrize("attributes", CONVOLUTIONS)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolutions(attributes: dict[str, Any], groups: int) -> None:
    x, w = normal(2, 4, 9, 8), normal(8, 4 // groups, 3, 2)
    check_node(
        "Conv", [x, w, normal(8)], 11, constants=[1, 2], group=groups, atol=1e-5, **attributes
    )


@pytest.mark.parametrize("rank", [1, 3])
def test_convolutions_of_other_ranks(rank: int) -> None:
    x, w = normal(1, 2, *(5,) * rank), normal(3, 2, *(2,) * rank)
    check_node("Conv", [x, w], 11, constants=[1], atol=1e-5)


@pytest.mark.parametrize("attributes", [
    {}, {"strides": [2, 2]}, {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    {"strides": [3, 2], "output_shape": [10, 8]}, {"dilations": [2, 2]},
])  # fmt: skip
def test_transposed_convolutions(attributes: dict[str, Any]) -> None:
    x, w = normal(1, 2, 3, 3), normal(2, 3, 3, 3)
    check_node("ConvTranspose", [x, w], 11, constants=[1], atol=1e-5, **attributes)


@pytest.mark.parametrize("attributes", [
    {"kernel_shape": [2, 2]}, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"},
])  # fmt: skip
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pools(op: str, attributes: dict[str, Any]) -> None:
    check_node(op, [normal(1, 2, 8, 7)], 19, **attributes)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_large_pools_whose_strides_and_dilations_have_a_factor_read_only_what_they_need(
    op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, read = np.random.default_rng(5), 0
    for _ in range(40):
        factors, x = rng.integers(1, 4, 2), normal(1, 2, *rng.integers(12, 20, 2))
        window = rng.integers(1, 4, 2)
        model = node_model(
            op, [x], 19, kernel_shape=window.tolist(),
            strides=(factors * rng.integers(1, 3, 2)).tolist(),
            dilations=(factors * rng.integers(1, 3, 2)).tolist(),
            pads=[int(rng.integers(k)) for k in (*window, *window)],
            ceil_mode=int(rng.integers(2)),
        )  # fmt: skip
        whole, few = (_pooled(model, rows, monkeypatch) for rows in (1 << 40, 0))
        wanted = evaluate(whole, {"x0": x})["y0"]
        for graph in (few, simplify(few)):
            found = evaluate(graph, {"x0": x})["y0"]
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
        read += any(n.op == "slice" for n in few.nodes)
    assert read > 10


def _pooled(model: onnx.ModelProto, rows: int, monkeypatch: pytest.MonkeyPatch) -> Graph:
    monkeypatch.setattr("compiler.frontends.onnx.operators.pooling.MOST_ROWS", rows)
    return import_onnx(model)


@pytest.mark.parametrize("include", [0, 1])
def test_an_average_counts_its_pads_only_when_asked(include: int) -> None:
    check_node("AveragePool", [normal(1, 1, 5, 5)], 19, kernel_shape=[3, 3], pads=[1, 1, 1, 1],
               strides=[2, 2], count_include_pad=include)  # fmt: skip


@pytest.mark.parametrize(("ta", "tb"), list(itertools.product((0, 1), (0, 1))))
def test_gemm(ta: int, tb: int) -> None:
    a, b = normal(4, 3), normal(3, 5)
    check_node("Gemm", [a.T if ta else a, b.T if tb else b, normal(5)], 13, constants=[1, 2],
               alpha=0.5, beta=2.0, transA=ta, transB=tb)  # fmt: skip


@pytest.mark.parametrize(
    ("a", "b"), [((3,), (3,)), ((2, 3), (3,)), ((3,), (4, 3, 2)), ((4, 1, 2, 3), (5, 3, 2))]
)
def test_matmuls_of_any_rank(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    check_node("MatMul", [normal(*a), normal(*b)], 13)


@pytest.mark.parametrize(
    "equation",
    [
        "bij,bjk->bik",
        "bhqd,bhkd->bhqk",
        "ij->ji",
        "ij,jk",
        "...ij,...jk->...ik",
        "ij,ij->",
        "i,j->ij",
    ],
)
def test_einstein_sums(equation: str) -> None:
    sizes = dict(zip("bhqkdij", (2, 3, 4, 5, 6, 3, 4), strict=True))
    terms = equation.split("->")[0].split(",")
    operands = [normal(*[sizes[c] for c in t.replace("...", "bh")]) for t in terms]
    check_node("Einsum", operands, 13, equation=equation, atol=1e-5)


def test_normalisations() -> None:
    channel = [normal(3), normal(3), normal(3), np.abs(normal(3)) + 0.5]
    check_node("BatchNormalization", [X, *channel], 15, constants=[1, 2, 3, 4], atol=1e-5)
    check_node("InstanceNormalization", [X, normal(3), normal(3)], 13, constants=[1, 2], atol=1e-5)
    check_node("LayerNormalization", [X, normal(5), normal(5)], 17, constants=[1, 2], atol=1e-5)
    check_node("GroupNormalization", [normal(1, 4, 3, 3), normal(4), normal(4)], 21,
               constants=[1, 2], num_groups=2, atol=1e-5)  # fmt: skip
    check_node("LRN", [normal(3, 3, 4, 5)], 13, size=3)
    check_node("LpNormalization", [X], 18, axis=1)


RESIZES = [
    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"mode": "linear"}, {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    {"mode": "cubic"}, {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
]  # fmt: skip


@pytest.mark.parametrize("attributes", RESIZES)
@pytest.mark.parametrize("sizes", [[1, 2, 8, 6], [1, 2, 2, 9]])
def test_resizes(attributes: dict[str, Any], sizes: list[int]) -> None:
    operands = [normal(1, 2, 4, 3), None, None, np.asarray(sizes, np.int64)]
    check_node("Resize", operands, 13, constants=[3], atol=1e-4, **attributes)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gathers_with_negative_indices(axis: int) -> None:
    indices = np.asarray([[0, -1], [1, -2]], np.int64)
    check_node("Gather", [X, indices], 13, axis=axis)
    check_node("Gather", [X, indices], 13, axis=axis, constants=[1])


def test_gathers_and_scatters_of_elements() -> None:
    x, indices = normal(3, 4), np.asarray([[0, -1, 2, 1], [2, 0, -2, 0]], np.int64)
    check_node("GatherElements", [x, indices], 13, axis=0)
    check_node("ScatterElements", [x, indices[:1], normal(1, 4)], 18, axis=0, reduction="add")
    check_node("ScatterND", [x, np.asarray([[0], [-1]]), normal(2, 4)], 18)
    check_node("GatherND", [normal(2, 3, 4), np.asarray([[0, -1], [1, 2]])], 13)


def test_top_k_puts_the_first_of_equals_first() -> None:
    x = np.asarray([[3, 1, 3, 2], [0, 0, 0, 5]], np.float32)
    expected = [np.asarray([[3, 3], [5, 0]], np.float32), np.asarray([[0, 2], [3, 0]])]
    check_node("TopK", [x, np.asarray([2])], 11, constants=[1], outputs=2, expected=expected)


# onnx's evaluator has one forward direction; the others are put together from that of the LSTM
CELLS = [("LSTM", "forward"), ("GRU", "forward"), ("RNN", "forward"), ("LSTM", "reverse"),
         ("LSTM", "bidirectional")]  # fmt: skip


@pytest.mark.parametrize(("op", "direction"), CELLS)
def test_recurrent_networks_unroll(op: str, direction: str) -> None:
    gates, ways = {"LSTM": 4, "GRU": 3, "RNN": 1}[op], 1 + (direction == "bidirectional")
    x, w, r = normal(5, 2, 3), normal(ways, gates * 4, 3), normal(ways, gates * 4, 4)
    b = normal(ways, 2 * gates * 4)
    expected = None
    if direction == "reverse":
        forward = _reference("LSTM", [x[::-1].copy(), w, r, b], hidden_size=4)
        expected = [forward[0][::-1].copy(), *forward[1:]]
    elif direction == "bidirectional":
        one = _reference("LSTM", [x, w[:1], r[:1], b[:1]], hidden_size=4)
        two = _reference("LSTM", [x[::-1].copy(), w[1:], r[1:], b[1:]], hidden_size=4)
        expected = [np.concatenate([one[0], two[0][::-1]], 1)] + [
            np.concatenate([p, q], 0) for p, q in zip(one[1:], two[1:], strict=True)
        ]
    outputs = 3 if op == "LSTM" else 2
    if expected is None:
        expected = _reference(op, [x, w, r, b], hidden_size=4)
    check_node(op, [x, w, r, b], 14, constants=[1, 2, 3], outputs=outputs, hidden_size=4,
               direction=direction, expected=expected[:outputs], atol=1e-5)  # fmt: skip


def _reference(op: str, inputs: list[Any], **attributes: Any) -> list[Any]:
    outputs = 3 if op == "LSTM" else 2
    model = node_model(op, inputs, 14, outputs=outputs, **attributes)
    return list(ReferenceEvaluator(model).run(None, {f"x{i}": v for i, v in enumerate(inputs)}))


def test_quantisation_rounds_and_saturates() -> None:
    x = np.asarray([-300, -1.5, 0.25, 0.5, 0.75, 300], np.float32)
    scale, zero = np.asarray(0.5, np.float32), np.asarray(10, np.uint8)
    check_node("QuantizeLinear", [x, scale, zero], 13, constants=[1, 2])
    q = np.asarray([0, 10, 255], np.uint8)
    check_node("DequantizeLinear", [q, scale, zero], 19, constants=[1, 2])


@pytest.mark.parametrize("to", ["float16", "int8", "int32", "bool", "float64"])
def test_casts(to: str) -> None:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(to))
    check_node("Cast", [X * 3], 13, to=kind)


@pytest.mark.parametrize(("axis", "shape"), [(0, (2, 6)), (1, (4, 3)), (-1, (4, 3))])
def test_scales_of_blocks(axis: int, shape: tuple[int, ...]) -> None:
    x = normal(4, 6)
    scale = np.abs(normal(*shape)).astype(np.float32) + np.float32(0.1)
    zero = np.random.default_rng(2).integers(100, 150, shape).astype(np.uint8)
    check_node("QuantizeLinear", [x, scale, zero], 21, axis=axis, block_size=2)
    whole = np.random.default_rng(3).integers(0, 255, (4, 6)).astype(np.uint8)
    check_node("DequantizeLinear", [whole, scale, zero], 21, axis=axis, block_size=2)
