"""ONNX in: a model file becomes a `Graph` of core ops with static shapes.

`model.py` reads and checks the file, `importer.py` walks its nodes, `registry.py` says how an
operator is declared, the `*_ops.py` files decompose the operators.
"""

from compiler.frontends.onnx.importer import import_onnx
from compiler.frontends.onnx.registry import supported_operators

__all__ = ["import_onnx", "supported_operators"]
