"""Programs as text, and back: `assemble(disassemble(p))` is p, to the bit.

    .buffer image input bf16 [1, 3, 224] @0x0       ; name kind type shape address (size= if more)
    .layer 0 "conv1"                                ; the model's own layers, in order
    .stream PE                                      ; what follows runs there
    .from 0                                         ; what follows serves layer 0 (or none)
    load_stationary sbuf:bf16[0..128 @0x0; 64]  !s0+1
    .stream pinned                                  ; what loading runs once: DMA instructions

One line an instruction, in the syntax of `printing.py`; a comment runs from `;` to the end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isa.encoding import Row, decode_all, encode
from isa.errors import IllegalError
from isa.lexer import Line, Token
from isa.memory import stream_name, stream_number
from isa.parsing import DTYPES, parse_instruction
from isa.printing import format_instruction, format_name
from isa.program import BufferKind, DramBuffer, Program
from isa.spec import WORDS, Instruction

__all__ = ["assemble", "assemble_line", "disassemble", "format_instruction"]

_KINDS = {kind.value: kind for kind in BufferKind}
_NO_LAYER = -1
_PINNED = -1  # stands for a stream
ADDRESS_BITS = 62  # of a DRAM window in a text; whether a device has it is for legality to say


def disassemble(program: Program) -> str:
    """The text of a program. Raises MalformedError for words that are no instruction."""
    lines = [_format_buffer(b) for b in program.buffers]
    lines += [f".layer {i} {json.dumps(name)}" for i, name in enumerate(program.layers)]
    parts = dict(program.streams)
    if len(program.pinned):
        parts = {_PINNED: program.pinned, **parts}
    for stream, words in parts.items():
        name = "pinned" if stream == _PINNED else stream_name(stream)
        lines += ["", f".stream {name}"]
        layers = program.debug.get(stream)
        current: int | None = None
        if layers is not None and not len(layers):
            lines.append(".from none")
        for i, instruction in enumerate(decode_all(words, f"{name} stream")):
            if layers is not None and layers[i] != current:
                current = int(layers[i])
                lines.append(f".from {'none' if current == _NO_LAYER else current}")
            lines.append("    " + format_instruction(instruction, program.buffers))
    return "\n".join(lines).lstrip("\n") + "\n"


def _format_buffer(buffer: DramBuffer) -> str:
    head = f".buffer {format_name(buffer.name)} {buffer.kind.value} {buffer.dtype.text}"
    size = "" if buffer.size_bytes == _bytes_of(buffer) else f" size={buffer.size_bytes}"
    return f"{head} {list(buffer.shape)} @0x{buffer.address:x}{size}"


def _bytes_of(buffer: DramBuffer) -> int:
    return int(np.prod(buffer.shape, dtype=object)) * buffer.dtype.size_bytes


@dataclass
class _Draft:
    """A program while its lines are read."""

    buffers: dict[str, DramBuffer] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)
    rows: dict[int, list[Row]] = field(default_factory=dict)
    debug: dict[int, list[int]] = field(default_factory=dict)
    stream: int | None = None
    layer: int = _NO_LAYER


def assemble(text: str) -> Program:
    """The program that a text describes.

    Raises:
        MalformedError: SYS-A001 to SYS-A012 (`lexer.py`), naming line and column.
    """
    draft = _Draft()
    for number, source in enumerate(text.splitlines(), 1):
        line = Line(source, number)
        if line.next.kind == "end":
            continue
        if line.accept("."):
            _directive(line, draft)
        else:
            _instruction(line, draft)
    rows = {s: np.array(r, np.uint64).reshape(-1, WORDS) for s, r in draft.rows.items()}
    pinned = rows.pop(_PINNED, np.zeros((0, WORDS), np.uint64))
    return Program(
        streams=rows,
        buffers=tuple(draft.buffers.values()),
        debug={s: _layers(layers) for s, layers in draft.debug.items()},
        layers=tuple(draft.layers),
        pinned=pinned,
    )


def assemble_line(text: str) -> Instruction:
    """One instruction from its text. Raises as `assemble`."""
    return parse_instruction(Line(text), {})


def _layers(layers: list[int]) -> NDArray[np.int32]:
    return np.array(layers, np.int32)


def _instruction(line: Line, draft: _Draft) -> None:
    first = line.next
    if draft.stream is None:
        hint = "begin with a line such as: .stream PE"
        line.refuse("A012", "an instruction stands in a stream", repr(first.text), first, hint)
    instruction = parse_instruction(line, draft.buffers)
    try:
        row = encode(instruction)
    except IllegalError as error:
        line.refuse("A008", error.message, error.found, first)
    draft.rows[draft.stream].append(row)
    if draft.stream in draft.debug:
        draft.debug[draft.stream].append(draft.layer)


def _directive(line: Line, draft: _Draft) -> None:
    token = line.name("a directive")
    table = {"buffer": _buffer, "layer": _layer, "stream": _stream, "from": _from}
    line.look_up(table, token, "A003", "no directive")(line, draft)
    line.end()


def _stream(line: Line, draft: _Draft) -> None:
    token = line.name("a stream")
    try:
        draft.stream = _PINNED if token.text == "pinned" else stream_number(token.text)
    except ValueError:
        hint = "PE, ACT, DVE, POOL, SP, pinned, or a DMA queue: q0, q1, ..."
        line.refuse("A004", "no stream has that name", repr(token.text), token, hint)
    draft.rows.setdefault(draft.stream, [])
    draft.layer = _NO_LAYER


def _layer(line: Line, draft: _Draft) -> None:
    token = line.next
    index = line.integer("the layer's number")
    if index != len(draft.layers):
        found = f"{index}; the next is {len(draft.layers)}"
        line.refuse("A010", "layers are numbered from 0 in order", found, token)
    draft.layers.append(line.string("the layer's name"))


def _from(line: Line, draft: _Draft) -> None:
    token = line.next
    if draft.stream is None or draft.stream == _PINNED:
        line.refuse("A012", ".from stands in a stream of the run", repr(token.text), token)
    if token.text == "none":
        line.take()
        draft.layer = _NO_LAYER
    else:
        draft.layer = line.integer("a layer's number, or none")
        if not 0 <= draft.layer < len(draft.layers):
            line.refuse("A010", "there is a layer of that number", token.text, token)
    so_far = len(draft.rows[draft.stream])
    draft.debug.setdefault(draft.stream, [_NO_LAYER] * so_far)


def _buffer(line: Line, draft: _Draft) -> None:
    token = line.next
    name = line.string("a buffer's name")
    if name in draft.buffers:
        line.refuse("A011", "a buffer's name is its own", repr(name), token)
    kind = line.look_up(_KINDS, line.name("a kind of buffer"), "A005", "no kind of buffer")
    dtype = line.look_up(DTYPES, line.name("a data type"), "A005", "no data type")
    shape = _shape(line)
    line.expect("@")
    address = line.integer("a byte address")
    buffer = DramBuffer(name, kind, address, 0, dtype, shape)
    size = _bytes_of(buffer)
    if line.next.kind != "end":
        option = line.name("size=")
        line.look_up({"size": None}, option, "A006", "no option of .buffer")
        line.expect("=")
        size = line.integer("a number of bytes")
    if size < 0 or not 0 <= address <= address + size < 1 << ADDRESS_BITS:
        found = "it begins below 0 or ends past the window"  # the numbers may have any length
        line.refuse("A008", f"a buffer lies in a window of 2**{ADDRESS_BITS} bytes", found, token)
    draft.buffers[name] = DramBuffer(name, kind, address, size, dtype, shape)


def _shape(line: Line) -> tuple[int, ...]:
    shape: list[int] = []
    line.expect("[")
    while not line.accept("]"):
        if shape:
            line.expect(",")
        token: Token = line.next
        shape.append(line.integer("a dimension"))
        if shape[-1] < 0:
            line.refuse("A008", "a dimension is not negative", token.text, token)
    return tuple(shape)
