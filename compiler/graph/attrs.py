"""Attributes of a node, typed: what the op's declaration says they are."""

from __future__ import annotations

from typing import Any

from compiler.graph.graph import Node


def _value(node: Node, key: str) -> Any:
    return node.attrs[key]


def integer(node: Node, key: str) -> int:
    """A whole number."""
    return int(_value(node, key))


def integers(node: Node, key: str) -> tuple[int, ...]:
    """A tuple of whole numbers."""
    return tuple(int(v) for v in _value(node, key))


def pairs(node: Node, key: str) -> list[tuple[int, int]]:
    """A (low, high) a dimension."""
    return [(int(low), int(high)) for low, high in _value(node, key)]


def numbers(node: Node, key: str) -> tuple[float, ...]:
    """A tuple of real numbers; none where the node does not say."""
    given: Any = node.attrs.get(key, ())
    return tuple(float(v) for v in given)


def text(node: Node, key: str) -> str:
    """A word."""
    return str(_value(node, key))


def number(node: Node, key: str) -> float:
    """A real number."""
    return float(_value(node, key))


def flag(node: Node, key: str) -> bool:
    """A yes or no; no where the node does not say."""
    return bool(node.attrs.get(key, False))
