"""One large product: both operands are inputs."""

from __future__ import annotations

from onnx import ModelProto, TensorProto, helper


def matmul_model(size: int, dtype: int = TensorProto.FLOAT) -> ModelProto:
    """C[size, size] := A[size, size] B[size, size]."""
    a, b, c = (helper.make_tensor_value_info(n, dtype, [size, size]) for n in "ABC")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["A", "B"], ["C"])], f"matmul{size}", [a, b], [c]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
