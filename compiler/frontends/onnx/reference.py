"""Constant operators that we do not model, evaluated by onnx's reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from compiler.graph.graph import Array

_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike",
           "Multinomial", "Bernoulli", "Dropout")  # fmt: skip  # not functions of their operands


def evaluate_constant_node(
    node: onnx.NodeProto, operands: Sequence[Array | None], opsets: Mapping[str, int]
) -> list[Array] | None:
    """The results of a node on constant operands; None if the reference cannot say."""
    if node.op_type in _RANDOM or any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
        return None
    feeds = {f"in{i}": a for i, a in enumerate(operands) if a is not None}
    alone = onnx.NodeProto()
    alone.CopyFrom(node)
    del alone.input[:]
    alone.input.extend(f"in{i}" if a is not None else "" for i, a in enumerate(operands))
    del alone.output[:]
    alone.output.extend(f"out{i}" if name else "" for i, name in enumerate(node.output))
    kinds = onnx.helper.np_dtype_to_tensor_dtype
    inputs = [
        onnx.helper.make_tensor_value_info(name, kinds(a.dtype), a.shape)
        for name, a in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in alone.output if name]
    graph = onnx.helper.make_graph([alone], "node", inputs, outputs)
    entries = [onnx.helper.make_opsetid(domain, v) for domain, v in opsets.items()]
    try:
        model = onnx.helper.make_model(graph, opset_imports=entries)
        results = ReferenceEvaluator(model).run(None, feeds)
        inferred = onnx.shape_inference.infer_shapes(model).graph.output
    except Exception:  # whatever third-party code raises: it cannot say
        return None
    if not all(isinstance(r, np.ndarray | np.generic) for r in results):
        return None
    arrays = [
        _typed(r, o.type.tensor_type.elem_type) for r, o in zip(results, inferred, strict=True)
    ]
    return None if any(a.dtype.kind in "OUSc" for a in arrays) else arrays


def _typed(result: object, code: int) -> Array:
    """A result in the type that the standard gives it: some are computed in wider ones."""
    array = np.asarray(result)
    known = code not in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING)
    if not known or array.dtype.kind in "OUSc":
        return array
    return array.astype(onnx.helper.tensor_dtype_to_np_dtype(code), copy=False)
