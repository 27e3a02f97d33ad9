"""Every instruction, by engine. Importing this package fills `isa.spec.REGISTRY`."""

from isa.instructions import (
    dma,
    dma_v2,
    gpsimd,
    gpsimd_affine,
    gpsimd_integer,
    scalar,
    sync,
    tensor,
    vector,
    vector_move,
    vector_reduce,
    vector_select,
)

__all__ = [
    "dma",
    "dma_v2",
    "gpsimd",
    "gpsimd_affine",
    "gpsimd_integer",
    "scalar",
    "sync",
    "tensor",
    "vector",
    "vector_move",
    "vector_reduce",
    "vector_select",
]
