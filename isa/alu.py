"""The ALU operators of the vector-like engines (neuron-facts 2.7), as codes."""

from __future__ import annotations

from enum import IntEnum


class AluOp(IntEnum):
    """An operator. The value is its encoding. `BYPASS` gives its first operand."""

    BYPASS = 0
    ADD = 1
    SUBTRACT = 2
    MULTIPLY = 3
    MAX = 4
    MIN = 5
    EQUAL = 6
    NOT_EQUAL = 7
    GREATER_EQUAL = 8
    GREATER = 9
    LESS_EQUAL = 10
    LESS = 11
    LOGICAL_AND = 12
    LOGICAL_OR = 13
    LOGICAL_XOR = 14
    POWER = 15
    ABS_MAX = 16
    ABS_MIN = 17
    ABS = 18
    SQUARE = 19
    RELU = 20
    RSQRT = 21
    RECIPROCAL = 22
    INVERT = 24
    AND = 25
    OR = 26
    XOR = 27
    LEFT_SHIFT = 28
    RIGHT_SHIFT = 29


ARITHMETIC = tuple(op for op in AluOp if op < AluOp.INVERT)
BIT_VECTOR = tuple(op for op in AluOp if op >= AluOp.INVERT)
REDUCTIONS = (AluOp.ADD, AluOp.MULTIPLY, AluOp.MAX, AluOp.MIN, AluOp.AND, AluOp.OR, AluOp.XOR)


class ReduceCommand(IntEnum):
    """What an instruction does to its engine's reduce registers (neuron-facts 2.0)."""

    IDLE = 0
    RESET = 1
    REDUCE = 2
    RESET_REDUCE = 3
    LOAD_REDUCE = 4
