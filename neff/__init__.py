"""What is shipped: a NEFF-like container of programs, weights and names.

Read `layout.py` (what lies where), then `model.py` (what it holds), `writer.py` and `reader.py`
(model <-> bytes), `verify.py` (what a sound model is), `partitioned.py` (sections on the host).
"""

from neff.header import is_neff
from neff.inspection import inspect
from neff.model import Link, ModelTensor, Neff, Section
from neff.partitioned import (
    DevicePart,
    HostPart,
    PartitionedNeff,
    PartTensor,
    model_from_bytes,
    partitioned_bytes,
    read_model,
    write_partitioned,
)
from neff.reader import from_bytes, read
from neff.writer import to_bytes, write

__all__ = [
    "DevicePart",
    "HostPart",
    "Link",
    "ModelTensor",
    "Neff",
    "PartTensor",
    "PartitionedNeff",
    "Section",
    "from_bytes",
    "inspect",
    "is_neff",
    "model_from_bytes",
    "partitioned_bytes",
    "read",
    "read_model",
    "to_bytes",
    "write",
    "write_partitioned",
]
