"""Operators of several steps on FP16 and BF16: computed in FP32, and rounded once.

    y = asinh(x: float16)   ->   y = cast(asinh(cast(x, float32)), float16)

A step that was rounded to eight bits would leave little: log(1 + x) is 0 below 2**-9; a threshold
that was rounded is another. So do the frameworks. Products are left as they are: they sum in FP32
anyway, and are four times as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx

from compiler.frontends.onnx.registry import OnnxNode
from compiler.graph.graph import BF16, FP16, FP32, DType, Value

HALVES = (FP16, BF16)
IN_STEPS = frozenset(
    (
        "Acos", "Acosh", "AffineGrid", "Asin", "Asinh", "Atanh", "AveragePool",
        "BatchNormalization", "Celu", "Cosh", "DynamicQuantizeLinear", "Elu",
        "Gelu", "GlobalLpPool", "GroupNormalization", "HardSigmoid", "HardSwish",
        "InstanceNormalization", "LRN", "LayerNormalization", "LogSoftmax", "LpNormalization",
        "LpPool", "Mean", "MeanVarianceNormalization", "NegativeLogLikelihoodLoss", "Pow",
        "QuantizeLinear", "RMSNormalization", "ReduceL1", "ReduceL2", "ReduceLogSum",
        "ReduceLogSumExp", "ReduceSumSquare", "Resize", "RotaryEmbedding", "Selu", "Shrink", "Sinh",
        "Softmax", "SoftmaxCrossEntropyLoss", "Softsign", "Sum", "SwiGLU", "Swish", "Tan",
        "ThresholdedRelu", "Upsample",
    )
)  # fmt: skip


def widened(call: OnnxNode, domain: str) -> OnnxNode | None:
    """The call with its operands in FP32; None where it is to be left as it is."""
    if domain or call.op_type not in IN_STEPS or not _halves(call):
        return None
    wide = tuple(
        call.cast(v, FP32) if v is not None and v.dtype in HALVES else v for v in call.inputs
    )
    return replace(call, inputs=wide)


def narrowed(call: OnnxNode, results: Sequence[Value | None]) -> list[Value | None]:
    """The results of a widened call in the types that the standard gives them."""
    schema = onnx.defs.get_schema(call.op_type, call.version, "")
    kinds = _halves(call)
    made: list[Value | None] = []
    for i, value in enumerate(results):
        kind = kinds.get(schema.outputs[min(i, len(schema.outputs) - 1)].type_str)
        wide = value is not None and value.dtype == FP32
        made.append(call.cast(value, kind) if value is not None and wide and kind else value)
    return made


def _halves(call: OnnxNode) -> dict[str, DType]:
    """Name of a type in the standard -> the narrow type that it is here."""
    schema = onnx.defs.get_schema(call.op_type, call.version, "")
    last = len(schema.inputs) - 1
    return {
        schema.inputs[min(i, last)].type_str: v.dtype
        for i, v in reversed(list(enumerate(call.inputs)))
        if v is not None and v.dtype in HALVES
    }
