"""FP16 and BF16 on the host: computed in FP32, each operator's results rounded once."""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.host import choose, open_section
from compiler.host.halves import widened

BF16 = np.dtype(ml_dtypes.bfloat16)
FP16 = np.dtype(np.float16)


def model_of(
    nodes: list[onnx.NodeProto],
    takes: Mapping[str, int],
    gives: Mapping[str, int],
    weights: tuple[onnx.TensorProto, ...] = (),
    opset: int = 17,
) -> bytes:
    """A model of these nodes; what it takes is a vector, of any length."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info(n, k, None) for n, k in takes.items()],
        [info(n, k, None) for n, k in gives.items()], weights,
    )  # fmt: skip
    entries = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=entries, ir_version=10)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("engine", ["onnxruntime", "reference"])
def test_a_long_mean_is_rounded_once(engine: str) -> None:
    """In BF16 the sum stands still at 256."""
    node = helper.make_node("SoftmaxCrossEntropyLoss", ["x", "t"], ["y"])
    takes = {"x": TensorProto.BFLOAT16, "t": TensorProto.INT64}
    model = model_of([node], takes, {"y": TensorProto.BFLOAT16})
    assert choose(model) == ("onnxruntime", True)
    x, labels = np.zeros((4000, 8), BF16), np.zeros(4000, np.int64)
    found = open_section(model, engine, False).run({"x": x, "t": labels})["y"]
    assert found.dtype == BF16
    assert found == np.float32(np.log(8)).astype(BF16)


@pytest.mark.parametrize("engine", ["onnxruntime", "reference"])
@pytest.mark.parametrize("kind", [BF16, FP16])
def test_each_operator_s_results_are_rounded(engine: str, kind: np.dtype) -> None:
    """x + w is x in the narrow type, and x from that leaves nothing."""
    code = helper.np_dtype_to_tensor_dtype(kind)
    nodes = [
        helper.make_node("Add", ["x", "w"], ["s"]),
        helper.make_node("Sub", ["s", "x"], ["rest"]),
        helper.make_node("Cast", ["s"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Shape", ["s"], ["shape"]),
    ]
    w = numpy_helper.from_array(np.full(3, 2**-13).astype(kind), "w")
    gives = {"rest": code, "wide": TensorProto.FLOAT, "shape": TensorProto.INT64, "s": code}
    wide = widened(model_of(nodes, {"x": code}, gives, (w,)))
    assert wide is not None
    assert (set(wide.takes), set(wide.gives)) == ({"x"}, {"rest", "s"})
    x = np.array([1, 1.5, 2], kind)
    found = wide.found(open_section(wide.model, engine, False).run(wide.fed({"x": x})))
    np.testing.assert_array_equal(found["rest"], np.zeros(3, kind), strict=True)
    np.testing.assert_array_equal(found["s"], x, strict=True)
    np.testing.assert_array_equal(found["wide"], x.astype(np.float32), strict=True)
    assert found["shape"].tolist() == [3]


def test_numbers_that_are_not_finite_or_tiny_stay_what_they_are() -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    model = model_of([node], {"x": TensorProto.BFLOAT16}, {"y": TensorProto.BFLOAT16})
    x = np.array([np.inf, -np.inf, np.nan, -0.0, 1e-40, 3e38], BF16)
    found = open_section(model, *choose(model)).run({"x": x})["y"]
    wide = found.astype(np.float32)
    np.testing.assert_array_equal(wide, x.astype(np.float32))
    assert found.dtype == BF16
    assert np.signbit(wide[3])


def test_what_is_not_narrow_or_not_known_is_left_alone() -> None:
    plain, narrow = TensorProto.FLOAT, TensorProto.BFLOAT16
    relu = helper.make_node("Relu", ["x"], ["y"])
    assert widened(model_of([relu], {"x": plain}, {"y": plain})) is None
    bits = helper.make_node("BitCast", ["x"], ["y"], to=TensorProto.UINT16)
    assert widened(model_of([bits], {"x": narrow}, {"y": TensorProto.UINT16}, opset=26)) is None
    mystery = [
        helper.make_node("Mystery", ["x"], ["m"], domain="nowhere"),
        helper.make_node("Relu", ["x"], ["y"]),
    ]
    assert widened(model_of(mystery, {"x": narrow}, {"y": narrow})) is None
    pair = helper.make_node("SequenceConstruct", ["x", "x"], ["s"])
    first = helper.make_node("SequenceAt", ["s", "i"], ["y"])
    takes = {"x": narrow, "i": TensorProto.INT64}
    assert widened(model_of([pair, first], takes, {"y": narrow})) is None


def test_a_body_without_halves_is_no_hindrance() -> None:
    """A Loop in FP32 beside a conversion, as Range expands to in BF16."""
    info, plain = helper.make_tensor_value_info, TensorProto.FLOAT
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still"]),
         helper.make_node("Add", ["before", "step"], ["after"]),
         helper.make_node("Identity", ["before"], ["each"])],
        "body",
        [info("i", TensorProto.INT64, []), info("on", TensorProto.BOOL, []),
         info("before", plain, [])],
        [info("still", TensorProto.BOOL, []), info("after", plain, []), info("each", plain, [])],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["n", "go", "start"], ["last", "all"], body=body)
    cast = helper.make_node("Cast", ["all"], ["y"], to=TensorProto.BFLOAT16)
    takes = {"n": TensorProto.INT64, "go": TensorProto.BOOL, "start": plain, "step": plain}
    model = model_of([loop, cast], takes, {"y": TensorProto.BFLOAT16})
    feeds = {"n": np.int64(2), "go": np.bool_(True), "start": np.float32(1), "step": np.float32(2)}
    assert choose(model) == ("onnxruntime", True)
    found = open_section(model, "onnxruntime", False).run(feeds)["y"]
    np.testing.assert_array_equal(found, np.array([1, 3], BF16), strict=True)
