"""The vocabulary in which an instruction is written down, once.

An instruction is a frozen dataclass: its fields say operands and bits, its docstring the formula,
its `@rule` methods what is legal, `execute` the meaning, `occupancy` the time. Encoder, decoder,
assembler, checker, footprints, manual are derived from these (`encoding.py`, `assembly.py`, ...).

Rules and costs are *columnar*: written with `&`, `|` and NumPy functions on attributes, they work
on one instruction (`self` is the instance) and on a whole stream (`self` is a `Columns` view whose
attributes are arrays), so a program of a hundred thousand instructions is checked in one call.

The 16 words of an instruction:

    0      opcode [0:8], wait 0 on [8] and semaphore [9:17], wait 1 on [17] and semaphore [18:26],
           signal on [26] and semaphore [27:35], signal amount [35:51]
    1      wait 0 value [0:32], wait 1 value [32:64]
    2, 3   the instruction's parameters
    4-6    tile slot A      7-9  tile slot B      10-12  tile slot C
    13     scalar slot 0    14   scalar slot 1    15     more parameters
    A DMA instruction has its destination in words 4-9 and its source in words 10-15.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, TypeVar, dataclass_transform

from isa.dtypes import EVERY_DTYPE, DType
from isa.memory import DRAM, PSUM, SBUF, Engine, Memory

WORDS = 16
INSTRUCTION_BYTES = 8 * WORDS
TILE_SLOTS = {"A": 4, "B": 7, "C": 10}
SCALAR_SLOTS = (13, 14)
DMA_RESULT_WORD, DMA_SOURCE_WORD = 4, 10
TILE_WORDS, DMA_WORDS = 3, 6


class Role(IntEnum):
    """What an operand is to its instruction: hazards and semaphores follow from it."""

    SOURCE = 1
    RESULT = 2


@dataclass(frozen=True)
class TileField:
    """A tile operand in slot A, B or C."""

    role: Role
    slot: str
    memories: frozenset[Memory]
    dtypes: frozenset[DType]
    optional: bool = False

    @property
    def word(self) -> int:
        return TILE_SLOTS[self.slot]


@dataclass(frozen=True)
class DmaField:
    """A DMA operand: destination (words 4-9) or source (words 10-15), or where `at` says."""

    role: Role
    memories: frozenset[Memory] = frozenset({DRAM, SBUF, PSUM})
    dtypes: frozenset[DType] = EVERY_DTYPE
    at: int = 0

    @property
    def word(self) -> int:
        if self.at:
            return self.at
        return DMA_RESULT_WORD if self.role is Role.RESULT else DMA_SOURCE_WORD


@dataclass(frozen=True)
class ScalarField:
    """An immediate, or one value a partition, in scalar slot 0 or 1."""

    role: Role
    index: int
    memories: frozenset[Memory] = frozenset({SBUF, PSUM})
    dtypes: frozenset[DType] = frozenset({DType.FP32})
    optional: bool = False
    immediate: bool = True
    column: bool = True

    @property
    def word(self) -> int:
        return SCALAR_SLOTS[self.index]


@dataclass(frozen=True)
class BitsField:
    """A number, flag or enum value in `width` bits of a word."""

    word: int
    bit: int
    width: int
    signed: bool = False
    enum: type[IntEnum] | None = None
    flag: bool = False
    default: int = 0


AnyField = TileField | DmaField | ScalarField | BitsField
_KEY = "spec"


def _spec(spec: AnyField, **options: Any) -> Any:
    return field(metadata={_KEY: spec}, **options)


def source(
    *memories: Memory,
    slot: str,
    dtypes: frozenset[DType] = EVERY_DTYPE,
    optional: bool = False,
) -> Any:
    """A tile that is read."""
    spec = TileField(Role.SOURCE, slot, frozenset(memories), dtypes, optional)
    return _spec(spec, **({"default": None} if optional else {}))


def result(
    *memories: Memory,
    slot: str = "A",
    dtypes: frozenset[DType] = EVERY_DTYPE,
    optional: bool = False,
) -> Any:
    """A tile that is written."""
    spec = TileField(Role.RESULT, slot, frozenset(memories), dtypes, optional)
    return _spec(spec, **({"default": None} if optional else {}))


def dma_source(**options: Any) -> Any:
    """What a DMA reads."""
    return _spec(DmaField(Role.SOURCE, **options))


def dma_result(**options: Any) -> Any:
    """What a DMA writes."""
    return _spec(DmaField(Role.RESULT, **options))


def scalar(index: int, *, default: Any = dataclasses.MISSING, **options: Any) -> Any:
    """An immediate or a column that is read."""
    extra = {} if default is dataclasses.MISSING else {"default": default}
    return _spec(ScalarField(Role.SOURCE, index, **options), **extra)


def column_result(index: int, *, default: Any = dataclasses.MISSING) -> Any:
    """A column that is written: one FP32 value a partition. Optional when it has a default."""
    optional = default is not dataclasses.MISSING
    spec = ScalarField(Role.RESULT, index, optional=optional, immediate=False)
    return _spec(spec, **({"default": default} if optional else {}))


def number(width: int, *, bit: int, word: int = 2, signed: bool = False, default: int = 0) -> Any:
    """A whole number."""
    return _spec(BitsField(word, bit, width, signed, default=default), default=default)


def flag(*, bit: int, word: int = 2) -> Any:
    """A yes or no, no by default."""
    return _spec(BitsField(word, bit, 1, flag=True), default=False)


def choice(enum: type[IntEnum], width: int, *, bit: int, word: int = 2, default: int = 0) -> Any:
    """One of an enum's values."""
    return _spec(BitsField(word, bit, width, enum=enum, default=default), default=enum(default))


