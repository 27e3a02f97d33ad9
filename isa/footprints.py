"""What each instruction reads and writes, as arrays: for verifier, semaphore inserter, tests.

In    the words of one stream, uint64 [n, 16], well formed (`wellformed.py`)
Out   `Accesses`: one row for each operand that names memory, reads in front of writes

Derived from the declarations: a source is read, a result is written, and a result whose
instruction `keeps_result` (accumulation, predicated copy) is read as well. What an engine keeps
inside itself (stationary tile, reduce registers) is no access: it never crosses streams, and a
stream is in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.columns import (
    BoolColumn,
    Columns,
    IntColumn,
    ScalarColumns,
    TileColumns,
    Words,
    by_kind,
)
from isa.hardware import Hardware
from isa.memory import Memory
from isa.spec import AnyField, BitsField, DmaField, Instruction, Role, ScalarField, TileField
from isa.tiles import DMA_DIMS


class OperandColumns:
    """One operand of every instruction of a kind, whatever its shape, as arrays of length n.

    A column operand looks like a tile of one element a partition, in as many partitions as the
    instruction's main operand has. `present` is False where there is none, or an immediate.
    """

    def __init__(self, name: str, spec: AnyField, columns: Columns) -> None:
        assert not isinstance(spec, BitsField)
        self.name, self.spec, self.role = name, spec, spec.role
        self.is_dma, self.is_column = isinstance(spec, DmaField), isinstance(spec, ScalarField)
        self.memories, self.dtypes = spec.memories, spec.dtypes
        self.field = getattr(columns, name)
        self._columns = columns

    @cached_property
    def present(self) -> BoolColumn:
        """Whether the instruction has this operand in memory."""
        field: TileColumns | ScalarColumns = self.field
        return field.is_column if isinstance(field, ScalarColumns) else field.present

    @cached_property
    def memory(self) -> IntColumn:
        """Code of the memory."""
        memory: IntColumn = self.field.memory
        return memory

    @cached_property
    def start(self) -> IntColumn:
        """First partition."""
        start: IntColumn = self.field.start
        return start

    @cached_property
    def partitions(self) -> IntColumn:
        """Partitions touched."""
        field: TileColumns | ScalarColumns = self.field
        if isinstance(field, ScalarColumns):
            name = main_operand(self._columns.kind)
            main: TileColumns = getattr(self._columns, name)
            return main.partitions
        return field.partitions

    @cached_property
    def address(self) -> IntColumn:
        """First element's byte in each partition, or in the DRAM window."""
        address: IntColumn = self.field.address
        return address

    @cached_property
    def dtype(self) -> IntColumn:
        """Code of the data type."""
        dtype: IntColumn = self.field.dtype
        return dtype

    @cached_property
    def size_bytes(self) -> IntColumn:
        """Bytes of an element."""
        size: IntColumn = self.field.size_bytes
        return size

    @cached_property
    def steps(self) -> IntColumn:
        """Steps in elements, outermost first. Shape [n, 5]."""
        return (
            np.zeros((len(self._columns), DMA_DIMS), np.int64)
            if self.is_column
            else self._dims(self.field.steps, 0)
        )

    @cached_property
    def nums(self) -> IntColumn:
        """Element counts, outermost first. Shape [n, 5]."""
        return (
            np.ones((len(self._columns), DMA_DIMS), np.int64)
            if self.is_column
            else self._dims(self.field.nums, 1)
        )

    def _dims(self, dims: IntColumn, fill: int) -> IntColumn:
        front = np.full((len(dims), DMA_DIMS - dims.shape[1]), fill, np.int64)
        return np.concatenate([front, dims], axis=1)

    @cached_property
    def free(self) -> NDArray[np.float64]:
        """Elements a partition. In float64, so that no product of counts wraps around."""
        free: NDArray[np.float64] = np.prod(self.nums.astype(np.float64), axis=1)
        return free

    @cached_property
    def low(self) -> NDArray[np.float64]:
        """Least byte touched. Float64 for the same reason; exact below 2**53."""
        reach: NDArray[np.float64]
        reach = np.minimum(0.0, self.steps * (self.nums - 1.0)).sum(axis=1)
        return self.address + self.size_bytes * reach

    @cached_property
    def high(self) -> NDArray[np.float64]:
        """One past the greatest byte touched. As `low`."""
        reach: NDArray[np.float64]
        reach = np.maximum(0.0, self.steps * (self.nums - 1.0)).sum(axis=1)
        return self.address + self.size_bytes * (1.0 + reach)


