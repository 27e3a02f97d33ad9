"""32-bit integers near the limits of their type, on the device: exact, and wrapping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

import systola
from isa.errors import SystolaError

RANDOM = np.random.Generator(np.random.PCG64(31))
TARGETS = ("inf1", "inf2")


def model(nodes: list[Any], feeds: dict[str, Any], wanted: dict[str, Any], **known: Any) -> Any:
    """The model of these nodes; `known` are constants."""

    def info(name: str, array: Any) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, array.shape)

    graph = helper.make_graph(
        nodes,
        "wide",
        [info(n, a) for n, a in feeds.items()],
        [info(n, a) for n, a in wanted.items()],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in known.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def numbers(shape: tuple[int, ...], dtype: Any = np.int32) -> Any:
    bounds = np.iinfo(dtype)
    made = RANDOM.integers(bounds.min, bounds.max, shape, np.int64, endpoint=True)
    made >>= RANDOM.integers(0, 32, shape)
    made.reshape(-1)[:4] = bounds.min, bounds.max, 2**24 + 1, 2**30 + 1
    return made.astype(dtype)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_arithmetic_wraps(target: str, dtype: Any) -> None:
    a, b, row = numbers((20, 17), dtype), numbers((20, 17), dtype), numbers((1, 17), dtype)
    node = helper.make_node
    nodes = [
        node("Add", ["a", "b"], ["sum"]),
        node("Sub", ["row", "a"], ["less"]),
        node("Mul", ["a", "b"], ["product"]),
        node("Max", ["a", "row"], ["most"]),
        node("Less", ["a", "b"], ["before"]),
        node("Where", ["before", "large", "b"], ["chosen"]),
        node("ReduceSum", ["a", "axis"], ["total"], keepdims=0),
        node("ReduceMin", ["b", "axis"], ["least"], keepdims=0),
        node("Pow", ["a", "three"], ["cube"]),
    ]
    large = np.asarray(2**31 - 3, dtype)
    with np.errstate(over="ignore"):
        wanted = {
            "sum": a + b, "less": row - a, "product": a * b, "most": np.maximum(a, row),
            "before": a < b, "chosen": np.where(a < b, large, b),
            "total": a.astype(np.int64).sum(1).astype(dtype), "least": b.min(1), "cube": a * a * a,
        }  # fmt: skip
    feeds = {"a": a, "b": b, "row": row}
    made = model(nodes, feeds, wanted, axis=[1], three=np.asarray(3, dtype), large=large)
    compiled = systola.compile(made, target=target, auto_cast="none")
    assert not compiled.report["host_ops"]
    found = compiled.run(feeds).outputs
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("target", TARGETS)
def test_running_sums_wrap(target: str) -> None:
    x = numbers((3, 400))
    wanted = {"y": np.cumsum(x, 1, np.int64).astype(np.int32)}
    made = model([helper.make_node("CumSum", ["x", "axis"], ["y"])], {"x": x}, wanted, axis=1)
    compiled = systola.compile(made, target=target)
    assert not compiled.report["host_ops"]
    np.testing.assert_array_equal(compiled.run({"x": x}).outputs["y"], wanted["y"])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_quotients_powers_and_products_of_many(target: str, dtype: Any) -> None:
    a, b = numbers((20, 17), dtype), numbers((20, 17), dtype)
    b[b == 0] = 3
    exponents = RANDOM.integers(0, 32, (20, 17)).astype(dtype)
    node = helper.make_node
    nodes = [
        node("Div", ["a", "b"], ["quotient"]),
        node("Mod", ["a", "b"], ["rest"]),
        node("Mod", ["b", "seven"], ["left"], fmod=1),
        node("Pow", ["b", "exponents"], ["power"]),
        node("ReduceProd", ["a", "axis"], ["product"], keepdims=0),
    ]
    feeds = {"a": a, "b": b, "exponents": exponents}
    with np.errstate(over="ignore"):
        wanted = {
            "quotient": np.trunc(a.astype(np.longdouble) / b.astype(np.longdouble)).astype(dtype),
            "rest": np.mod(a, b),
            "left": np.fmod(b, dtype(7)),
            "power": np.power(b, exponents),
            "product": np.prod(a, 1, dtype=dtype),
        }
    made = model(nodes, feeds, wanted, seven=dtype(7), axis=[1])
    compiled = systola.compile(made, target=target)
    assert not compiled.report["host_ops"]
    found = compiled.run(feeds).outputs
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_matrix_product_is_the_host_s() -> None:
    x = numbers((3, 4))
    made = model([helper.make_node("MatMul", ["x", "x"], ["y"])], {"x": x[:, :3]}, {"y": x[:, :3]})
    with pytest.raises(SystolaError, match="it multiplies integers"):
        systola.compile(made, target="inf1")