@dataclass(frozen=True)
class Rule:
    """A labelled legality rule. `holds(self_or_columns, hw)` gives a truth value or an array.

    The general rules of `rules.py` are of this type too, and say there what they are given.
    """

    label: str
    sentence: str
    holds: Callable[..., Any]


F = TypeVar("F", bound=Callable[..., Any])


def rule(label: str) -> Callable[[F], F]:
    """Mark a method as a rule; the first paragraph of its docstring is its sentence."""

    def mark(method: F) -> F:
        method.__rule_label__ = label  # type: ignore[attr-defined]  # read back in `instruction`
        return method

    return mark


@dataclass(frozen=True, slots=True)
class Wait:
    """The instruction starts once `semaphore` has reached `value`."""

    semaphore: int
    value: int


@dataclass(frozen=True, slots=True)
class Signal:
    """When the instruction has completed, `semaphore` goes up by `amount`."""

    semaphore: int
    amount: int = 1


@dataclass(frozen=True)
class Instruction:
    """Base of every instruction: the header fields that all share."""

    waits: tuple[Wait, ...] = field(default=(), kw_only=True)
    signal: Signal | None = field(default=None, kw_only=True)

    mnemonic: ClassVar[str]
    opcode: ClassVar[int]
    engines: ClassVar[frozenset[Engine]]
    generations: ClassVar[frozenset[int]]
    fields: ClassVar[dict[str, AnyField]]
    rules: ClassVar[tuple[Rule, ...]]
    summary: ClassVar[str]
    lanewise: ClassVar[bool] = True
    """Operands have as many partitions each (O-8); False where the meaning moves partitions."""

    def keeps_result(self) -> Any:
        """Whether the result adds to, or keeps some of, what it held: it is read too. Columnar."""
        return False

    def execute(self, state: Any) -> None:
        """The meaning, on `isa.state.State`."""
        raise NotImplementedError

    def occupancy(self, hw: Any) -> Any:
        """Cycles of the executing engine's clock before it can start the next. Columnar."""
        return hw.engine_min_interval


REGISTRY: dict[int, type[Instruction]] = {}
BY_MNEMONIC: dict[str, type[Instruction]] = {}
C = TypeVar("C", bound=type)


# `number`, `flag` and `choice` always have a default: left out, a checker reads them as a default
@dataclass_transform(
    frozen_default=True,
    field_specifiers=(source, result, dma_source, dma_result, scalar, column_result, field),
)
def instruction(
    mnemonic: str,
    *,
    opcode: int,
    engines: tuple[Engine, ...],
    generations: tuple[int, ...] = (1, 2, 3),
) -> Callable[[C], C]:
    """Declare an instruction: makes it a frozen dataclass and enters it in the registry."""

    def declare(cls: C) -> C:
        made: Any = dataclass(frozen=True)(cls)
        made.mnemonic, made.opcode = mnemonic, opcode
        made.engines, made.generations = frozenset(engines), frozenset(generations)
        made.fields = {
            f.name: f.metadata[_KEY] for f in dataclasses.fields(made) if _KEY in f.metadata
        }
        made.rules = tuple(_rules_of(made))
        made.summary = (made.__doc__ or "").strip().split("\n")[0]
        _check_declaration(made)
        REGISTRY[opcode], BY_MNEMONIC[mnemonic] = made, made
        return made  # type: ignore[no-any-return]  # the same class, now a dataclass

    return declare


def _rules_of(cls: type) -> list[Rule]:
    found = []
    for name in dir(cls):
        method = getattr(cls, name)
        label = getattr(method, "__rule_label__", None)
        if label is not None:
            sentence = " ".join((method.__doc__ or "").split("\n\n")[0].split())
            found.append(Rule(label, sentence, method))
    return sorted(found, key=lambda r: r.label)


def words_of(spec: AnyField) -> tuple[int, ...]:
    """The words that a field occupies (in part or whole)."""
    if isinstance(spec, TileField):
        return tuple(range(spec.word, spec.word + TILE_WORDS))
    if isinstance(spec, DmaField):
        return tuple(range(spec.word, spec.word + DMA_WORDS))
    return (spec.word,)


def _check_declaration(cls: type[Instruction]) -> None:
    assert 0 < cls.opcode < 256, cls
    assert cls.opcode not in REGISTRY, cls
    assert cls.mnemonic not in BY_MNEMONIC, cls
    used: dict[int, int] = {0: 2**64 - 1, 1: 2**64 - 1}
    for name, spec in cls.fields.items():
        for word in words_of(spec):
            mask = 2**64 - 1
            if isinstance(spec, BitsField):
                assert spec.bit + spec.width <= 64, (cls, name)
                mask = ((1 << spec.width) - 1) << spec.bit
            assert not used.get(word, 0) & mask, f"{cls.mnemonic}.{name} overlaps another field"
            used[word] = used.get(word, 0) | mask
