"""Instruction <-> bytes, derived from the declarations.

`encode` and `decode` are inverse on every encodable instruction, and `decode` refuses every word
row that `encode` cannot make: reserved bits are zero, codes are known, absent operands are zero.

A tile's first word: address [0:24], start partition [24:31], partitions - 1 [31:38], data type
[38:43], memory [43:45], present [63]; then (step int16, num uint16) of its four dimensions,
outermost first. A DMA operand's first word: address [0:40], start [40:47], partitions - 1 [47:54],
data type [54:59], memory [59:61], present [63]; then (step int32, num uint32) of its five.
A scalar: an immediate's bits [0:32]; or a column, address [0:24], start [24:31], data type
[38:43], memory [43:45], column [62]; present [63].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import isa.instructions  # noqa: F401  (fills the registry)
from isa.dtypes import DType
from isa.errors import IllegalError, MalformedError
from isa.memory import Memory
from isa.spec import (
    INSTRUCTION_BYTES,
    REGISTRY,
    WORDS,
    AnyField,
    BitsField,
    DmaField,
    Instruction,
    ScalarField,
    Signal,
    TileField,
    Wait,
)
from isa.tiles import DMA_DIMS, FREE_DIMS, Column, Dim, DmaTile, Immediate, Tile

Words = NDArray[np.uint64]
Row = list[int]
PRESENT = 1 << 63
COLUMN = 1 << 62
_LOW32 = (1 << 32) - 1


def encode(instruction: Instruction) -> Row:
    """The 16 words of one instruction. Raises IllegalError SYS-I001 when a field does not fit."""
    row = _header(instruction)
    for name, spec in instruction.fields.items():
        value = getattr(instruction, name)
        if isinstance(spec, TileField):
            _put(row, spec.word, _tile_words(value, name, instruction))
        elif isinstance(spec, DmaField):
            _put(row, spec.word, _dma_words(value, name, instruction))
        elif isinstance(spec, ScalarField):
            row[spec.word] |= _scalar_word(value, name, instruction)
        else:
            row[spec.word] |= _bits(value, spec, name, instruction)
    return row


def encode_all(instructions: Sequence[Instruction]) -> Words:
    """The words of a stream. Shape [n, 16]."""
    rows = [encode(i) for i in instructions]
    return np.array(rows, dtype=np.uint64).reshape(len(rows), WORDS)


def to_bytes(words: Words) -> bytes:
    """A stream as bytes, little endian."""
    return np.ascontiguousarray(words, dtype="<u8").tobytes()


def from_bytes(data: bytes, at: str = "program") -> Words:
    """Bytes as words; decoding is not checked. Raises MalformedError SYS-I002 on a bad length."""
    if len(data) % INSTRUCTION_BYTES:
        raise MalformedError(
            "SYS-I002",
            "a program is a whole number of instructions",
            found=f"{len(data)} bytes; an instruction has {INSTRUCTION_BYTES}",
            at=at,
        )
    return np.frombuffer(data, dtype="<u8").reshape(-1, WORDS).astype(np.uint64)


def decode(row: Iterable[int], at: str = "") -> Instruction:
    """One instruction from its 16 words. Raises MalformedError SYS-I003 .. SYS-I006."""
    words = [int(w) for w in row]
    opcode = words[0] & 0xFF
    cls = REGISTRY.get(opcode)
    if cls is None:
        raise MalformedError("SYS-I003", "the opcode is unknown", found=f"0x{opcode:02x}", at=at)
    rest = list(words)
    values: dict[str, Any] = {}
    for name, spec in cls.fields.items():
        values[name] = _take(rest, spec, f"{cls.mnemonic}.{name}", at)
    values["waits"], values["signal"] = _take_header(rest)
    if any(rest):
        word = next(i for i, w in enumerate(rest) if w)
        raise MalformedError(
            "SYS-I004",
            "bits that no field owns are zero",
            found=f"0x{rest[word]:016x} left in word {word} of {cls.mnemonic}",
            at=at,
        )
    return cls(**values)


def decode_all(words: Words, at: str = "program") -> list[Instruction]:
    """Every instruction of a stream. Raises as `decode`, naming the instruction."""
    return [decode(row, f"{at}, instruction {i}") for i, row in enumerate(words.tolist())]


# --- fields to words -----------------------------------------------------------------------------


def _put(row: Row, word: int, values: Sequence[int]) -> None:
    for offset, value in enumerate(values):
        row[word + offset] |= value


def _fits(value: int, width: int, signed: bool, what: str, instruction: Instruction) -> int:
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
    if not low <= value <= high:
        raise IllegalError(
            "SYS-I001",
            "a field holds its value",
            found=f"{what} = {value}; allowed {low} to {high}",
            at=instruction.mnemonic,
        )
    return value & ((1 << width) - 1)


def _count(value: int, width: int, what: str, instruction: Instruction) -> int:
    if value == 0:
        raise IllegalError(
            "SYS-I001", "a dimension has elements", found=f"{what} = 0", at=instruction.mnemonic
        )
    return _fits(value, width, False, what, instruction)


def _header(instruction: Instruction) -> Row:
    row = [0] * WORDS
    row[0] = instruction.opcode
    if len(instruction.waits) > 2:
        raise IllegalError(
            "SYS-I001",
            "an instruction has at most two waits",
            found=f"{len(instruction.waits)}",
            at=instruction.mnemonic,
            hint="put sem_wait instructions in front",
        )
    for i, wait in enumerate(instruction.waits):
        semaphore = _fits(wait.semaphore, 8, False, "wait semaphore", instruction)
        row[0] |= 1 << (8 + 9 * i) | semaphore << (9 + 9 * i)
        row[1] |= _fits(wait.value, 32, False, "wait value", instruction) << (32 * i)
    if instruction.signal is not None:
        semaphore = _fits(instruction.signal.semaphore, 8, False, "signal semaphore", instruction)
        amount = _fits(instruction.signal.amount, 16, False, "signal amount", instruction)
        row[0] |= 1 << 26 | semaphore << 27 | amount << 35
    return row


def _tile_words(tile: Tile | None, name: str, instruction: Instruction) -> list[int]:
    if tile is None:
        return [0, 0, 0]

    def fits(value: int, width: int, what: str, signed: bool = False) -> int:
        return _fits(value, width, signed, f"{name}.{what}", instruction)

    head = (
        PRESENT
        | fits(tile.address, 24, "address")
        | fits(tile.start, 7, "start") << 24
        | fits(tile.partitions - 1, 7, "partitions - 1") << 31
        | int(tile.dtype) << 38
        | int(tile.memory) << 43
    )
    dims = [
        fits(s, 16, "step", True) | _count(n, 16, f"{name}.num", instruction) << 16
        for s, n in tile.dims
    ]
    return [head, dims[0] | dims[1] << 32, dims[2] | dims[3] << 32]


def _dma_words(tile: DmaTile, name: str, instruction: Instruction) -> list[int]:
    def fits(value: int, width: int, what: str, signed: bool = False) -> int:
        return _fits(value, width, signed, f"{name}.{what}", instruction)

    head = (
        PRESENT
        | fits(tile.address, 40, "address")
        | fits(tile.start, 7, "start") << 40
        | fits(tile.partitions - 1, 7, "partitions - 1") << 47
        | int(tile.dtype) << 54
        | int(tile.memory) << 59
    )
    dims = [
        fits(s, 32, "step", True) | _count(n, 32, f"{name}.num", instruction) << 32
        for s, n in tile.dims
    ]
    return [head, *dims]


def _scalar_word(value: Any, name: str, instruction: Instruction) -> int:
    if value is None:
        return 0
    if isinstance(value, Immediate):
        return PRESENT | _fits(value.bits, 32, False, f"{name}.bits", instruction)
    return (
        PRESENT
        | COLUMN
        | _fits(value.address, 24, False, f"{name}.address", instruction)
        | _fits(value.start, 7, False, f"{name}.start", instruction) << 24
        | int(value.dtype) << 38
        | int(value.memory) << 43
    )


def _bits(value: int, spec: BitsField, name: str, instruction: Instruction) -> int:
    return _fits(int(value), spec.width, spec.signed, name, instruction) << spec.bit


# --- words to fields -----------------------------------------------------------------------------


def _take(rest: Row, spec: AnyField, what: str, at: str) -> Any:
    if isinstance(spec, BitsField):
        return _take_bits(rest, spec, what, at)
    if isinstance(spec, ScalarField):
        return _take_scalar(rest, spec, what, at)
    present = rest[spec.word] >> 63
    if not present:
        if isinstance(spec, TileField) and spec.optional:
            return None
        raise MalformedError("SYS-I005", "a required operand is present", found=what, at=at)
    return (
        _take_tile(rest, spec, what, at)
        if isinstance(spec, TileField)
        else _take_dma(rest, spec, what, at)
    )


def _pop(rest: Row, word: int, bit: int, width: int) -> int:
    mask = ((1 << width) - 1) << bit
    value = (rest[word] & mask) >> bit
    rest[word] &= ~mask
    return value


def _signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> (width - 1) else value


def _code(enum: Any, value: int, what: str, at: str) -> Any:
    try:
        return enum(value)
    except ValueError:
        raise MalformedError(
            "SYS-I006", "a code names something", found=f"{what}: {enum.__name__} {value}", at=at
        ) from None


def _dim(rest: Row, word: int, bit: int, width: int, what: str, at: str) -> Dim:
    step = _signed(_pop(rest, word, bit, width), width)
    num = _pop(rest, word, bit + width, width)
    if num == 0:
        raise MalformedError("SYS-I006", "a dimension has elements", found=f"{what}: 0", at=at)
    return step, num


def _take_tile(rest: Row, spec: TileField, what: str, at: str) -> Tile:
    word = spec.word
    _pop(rest, word, 63, 1)
    dims = tuple(
        _dim(rest, word + 1 + i // 2, 32 * (i % 2), 16, f"{what} dimension {i}", at)
        for i in range(FREE_DIMS)
    )
    return Tile(
        address=_pop(rest, word, 0, 24),
        start=_pop(rest, word, 24, 7),
        partitions=_pop(rest, word, 31, 7) + 1,
        dtype=_code(DType, _pop(rest, word, 38, 5), what, at),
        memory=_code(Memory, _pop(rest, word, 43, 2), what, at),
        dims=dims,
    )


def _take_dma(rest: Row, spec: DmaField, what: str, at: str) -> DmaTile:
    word = spec.word
    _pop(rest, word, 63, 1)
    dims = tuple(
        _dim(rest, word + 1 + i, 0, 32, f"{what} dimension {i}", at) for i in range(DMA_DIMS)
    )
    return DmaTile(
        address=_pop(rest, word, 0, 40),
        start=_pop(rest, word, 40, 7),
        partitions=_pop(rest, word, 47, 7) + 1,
        dtype=_code(DType, _pop(rest, word, 54, 5), what, at),
        memory=_code(Memory, _pop(rest, word, 59, 2), what, at),
        dims=dims,
    )


def _take_scalar(rest: Row, spec: ScalarField, what: str, at: str) -> Any:
    word = spec.word
    if not _pop(rest, word, 63, 1):
        if spec.optional:
            return None
        raise MalformedError("SYS-I005", "a required operand is present", found=what, at=at)
    if not _pop(rest, word, 62, 1):
        return Immediate(_pop(rest, word, 0, 32))
    return Column(
        address=_pop(rest, word, 0, 24),
        start=_pop(rest, word, 24, 7),
        dtype=_code(DType, _pop(rest, word, 38, 5), what, at),
        memory=_code(Memory, _pop(rest, word, 43, 2), what, at),
    )


def _take_bits(rest: Row, spec: BitsField, what: str, at: str) -> Any:
    value = _pop(rest, spec.word, spec.bit, spec.width)
    if spec.flag:
        return bool(value)
    if spec.enum is not None:
        return _code(spec.enum, value, what, at)
    return _signed(value, spec.width) if spec.signed else value


def _take_header(rest: Row) -> tuple[tuple[Wait, ...], Signal | None]:
    _pop(rest, 0, 0, 8)
    waits = []
    for i in range(2):
        on = rest[0] >> (8 + 9 * i) & 1
        if on:
            _pop(rest, 0, 8 + 9 * i, 1)
            semaphore = _pop(rest, 0, 9 + 9 * i, 8)
            waits.append(Wait(semaphore, _pop(rest, 1, 32 * i, 32)))
        else:
            break
    signal = None
    if _pop(rest, 0, 26, 1):
        signal = Signal(_pop(rest, 0, 27, 8), _pop(rest, 0, 35, 16))
    return tuple(waits), signal
