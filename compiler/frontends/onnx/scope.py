"""What tensor names stand for, in a graph and in the bodies of functions and control flow."""

from __future__ import annotations

from compiler.graph.graph import Value


class Scope:
    """Tensor names in force: a graph's own, then those of the graph around it."""

    def __init__(self, outer: Scope | None = None, prefix: str = "") -> None:
        self.outer, self.prefix = outer, prefix
        self.values: dict[str, Value | None] = {}  # None: made by an operator without mapping

    def find(self, name: str) -> Value | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        raise KeyError(name)
