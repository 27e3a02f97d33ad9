"""Program -> FunctionalProgram: every instruction as a row of numbers, decoded once and in columns.

Row i of `code` says what instruction i does; its operands are rows of `operands` (`patterns.py`).
Streams stand one after the other. An instruction that the compiled loop does not know, or whose
operands are not what its kernel relies on (a place outside its memory, counts that differ, an
address that is not aligned), has the kind REFERENCE: the reference interpreter executes it, on the
same memories, and says what is wrong with it if something is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isa.columns import Columns, Header, by_kind
from isa.errors import IllegalError
from isa.footprints import OperandColumns, operands
from isa.hardware import Hardware
from isa.layout import require_well_formed
from isa.memory import DRAM, Memory, stream_name
from isa.program import Program, Words
from isa.spec import DmaField
from simulator.functional.forms import (
    AMOUNT,
    CODE_COLUMNS,
    DMA,
    FORMS,
    KIND,
    LOAD,
    NO_OPERAND,
    OPERAND_SLOTS,
    RAW,
    REFERENCE,
    SIGNAL,
    WAITS,
    Form,
    Operand,
)
from simulator.functional.patterns import (
    BASE,
    DTYPE,
    FREE,
    MEMORY,
    NUMS,
    OPERAND_COLUMNS,
    PARTITIONS,
    PITCH,
    SIZE,
    START,
    STEPS,
)

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
TILE_ELEMENTS = 128 * 65536  # the most that an engine's operand may have (rule O-7)
DMA_ELEMENTS = 1 << 32  # rule D-4


@dataclass(frozen=True)
class FunctionalProgram:
    """A program, ready to be executed any number of times.

    Attributes:
        code: int64 [n, CODE_COLUMNS]; operands: int64 [m, OPERAND_COLUMNS].
        slots: int64 [2, streams]: first row and end row of each stream.
        streams: stream numbers, ascending.
        scratch, stationary: elements of the largest operand, and of the largest stationary tile.
    """

    program: Program
    hw: Hardware
    dram_bytes: int
    code: Ints
    operands: Ints
    slots: Ints
    streams: tuple[int, ...]
    scratch: int
    stationary: int

    def __len__(self) -> int:
        return len(self.code)

    @cached_property
    def native(self) -> float:
        """The share of instructions that the compiled loop executes itself."""
        return float((self.code[:, KIND] != REFERENCE).mean()) if len(self.code) else 1.0


def prepare(program: Program, hw: Hardware, dram_bytes: int | None = None) -> FunctionalProgram:
    """The tables of a program.

    Args:
        dram_bytes: size of the DRAM window; that of the program's buffers when None.
    Raises:
        MalformedError: a word row that is no instruction.
        IllegalError: S-1, a semaphore that the target does not have.
    """
    window = program.dram_bytes if dram_bytes is None else dram_bytes
    streams = tuple(sorted(program.streams))
    lengths = [len(program.streams[s]) for s in streams]
    ends = np.cumsum(lengths, dtype=np.int64)
    slots = np.stack([ends - lengths, ends]).astype(np.int64)
    code = np.full((int(sum(lengths)), CODE_COLUMNS), NO_OPERAND, np.int64)
    rows = _OperandRows(hw, window)
    for stream, first, end in zip(streams, *slots.tolist(), strict=True):
        _fill(code[first:end], program.streams[stream], stream, hw, rows)
    found = rows.table()
    scratch, stationary = _largest(code, found)
    return FunctionalProgram(program, hw, window, code, found, slots, streams, scratch, stationary)


def _fill(code: Ints, words: Words, stream: int, hw: Hardware, rows: _OperandRows) -> None:
    require_well_formed(words, f"{stream_name(stream)} stream")
    _fill_header(code, words, stream, hw)
    for kind, index, columns in by_kind(words):
        form = FORMS.get(kind.mnemonic)
        if form is None:
            code[index, KIND] = REFERENCE
            continue
        part = np.full((len(index), CODE_COLUMNS), NO_OPERAND, np.int64)
        part[:, WAITS:] = code[index, WAITS:]
        sound = _fill_operands(part, form, columns, hw, rows)
        part[~sound, KIND] = REFERENCE
        code[index] = part


def _fill_operands(
    part: Ints, form: Form, columns: Columns, hw: Hardware, rows: _OperandRows
) -> Bools:
    """Fill rows of one kind. Returns which of them the kind's kernel can take."""
    named = {o.name: o for o in operands(columns)}
    tiles = {slot: _Tiles(named[name], hw) for slot, name in form.operands.items() if name in named}
    part[:, KIND], part[:, RAW] = form.kind, 0
    sound = form.fill(part, columns, tiles)
    for slot, tile in tiles.items():
        fits = ~tile.present | rows.fits(tile)
        sound = sound & fits
        part[:, slot] = rows.add(tile, sound, part[:, slot])
    return np.broadcast_to(sound, len(part))


