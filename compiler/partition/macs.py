"""Multiply-accumulates of calls that never became core ops, from their operands' shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx
from onnx import helper

from compiler.graph.graph import Shape
from compiler.partition.calls import Call

_PLAIN = ("MatMul", "MatMulInteger", "QLinearMatMul", "Gemm", "FusedMatMul")
_CONVOLUTIONS = ("Conv", "ConvInteger", "QLinearConv")
_RECURRENT = {"LSTM": 4, "GRU": 3, "RNN": 1}


def call_macs(call: Call, shapes: Mapping[str, Shape]) -> int:
    """Those of the operators whose work is products; 0 for the others and where shapes are open."""
    operator = call.op.split("::")[-1]
    node = call.proto
    out = shapes.get(call.writes[0]) if call.writes else None
    if operator in _PLAIN and out is not None:
        return math.prod(out) * _depth(node, operator, shapes)
    if operator in _CONVOLUTIONS and out is not None:
        weights = shapes.get(node.input[3 if operator == "QLinearConv" else 1])
        return math.prod(out) * math.prod(weights[1:]) if weights is not None else 0
    if operator == "ConvTranspose":
        x, w = shapes.get(node.input[0]), shapes.get(node.input[1])
        return math.prod(x) * math.prod(w[1:]) if x is not None and w is not None else 0
    if operator in _RECURRENT:
        x, w, r = (shapes.get(node.input[i]) for i in range(3))
        if x is None or w is None or r is None:
            return 0
        return x[0] * x[1] * (math.prod(w) + math.prod(r))
    if operator == "Einsum":
        return _einsum(node, shapes)
    return 0


def _depth(node: onnx.NodeProto, operator: str, shapes: Mapping[str, Shape]) -> int:
    """The contracted extent."""
    a = shapes.get(node.input[0])
    if not a:
        return 0
    swapped = operator in ("Gemm", "FusedMatMul") and any(
        x.name in ("transA",) and x.i for x in node.attribute
    )
    return a[-2] if swapped and len(a) > 1 else a[-1]


def _einsum(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    equation = next((helper.get_attribute_value(a) for a in node.attribute), b"").decode()
    terms = equation.replace(" ", "").split("->")[0].split(",")
    extents: dict[str, int] = {}
    for term, name in zip(terms, node.input, strict=False):
        shape = shapes.get(name)
        if shape is None or "." in term or len(term) != len(shape):
            return 0
        extents.update(zip(term, shape, strict=True))
    return math.prod(extents.values()) if len(terms) > 1 else 0
