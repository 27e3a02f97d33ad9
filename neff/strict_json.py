"""JSON that is read with distrust: bounded, finite, without repeated keys, followed by path.

`parse` gives a `Node`; its methods check one thing each and name the place in the error, as in
`sg00/def.json: $.var.weights.size`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neff.layout import LIMITS, Limits, malformed

_MAX_DIGITS = 40


def dump(value: Any) -> bytes:
    """A value as canonical JSON: sorted keys, ASCII, no spaces. Raises ValueError for NaN."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return text.encode("ascii") + b"\n"


def parse(raw: bytes, name: str, limits: Limits = LIMITS) -> Node:
    """The document's root. Raises MalformedError SYS-N020."""
    if len(raw) > limits.json_bytes:
        raise _unreadable(f"{len(raw)} bytes; at most {limits.json_bytes}", name)
    try:
        value = json.loads(
            raw.decode("utf-8"),
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_short_int,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        raise _unreadable(f"nested deeper than {limits.json_depth}", name) from None
    except ValueError as error:  # syntax, UTF-8, and ours
        raise _unreadable(str(error), name) from None
    if _depth_exceeds(value, limits.json_depth):
        raise _unreadable(f"nested deeper than {limits.json_depth}", name)
    return Node(value, f"{name}: $", limits)


def _unreadable(found: str, name: str) -> Exception:
    message = "a document is JSON in UTF-8, finite, not too deep, without a repeated key"
    return malformed("SYS-N020", message, found=found, at=name)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not finite")
    return value


def _short_int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:60]!r} stands twice")
        found[key] = value
    return found


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True


@dataclass(frozen=True)
class Node:
    """A value inside a document, and where it stands."""

    value: Any
    path: str
    limits: Limits = LIMITS

    def wrong(self, allowed: str) -> Exception:
        """The error that this value is not what is allowed here."""
        shown = repr(self.value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        message = "a document follows its schema"
        found = f"{shown}; allowed is {allowed}"
        return malformed("SYS-N021", message, found=found, at=self.path)

    def fields(self, *names: str, optional: tuple[str, ...] = ()) -> dict[str, Node]:
        """An object with exactly these keys, and perhaps some of the optional ones."""
        if not isinstance(self.value, dict):
            raise self.wrong(f"an object with {', '.join(names)}")
        missing = [n for n in names if n not in self.value]
        unknown = [k[:60] for k in self.value if k not in names and k not in optional]
        if missing or unknown:
            found = f"missing {missing}, unknown {unknown[:5]}"
            message = "a document follows its schema"
            raise malformed("SYS-N021", message, found=found, at=self.path)
        return {k: self._child(k, v) for k, v in self.value.items()}

    def items(self, limit: int) -> Iterator[tuple[str, Node]]:
        """An object of at most `limit` entries, whatever their keys."""
        if not isinstance(self.value, dict) or len(self.value) > limit:
            raise self.wrong(f"an object of at most {limit} entries")
        return ((k, self._child(k, v)) for k, v in self.value.items())

    def sequence(self, limit: int) -> list[Node]:
        """A list of at most `limit` entries."""
        if not isinstance(self.value, list) or len(self.value) > limit:
            raise self.wrong(f"a list of at most {limit} entries")
        return [Node(v, f"{self.path}[{i}]", self.limits) for i, v in enumerate(self.value)]

    def integer(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        value = self.value
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(f"a whole number from {low} to {high}")
        return value

    def text(self) -> str:
        """A text of bounded length that can be written as UTF-8."""
        value = self.value
        if not isinstance(value, str) or len(value) > self.limits.name_chars:
            raise self.wrong(f"a text of at most {self.limits.name_chars} characters")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise self.wrong("a text without lone surrogates") from None
        return value

    def choice(self, *allowed: str) -> str:
        """One of these texts."""
        if self.value not in allowed or not isinstance(self.value, str):
            raise self.wrong(f"one of {', '.join(allowed)}")
        return self.value

    def mapping(self) -> dict[str, Any]:
        """An object, taken as it is."""
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self.value

    def _child(self, key: str, value: Any) -> Node:
        return Node(value, f"{self.path}.{key[:60]}", self.limits)
