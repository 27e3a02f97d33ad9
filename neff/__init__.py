"""What is shipped: a NEFF-like container of programs, weights and names.

Read `layout.py` (what lies where), then `model.py` (what it holds), `writer.py` and `reader.py`
(model <-> bytes), `verify.py` (what a sound model is).
"""

from neff.inspection import inspect
from neff.model import Link, ModelTensor, Neff, Section
from neff.reader import from_bytes, read
from neff.writer import to_bytes, write

__all__ = [
    "Link",
    "ModelTensor",
    "Neff",
    "Section",
    "from_bytes",
    "inspect",
    "read",
    "to_bytes",
    "write",
]
