"""The table op name -> meaning, filled by the modules beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from compiler.graph.graph import Array

Meaning: TypeAlias = Callable[..., Array | tuple[Array, ...]]
MEANINGS: dict[str, Meaning] = {}


def meaning(name: str) -> Callable[[Meaning], Meaning]:
    """Declare the function as what op `name` means."""

    def register(function: Meaning) -> Meaning:
        assert name not in MEANINGS, f"{name} has two meanings"
        MEANINGS[name] = function
        return function

    return register


Attrs: TypeAlias = dict[str, Any]  # as declared in ops.py
