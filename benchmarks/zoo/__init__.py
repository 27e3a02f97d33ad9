"""The zoo: models of known architectures with seeded random weights, made when asked for.

`ENTRIES` declares them, `path(name)` gives the file, `python -m benchmarks.zoo` measures them all.
"""

from benchmarks.zoo.entries import ENTRIES, Entry
from benchmarks.zoo.store import path

__all__ = ["ENTRIES", "Entry", "path"]
