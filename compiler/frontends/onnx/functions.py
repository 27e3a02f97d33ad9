"""Function bodies: operators that ONNX itself defines by others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from compiler.graph.graph import Value


def function_body(
    node: onnx.NodeProto, domain: str, version: int, operands: Sequence[Value | None]
) -> onnx.FunctionProto | None:
    """The standard's body of an operator at an opset, for operands of known types; else None."""
    schema = _schema(node, domain, version)
    if schema is None:
        return None
    body = onnx.FunctionProto()
    if schema.has_context_dependent_function:
        types = [_type_proto(v).SerializeToString() for v in operands]
        versions = schema.context_dependent_function_opset_versions
        usable = [v for v in versions if v <= version] or list(versions)
        data = schema.get_context_dependent_function_with_opset_version(
            usable[-1], node.SerializeToString(), types
        )
        body.ParseFromString(data)
    elif schema.has_function:
        usable = [v for v in schema.function_opset_versions if v <= version]
        data = schema.get_function_with_opset_version(usable[-1] if usable else version)
        body.ParseFromString(data)
    return body if body.node else None


def has_body(node: onnx.NodeProto, domain: str, version: int) -> bool:
    """Whether the standard gives the operator as a function of others."""
    schema = _schema(node, domain, version)
    return schema is not None and bool(schema.has_function or schema.has_context_dependent_function)


def substituted(
    node: onnx.NodeProto, attributes: Mapping[str, onnx.AttributeProto], absent: set[str]
) -> onnx.NodeProto:
    """A function body's node with attribute references replaced and absent operands left out."""
    result = onnx.NodeProto()
    result.CopyFrom(node)
    del result.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            result.attribute.append(attribute)
        elif attribute.ref_attr_name in attributes:
            given = onnx.AttributeProto()
            given.CopyFrom(attributes[attribute.ref_attr_name])
            given.name = attribute.name
            result.attribute.append(given)
    for i, name in enumerate(result.input):
        if name in absent:
            result.input[i] = ""
    return result


def _schema(node: onnx.NodeProto, domain: str, version: int) -> Any:
    """The operator's schema, or None; Any, as onnx's type stubs leave the function queries out."""
    try:
        return onnx.defs.get_schema(node.op_type, version, domain)
    except onnx.defs.SchemaError:
        return None


def _type_proto(value: Value | None) -> onnx.TypeProto:
    if value is None:
        return onnx.TypeProto()
    element = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    return onnx.helper.make_tensor_type_proto(element, value.shape)
