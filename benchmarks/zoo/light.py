"""The light_* models of the onnx package, with weights.

The package ships full-size architectures whose weights are ConstantOfShape of one value. Here each
becomes a seeded random initializer by its role: He-scaled for a product, small for a bias, and the
statistics of a batch normalisation are measured on random images (`calibration.py`), so that
activations keep their scale through the depth and numbers can be compared.
"""

from __future__ import annotations

import os
import zlib

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from benchmarks.zoo.calibration import calibrate

OPSET_IR = 4
"""From here on an initializer need not be an input of the graph."""


def light_model(file: str, batch: int) -> ModelProto:
    """The model `light_{file}.onnx` at a batch, with weights."""
    import onnx.backend.test as suite

    folder = os.path.join(os.path.dirname(suite.__file__), "data", "light")
    model = onnx.load(os.path.join(folder, f"light_{file}.onnx"))
    model.ir_version = max(model.ir_version, OPSET_IR)
    _fill(model.graph)
    calibrate(model)
    set_batch(model.graph, batch)
    onnx.checker.check_model(model)
    return model


def set_batch(graph: GraphProto, batch: int) -> None:
    """Give inputs and outputs another batch, and every shape constant that begins with the old one.

    A constant is an activation's shape when it is the second input of a Reshape whose data is
    computed from the graph's inputs.
    """
    constants = {t.name: t for t in graph.initializer}
    computed = {v.name for v in graph.input if v.name not in constants}
    for node in graph.node:
        if not computed.intersection(node.input):
            continue
        computed.update(node.output)
        if node.op_type == "Reshape" and node.input[0] in computed:
            tensor = constants[node.input[1]]
            shape = numpy_helper.to_array(tensor).copy()
            shape[0] = batch
            tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
    for value in (*graph.input, *graph.output):
        if value.name not in constants:
            value.type.tensor_type.shape.dim[0].dim_value = batch
    del graph.value_info[:]


def _fill(graph: GraphProto) -> None:
    """Weights by role instead of ConstantOfShape and of what small initializers there are."""
    constants = {t.name: t for t in graph.initializer}
    shapes: dict[str, list[int]] = {
        t.name: list(t.dims) for t in graph.initializer if t.data_type == TensorProto.FLOAT
    }
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shapes[node.output[0]] = numpy_helper.to_array(constants[node.input[0]]).tolist()
    kept = [n for n in graph.node if n.op_type != "ConstantOfShape"]
    used = {name for node in kept for name in node.input}
    roles = _roles(kept, shapes)
    weights = [
        numpy_helper.from_array(_weight(roles[name], name, shape), name)
        for name, shape in shapes.items()
        if name in used
    ]
    others = [t for n, t in constants.items() if n in used and n not in shapes]
    inputs = [v for v in graph.input if v.name in used and v.name not in constants]
    for field, values in (("node", kept), ("initializer", others + weights), ("input", inputs)):
        repeated = getattr(graph, field)
        del repeated[:]
        repeated.extend(values)


def _roles(nodes: list[NodeProto], shapes: dict[str, list[int]]) -> dict[str, str]:
    """What each weight is for: product, bias, scale, mean, variance."""
    by_input = {
        "Conv": ("", "product", "bias"),
        "Gemm": ("", "product", "bias"),
        "BatchNormalization": ("", "scale", "bias", "mean", "variance"),
        "Mul": ("scale", "scale"),
        "Add": ("bias", "bias"),
    }
    origin = {n: n for n in shapes}
    roles: dict[str, str] = {}
    for node in nodes:
        if node.op_type in ("Unsqueeze", "Reshape") and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
        for name, role in zip(node.input, by_input.get(node.op_type, ()), strict=False):
            if name in origin:
                roles[origin[name]] = role
    return roles


def _weight(role: str, name: str, shape: list[int]) -> NDArray[np.float32]:
    """A weight; the same name gives the same numbers."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if role == "product":
        fan_in = int(np.prod(shape[1:]))
        return rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))
    if role == "bias":
        return rng.standard_normal(shape, np.float32) * np.float32(0.1)
    if role == "scale":
        return rng.random(shape, np.float32) * np.float32(0.5) + np.float32(0.5)
    return np.full(shape, 0 if role == "mean" else 1, np.float32)
