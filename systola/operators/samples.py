"""Samples: onnx's own test cases of one node each, as they are and with their main type changed."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

TYPES = {
    "float32": "f32", "float16": "f16", "bfloat16": "bf16", "float64": "f64",
    "float8e4m3fn": "f8", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "bool": "bool",
    "string": "text",
}  # fmt: skip
"""ONNX's element types that the table has, and the heads of its columns."""


@dataclass(frozen=True)
class Sample:
    """A model of one node, with values for its inputs."""

    model: onnx.ModelProto
    inputs: Mapping[str, Any]

    @property
    def node(self) -> Any:
        """The node."""
        return self.model.graph.node[0]

    @property
    def schema(self) -> Any:
        """The operator's definition in the model's operator set; None for what has none."""
        versions = {o.domain: o.version for o in self.model.opset_import}
        domain = self.node.domain
        try:
            return onnx.defs.get_schema(self.node.op_type, versions.get(domain, 1), domain)
        except onnx.defs.SchemaError:
            return None


def samples() -> dict[tuple[str, str], list[Sample]]:
    """onnx's test cases of one node each, by domain and operator; takes some ten seconds."""
    from onnx.backend.test.case.node import collect_testcases

    found: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    for case in sorted(cases, key=lambda c: str(c.name)):
        if case.model is None or not case.data_sets or len(case.model.graph.node) != 1:
            continue
        graph = case.model.graph
        values = {
            info.name: _value(v) for info, v in zip(graph.input, case.data_sets[0][0], strict=False)
        }
        node = graph.node[0]
        domain = "" if node.domain == "ai.onnx" else node.domain
        found[domain, node.op_type].append(Sample(case.model, values))
    return dict(found)


def _value(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if isinstance(value, list) or value is None else np.asarray(value)


def main_type(sample: Sample) -> str:
    """The element type of the main operand; "" for what is no tensor."""
    infos = {i.name: i for i in (*sample.model.graph.input, *sample.model.graph.output)}
    schema = sample.schema
    names = [n for n in (*sample.node.input, *sample.node.output) if n]
    if schema is not None and schema.inputs:
        of_main = _of_variable(sample.node.input, schema.inputs, main_variable(schema))
        names = [*of_main, *names]
    for name in names:
        if name in infos and infos[name].type.WhichOneof("value") == "tensor_type":
            return _type_name(infos[name].type.tensor_type.elem_type)
    return ""


def main_variable(schema: Any) -> str:
    """The type variable of the operand that may be of most types, the first of equals."""
    sizes = {t.type_param_str: len(t.allowed_type_strs) for t in schema.type_constraints}
    return str(max((i.type_str for i in schema.inputs), key=lambda v: sizes.get(v, 0)))


def types_of(schema: Any) -> list[str]:
    """The types of the table that an operator's main operand may have."""
    if not schema.inputs:
        return []
    variable = main_variable(schema)
    allowed: set[str] = set()
    for constraint in schema.type_constraints:
        if constraint.type_param_str == variable:
            allowed.update(constraint.allowed_type_strs)
    return [kind for kind in TYPES if f"tensor({_onnx_name(kind)})" in allowed]


def _type_name(kind: int) -> str:
    """numpy's way to say an element type, where there is one."""
    name = str(onnx.TensorProto.DataType.Name(kind)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def _element(name: str) -> int:
    special = {"float32": "FLOAT", "float64": "DOUBLE"}
    return int(onnx.TensorProto.DataType.Value(special.get(name, name.upper())))


def retyped(sample: Sample, kind: str) -> Sample | None:
    """The sample with its main type changed wherever the operator's definition has the same."""
    schema = sample.schema
    if schema is None or not sample.model.graph.input or kind not in types_of(schema):
        return None
    variable = main_variable(schema)
    model = onnx.ModelProto()
    model.CopyFrom(sample.model)
    names = set(_of_variable(sample.node.input, schema.inputs, variable))
    names |= set(_of_variable(sample.node.output, schema.outputs, variable))
    inputs = dict(sample.inputs)
    for info in (*model.graph.input, *model.graph.output):
        if info.name in names and info.type.WhichOneof("value") == "tensor_type":
            info.type.tensor_type.elem_type = _element(kind)
            value = inputs.get(info.name)
            if isinstance(value, np.ndarray):
                inputs[info.name] = _cast(value, kind)
    return Sample(model, inputs)


def _cast(value: Any, kind: str) -> Any:
    if kind == "string":
        return np.array([str(v) for v in value.ravel()], object).reshape(value.shape)
    if value.dtype.kind in "OUS":  # text says nothing of numbers
        value = np.ones(value.shape)
    with np.errstate(all="ignore"):
        return value.astype(helper.tensor_dtype_to_np_dtype(_element(kind)))


def _onnx_name(kind: str) -> str:
    return {"float32": "float", "float64": "double"}.get(kind, kind)


def _of_variable(names: Iterable[str], formal: Sequence[Any], variable: str) -> Iterator[str]:
    for i, name in enumerate(names):
        parameter = formal[min(i, len(formal) - 1)]  # the last one may stand for several
        if name and parameter.type_str == variable:
            yield name
