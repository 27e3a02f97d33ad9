"""Every instruction, one file an engine. Importing this package fills `isa.spec.REGISTRY`."""

from isa.instructions import dma, scalar, sync, tensor, vector

__all__ = ["dma", "scalar", "sync", "tensor", "vector"]
