"""How the event loop is compiled: without reference counts.

It only reads and writes arrays that its caller holds, and allocates none. Counting references all
the same, with an atomic addition for each array at each call, took four fifths of its time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """`njit` for a function of arrays and numbers that makes no array."""
    options: dict[str, Any] = {"cache": True, "_nrt": False}
    return njit(**options)(function)
