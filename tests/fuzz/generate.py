"""From a seed to a model."""

from __future__ import annotations

import numpy as np

from tests.fuzz import control, elementwise, further, layers, moving, places
from tests.fuzz.draft import Draft
from tests.fuzz.judge import Model
from tests.fuzz.oracle import Unsuitable
from tests.fuzz.table import SAMPLERS

OPSETS = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 28)
SHARES = {"plain": 0.66, "half": 0.12, "special": 0.08, "wide": 0.08, "empty": 0.06}
ATTEMPTS = 200
OF_NO_ELEMENTS = (ValueError, IndexError, ZeroDivisionError)
"""What samplers meet that choose among no elements."""
__all__ = [
    "SAMPLERS",
    "control",
    "elementwise",
    "further",
    "generate",
    "layers",
    "moving",
    "places",
]

UNSPECIAL = frozenset(
    (
        "ArgMax", "ArgMin", "TopK", "Hardmax", "CumSum", "LRN", "Attention", "Einsum", "MatMul",
        "Gemm", "Conv", "ConvTranspose", "LSTM", "GRU", "RNN", "QuantizeLinear", "Resize",
        "Upsample", "DynamicQuantizeLinear", "Det", "GridSample", "RoiAlign", "AffineGrid",
        "ScatterElements", "ScatterND", "Scatter", "Unique", "NonZero", "LpPool", "GlobalLpPool",
        "AveragePool", "MaxPool", "GlobalMaxPool", "Loop", "Scan", "GatherND", "GatherElements",
        "InstanceNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization",
        "MeanVarianceNormalization", "LpNormalization", "BatchNormalization",
        "Swish", "Mish", "HardSwish", "Gelu", "SoftmaxCrossEntropyLoss",
        "NegativeLogLikelihoodLoss", "CausalConvWithState", "LinearAttention", "SwiGLU",
        "QLinearAdd", "QLinearConv", "QLinearMatMul", "QLinearGlobalAveragePool",
        "DequantizeLinear", "RotaryEmbedding",
        "DeformConv", "DFT", "STFT", "CumProd", "TensorScatter",
        "Gather", "OneHot", "Mod", "Pow", "Cast", "CastLike", "Round", "PRelu",
    )
)  # fmt: skip
"""What is not defined for infinities and NaNs, or is computed by products with zeros."""


UNSIZED = frozenset(
    (
        "LSTM", "GRU", "RNN", "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MaxPool",
        "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "Resize",
        "Upsample", "QLinearGlobalAveragePool", "Attention", "GridSample", "RotaryEmbedding",
        "LRN", "BatchNormalization", "InstanceNormalization", "GroupNormalization", "Det",
        "LayerNormalization", "RMSNormalization", "MeanVarianceNormalization", "Hardmax",
        "Scan", "DynamicQuantizeLinear", "MatMulInteger", "QLinearMatMul",
        "SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss", "LinearAttention",
        "CausalConvWithState", "DeformConv", "DFT", "STFT", "TensorScatter", "TfIdfVectorizer",
    )
)  # fmt: skip
"""What has no meaning, or ends onnxruntime's process, where an extent is zero."""
LEFT_OUT = {"special": UNSPECIAL, "empty": UNSIZED}


def generate(seed: int) -> Model:
    """The model of a seed: 3 to 15 nodes, over the whole table of operators."""
    rng = np.random.default_rng([seed, 0x5F])
    d = Draft(rng, int(rng.choice(OPSETS)), str(rng.choice(list(SHARES), p=list(SHARES.values()))))
    if d.kind == "half":
        d.real = d.one_of(("float16", "bfloat16"))
    wanted = d.integer(3, 15)
    ops = sorted(SAMPLERS.keys() - LEFT_OUT.get(d.kind, frozenset()))
    harmless = OF_NO_ELEMENTS if d.kind == "empty" else ()
    for _ in range(ATTEMPTS):
        if len(d.steps) >= wanted:
            break
        op, known, steps = d.one_of(ops), len(d.values), len(d.steps)
        try:
            SAMPLERS[op](d, op)
        except (Unsuitable, *harmless):
            del d.values[known:], d.steps[steps:]
    read = {id(v) for s in d.steps for v in s.inputs if v}
    made = [v for s in d.steps for v in s.outputs]
    outputs = [v for v in made if id(v) not in read or d.chance(0.1)]
    return Model(tuple(d.steps), tuple(outputs), d.opset, d.kind)
