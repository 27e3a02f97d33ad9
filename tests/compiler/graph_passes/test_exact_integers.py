"""32-bit integers in halves: the same integers whatever they are, and only where it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import BOOL, INT32, UINT32, DType, Graph, Value
from compiler.graph.verify import verify
from compiler.graph_passes import simplify
from compiler.graph_passes.exact_integers import rounds
from compiler.graph_passes.integer_ranges import integer_ranges

RANDOM = np.random.Generator(np.random.PCG64(24))
SHAPE = (12, 300)
TYPES = (INT32, UINT32)
Make = Callable[[GraphBuilder, Value, Value], Value]


def numbers(dtype: DType, like: Any = None) -> Any:
    """Numbers of every magnitude, the limits among them; near those of `like`, if given."""
    bounds = np.iinfo(dtype)
    if like is not None:
        near = like.astype(np.int64) + RANDOM.integers(-2, 3, SHAPE)
        return np.clip(near, bounds.min, bounds.max).astype(dtype)
    made = RANDOM.integers(bounds.min, bounds.max, SHAPE, np.int64, endpoint=True)
    made >>= RANDOM.integers(0, 32, SHAPE)
    made.reshape(-1)[:6] = bounds.min, bounds.max, 0, 1, 2**24, 2**24 + 1
    return made.astype(dtype)


def built(dtype: DType, make: Make) -> Graph:
    b = GraphBuilder("g")
    b.output(make(b, b.input("a", SHAPE, dtype), b.input("b", SHAPE, dtype)), "y")
    return b.finish()


def check(dtype: DType, make: Make) -> None:
    graph = built(dtype, make)
    made = simplify(graph)
    verify(made)
    ranges = integer_ranges(made)
    assert not [n for n in made.nodes if rounds(n, ranges)]
    a = numbers(dtype)
    for b in (numbers(dtype), numbers(dtype, a), a):
        feeds = {"a": a, "b": b}
        np.testing.assert_array_equal(evaluate(made, feeds)["y"], evaluate(graph, feeds)["y"])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "op", ["add", "sub", "mul", "max", "min", "eq", "ne", "lt", "le", "gt", "ge"]
)
def test_operations_of_two(op: str, dtype: DType) -> None:
    check(dtype, lambda b, x, y: b.emit(op, x, y))


@pytest.mark.parametrize("op", ["neg", "abs", "relu"])
def test_operations_of_one(op: str) -> None:
    check(INT32, lambda b, x, _: b.emit(op, x))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["sum", "max", "min"])
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("keep", [True, False])
def test_reductions(kind: str, dtype: DType, axes: tuple[int, ...], keep: bool) -> None:
    check(dtype, lambda b, x, _: b.emit("reduce", x, kind=kind, axes=axes, keepdims=keep))


@pytest.mark.parametrize("axis", [0, 1])
def test_running_sums(axis: int) -> None:
    check(INT32, lambda b, x, _: b.emit("cumsum", x, axis=axis, exclusive=True, reverse=True))


@pytest.mark.parametrize("to", [INT32, UINT32, np.dtype(np.int8), np.dtype(np.uint16)])
@pytest.mark.parametrize("dtype", TYPES)
def test_conversions_keep_low_bits(dtype: DType, to: DType) -> None:
    check(dtype, lambda b, x, _: b.emit("cast", x, to=to))
    small = np.dtype(np.int16)
    check(dtype, lambda b, x, _: b.emit("cast", b.emit("cast", x, to=small), to=to))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("exponent", [0, 1, 2, 7])
def test_powers(dtype: DType, exponent: int) -> None:
    check(dtype, lambda b, x, _: b.emit("pow", x, b.constant(np.asarray(exponent, dtype))))


def none_zero(b: GraphBuilder, y: Value) -> Value:
    """y, 7 in place of 0."""
    zero = b.emit("eq", y, b.constant(np.asarray(0, y.dtype)))
    return b.emit("select", zero, b.constant(np.asarray(7, y.dtype)), y)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("op", ["div", "mod", "rem"])
def test_divisions(op: str, dtype: DType) -> None:
    check(dtype, lambda b, x, y: b.emit(op, x, none_zero(b, y)))
    check(dtype, lambda b, x, y: b.emit(op, none_zero(b, y), none_zero(b, x)))
    check(dtype, lambda b, x, _: b.emit(op, x, b.constant(np.asarray(2**24 + 7, dtype))))


def test_a_small_quotient_stays_one_operation() -> None:
    b = GraphBuilder("g")
    x = b.emit("cast", b.input("x", (4, 9), np.dtype(np.uint16)), to=INT32)
    b.output(b.emit("div", x, b.constant(np.int32(200))), "y")
    assert [n.op for n in simplify(b.finish()).nodes] == ["cast", "div"]


@pytest.mark.parametrize("dtype", TYPES)
def test_powers_known_at_run_time(dtype: DType) -> None:
    """Exponents of 64 and more: of 0, 1, -1 and even numbers."""
    b = GraphBuilder("g")
    base, exponent = b.input("a", SHAPE, dtype), b.input("b", SHAPE, dtype)
    b.output(b.emit("pow", base, exponent), "y")
    graph = b.finish()
    made = simplify(graph)
    bases, exponents = numbers(dtype), RANDOM.integers(0, 64, SHAPE).astype(dtype)
    exponents[0], bases[0] = numbers(dtype)[0], RANDOM.integers(-1, 2, SHAPE[1]).astype(dtype)
    exponents[1] = 64 + np.abs(exponents[1])
    bases[1] &= ~np.asarray(1, dtype)
    if dtype == INT32:
        exponents[2:4] = -exponents[2:4]
        bases[2] = RANDOM.integers(-2, 3, SHAPE[1])
    feeds = {"a": bases, "b": exponents}
    np.testing.assert_array_equal(evaluate(made, feeds)["y"], evaluate(graph, feeds)["y"])


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("keep", [True, False])
def test_products_along_axes(axes: tuple[int, ...], keep: bool) -> None:
    for dtype in TYPES:
        check(dtype, lambda b, x, _: b.emit("reduce", x, kind="prod", axes=axes, keepdims=keep))


def test_borders() -> None:
    check(
        INT32,
        lambda b, x, _: b.emit(
            "pad", x, pads=((1, 0), (0, 2)), mode="constant", value=float(2**31 - 3)
        ),
    )


def test_what_is_proved_small_stays() -> None:
    b = GraphBuilder("g")
    x = b.emit("cast", b.input("x", (4, 9), np.dtype(np.uint16)), to=INT32)
    y = b.emit("sub", b.emit("mul", x, b.constant(np.int32(200))), b.constant(np.int32(7)))
    free = b.input("z", (4, 9), INT32)
    easy = b.emit("gt", free, b.constant(np.int32(2**24 - 1)))
    assert easy.dtype == BOOL
    b.output(b.emit("reduce", b.emit("select", easy, x, y), kind="max", axes=(1,)), "y")
    ops = {n.op for n in simplify(b.finish()).nodes}
    assert not ops & {"and", "shr", "shl"}


def test_a_bias_on_a_proved_product_stays_one_addition() -> None:
    """A quantised layer: eight bits times eight bits, and a bias of 32."""
    b = GraphBuilder("g")
    x = b.emit("cast", b.input("x", (1, 8, 6, 6), np.dtype(np.uint8)), to=INT32)
    w = b.constant(RANDOM.integers(-127, 128, (4, 8, 3, 3)).astype(np.int32))
    product = b.emit(
        "conv", x, w, strides=(1, 1), pads=((1, 1), (1, 1)), dilations=(1, 1), groups=1
    )
    bias = b.constant(RANDOM.integers(-(10**5), 10**5, (1, 4, 1, 1)).astype(np.int32))
    b.output(b.emit("add", product, bias), "y")
    graph = b.finish()
    made = simplify(graph)
    assert sorted(n.op for n in made.nodes) == ["add", "cast", "cast", "conv"]
    feeds = {"x": RANDOM.integers(0, 256, (1, 8, 6, 6)).astype(np.uint8)}
    np.testing.assert_array_equal(evaluate(made, feeds)["y"], evaluate(graph, feeds)["y"])
