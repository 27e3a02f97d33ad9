"""Instructions and operands as text; `parsing.py` reads it back.

    matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x1000; 9:56, 56], start  ?s3>=5 !s4+1

Operands without a default come by position, in declaration order; the rest as `name=value`, left
out at its default; a flag is its name. `?s3>=5` waits until semaphore 3 has reached 5, `!s4+1` adds
1 to semaphore 4 at completion.

    sbuf:bf16[0..128 @0x1000; 9:56, 56]   a tile: partitions 0 to 127, byte address, dimensions,
                                          outermost first, as num or num:step. A step left out is
                                          the contiguous one: the product of the counts inside it
                                          (0 for a single element)
    dram:fp32[@weights+0x40; 64]          a DMA operand in DRAM; also by plain address
    sbuf:fp32[32.. @0x80]                 a column: one value in each partition from 32
    1.5   -0.0   inf   0x7fc00001         an immediate: FP32, or its 32 bits in hex
"""

from __future__ import annotations

import dataclasses
import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np

from isa.memory import Memory
from isa.program import DramBuffer
from isa.spec import REGISTRY, Instruction
from isa.tiles import UNIT, Column, Dim, DmaTile, Immediate, Tile

REQUIRED = dataclasses.MISSING
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_DECIMAL_MAX = 1 << 16  # larger numbers are easier to read in hex


def format_instruction(instruction: Instruction, buffers: Sequence[DramBuffer] = ()) -> str:
    """The assembly line of an instruction; a DRAM address by the buffer that contains it.

    `buffers` are in address order, as a program has them.
    """
    items = []
    for name, default in defaults(instruction.opcode).items():
        value = getattr(instruction, name)
        if default is REQUIRED:
            items.append(format_value(value, buffers))
        elif value is True:
            items.append(name)
        elif value != default or type(value) is not type(default):
            items.append(f"{name}={format_value(value, buffers)}")
    text = " ".join(filter(None, (instruction.mnemonic, ", ".join(items))))
    return "  ".join(filter(None, (text, format_marks(instruction))))


def format_marks(instruction: Instruction) -> str:
    """Waits and signal: `?s3>=5 !s4+1`."""
    marks = [f"?s{w.semaphore}>={w.value}" for w in instruction.waits]
    if instruction.signal is not None:
        marks.append(f"!s{instruction.signal.semaphore}+{instruction.signal.amount}")
    return " ".join(marks)


@cache
def defaults(opcode: int) -> dict[str, Any]:
    """The encoded fields of a kind, in order, with their defaults (REQUIRED for none)."""
    kind = REGISTRY[opcode]
    return {f.name: f.default for f in dataclasses.fields(kind) if f.name in kind.fields}


def format_value(value: Any, buffers: Sequence[DramBuffer] = ()) -> str:
    """An operand, number or code as text."""
    if isinstance(value, Tile):
        head = f"{value.memory.name.lower()}:{value.dtype.text}"
        end = value.start + value.partitions
        return f"{head}[{value.start}..{end} @0x{value.address:x}; {format_dims(value.dims)}]"
    if isinstance(value, DmaTile):
        return _format_dma(value, buffers)
    if isinstance(value, Column):
        head = f"{value.memory.name.lower()}:{value.dtype.text}"
        return f"{head}[{value.start}.. @0x{value.address:x}]"
    if isinstance(value, Immediate):
        return format_immediate(value)
    if isinstance(value, IntEnum):
        return value.name.lower()
    return f"0x{value:x}" if int(value) >= _DECIMAL_MAX else str(int(value))


def _format_dma(tile: DmaTile, buffers: Sequence[DramBuffer]) -> str:
    partitions = f"{tile.start}..{tile.start + tile.partitions} "
    if tile.memory is Memory.DRAM and tile.start == 0 and tile.partitions == 1:
        partitions = ""
    address = f"0x{tile.address:x}"
    if tile.memory is Memory.DRAM:
        below = bisect_right(buffers, tile.address, key=lambda b: b.address) - 1
        if below >= 0 and tile.address < buffers[below].end:
            offset = tile.address - buffers[below].address
            address = format_name(buffers[below].name) + (f"+0x{offset:x}" if offset else "")
    head = f"{tile.memory.name.lower()}:{tile.dtype.text}"
    return f"{head}[{partitions}@{address}; {format_dims(tile.dims)}]"


def format_dims(dims: tuple[Dim, ...]) -> str:
    """Dimensions outermost first, without the unit ones in front: `9:112, 56`."""
    first = next((i for i, dim in enumerate(dims) if dim != UNIT), len(dims) - 1)
    texts = []
    inside = 1
    for step, num in reversed(dims[first:]):
        implied = inside if num > 1 else 0
        texts.append(str(num) if step == implied else f"{num}:{step}")
        inside *= num
    return ", ".join(reversed(texts))


def format_immediate(value: Immediate) -> str:
    """The shortest decimal that reads back as the same FP32; a NaN as its bits."""
    if np.isnan(value.value):
        return f"0x{value.bits:08x}"
    return str(np.float32(value.value))


def format_name(name: str) -> str:
    """A buffer's name, quoted unless it is a plain word."""
    return name if _PLAIN_NAME.match(name) else json.dumps(name)
