"""onnxruntime's own quantised operators, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.frontends.onnx import import_onnx
from compiler.graph.evaluate import evaluate

RANDOM = np.random.Generator(np.random.PCG64(2))


def check(op: str, operands: list[Any], opset: int = 12, domain: str = "com.microsoft") -> None:
    """A node whose uint8 or int8 tensors are inputs and whose parameters are constants."""
    arrays = {f"x{i}": np.asarray(a) for i, a in enumerate(operands)}
    fed = {n: a for n, a in arrays.items() if a.ndim > 1}
    kind = helper.np_dtype_to_tensor_dtype(arrays["x0"].dtype)
    node = helper.make_node(op, list(arrays), ["y"], domain=domain)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info(n, kind, a.shape) for n, a in fed.items()],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(a, n) for n, a in arrays.items() if n not in fed],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=7)
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, fed)[0]
    found = evaluate(import_onnx(model), fed)["y"]
    assert kind in (TensorProto.UINT8, TensorProto.INT8)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("seed", range(4))
def test_a_sum_rounds_as_onnxruntime_does(seed: int) -> None:
    random = np.random.Generator(np.random.PCG64(seed))
    scales = random.uniform(0.01, 0.05, 3).astype(np.float32)
    zeros = random.integers(100, 150, 3).astype(np.uint8)
    a, b = (random.integers(0, 256, (64, 64)).astype(np.uint8) for _ in range(2))
    check("QLinearAdd", [a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]])


def test_a_mean_over_positions() -> None:
    x = RANDOM.integers(0, 256, (2, 5, 7, 7)).astype(np.uint8)
    check(
        "QLinearGlobalAveragePool",
        [x, np.float32(0.02), np.uint8(3), np.float32(0.01), np.uint8(9)],
    )


def test_a_product_is_rescaled_once() -> None:
    a = RANDOM.integers(0, 256, (9, 40)).astype(np.uint8)
    b = RANDOM.integers(0, 256, (40, 6)).astype(np.uint8)
    scales = [np.float32(s) for s in (0.0213, 0.0171, 0.353)]
    zeros = [np.uint8(z) for z in (120, 131, 117)]
    operands = [a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]]
    check("QLinearMatMul", operands, domain="")
