"""Every rewrite fires on its pattern, keeps the meaning, and leaves near misses alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import BF16, BOOL, FP16, FP32, INT32, INT64, Graph, Value
from compiler.graph.verify import verify
from compiler.graph_passes import SIMPLIFICATIONS, simplify

Make = Callable[["Maker"], Value]


class Maker:
    """Short names for building little graphs of x: float32[2, 3, 4]."""

    def __init__(self) -> None:
        self.b = GraphBuilder("g")
        self.x = self.b.input("x", (2, 3, 4), FP32)

    def __call__(self, op: str, *operands: Any, **attrs: Any) -> Value:
        values = [v if isinstance(v, Value) else self.c(v) for v in operands]
        return self.b.emit(op, *values, **attrs)

    def c(self, number: Any) -> Value:
        return self.b.constant(np.asarray(number, np.float32))

    def weights(self, *shape: int) -> Value:
        return self.c(np.random.default_rng(len(shape)).standard_normal(shape))


def built(make: Make) -> Graph:
    maker = Maker()
    maker.b.output(make(maker), "y")
    return maker.b.finish()


def ops_after(make: Make, positive: bool = False) -> list[str]:
    """The ops left by simplify, after checking that the meaning is kept."""
    graph = built(make)
    simple = simplify(graph)
    verify(simple)
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    x = np.abs(x) + np.float32(0.1) if positive else x
    before, after = evaluate(graph, {"x": x})["y"], evaluate(simple, {"x": x})["y"]
    assert before.dtype == after.dtype
    np.testing.assert_allclose(
        after.astype(np.float64), before.astype(np.float64), rtol=2e-6, atol=1e-6
    )
    return [node.op for node in simple.nodes]


IDENTITIES: list[tuple[Make, list[str]]] = [
    (lambda m: m("add", m("neg", m.x), 0.0), ["neg"]),
    (lambda m: m("mul", 1.0, m("neg", m.x)), ["neg"]),
    (lambda m: m("div", m("neg", m.x), 1.0), ["neg"]),
    (lambda m: m("neg", m("neg", m("exp", m.x))), ["exp"]),
    (lambda m: m("max", m.x, 0.0), ["relu"]),
    (lambda m: m("max", 0.0, m("relu", m.x)), ["relu"]),
    (lambda m: m("mul", m.x, -1.0), ["neg"]),
    (lambda m: m("sub", 0.0, m.x), ["neg"]),
    (lambda m: m("sub", m.x, 2.5), ["add"]),
    (lambda m: m("div", m.x, 3.0), ["mul"]),
    (lambda m: m("pow", m.x, 2.0), ["mul"]),
    (lambda m: m("pow", m.x, 3.0), ["mul", "mul"]),
    (lambda m: m("cast", m("cast", m.x, to=np.dtype(np.float64)), to=FP32), ["copy"]),
    (lambda m: m("cast", m("cast", m.x, to=FP16), to=FP32), ["cast", "cast"]),
    (lambda m: m("add", m("add", m.x, 1.0), 2.0), ["add"]),
    (lambda m: m("mul", m("mul", m.x, 3.0), 2.0), ["mul"]),
    (lambda m: m("reduce", m.x, kind="sum", axes=(), keepdims=True), ["copy"]),
    (lambda m: m("select", m.b.constant(np.asarray(True)), m("exp", m.x), 0.0), ["exp"]),
    (lambda m: m("matmul", m.x, m("broadcast_to", 0.5, shape=(4, 70_000))),
     ["reduce", "mul", "reshape", "broadcast_to"]),
    (lambda m: m("matmul", m.x, m("broadcast_to", 0.5, shape=(5, 1, 70_000, 3)),
                 transpose_a=True, transpose_b=True),
     ["reduce", "mul", "reshape", "broadcast_to"]),
    (lambda m: m("select", m("not", m("lt", m.x, 0.0)), m.x, 1.0), ["lt", "select"]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "left"), IDENTITIES)
def test_identities(make: Make, left: list[str]) -> None:
    assert ops_after(make) == left


ROOTS: list[tuple[Make, list[str]]] = [
    (lambda m: m("div", 1.0, m("sqrt", m.x)), ["rsqrt"]),
    (lambda m: m("div", m.x, m("sqrt", m.x)), ["rsqrt", "mul"]),
    (lambda m: m("reciprocal", m("sqrt", m.x)), ["rsqrt"]),
    (lambda m: m("pow", m.x, 0.5), ["sqrt"]),
    (lambda m: m("pow", m.x, -0.5), ["rsqrt"]),
    (lambda m: m("log", m("add", 1.0, m("exp", m.x))), ["softplus"]),
    (lambda m: m("div", m.x, m("reduce", m.x, kind="sum", axes=(2,))),
     ["reduce", "reciprocal", "mul"]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "left"), ROOTS)
def test_roots_and_quotients(make: Make, left: list[str]) -> None:
    assert ops_after(make, positive=True) == left


def _gelu(m: Maker, order: int) -> Value:
    one_plus = m("add", m("erf", m("div", m.x, math.sqrt(2))), 1.0)
    if order == 0:
        return m("mul", m("mul", m.x, one_plus), 0.5)
    if order == 1:
        return m("mul", m("mul", 0.5, m.x), one_plus)
    if order == 2:
        return m("mul", m.x, m("mul", 0.5, one_plus))
    half = m("add", 0.5, m("mul", m("erf", m("mul", m.x, 0.70710678)), 0.5))
    return m("mul", half, m.x)


def _gelu_tanh(m: Maker, order: int) -> Value:
    cube = m("pow", m.x, 3.0) if order == 0 else m("mul", m.x, m("mul", m.x, m.x))
    if order == 2:
        square = m("mul", m("mul", m.x, m.x), 0.044715)
        inner = m("mul", m("mul", m.x, 0.7978845608), m("add", square, 1.0))
    else:
        inner = m("mul", m("add", m.x, m("mul", cube, 0.044715)), 0.7978845608)
    return m("mul", m("mul", m.x, 0.5), m("add", m("tanh", inner), 1.0))


ACTIVATIONS: list[tuple[Make, list[str]]] = [
    *[(lambda m, i=i: _gelu(m, i), ["gelu"]) for i in range(4)],
    *[(lambda m, i=i: _gelu_tanh(m, i), ["gelu_tanh"]) for i in range(3)],
    (lambda m: m("mul", m.x, m("sigmoid", m.x)), ["silu"]),
    (lambda m: m("div", m.x, m("add", 1.0, m("exp", m("neg", m.x)))), ["neg", "exp", "add", "div"]),
    (lambda m: m("mul", m.x, m("sigmoid", m("mul", m.x, 1.702))), ["mul", "silu", "mul"]),
    (lambda m: m("mul", m.x, m("tanh", m("softplus", m.x))), ["mish"]),
    (lambda m: m("reciprocal", m("add", m("exp", m("neg", m.x)), 1.0)), ["sigmoid"]),
    # near misses: another slope, another addend, somebody else's sigmoid
    (lambda m: m("mul", m.x, m("add", m("erf", m("mul", m.x, 0.9)), 1.0)),
     ["mul", "erf", "add", "mul"]),
    (lambda m: m("mul", m.x, m("add", m("erf", m.x), 2.0)), ["erf", "add", "mul"]),
    (lambda m: m("mul", m.x, m("sigmoid", m("exp", m.x))), ["exp", "sigmoid", "mul"]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "left"), ACTIVATIONS)
def test_activations(make: Make, left: list[str]) -> None:
    assert ops_after(make) == left


def test_an_activation_inside_a_longer_product_keeps_the_rest() -> None:
    def gated(m: Maker) -> Value:
        return m("mul", m("mul", m("sigmoid", m.x), m("exp", m.x)), m("mul", m.x, 3.0))

    assert sorted(ops_after(gated)) == ["exp", "mul", "mul", "silu"]


MOVES: list[tuple[Make, list[str]]] = [
    (lambda m: m("transpose", m("transpose", m.x, perm=(1, 0, 2)), perm=(1, 0, 2)), ["copy"]),
    (lambda m: m("transpose", m("transpose", m.x, perm=(1, 2, 0)), perm=(0, 2, 1)), ["transpose"]),
    (lambda m: m("reshape", m("reshape", m.x, shape=(24,)), shape=(6, 4)), ["reshape"]),
    (lambda m: m("transpose", m("reshape", m.x, shape=(6, 1, 4)), perm=(1, 0, 2)), ["reshape"]),
    (lambda m: m("add", m.x, m("broadcast_to", m.weights(4), shape=(2, 3, 4))), ["add"]),
    (lambda m: m("slice", m("slice", m.x, starts=(0, 1, 3), sizes=(2, 2, 2), steps=(1, 1, -2)),
                 starts=(1, 0, 1), sizes=(1, 2, 1), steps=(1, 1, 1)), ["slice"]),
    (lambda m: m("slice", m("concat", m("exp", m.x), m("neg", m.x), axis=1), starts=(0, 3, 0),
                 sizes=(2, 3, 4), steps=(1, 1, 1)), ["neg"]),
    (lambda m: m("concat", m("concat", m.x, m("neg", m.x), axis=0), m.x, axis=0),
     ["neg", "concat"]),
    (lambda m: m("gather", m.x, m.b.constant(np.asarray([0, 2])), axis=1), ["slice"]),
    (lambda m: m("gather", m.x, m.b.constant(np.asarray(-1)), axis=2), ["slice", "reshape"]),
    (lambda m: m("gather", m.x, m.b.constant(np.asarray([2, 1, 0])), axis=1), ["slice"]),
    (lambda m: m("gather", m.x, m.b.constant(np.asarray([0, 2, 1])), axis=1), ["gather"]),
    (lambda m: m("matmul", m("transpose", m.x, perm=(0, 2, 1)), m.weights(3, 5)), ["matmul"]),
    (lambda m: m("matmul", m.x, m.x, transpose_b=True), ["matmul"]),
    (lambda m: m("conv", m("pad", m.x, pads=((0, 0), (0, 0), (1, 2))), m.weights(5, 3, 2),
                 strides=(1,), pads=((1, 0),), dilations=(1,)), ["conv"]),
    (lambda m: m("neg", m("reduce_window", m.x, kind="sum", window=(9,), strides=(4,),
                 pads=((1, 4),), dilations=(1,))), ["reduce_window", "neg"]),
    (lambda m: m("exp", m("broadcast_to", m.x, shape=(5, 2, 3, 4))), ["exp", "broadcast_to"]),
    (lambda m: m("add", m.weights(5, 2, 3, 4), m("select", m("lt", m("broadcast_to", m.x,
        shape=(5, 2, 3, 4)), 0.5), 0.0, -1.0)), ["lt", "select", "add"]),
    (lambda m: m("gather", m.x, m.b.constant(np.array([[0, 1], [2, 3]])), axis=2), ["reshape"]),
    (lambda m: m("gather", m.x, m.b.constant(np.array([[1, 1]])), axis=0),
        ["slice", "reshape", "broadcast_to"]),
]  # fmt: skip


def test_a_window_around_everything_is_as_wide_as_it() -> None:
    def pooled(m: Maker) -> Value:
        return m("reduce_window", m.x, kind="max", window=(9,), strides=(4,), pads=((1, 4),),
                 dilations=(1,))  # fmt: skip

    (node,) = simplify(built(pooled)).nodes
    assert (node.attrs["window"], node.attrs["pads"]) == ((4,), ((0, 0),))


@pytest.mark.parametrize(("make", "left"), MOVES)
def test_moves(make: Make, left: list[str]) -> None:
    assert ops_after(make) == left


CONV = {"strides": (1,), "pads": ((1, 1),), "dilations": (1,)}
AFFINE: list[tuple[Make, list[str]]] = [
    (lambda m: m("add", m("mul",
     m("add", m("conv", m.x, m.weights(5, 3, 3), **CONV), m.weights(5, 1)),
                          m.weights(1, 5, 1)), m.weights(5, 1)), ["conv", "add"]),
    (lambda m: m("mul", m("matmul", m.x, m.weights(4, 6)), m.weights(6)), ["matmul"]),
    (lambda m: m("mul", m("matmul", m.weights(7, 3), m.x), m.weights(7, 1)), ["matmul"]),
    (lambda m: m("conv", m("mul", m.x, m.weights(3, 1)), m.weights(6, 3, 2), **CONV), ["conv"]),
    (lambda m: m("conv", m("mul", m.x, m.weights(3, 1)), m.weights(6, 1, 2), groups=3, **CONV),
     ["conv"]),
    (lambda m: m("matmul", m("mul", m.x, m.weights(4)), m.weights(4, 2)), ["matmul"]),
    (lambda m: m("mul", m("conv_transpose", m.x, m.weights(3, 2, 2), output_padding=(0,), **CONV),
                 m.weights(2, 1)), ["conv_transpose"]),
    # near misses: a scale for each position, a scale of a row where columns are constant
    (lambda m: m("mul", m("conv", m.x, m.weights(5, 3, 3), **CONV), m.weights(4)), ["conv", "mul"]),
    (lambda m: m("mul", m("matmul", m.x, m.weights(4, 6)), m.weights(3, 1)), ["matmul", "mul"]),
    (lambda m: m("conv", m("add", m.x, 2.0), m.weights(6, 3, 2), **CONV), ["add", "conv"]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "left"), AFFINE)
def test_affine_folding(make: Make, left: list[str]) -> None:
    assert ops_after(make) == left


def test_a_product_read_twice_keeps_its_weights() -> None:
    def twice(m: Maker) -> Value:
        y = m("matmul", m.x, m.weights(4, 4))
        return m("add", m("mul", y, 3.0), y)

    assert ops_after(twice) == ["matmul", "mul", "add"]


def test_a_quotient_that_is_rounded_stays_a_quotient() -> None:
    assert ops_after(lambda m: m("round", m("div", m.x, 0.3))) == ["div", "round"]


def test_a_pass_can_be_left_out() -> None:
    graph = built(lambda m: m("mul", m.x, m("sigmoid", m.x)))
    left = simplify(graph, without=["recognize-functions"])
    assert [n.op for n in left.nodes] == ["sigmoid", "mul"]
    names = [p.name for p in SIMPLIFICATIONS]
    assert len(set(names)) == len(names)


def test_sources_of_a_fused_op_name_all_that_it_replaced() -> None:
    from compiler.graph.graph import Source

    m = Maker()
    with m.b.origin([Source("gate", "Sigmoid")], "gate"):
        gate = m("sigmoid", m.x)
    with m.b.origin([Source("swish", "Mul")], "swish"):
        m.b.output(m("mul", m.x, gate), "y")
    (node,) = simplify(m.b.finish()).nodes
    assert {s.name for s in node.sources} == {"gate", "swish"}


class TestNarrowing:
    """INT64 becomes INT32 where the range is proved, and only there."""

    def graph(self, use: Callable[[GraphBuilder, Value], Value]) -> Graph:
        b = GraphBuilder("g")
        i = b.input("i", (4,), INT64)
        b.output(use(b, i), "y")
        return simplify(b.finish())

    def test_an_input_used_as_an_index_is_narrowed_at_the_boundary(self) -> None:
        table = np.random.default_rng(0).standard_normal((9, 2)).astype(np.float32)
        graph = self.graph(lambda b, i: b.emit("gather", b.constant(table), i, axis=0))
        assert [n.op for n in graph.nodes] == ["cast", "gather"]
        assert graph.nodes[1].inputs[1].dtype == INT32
        assert "[-9, 8]" in graph.notes[0]
        found = evaluate(graph, {"i": np.asarray([0, 8, -1, -9])})["y"]
        np.testing.assert_array_equal(found, table[[0, 8, 8, 0]])

    def test_an_input_of_any_range_stays(self) -> None:
        big = np.asarray(2**40, np.int64)
        graph = self.graph(lambda b, i: b.emit("eq", i, b.constant(big)))
        assert graph.nodes[0].inputs[0].dtype == INT64
        assert not graph.notes
        assert evaluate(graph, {"i": np.asarray([2**40, 0, 1, 2])})["y"].tolist() == [1, 0, 0, 0]

    def test_sums_that_could_overflow_stay(self) -> None:
        table = np.arange(4, dtype=np.int64) + 2**30

        def use(b: GraphBuilder, i: Value) -> Value:
            picked = b.emit("gather", b.constant(table), i, axis=0)
            return b.emit("cast", b.emit("add", b.emit("add", picked, picked), picked), to=FP32)

        graph = self.graph(use)
        assert INT64 in {v.dtype for n in graph.nodes if n.op == "add" for v in n.outputs}
        found = evaluate(graph, {"i": np.asarray([0, 1, 2, 3])})["y"]
        np.testing.assert_array_equal(found, (3 * table).astype(np.float32))

    def test_an_arg_max_is_small(self) -> None:
        b = GraphBuilder("g")
        x = b.input("x", (3, 7), FP32)
        b.output(b.emit("argmax", x, axis=1, keepdims=False), "y")
        graph = simplify(b.finish())
        assert [(n.op, n.output.dtype) for n in graph.nodes] == [("argmax", INT32), ("cast", INT64)]
        assert BOOL not in {v.dtype for v in graph.values()}
        assert BF16 not in {v.dtype for v in graph.values()}


def test_weights_that_one_number_stands_for_are_stored() -> None:
    """However large: spreading them on the device would take an instruction a column."""
    attrs: dict[str, Any] = {"strides": (1,), "dilations": (1,), "pads": ((0, 0),), "groups": 1}

    def make(m: Maker) -> Value:
        return m("conv", m.x, m("broadcast_to", 0.5, shape=(100_000, 3, 1)), **attrs)

    assert "broadcast_to" in [node.op for node in built(make).nodes]
    assert ops_after(make) == ["conv"]
