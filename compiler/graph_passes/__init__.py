"""Passes from graph to graph: simplification and the choice of storage types.

`simplify` runs the passes of `SIMPLIFICATIONS` until nothing changes; `auto_cast` chooses dtypes.
"""

from compiler.graph_passes.auto_cast import auto_cast
from compiler.graph_passes.simplify import SIMPLIFICATIONS, simplify

__all__ = ["SIMPLIFICATIONS", "auto_cast", "simplify"]
