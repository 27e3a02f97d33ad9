"""Which engine runs a section of the host, and whether in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from compiler.errors import UnsupportedError
from compiler.host.engines import open_onnxruntime, open_reference
from compiler.host.sections import open_section

# Operators of plain loops over their operands, whatever the shapes. Any other one may end the
# process where a shape is wrong, as a pooling window larger than its input does in onnxruntime.
HARMLESS = frozenset(
    (
        "Abs", "Add", "And", "ArgMax", "ArgMin", "Cast", "CastLike", "Ceil", "Clip", "Concat",
        "Constant", "ConstantOfShape", "CumSum", "Div", "Equal", "Erf", "Exp", "Expand", "Floor",
        "Gather", "GatherElements", "GatherND", "Gelu", "Greater", "GreaterOrEqual", "Identity",
        "IsNaN", "Less", "LessOrEqual", "Log", "MatMul", "Max", "Min", "Mod", "Mul", "Neg",
        "NonZero", "Not", "OneHot", "Or", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMean",
        "ReduceMin", "ReduceProd", "ReduceSum", "Relu", "Reshape", "Round", "Shape", "Sigmoid",
        "Sign", "Size", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh",
        "Tile", "TopK", "Transpose", "Unsqueeze", "Where", "Xor",
    )
)  # fmt: skip
DEVIATING = frozenset(("DFT", "MaxUnpool", "Resize", "STFT"))
"""Operators that onnxruntime has and in which it deviates from the standard by more than rounding:
transforms off by 1e-5 of the range, aligned corners, output shapes. So does a Dropout in training,
in a seed's random numbers. The reference evaluator deviates in others (a norm of order 1 sums no
magnitudes), so a section has operators of one kind only."""
_T = onnx.TensorProto
# Element types that onnxruntime takes from numpy and gives back; BF16 as FP32 (`halves.py`).
_TAKEN = frozenset(
    (
        _T.FLOAT, _T.UINT8, _T.INT8, _T.UINT16, _T.INT16, _T.INT32, _T.INT64, _T.STRING, _T.BOOL,
        _T.FLOAT16, _T.DOUBLE, _T.UINT32, _T.UINT64, _T.UNDEFINED, _T.BFLOAT16,
    )
)  # fmt: skip


def choose(model: bytes) -> tuple[str, bool]:
    """The engine for a serialised model, and whether it needs a process of its own.

    Raises:
        UnsupportedError: SYS-H001, no engine runs the model.
    """
    proto = onnx.load_model_from_string(model)
    apart = not operators_of(proto.graph) <= HARMLESS or bool(proto.functions)
    why = "it does not take their types from numpy"
    if any(deviates(node) for node in proto.graph.node):
        why = "it deviates from the standard in one of them"
    elif all(kind in _TAKEN for kind in _border_types(proto.graph)):
        try:
            if apart:
                open_section(model, "onnxruntime", apart).close()
            else:
                open_onnxruntime(model)
            return "onnxruntime", apart
        except Exception as error:  # onnxruntime's own kinds share no base
            why = _line(error)
    try:
        open_reference(model)
    except Exception as error:  # any kind: it does not run the model
        raise UnsupportedError(
            "SYS-H001",
            "every operation that the device cannot do is one that the host can",
            found=f"onnxruntime: {why}; onnx's reference evaluator: {_line(error)}",
            at="operators " + ", ".join(sorted(operators_of(proto.graph))),
            hint="replace these operations in the model",
        ) from None
    return "reference", apart


def deviates(node: onnx.NodeProto) -> bool:
    """Whether onnxruntime deviates from the standard in an operator or in one inside it."""
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
        return True
    return node.op_type in DEVIATING or any(
        deviates(inner)
        for attribute in node.attribute
        for body in (attribute.g, *attribute.graphs)
        for inner in body.node
    )


def operators_of(graph: onnx.GraphProto) -> set[str]:
    """Every operator of a graph, bodies included; others than ONNX's with their domain."""
    found: set[str] = set()
    for node in graph.node:
        standard = node.domain in ("", "ai.onnx")
        found.add(node.op_type if standard else f"{node.domain}::{node.op_type}")
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                found |= operators_of(body)
    return found


def _border_types(graph: onnx.GraphProto) -> Iterator[int]:
    for info in (*graph.input, *graph.output):
        kind = info.type
        while kind.WhichOneof("value") in ("sequence_type", "optional_type"):
            inner = kind.sequence_type if kind.HasField("sequence_type") else kind.optional_type
            kind = inner.elem_type
        yield kind.tensor_type.elem_type


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
