"""What a node alone yields: by onnxruntime, or by onnx's reference where that lacks the operator.

FP16 and BF16 are computed in FP32 and rounded once, as every implementation may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

Array = NDArray[Any]
NEWEST_OF_ONNXRUNTIME = 27
HALVES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


class Unsuitable(Exception):
    """The node drawn cannot stand in this model; another is drawn."""


def evaluate(node: onnx.NodeProto, opset: int, feeds: Mapping[str, Array]) -> list[Array]:
    """The results of a node. Raises Unsuitable where neither judge runs it."""
    if not node.domain and not _is_current(node.op_type, opset):
        raise Unsuitable(f"there is no {node.op_type} in opset {opset}")
    kinds: list[Any] = [None] * len(node.output)
    if node.op_type in ("Cast", "CastLike") or any(a.dtype in HALVES for a in feeds.values()):
        kinds = _types(alone(node, opset, feeds))
        if any(k in HALVES for k in (*kinds, *(a.dtype for a in feeds.values()))):
            feeds = {n: _lifted(a) for n, a in feeds.items()}
            node = _in_fp32(node)
    results = _run(alone(node, opset, feeds), opset, feeds)
    if not all(isinstance(r, np.ndarray | np.generic) for r in results):
        raise Unsuitable
    with np.errstate(all="ignore"):
        return [
            np.asarray(r).astype(k) if k in HALVES else np.asarray(r)
            for r, k in zip(results, kinds, strict=True)
        ]


def alone(node: onnx.NodeProto, opset: int, feeds: Mapping[str, Array]) -> onnx.ModelProto:
    """The model of one node; what its bodies read are inputs too."""
    graph = helper.make_graph(
        [node],
        "node",
        [tensor_info(name, array) for name, array in feeds.items()],
        [helper.make_empty_tensor_value_info(name) for name in node.output],
    )
    return whole(graph, opset)


def _types(model: onnx.ModelProto) -> list[Any]:
    """The types of the results; the operands' are checked on the way. Raises Unsuitable."""
    try:
        found = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        codes = [v.type.tensor_type.elem_type for v in found.graph.output]
        return [helper.tensor_dtype_to_np_dtype(code) for code in codes]
    except Exception as error:  # whatever onnx refuses
        raise Unsuitable from error


def _lifted(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype in HALVES else array


def _in_fp32(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node, converting to FP32 where it converts to a narrower type."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    for attribute in made.attribute:
        halves = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
        if attribute.name == "to" and attribute.i in halves:
            attribute.i = onnx.TensorProto.FLOAT
    return made


def _run(model: onnx.ModelProto, opset: int, feeds: Mapping[str, Array]) -> list[Any]:
    if opset > NEWEST_OF_ONNXRUNTIME:
        node = model.graph.node[0]
        if not node.domain and _since(node.op_type, opset) > NEWEST_OF_ONNXRUNTIME:
            return _reference(model, feeds)
        for entry in model.opset_import:
            if not entry.domain:
                entry.version = NEWEST_OF_ONNXRUNTIME  # the same operator
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return list(session.run(None, dict(feeds)))
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return _reference(model, feeds)
    except Exception as error:  # whatever onnxruntime refuses
        raise Unsuitable(f"{model.graph.node[0].op_type}: {error}") from error


def _reference(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Any]:
    from onnx.reference import ReferenceEvaluator

    try:
        with np.errstate(all="ignore"):
            found = list(ReferenceEvaluator(model).run(None, dict(feeds)))
    except Exception as error:
        raise Unsuitable from error
    arrays = all(isinstance(r, np.ndarray | np.generic) for r in found)
    if arrays and [r.dtype for r in found] != _types(model):
        raise Unsuitable("the reference gives another type than the standard")  # sums of uint32
    return found


def tensor_info(name: str, array: Array) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, array.shape)


def whole(graph: onnx.GraphProto, opset: int) -> onnx.ModelProto:
    """The model of a graph."""
    imports = [helper.make_opsetid("", opset)]
    if any(n.domain == "com.microsoft" for n in graph.node):
        imports.append(helper.make_opsetid("com.microsoft", 1))
    return helper.make_model(graph, opset_imports=imports, ir_version=8 if opset < 20 else 10)


def _since(op: str, opset: int) -> int:
    return int(onnx.defs.get_schema(op, opset, "").since_version)


def _is_current(op: str, opset: int) -> bool:
    return onnx.defs.has(op, opset, "") and not onnx.defs.get_schema(op, opset, "").deprecated
