"""Errors as part of the product: a stable code, found against allowed, where, and what to do.

The kind says whose fault it is; the code is what scripts and tests hold on to. `str(error)` is the
whole one-screen message; `to_json()` the same for programs.
"""

from __future__ import annotations

from typing import Any, ClassVar


class SystolaError(Exception):
    """Base of every error that a user can cause or meet.

    Args:
        code: stable identifier such as ``SYS-N003`` or a rule label such as ``matmul-C1``.
        message: one sentence, the rule that was broken.
        found: what was found, against what is allowed.
        at: the place: stream and instruction, byte offset and section, node and tensor.
        hint: what to do about it.
    """

    kind: ClassVar[str] = "SystolaError"
    exit_code: ClassVar[int] = 3

    def __init__(
        self, code: str, message: str, *, found: str = "", at: str = "", hint: str = ""
    ) -> None:
        self.code, self.message = code, message
        self.found, self.at, self.hint = found, at, hint
        super().__init__(code, message)

    def __str__(self) -> str:
        lines = [f"{self.kind}: {self.code}: {self.message}"]
        for label, text in (("found", self.found), ("at", self.at), ("do", self.hint)):
            if text:
                lines.append(f"  {label:<6} {text}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The error as a JSON-ready mapping."""
        return {
            "kind": self.kind,
            "code": self.code,
            "message": self.message,
            "found": self.found,
            "at": self.at,
            "hint": self.hint,
        }


class MalformedError(SystolaError):
    """Bytes or text that cannot be read."""

    kind = "MalformedError"


class IllegalError(SystolaError):
    """Readable, but breaks a rule of the specification."""

    kind = "IllegalError"


class TrapError(SystolaError):
    """A program faulted while it ran."""

    kind = "TrapError"
