"""What can be wrong with a program: a code and a sentence each, and a fault with its places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isa.assembly import format_instruction
from isa.encoding import decode
from isa.errors import SystolaError
from isa.memory import stream_name
from isa.program import Program

SENTENCES = {
    "SYS-V001": "every instruction is legal on the target",
    "SYS-V002": "every stream belongs to an engine or queue that the target has",
    "SYS-V003": "buffers lie apart",
    "SYS-V010": "no streams wait for each other for ever",
    "SYS-V011": "every wait can be reached by the signals there are",
    "SYS-V012": "no semaphore counts past its greatest value",
    "SYS-V013": "a clear is ordered with every other access of its semaphore",
    "SYS-V020": "two engines touch the same bytes in a fixed order when one writes",
    "SYS-V021": "a DMA and another stream touch the same bytes in a fixed order when one writes",
    "SYS-V030": "SBUF is written before it is read",
    "SYS-V031": "PSUM is written before it is read",
    "SYS-V032": "scratch and output buffers are written before they are read",
    "SYS-V033": "every byte of an output buffer is written",
    "SYS-V034": "a pinned transfer writes SBUF",
    "SYS-V035": "pinned bytes are not written",
    "SYS-V040": "inputs and constants are not written",
    "SYS-V041": "a DRAM access lies in one buffer",
    "SYS-V042": "an SBUF access lies in SBUF",
    "SYS-V043": "a PSUM access lies in PSUM",
    "SYS-V050": "a matmul accumulates on an open group",
    "SYS-V051": "a matmul does not start on an open group",
    "SYS-V052": "an open group is not read",
    "SYS-V053": "only matmuls write to an open group",
    "SYS-V054": "every group is closed",
    "SYS-V055": "a matmul accumulates on the tile that its group was started with",
    "SYS-V060": "a matmul has a stationary tile",
    "SYS-V061": "a matmul's moving tile has the stationary tile's partitions",
    "SYS-V062": "a matmul's product has a partition for each stationary column",
    "SYS-V063": "a matmul's two operands are both 32-bit types or neither is",
    "SYS-V070": "a DMA has as many elements on both sides",
    "SYS-V071": "a DMA writes each destination byte once",
    "SYS-V080": "reduce registers are set before they are read",
    "SYS-V085": "branches depend on numbers that the program holds, not on data",
    "SYS-V086": "a program with branches comes to its end in a bounded number of instructions",
    "SYS-V090": "a program is small enough to be verified",
}
"""Every fault class. SYS-V085 to SYS-V090 mean "not judged", and refuse as the others do."""


@dataclass(frozen=True)
class Place:
    """One instruction of a program, as a message shows it."""

    stream: int
    index: int
    text: str = ""
    layer: str = ""

    def __str__(self) -> str:
        text = f"{stream_name(self.stream)} instruction {self.index}"
        text += f": {self.text}" if self.text else ""
        return text + (f"  (layer {self.layer})" if self.layer else "")


@dataclass(frozen=True)
class Fault:
    """One broken rule of a program.

    Attributes:
        code: a key of `SENTENCES`.
        found: what was found, with numbers.
        places: the instructions concerned, the later one last.
        hint: what to do about it.
        label: the label of the broken rule, for SYS-V001.
    """

    code: str
    found: str
    places: tuple[Place, ...] = ()
    hint: str = ""
    label: str = ""

    @property
    def message(self) -> str:
        """The rule, as a sentence."""
        return SENTENCES[self.code]

    @property
    def at(self) -> str:
        """Every place in one text."""
        return "\n         ".join(str(place) for place in self.places)

    def __str__(self) -> str:
        return str(SystolaError(self.code, self.message, found=self.found, at=self.at))

    def to_json(self) -> dict[str, Any]:
        """The fault as a JSON-ready mapping."""
        return {
            "code": self.code,
            "message": self.message,
            "found": self.found,
            "instructions": [vars(place) for place in self.places],
            "hint": self.hint,
        }


def place(program: Program, stream: int, index: int) -> Place:
    """The place of an instruction, with its text and layer where they are known."""
    layer = ""
    if stream in program.debug and index < len(program.debug[stream]):
        number = int(program.debug[stream][index])
        layer = program.layers[number] if 0 <= number < len(program.layers) else ""
    return Place(stream, index, _text(program, stream, index), layer)


def _text(program: Program, stream: int, index: int) -> str:
    try:
        return format_instruction(decode(program.streams[stream][index].tolist()), program.buffers)
    except SystolaError:
        return ""  # not decodable: the stream and index say enough
