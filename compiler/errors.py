"""The compiler's error kinds, on top of `isa.errors`.

Codes   SYS-F0xx  a model that cannot be read or breaks ONNX's rules     (frontends)
        SYS-F1xx  a shape or type that is unknown or inconsistent        (frontends, graph)
        SYS-F2xx  a model that we do not compile                         (frontends)
        SYS-G0xx  a graph broken by one of our own passes: a bug         (graph/verify.py)
        SYS-G1xx  graph text that cannot be read                         (graph/text.py)
        SYS-G2xx  a wrong call of the evaluator or of a pass             (graph, graph_passes)
        SYS-S0xx  a program that does not fit the memories               (schedule)
        SYS-S01x  a wrong call of the memory solver                      (memory)
"""

from __future__ import annotations

from collections.abc import Sequence

from isa.errors import MalformedError, SystolaError


class ShapeError(MalformedError):
    """A shape or data type that is unknown, or that an operator does not admit."""

    kind = "ShapeError"


class UnsupportedError(SystolaError):
    """A model that we do not compile, naming everything that is missing.

    `missing` lists (operator, node, reason) where operators are what is missing.
    """

    kind = "UnsupportedError"
    missing: Sequence[tuple[str, str, str]] = ()


class CapacityError(SystolaError):
    """Something that does not fit the device, with what would."""

    kind = "CapacityError"


class VerifyError(SystolaError):
    """An intermediate form broken by our own pass: a fault of ours, naming the pass."""

    kind = "VerifyError"
    exit_code = 1


class UsageError(SystolaError):
    """A call with arguments that do not fit what they are given to."""

    kind = "UsageError"
    exit_code = 2
