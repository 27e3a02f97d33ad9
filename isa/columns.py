"""A stream's fields as columns: what rules, costs, the verifier and the simulators read in bulk.

`Columns(words)` looks like an instruction whose attributes are arrays of length n:
`c.dst.partitions`, `c.dst.free`, `c.op0`, `c.operand0.is_column`. All arrays are int64 or bool.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.dtypes import SIZE_BY_CODE
from isa.spec import (
    REGISTRY,
    BitsField,
    DmaField,
    Instruction,
    ScalarField,
    TileField,
)
from isa.tiles import DMA_DIMS, FREE_DIMS

IntColumn = NDArray[np.int64]
BoolColumn = NDArray[np.bool_]
Words = NDArray[np.uint64]


def bits(words: Words, word: int, bit: int, width: int, signed: bool = False) -> IntColumn:
    """`width` bits from `bit` of one word of every instruction."""
    column = (words[:, word] >> np.uint64(bit)) & np.uint64((1 << width) - 1)
    value = column.astype(np.int64)
    if signed:
        value = np.where(value >> (width - 1) > 0, value - (1 << width), value)
    return value


class TileColumns:
    """A tile operand of every instruction; attributes as those of `Tile`, arrays each."""

    rank, step_bits = FREE_DIMS, 16

    def __init__(self, words: Words, word: int) -> None:
        self._words, self._word = words, word

    def _head(self, bit: int, width: int) -> IntColumn:
        return bits(self._words, self._word, bit, width)

    @cached_property
    def present(self) -> BoolColumn:
        return self._head(63, 1) > 0

    @cached_property
    def address(self) -> IntColumn:
        return self._head(0, 24)

    @cached_property
    def start(self) -> IntColumn:
        return self._head(24, 7)

    @cached_property
    def partitions(self) -> IntColumn:
        return self._head(31, 7) + 1

    @cached_property
    def dtype(self) -> IntColumn:
        return self._head(38, 5)

    @cached_property
    def memory(self) -> IntColumn:
        return self._head(43, 2)

    @cached_property
    def size_bytes(self) -> IntColumn:
        """Bytes of an element."""
        return SIZE_BY_CODE[self.dtype]

    def _dims(self, offset: int, signed: bool) -> IntColumn:
        w = self._word + 1
        columns = [
            bits(self._words, w + i // 2, 32 * (i % 2) + offset, 16, signed) for i in range(4)
        ]
        return np.stack(columns, axis=1)

    @cached_property
    def steps(self) -> IntColumn:
        """Shape [n, rank], outermost first."""
        return self._dims(0, True)

    @cached_property
    def nums(self) -> IntColumn:
        """Shape [n, rank], outermost first."""
        return self._dims(16, False)

    @cached_property
    def free(self) -> IntColumn:
        """Elements a partition."""
        free: IntColumn = np.prod(self.nums, axis=1)
        return free

    @cached_property
    def low(self) -> IntColumn:
        """Least byte touched in a partition."""
        reach: IntColumn = np.minimum(0, self.steps * (self.nums - 1)).sum(axis=1)
        return self.address + self.size_bytes * reach

    @cached_property
    def high(self) -> IntColumn:
        """One past the greatest byte touched in a partition."""
        reach: IntColumn = np.maximum(0, self.steps * (self.nums - 1)).sum(axis=1)
        return self.address + self.size_bytes * (1 + reach)


class DmaColumns(TileColumns):
    """A DMA operand of every instruction."""

    rank, step_bits = DMA_DIMS, 32

    @cached_property
    def address(self) -> IntColumn:
        return self._head(0, 40)

    @cached_property
    def start(self) -> IntColumn:
        return self._head(40, 7)

    @cached_property
    def partitions(self) -> IntColumn:
        return self._head(47, 7) + 1

    @cached_property
    def dtype(self) -> IntColumn:
        return self._head(54, 5)

    @cached_property
    def memory(self) -> IntColumn:
        return self._head(59, 2)

    def _dims(self, offset: int, signed: bool) -> IntColumn:
        w, at = self._word + 1, 32 if offset else 0
        columns = [bits(self._words, w + i, at, 32, signed) for i in range(DMA_DIMS)]
        return np.stack(columns, axis=1)

    @cached_property
    def elements(self) -> IntColumn:
        """Elements in all."""
        return self.free * self.partitions


class ScalarColumns:
    """A scalar operand of every instruction."""

    def __init__(self, words: Words, word: int) -> None:
        self._words, self._word = words, word

    def _bits(self, bit: int, width: int) -> IntColumn:
        return bits(self._words, self._word, bit, width)

    @cached_property
    def present(self) -> BoolColumn:
        return self._bits(63, 1) > 0

    @cached_property
    def is_column(self) -> BoolColumn:
        column: BoolColumn = self._bits(62, 2) == 3
        return column

    @cached_property
    def is_immediate(self) -> BoolColumn:
        immediate: BoolColumn = self._bits(62, 2) == 2
        return immediate

    @cached_property
    def immediate_bits(self) -> IntColumn:
        """The 32 bits of an immediate."""
        return self._bits(0, 32)

    @cached_property
    def address(self) -> IntColumn:
        return self._bits(0, 24)

    @cached_property
    def start(self) -> IntColumn:
        return self._bits(24, 7)

    @cached_property
    def dtype(self) -> IntColumn:
        return self._bits(38, 5)

    @cached_property
    def memory(self) -> IntColumn:
        return self._bits(43, 2)

    @cached_property
    def size_bytes(self) -> IntColumn:
        return SIZE_BY_CODE[self.dtype]


class Header:
    """The fields that every instruction has: opcode, waits, signal."""

    def __init__(self, words: Words) -> None:
        self.opcode = bits(words, 0, 0, 8)
        self.wait_on = np.stack([bits(words, 0, 8, 1), bits(words, 0, 17, 1)], axis=1) > 0
        self.wait_semaphore = np.stack([bits(words, 0, 9, 8), bits(words, 0, 18, 8)], axis=1)
        self.wait_value = np.stack([bits(words, 1, 0, 32), bits(words, 1, 32, 32)], axis=1)
        self.signal_on = bits(words, 0, 26, 1) > 0
        self.signal_semaphore = bits(words, 0, 27, 8)
        self.signal_amount = bits(words, 0, 35, 16)


class Columns:
    """The instructions of one kind as columns. Attributes are named as the declaration's fields."""

    def __init__(self, words: Words, kind: type[Instruction]) -> None:
        self.words, self.kind = words, kind

    def __len__(self) -> int:
        return len(self.words)

    def __getattr__(self, name: str) -> Any:
        spec = self.kind.fields.get(name)
        if spec is None:
            member = getattr(self.kind, name)  # a property or method of the declaration
            if isinstance(member, property) and member.fget is not None:
                return member.fget(self)
            return member.__get__(self) if callable(member) else member
        value: Any
        if isinstance(spec, TileField):
            value = TileColumns(self.words, spec.word)
        elif isinstance(spec, DmaField):
            value = DmaColumns(self.words, spec.word)
        elif isinstance(spec, ScalarField):
            value = ScalarColumns(self.words, spec.word)
        else:
            value = _bits_column(self.words, spec)
        self.__dict__[name] = value
        return value


def _bits_column(words: Words, spec: BitsField) -> Any:
    column = bits(words, spec.word, spec.bit, spec.width, spec.signed)
    return column > 0 if spec.flag else column


def by_kind(words: Words) -> Iterator[tuple[type[Instruction], NDArray[np.intp], Columns]]:
    """The kinds in a stream, each with its indices and columns. Unknown opcodes are skipped."""
    opcodes = bits(words, 0, 0, 8)
    for opcode in np.flatnonzero(np.bincount(opcodes, minlength=256)).tolist():
        kind = REGISTRY.get(opcode)
        if kind is not None:
            index = np.flatnonzero(opcodes == opcode)
            # Word by word in memory: each field is then read from a run of its own.
            yield kind, index, Columns(np.asfortranarray(words[index]), kind)
