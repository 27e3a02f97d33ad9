"""`inner`: how functions are compiled that only compiled functions call.

Such a function takes many arrays and is never called from Python. Without the wrappers for such
calls, and without reference counting (it makes no array that outlives it), it compiles in half the
time, which a fresh installation spends once. Its caller's cache holds its code.
"""

from __future__ import annotations

from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
inner = njit(**_OPTIONS)