def main_operand(kind: type[Instruction]) -> str:
    """The tile whose partition count a column operand shares: the first source, else the result."""
    tiles = [(n, s) for n, s in kind.fields.items() if isinstance(s, TileField) and not s.optional]
    sources = [n for n, s in tiles if s.role is Role.SOURCE]
    assert tiles, f"{kind.mnemonic} has a column operand but no tile beside it"
    return sources[0] if sources else tiles[0][0]


def operands(columns: Columns) -> Iterator[OperandColumns]:
    """The memory operands of a kind in declaration order."""
    for name, spec in columns.kind.fields.items():
        if isinstance(spec, TileField | DmaField) or (
            isinstance(spec, ScalarField) and spec.column
        ):
            yield OperandColumns(name, spec, columns)


@dataclass(frozen=True)
class Accesses:
    """Reads and writes, sorted by instruction, an instruction's reads in front of its writes.

    All arrays int64 [m] but for `is_write` (bool) and `steps`, `nums` (int64 [m, 5], in elements,
    outermost first). In DRAM `start` is 0, `partitions` 1, and `address` a byte of the window.
    """

    instruction: IntColumn
    operand: IntColumn  # position among the declaration's fields
    is_write: BoolColumn
    memory: IntColumn
    start: IntColumn
    partitions: IntColumn
    address: IntColumn
    dtype: IntColumn
    size_bytes: IntColumn
    steps: IntColumn
    nums: IntColumn

    def __len__(self) -> int:
        return len(self.instruction)

    @cached_property
    def low(self) -> IntColumn:
        """Least byte touched (in a partition)."""
        reach: IntColumn = np.minimum(0, self.steps * (self.nums - 1)).sum(axis=1)
        return self.address + self.size_bytes * reach

    @cached_property
    def high(self) -> IntColumn:
        """One past the greatest byte touched (in a partition)."""
        reach: IntColumn = np.maximum(0, self.steps * (self.nums - 1)).sum(axis=1)
        return self.address + self.size_bytes * (1 + reach)

    @cached_property
    def elements(self) -> IntColumn:
        """Elements a partition, repeated ones counted."""
        elements: IntColumn = np.prod(self.nums, axis=1)
        return elements

    def of(self, memory: Memory) -> BoolColumn:
        """Which rows touch a memory."""
        mask: BoolColumn = self.memory == memory
        return mask


_INT_FIELDS = ("memory", "start", "partitions", "address", "dtype", "size_bytes", "steps", "nums")


def accesses(words: Words, hw: Hardware) -> Accesses:
    """Every access of a stream's instructions. `words` are well formed and legal on `hw`."""
    parts: list[dict[str, NDArray[np.int64]]] = [_nothing()]
    for kind, index, columns in by_kind(words):
        keeps_result: Any = kind.keeps_result  # columnar: the columns stand in for an instruction
        keeps = np.broadcast_to(keeps_result(columns), len(index))
        for operand in operands(columns):
            is_result = operand.role is Role.RESULT
            parts.append(_rows(operand, index, operand.present, is_result))
            if is_result and keeps.any():
                parts.append(_rows(operand, index, operand.present & keeps, False))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((whole["operand"], whole["is_write"], whole["instruction"]))
    taken: dict[str, Any] = {name: values[order] for name, values in whole.items()}
    taken["is_write"] = taken["is_write"] > 0
    return Accesses(**taken)


def _rows(
    operand: OperandColumns, index: NDArray[np.intp], mask: BoolColumn, is_write: bool
) -> dict[str, NDArray[np.int64]]:
    """The masked instructions' accesses through one operand."""
    rows = {name: getattr(operand, name)[mask] for name in _INT_FIELDS}
    count = int(np.count_nonzero(mask))
    position = list(operand._columns.kind.fields).index(operand.name)
    rows["instruction"] = index[mask].astype(np.int64)
    rows["operand"] = np.full(count, position, np.int64)
    rows["is_write"] = np.full(count, int(is_write), np.int64)
    return rows


def _nothing() -> dict[str, NDArray[np.int64]]:
    empty = np.zeros(0, np.int64)
    rows = dict.fromkeys(("instruction", "operand", "is_write", *_INT_FIELDS), empty)
    return rows | {
        "steps": np.zeros((0, DMA_DIMS), np.int64),
        "nums": np.zeros((0, DMA_DIMS), np.int64),
    }
