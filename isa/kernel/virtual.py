"""VirtualProgram: instructions on buffers that have no address yet, in program order, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isa.columns import BoolColumn, DmaColumns, IntColumn, ScalarColumns, TileColumns, bits
from isa.dtypes import SIZE_BY_CODE, DType
from isa.memory import Memory
from isa.program import BufferKind
from isa.spec import (
    REGISTRY,
    DmaField,
    Role,
    ScalarField,
    TileField,
)

Words = NDArray[np.uint64]
OPERANDS = 5
"""Operand places of an instruction: tile slots A, B, C, scalars 0, 1. A DMA's are dst and src."""

NO_BUFFER = -1


@dataclass(frozen=True)
class Buffer:
    """A span to be placed: `partitions` x `size_bytes` a partition (DRAM: one partition).

    `start` is the first partition, fixed when the buffer is made. `kind` and `shape` are DRAM's.
    A `pinned` buffer has its place and its content before the program begins.
    """

    id: int
    memory: Memory
    partitions: int
    size_bytes: int
    name: str
    start: int = 0
    kind: BufferKind = BufferKind.SCRATCH
    dtype: DType = DType.UINT8
    shape: tuple[int, ...] = ()
    align: int = 64
    pinned: bool = False


@dataclass(frozen=True)
class VirtualProgram:
    """Instructions in program order.

    Attributes:
        words: uint64 [n, 16]; addresses and start partitions are relative to the operand's buffer.
        streams: int32 [n], where each instruction runs.
        operands: int32 [n, 5], the buffer of each operand place, -1 for none.
        layer: int32 [n], index into `layers`, -1 for none.
        buffers: every buffer; its id is its index.
    """

    words: Words
    streams: NDArray[np.int32]
    operands: NDArray[np.int32]
    layer: NDArray[np.int32]
    buffers: tuple[Buffer, ...]
    layers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def opcodes(self) -> IntColumn:
        """The opcode of each instruction."""
        return bits(self.words, 0, 0, 8)

    @cached_property
    def boxes(self) -> Boxes:
        """What each instruction touches."""
        return Boxes.of(self)


@dataclass(frozen=True)
class Boxes:
    """Bounding boxes of every access, ordered by instruction: arrays of length m.

    A box is partitions [p0, p1) and bytes [b0, b1) of a buffer. Writes of an instruction come
    after its reads.
    """

    instruction: IntColumn
    buffer: IntColumn
    write: BoolColumn
    p0: IntColumn
    p1: IntColumn
    b0: IntColumn
    b1: IntColumn

    @staticmethod
    def of(program: VirtualProgram) -> Boxes:
        """The boxes of a program, by slot."""
        parts = [_slot_boxes(program, place) for place in range(OPERANDS)]
        stacked = [np.concatenate([p[i] for p in parts]) for i in range(7)]
        order = np.lexsort((stacked[2], stacked[0]))
        instruction, buffer, write, p0, p1, b0, b1 = (column[order] for column in stacked)
        return Boxes(instruction, buffer, write > 0, p0, p1, b0, b1)


def _roles() -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For every opcode: the role of each operand place (0 none), and whether it is DMA."""
    roles = np.zeros((256, OPERANDS), dtype=np.int64)
    dma = np.zeros(256, dtype=bool)
    for opcode, kind in REGISTRY.items():
        for spec in kind.fields.values():
            if isinstance(spec, TileField):
                roles[opcode, "ABC".index(spec.slot)] = spec.role
            elif isinstance(spec, ScalarField):
                roles[opcode, 3 + spec.index] = spec.role
            elif isinstance(spec, DmaField):
                roles[opcode, 0 if spec.role is Role.RESULT else 1] = spec.role
                dma[opcode] = True
    return roles, dma


def _slot_boxes(program: VirtualProgram, place: int) -> tuple[IntColumn, ...]:
    roles, dma = _roles()
    used = np.flatnonzero(program.operands[:, place] >= 0)
    is_dma = dma[program.opcodes[used]]
    tiles, copies = used[~is_dma], used[is_dma]
    columns = [_tile_box(program.words[tiles], place), _dma_box(program.words[copies], place)]
    index = np.concatenate([tiles, copies])
    p0, count, b0, b1 = (np.concatenate([c[i] for c in columns]) for i in range(4))
    if place >= 3:
        count = _main_partitions(program, index)
    buffer = program.operands[index, place].astype(np.int64)
    write = (roles[program.opcodes[index], place] == Role.RESULT).astype(np.int64)
    return index.astype(np.int64), buffer, write, p0, p0 + count, b0, b1


def _main_partitions(program: VirtualProgram, index: NDArray[np.intp]) -> IntColumn:
    """Partitions of the main operand: slot B where present, else A."""
    b, a = TileColumns(program.words[index], 7), TileColumns(program.words[index], 4)
    return np.where(b.present, b.partitions, a.partitions)


def _tile_box(words: Words, place: int) -> tuple[IntColumn, ...]:
    if place >= 3:
        column = ScalarColumns(words, 13 + place - 3)
        low = column.address
        return column.start, np.ones(len(words), np.int64), low, low + SIZE_BY_CODE[column.dtype]
    tile = TileColumns(words, 4 + 3 * place)
    return tile.start, tile.partitions, tile.low, tile.high


def _dma_box(words: Words, place: int) -> tuple[IntColumn, ...]:
    tile = DmaColumns(words, 4 if place == 0 else 10)
    return tile.start, tile.partitions, tile.low, tile.high
