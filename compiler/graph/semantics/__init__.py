"""What every core op means, in plain numpy: one function an op.

A function takes the operands (floats already widened to the compute type) and the attributes and
returns the result, or a tuple of results; `evaluate.py` rounds it to the stored dtype.
"""

from compiler.graph.semantics.registry import MEANINGS, meaning

__all__ = ["MEANINGS", "meaning"]
