"""Text -> instructions and operands; the inverse of `printing.py`, which shows the syntax.

Errors are those of `lexer.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NoReturn

import numpy as np

from isa.dtypes import DType
from isa.lexer import Line, Token
from isa.memory import Memory
from isa.printing import REQUIRED, defaults
from isa.program import DramBuffer
from isa.spec import (
    BY_MNEMONIC,
    AnyField,
    BitsField,
    DmaField,
    Instruction,
    Signal,
    TileField,
    Wait,
)
from isa.tiles import DMA_DIMS, FREE_DIMS, Column, Dim, DmaTile, Immediate, Tile

_SEMAPHORE = re.compile(r"s[0-9]{1,9}\Z")
MEMORIES = {m.name.lower(): m for m in Memory}
DTYPES = {d.text: d for d in DType}
Buffers = Mapping[str, DramBuffer]


def parse_instruction(line: Line, buffers: Buffers) -> Instruction:
    """The instruction on a line. Raises MalformedError SYS-Axxx."""
    mnemonic = line.name("a mnemonic")
    kind: type[Instruction] = line.look_up(BY_MNEMONIC, mnemonic, "A002", "no instruction")
    values = _items(line, kind, buffers)
    waits, signal = _marks(line)
    line.end()
    return kind(**values, waits=waits, signal=signal)


def _items(line: Line, kind: type[Instruction], buffers: Buffers) -> dict[str, Any]:
    values: dict[str, Any] = {}
    fields = defaults(kind.opcode)
    by_position = [name for name, default in fields.items() if default is REQUIRED]
    named = {name: spec for name, spec in kind.fields.items() if name not in by_position}
    for i, name in enumerate(by_position):
        if i and not line.accept(","):
            _missing(line, kind, name)
        if not i and (line.next.kind == "end" or line.next.text in ("?", "!")):
            _missing(line, kind, name)
        values[name] = parse_value(line, kind.fields[name], buffers)
    first = not by_position and line.next.kind == "name"
    while first or line.accept(","):
        first = False
        token = line.name("a flag, or name=value")
        spec = line.look_up(named, token, "A006", f"no flag or option of {kind.mnemonic}")
        if token.text in values:
            line.refuse("A011", "an option is given once", repr(token.text), token)
        if isinstance(spec, BitsField) and spec.flag:
            values[token.text] = True
        else:
            line.expect("=")
            values[token.text] = parse_value(line, spec, buffers)
    return values


def _missing(line: Line, kind: type[Instruction], name: str) -> NoReturn:
    line.refuse("A009", f"{kind.mnemonic} has the operand {name}", "none", line.next)


def _marks(line: Line) -> tuple[tuple[Wait, ...], Signal | None]:
    waits: list[Wait] = []
    signal = None
    while True:
        token = line.next
        if line.accept("?"):
            semaphore = _semaphore(line)
            line.expect(">=")
            waits.append(Wait(semaphore, line.integer("a value")))
            if len(waits) > 2:
                line.refuse("A008", "an instruction has at most two waits", "a third", token)
        elif line.accept("!"):
            if signal is not None:
                line.refuse("A008", "an instruction has at most one signal", "a second", token)
            semaphore = _semaphore(line)
            line.expect("+")
            signal = Signal(semaphore, line.integer("an amount"))
        else:
            return tuple(waits), signal


def _semaphore(line: Line) -> int:
    token = line.name("a semaphore such as s3")
    if not _SEMAPHORE.match(token.text):
        line.refuse("A007", "here stands a semaphore such as s3", repr(token.text), token)
    return int(token.text[1:])


def parse_value(line: Line, spec: AnyField, buffers: Buffers) -> Any:
    """The value of a field."""
    if isinstance(spec, TileField):
        return _tile(line)
    if isinstance(spec, DmaField):
        return _dma(line, buffers)
    if isinstance(spec, BitsField):
        return _number(line, spec)
    return (
        _column(line)
        if line.next.kind == "name" and line.next.text in MEMORIES
        else (_immediate(line))
    )


def _number(line: Line, spec: BitsField) -> int:
    if spec.enum is None:
        return line.integer("a whole number")
    names: dict[str, IntEnum] = {member.name.lower(): member for member in spec.enum}
    return line.look_up(names, line.name("a name"), "A006", "no choice")  # type: ignore[no-any-return]  # one of `names`


def _head(line: Line) -> tuple[Memory, DType]:
    memory = line.look_up(MEMORIES, line.name("an operand"), "A005", "no memory")
    line.expect(":")
    dtype = line.look_up(DTYPES, line.name("a data type"), "A005", "no data type")
    line.expect("[")
    return memory, dtype


def _partitions(line: Line) -> tuple[int, int]:
    token = line.next
    start = line.integer("the first partition")
    line.expect("..")
    end = line.integer("one past the last partition")
    if end <= start:
        line.refuse("A008", "a partition range is not empty", f"{start}..{end}", token)
    return start, end - start


def _dims(line: Line, rank: int) -> tuple[Dim, ...]:
    token = line.next
    line.expect(";")
    read: list[tuple[int, int | None]] = []
    while not read or line.accept(","):
        num = line.integer("a number of elements")
        read.append((num, line.integer("a step") if line.accept(":") else None))
    line.expect("]")
    if len(read) > rank:
        line.refuse("A008", f"there are at most {rank} dimensions", f"{len(read)}", token)
    dims: list[Dim] = []
    inside = 1
    for num, step in reversed(read):
        implied = inside if num > 1 else 0
        dims.append((implied if step is None else step, num))
        inside *= num
    return tuple(reversed(dims))


def _tile(line: Line) -> Tile:
    memory, dtype = _head(line)
    start, partitions = _partitions(line)
    line.expect("@")
    address = line.integer("a byte address")
    return Tile(memory, start, partitions, address, dtype, _dims(line, FREE_DIMS))


def _dma(line: Line, buffers: Buffers) -> DmaTile:
    memory, dtype = _head(line)
    start, partitions = _partitions(line) if line.next.text != "@" else (0, 1)
    line.expect("@")
    address = _address(line, buffers)
    dims = _dims(line, DMA_DIMS)
    return DmaTile(memory, address, dtype, dims, start=start, partitions=partitions)


def _address(line: Line, buffers: Buffers) -> int:
    if line.next.kind == "number":
        return line.integer("a byte address")
    token = line.next
    name = line.string("a byte address or a buffer")
    buffer = line.look_up(buffers, Token("name", name, token.column), "A010", "no buffer")
    offset = line.integer("an offset") if line.accept("+") else 0
    address: int = buffer.address + offset
    return address


def _column(line: Line) -> Column:
    memory, dtype = _head(line)
    start = line.integer("the first partition")
    line.expect("..")
    line.expect("@")
    address = line.integer("a byte address")
    line.expect("]")
    return Column(memory, start, address, dtype)


def _immediate(line: Line) -> Immediate:
    token = line.next
    if token.kind == "number" and token.text[:2].lower() == "0x":
        return Immediate(line.integer("32 bits"))
    if token.kind != "number" and token.text not in ("inf", "nan"):
        line.unexpected("a number or a column")
    value = float(line.take().text)
    with np.errstate(over="ignore"):
        nearest = np.float32(value)
    if np.isinf(nearest) and token.text not in ("inf", "-inf"):
        line.refuse("A008", "an immediate is an FP32 number", token.text, token)
    return Immediate(int(nearest.view(np.uint32)))