def _fill_header(code: Ints, words: Words, stream: int, hw: Hardware) -> None:
    header = Header(words)
    used = np.concatenate(
        [
            header.wait_semaphore * header.wait_on,
            (header.signal_semaphore * header.signal_on)[:, None],
        ],
        axis=1,
    )
    broken = np.flatnonzero((used >= hw.semaphores).any(axis=1))
    if len(broken):
        raise IllegalError(
            "S-1",
            "waits and signals name semaphores that the target has",
            found=f"semaphore {int(used[broken[0]].max())}; {hw.name} has {hw.semaphores}",
            at=f"{stream_name(stream)} stream, instruction {int(broken[0])}",
        )
    for w in range(2):
        code[:, WAITS + 2 * w] = np.where(header.wait_on[:, w], header.wait_semaphore[:, w], -1)
        code[:, WAITS + 2 * w + 1] = header.wait_value[:, w]
    code[:, SIGNAL] = np.where(header.signal_on, header.signal_semaphore, -1)
    code[:, AMOUNT] = header.signal_amount


class _Tiles(Operand):
    """An operand of every instruction of a kind, as `forms.py` and the rows below ask for it."""

    def __init__(self, columns: OperandColumns, hw: Hardware) -> None:
        self.columns, self._hw = columns, hw
        self.present = columns.present
        self.memory, self.dtype, self.size = columns.memory, columns.dtype, columns.size_bytes
        self.partitions, self.free = columns.partitions, columns.free
        self.nums, self.steps = columns.nums, columns.steps
        self.is_dma = isinstance(columns.spec, DmaField)
        self.elements = columns.free * columns.partitions

    @cached_property
    def pitch_bytes(self) -> Ints:
        """Bytes from a partition to the next; 0 in DRAM."""
        widths = [0, *(self._hw.partition_bytes(m) for m in Memory if m is not DRAM), 0]
        return np.array(widths, np.int64)[self.memory]

    @cached_property
    def low(self) -> NDArray[np.float64]:
        """Least byte touched of the memory as a whole."""
        return self.columns.low + self.columns.start * self.pitch_bytes

    @cached_property
    def high(self) -> NDArray[np.float64]:
        """One past the greatest byte touched of the memory as a whole."""
        last = self.columns.start + self.partitions - 1
        return self.columns.high + last * self.pitch_bytes

    def apart_from(self, other: _Tiles) -> Bools:
        """Whether no byte of one can be one of the other."""
        apart: Bools = self.memory != other.memory
        return apart | (self.low >= other.high) | (other.low >= self.high)

    def is_contiguous(self) -> Bools:
        """Whether a partition's elements stand one after the other."""
        step, contiguous = np.ones(len(self.nums), np.int64), np.ones(len(self.nums), np.bool_)
        for d in range(self.nums.shape[1] - 1, -1, -1):
            contiguous &= (self.nums[:, d] == 1) | (self.steps[:, d] == step)
            step = step * self.nums[:, d]
        return contiguous

    def only_where(self, mask: Bools) -> _Tiles:
        """The same operand, present where `mask` says so too."""
        other = _Tiles(self.columns, self._hw)
        other.present = self.present & mask
        return other


