"""Types of what the host makes: onnx's own inference, one node at a time.

A type is a `TypeProto`. `static` says whether the device can take a tensor of it, and if not, why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.errors import UnsupportedError
from compiler.frontends.onnx.tensors import dtype_of
from compiler.graph.graph import Array, DType, Shape
from compiler.partition.calls import Call

LARGEST_KNOWN = 4096  # elements of a constant that a shape may depend on


@dataclass(frozen=True)
class Static:
    """A tensor that the device can take."""

    shape: Shape
    dtype: DType


def type_of(shape: Shape, dtype: np.dtype[np.generic]) -> onnx.TypeProto:
    """The ONNX type of a tensor."""
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(dtype), shape)


def static(kind: onnx.TypeProto | None) -> Static | str:
    """The tensor that a type stands for, or why the device cannot take it."""
    if kind is None or kind.WhichOneof("value") is None:
        return "has a type known only at run time"
    if kind.WhichOneof("value") != "tensor_type":
        return f"is a {str(kind.WhichOneof('value')).removesuffix('_type')}"
    tensor = kind.tensor_type
    if tensor.elem_type == onnx.TensorProto.STRING:
        return "holds text"
    try:
        dtype = dtype_of(tensor.elem_type, "")
    except UnsupportedError as error:
        return f"is of {error.found}"
    if not tensor.HasField("shape"):
        return "has a shape known only at run time"
    if not all(d.HasField("dim_value") and d.dim_value >= 0 for d in tensor.shape.dim):
        return "has a shape known only at run time"
    return Static(tuple(int(d.dim_value) for d in tensor.shape.dim), dtype)


def is_device_type(kind: onnx.TypeProto) -> bool:
    """Whether a tensor's elements are of a type that the device can take."""
    element = kind.tensor_type.elem_type
    return isinstance(static(helper.make_tensor_type_proto(element, ())), Static)


def infer(
    call: Call,
    types: Mapping[str, onnx.TypeProto],
    constants: Mapping[str, Array],
    opsets: Mapping[str, int],
) -> dict[str, onnx.TypeProto]:
    """The types of a node's results, as far as onnx can say; small constants are taken in."""
    known = {n: a for n, a in constants.items() if n in call.reads and a.size <= LARGEST_KNOWN}
    inputs = [
        onnx.ValueInfoProto(name=n, type=types[n])
        for n in call.reads
        if n not in known and n in types
    ]
    outputs = [onnx.ValueInfoProto(name=n) for n in call.writes]
    weights = [numpy_helper.from_array(np.asarray(a, order="C"), n) for n, a in known.items()]
    graph = helper.make_graph([call.proto], "node", inputs, outputs, weights)
    entries = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=entries, ir_version=10)
    if "::" in call.op:
        return _inferred_by_onnxruntime(model)
    try:
        typed = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # whatever onnx raises: it cannot say
        return {}
    wanted = set(call.writes)
    found = [*typed.value_info, *typed.output]
    return {v.name: v.type for v in found if v.name in wanted and v.type.WhichOneof("value")}


def _inferred_by_onnxruntime(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    """The results of an operator that is not ONNX's own, if onnxruntime has it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    data, providers = model.SerializeToString(), ["CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers)
    except Exception:  # onnxruntime's own kinds share no base: it has no such operator
        return {}
    found = {}
    for output in session.get_outputs():
        name = str(output.type).removeprefix("tensor(").removesuffix(")")
        element = _T.get(name)
        if element is not None:
            # it says () of a scalar, and of a shape that it does not know
            found[output.name] = helper.make_tensor_type_proto(element, output.shape or None)
    return found


_T = {
    **{k.lower(): v for k, v in onnx.TensorProto.DataType.items()},
    "float": onnx.TensorProto.FLOAT,
}
