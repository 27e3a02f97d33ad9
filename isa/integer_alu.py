"""The gpsimd engine's native 32-bit integer arithmetic: modulo 2^32, never through FP32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.alu import AluOp

Integers = NDArray[np.int32] | NDArray[np.uint32]

_OPERATORS: dict[AluOp, Callable[[Any, Any], Any]] = {
    AluOp.BYPASS: lambda a, b: a,
    AluOp.ADD: lambda a, b: a + b,
    AluOp.SUBTRACT: lambda a, b: a - b,
    AluOp.MULTIPLY: lambda a, b: a * b,
    AluOp.MAX: np.maximum,
    AluOp.MIN: np.minimum,
    AluOp.EQUAL: lambda a, b: a == b,
    AluOp.NOT_EQUAL: lambda a, b: a != b,
    AluOp.GREATER_EQUAL: lambda a, b: a >= b,
    AluOp.GREATER: lambda a, b: a > b,
    AluOp.LESS_EQUAL: lambda a, b: a <= b,
    AluOp.LESS: lambda a, b: a < b,
    AluOp.AND: lambda a, b: a & b,
    AluOp.OR: lambda a, b: a | b,
    AluOp.XOR: lambda a, b: a ^ b,
    AluOp.LEFT_SHIFT: lambda a, b: _shift(a, b, True),
    AluOp.RIGHT_SHIFT: lambda a, b: _shift(a, b, False),
}
INTEGER_OPERATORS = tuple(int(op) for op in _OPERATORS)


def apply_integers(op: int, a: Integers, b: Integers) -> Integers:
    """a op b modulo 2^32, of the type of both; comparisons give 1 or 0; shifts are logical.

    The sign counts for max, min and the comparisons. A shift by 32 or more, the amount unsigned,
    gives 0. Raises KeyError for an operator that has no integer form.
    """
    x, y = np.broadcast_arrays(a, b)
    result: Integers = np.asarray(_OPERATORS[AluOp(op)](x, y)).astype(x.dtype)
    return result


def _shift(a: Any, b: Any, left: bool) -> Any:
    bits, amount = a.view(np.uint32).astype(np.uint64), b.view(np.uint32).astype(np.uint64)
    safe = np.minimum(amount, np.uint64(32))
    moved = bits << safe if left else bits >> safe
    return moved.astype(np.uint32).view(a.dtype)