class _OperandRows:
    """Collects operand rows of many kinds."""

    def __init__(self, hw: Hardware, dram_bytes: int) -> None:
        self._hw = hw
        self._width = np.array(
            [dram_bytes, *(hw.partition_bytes(m) for m in Memory if m is not DRAM)], np.int64
        )
        self._parts: list[Ints] = []
        self._count = 0

    def fits(self, tile: _Tiles) -> Bools:
        """Whether an operand lies inside its memory, aligned, and within what scratch can hold."""
        c, memory = tile.columns, np.minimum(tile.memory, len(Memory) - 1)
        in_dram = memory == DRAM
        lanes = np.where(in_dram, 1, self._hw.partitions)
        size = np.maximum(tile.size, 1)
        aligned = (c.address % size == 0) & (in_dram | (self._width[memory] % size == 0))
        inside = (c.low >= 0) & (c.high <= self._width[memory])
        inside &= c.start + c.partitions <= lanes
        limit = DMA_ELEMENTS if tile.is_dma else TILE_ELEMENTS
        reachable = (tile.memory < len(Memory)) & (tile.is_dma | ~in_dram)
        fits: Bools = aligned & inside & reachable & (tile.elements <= limit) & (tile.size > 0)
        return fits

    def add(self, tile: _Tiles, sound: Bools, otherwise: Ints) -> Ints:
        """Row numbers of the operand where it is present and sound."""
        chosen = np.flatnonzero(tile.present & sound)
        c, found = tile.columns, otherwise.copy()
        memory, size = tile.memory[chosen], tile.size[chosen]
        pitch = tile.pitch_bytes[chosen]
        start, partitions = c.start[chosen], tile.partitions[chosen]
        row = np.zeros((len(chosen), OPERAND_COLUMNS), np.int64)
        row[:, MEMORY], row[:, DTYPE], row[:, SIZE] = memory, tile.dtype[chosen], size
        row[:, BASE] = (start * pitch + c.address[chosen]) // size
        row[:, PITCH], row[:, START] = pitch // size, start
        row[:, PARTITIONS], row[:, FREE] = partitions, tile.free[chosen].astype(np.int64)
        row[:, NUMS : NUMS + 5], row[:, STEPS : STEPS + 5] = tile.nums[chosen], tile.steps[chosen]
        found[chosen] = self._count + np.arange(len(chosen))
        self._parts.append(row)
        self._count += len(chosen)
        return found

    def table(self) -> Ints:
        """All rows, their dimensions joined."""
        rows = np.concatenate([np.zeros((0, OPERAND_COLUMNS), np.int64), *self._parts])
        join_dimensions(rows)
        return rows


@njit(cache=True)
def join_dimensions(rows: Ints) -> None:
    """Drop dimensions of one element, and join neighbours that run on into each other.

    (step 8, num 4), (step 1, num 8) become (step 1, num 32); the innermost stays last, unit
    dimensions (0, 1) fill the front; a single element is (1, 1).
    """
    for r in range(len(rows)):
        num, step, place = 1, 1, 4
        for d in range(4, -1, -1):
            n, s = rows[r, NUMS + d], rows[r, STEPS + d]
            if n == 1:
                continue
            if num == 1:
                num, step = n, s
            elif s == step * num:
                num *= n
            else:
                rows[r, NUMS + place], rows[r, STEPS + place] = num, step
                num, step = n, s
                place -= 1
        rows[r, NUMS + place], rows[r, STEPS + place] = num, step
        for d in range(place):
            rows[r, NUMS + d], rows[r, STEPS + d] = 1, 0


def _largest(code: Ints, rows: Ints) -> tuple[int, int]:
    """Elements of the largest operand that passes through scratch, and of a stationary tile."""
    elements = rows[:, PARTITIONS] * rows[:, FREE]
    in_scratch, held = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    for slot in OPERAND_SLOTS:
        used = code[:, slot] >= 0
        in_scratch[code[used & (code[:, KIND] != DMA), slot]] = True
        held[code[used & (code[:, KIND] == LOAD), slot]] = True
    return int(elements[in_scratch].max(initial=128)), int(elements[held].max(initial=1))
