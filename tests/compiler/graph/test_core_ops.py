"""The table of core ops: complete, and its inferred types are those of evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import ShapeError
from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import apply, evaluate
from compiler.graph.graph import BF16, FP32, INT32, INT64, Attr, TensorType
from compiler.graph.inference import broadcast_shapes
from compiler.graph.ops import CORE_OPS, Family
from compiler.graph.semantics import MEANINGS
from compiler.graph.verify import verify


def test_every_op_has_a_meaning_and_every_meaning_an_op() -> None:
    assert set(MEANINGS) == set(CORE_OPS)


shapes = st.lists(st.integers(1, 3), max_size=4).map(tuple)


@given(shapes, shapes)
def test_broadcasting_is_numpys(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        wanted = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ShapeError):
            broadcast_shapes([a, b])
    else:
        assert broadcast_shapes([a, b]) == wanted


ELEMENTWISE = [
    op for op in CORE_OPS.values() if op.family in (Family.UNARY, Family.BINARY, Family.COMPARE)
]


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_an_elementwise_op_has_its_inferred_type(op: Any) -> None:
    rng = np.random.default_rng(1)
    for dtype in (np.float32, BF16, np.int32, np.bool_):
        operands = [
            np.asarray(
                rng.integers(0, 2, shape) if dtype == np.bool_ else rng.uniform(1, 3, shape)
            ).astype(dtype)
            for shape in ((2, 1, 3), (4, 1))[: len(op.operands)]
        ]
        try:
            kinds = op.infer([TensorType(x.shape, x.dtype) for x in operands], {})
        except ShapeError:
            continue
        (result,) = apply(op.name, operands, {}, [kinds[0].dtype])
        assert (result.shape, result.dtype) == (kinds[0].shape, kinds[0].dtype)


def test_functions_are_rounded_once() -> None:
    x = np.linspace(-8, 8, 4001, dtype=np.float32)
    (found,) = apply("exp", [x], {}, [FP32])
    np.testing.assert_array_equal(found, np.exp(x.astype(np.float64)).astype(np.float32))
    (narrow,) = apply("tanh", [x.astype(BF16)], {}, [BF16])
    wide = np.tanh(x.astype(BF16).astype(np.float64)).astype(np.float32).astype(BF16)
    np.testing.assert_array_equal(narrow.view(np.uint16), wide.view(np.uint16))


@pytest.mark.parametrize(("value", "to", "wanted"), [
    (2.9, np.int8, 2), (-2.9, np.int8, -2), (300.0, np.int8, 127), (-300.0, np.uint8, 0),
    (np.nan, np.int32, 0), (np.inf, np.int32, 2**31 - 1), (-np.inf, np.int64, -(2**63)),
    (3e9, np.int32, 2**31 - 1), (0.1, np.bool_, True), (-0.0, np.bool_, False),
])  # fmt: skip
def test_casts_truncate_and_saturate(value: float, to: Any, wanted: int) -> None:
    (found,) = apply("cast", [np.asarray(value, np.float32)], {"to": np.dtype(to)}, [np.dtype(to)])
    assert found == wanted


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_convolution_is_its_formula(data: st.DataObject) -> None:
    draw = data.draw
    groups, depth, outputs = draw(st.sampled_from([(1, 2, 3), (2, 1, 4), (3, 1, 3)]))
    k, stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    low, high = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    extent = draw(st.integers((k - 1) * dilation + 1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.integers(-4, 5, (1, groups * depth, extent)).astype(np.float32)
    w = rng.integers(-4, 5, (outputs, depth, k)).astype(np.float32)
    b = GraphBuilder("conv")
    y = b.emit("conv", b.input("x", x.shape, FP32), b.constant(w), strides=(stride,),
               pads=((low, high),), dilations=(dilation,), groups=groups)  # fmt: skip
    b.output(y, "y")
    found = evaluate(b.finish(), {"x": x})["y"]
    padded = np.pad(x, ((0, 0), (0, 0), (low, high)))
    for o in range(outputs):
        first = o // (outputs // groups) * depth
        for s in range(found.shape[2]):
            taps = padded[
                0,
                first : first + depth,
                s * stride : s * stride + (k - 1) * dilation + 1 : dilation,
            ]
            assert found[0, o, s] == (taps * w[o]).sum()


def test_the_transposed_convolution_is_the_adjoint() -> None:
    rng = np.random.default_rng(5)
    attrs: dict[str, Attr] = {
        "strides": (2, 1), "pads": ((1, 0), (0, 1)), "dilations": (1, 2), "groups": 2,
    }  # fmt: skip
    x, w = rng.standard_normal((1, 4, 7, 6)), rng.standard_normal((6, 2, 3, 2))
    (y,) = apply("conv", [x, w], attrs, [np.dtype(np.float64)])
    v = rng.standard_normal(y.shape)
    span = (y.shape[2] - 1) * 2 + 3 - 1
    grow: dict[str, Attr] = {**attrs, "output_padding": (7 - span, 0)}
    (back,) = apply("conv_transpose", [v, w], grow, [np.dtype(np.float64)])
    assert back.shape == x.shape
    np.testing.assert_allclose((y * v).sum(), (x * back).sum())


class TestBuilder:
    def test_constants_fold_and_equal_ops_merge(self) -> None:
        b = GraphBuilder("g")
        x = b.input("x", (4,), FP32)
        two = b.emit("add", b.constant(np.float32(1)), b.constant(np.float32(1)))
        assert b.array(two) == 2
        assert b.emit("mul", x, two) is b.emit("mul", x, b.constant(np.float32(2)))

    def test_what_no_output_needs_is_dropped(self) -> None:
        b = GraphBuilder("g")
        x = b.input("x", (4,), FP32)
        b.emit("exp", x)
        b.output(b.emit("neg", x), "y")
        assert [n.op for n in b.finish().nodes] == ["neg"]

    def test_an_output_may_be_an_input_or_stand_twice(self) -> None:
        b = GraphBuilder("g")
        x = b.input("x", (4,), FP32)
        y = b.emit("neg", x)
        for value, name in ((x, "a"), (y, "b"), (y, "c"), (b.constant(np.zeros(4)), "d")):
            b.output(value, name)
        graph = b.finish()
        verify(graph)
        assert [v.name for v in graph.outputs] == ["a", "b", "c", "d"]
        assert evaluate(graph, {"x": np.ones(4)})["c"][0] == -1

    def test_large_results_do_not_fold(self) -> None:
        b = GraphBuilder("g")
        spread = b.emit("broadcast_to", b.constant(np.float32(1)), shape=(1 << 20,))
        assert b.array(spread) is None

    def test_integers_do_not_mix(self) -> None:
        b = GraphBuilder("g")
        with pytest.raises(ShapeError, match="SYS-F111"):
            b.emit("add", b.input("a", (1,), INT32), b.input("b", (1,), INT64))
