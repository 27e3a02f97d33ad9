"""The importers of ONNX's operators, one file a subject. Importing this registers them all."""

from compiler.frontends.onnx.operators import (
    constants,
    contraction,
    control,
    elementwise,
    indexing,
    movement,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    resize,
)

__all__ = [
    "constants",
    "contraction",
    "control",
    "elementwise",
    "indexing",
    "movement",
    "normalization",
    "pooling",
    "quantization",
    "recurrent",
    "reduction",
    "resize",
]
