"""The encoding of a kind as data: which bits hold what, and which words are well formed.

`layout(kind)` lists groups. A group owns bits of the words; it is in exactly one of its variants
(an absent operand, an immediate, a column, ...), told apart by fixed bits; a variant's fields hold
the rest. A row is well formed when every group matches one variant, every field holds a permitted
value, and all bits that no matching field owns are zero.

`encoding.py` reads and writes one instruction; here is the same fact a second time as a table, for
the manual's bit tables, for checking a whole stream at once (`require_well_formed`) and for the
proofs with z3. Tests hold the two equal on random words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

import isa.instructions  # noqa: F401  (fills the registry)
from isa.columns import BoolColumn, bits
from isa.dtypes import DType
from isa.encoding import decode
from isa.memory import Memory
from isa.spec import (
    REGISTRY,
    WORDS,
    BitsField,
    DmaField,
    Instruction,
    ScalarField,
    TileField,
    words_of,
)
from isa.tiles import DMA_DIMS, FREE_DIMS

Words = NDArray[np.uint64]
WORD_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Bits:
    """`width` bits from `bit` of `word`. `codes` are the permitted values, if not all are."""

    name: str
    word: int
    bit: int
    width: int
    codes: tuple[int, ...] | None = None
    nonzero: bool = False

    @property
    def mask(self) -> int:
        """The bits in their word."""
        return ((1 << self.width) - 1) << self.bit


@dataclass(frozen=True)
class Variant:
    """One way to fill a group: `fixed` are (word, mask, value), `fields` hold the rest."""

    name: str
    fixed: tuple[tuple[int, int, int], ...]
    fields: tuple[Bits, ...] = ()


@dataclass(frozen=True)
class Group:
    """Bits that belong together: `owned` masks by word, in one of `variants`."""

    name: str
    owned: dict[int, int]
    variants: tuple[Variant, ...]


_DTYPES = tuple(int(d) for d in DType)
_MEMORIES = tuple(int(m) for m in Memory)


def layout(kind: type[Instruction]) -> tuple[Group, ...]:
    """The groups of a kind's encoding, header first."""
    return _layout(kind.opcode)


@cache
def _layout(opcode: int) -> tuple[Group, ...]:
    kind = REGISTRY[opcode]
    groups = [_opcode(kind), _waits(), _signal()]
    for name, spec in kind.fields.items():
        if isinstance(spec, TileField):
            groups.append(_tile(name, spec))
        elif isinstance(spec, DmaField):
            groups.append(_dma(name, spec))
        elif isinstance(spec, ScalarField):
            groups.append(_scalar(name, spec))
        else:
            groups.append(_number(name, spec))
    return tuple(groups)


def _opcode(kind: type[Instruction]) -> Group:
    return Group("opcode", {0: 0xFF}, (Variant("", ((0, 0xFF, kind.opcode),)),))


def _waits() -> Group:
    on0, on1 = 1 << 8, 1 << 17
    first = (Bits("wait0.semaphore", 0, 9, 8), Bits("wait0.value", 1, 0, 32))
    second = (Bits("wait1.semaphore", 0, 18, 8), Bits("wait1.value", 1, 32, 32))
    variants = (
        Variant("no wait", ((0, on0 | on1, 0),)),
        Variant("one wait", ((0, on0 | on1, on0),), first),
        Variant("two waits", ((0, on0 | on1, on0 | on1),), first + second),
    )
    return Group("waits", {0: ((1 << 18) - 1) << 8, 1: WORD_MASK}, variants)


def _signal() -> Group:
    on = 1 << 26
    fields = (Bits("signal.semaphore", 0, 27, 8), Bits("signal.amount", 0, 35, 16))
    variants = (Variant("no signal", ((0, on, 0),)), Variant("signal", ((0, on, on),), fields))
    return Group("signal", {0: ((1 << 25) - 1) << 26}, variants)


def _operand(
    name: str, spec: TileField | DmaField, fields: tuple[Bits, ...], optional: bool
) -> Group:
    present = 1 << 63
    variants = [Variant("present", ((spec.word, present, present),), fields)]
    if optional:
        variants.insert(0, Variant("absent", ((spec.word, present, 0),)))
    return Group(name, dict.fromkeys(words_of(spec), WORD_MASK), tuple(variants))


def _tile(name: str, spec: TileField) -> Group:
    w = spec.word
    fields = [
        Bits(f"{name}.address", w, 0, 24),
        Bits(f"{name}.start", w, 24, 7),
        Bits(f"{name}.partitions - 1", w, 31, 7),
        Bits(f"{name}.dtype", w, 38, 5, _DTYPES),
        Bits(f"{name}.memory", w, 43, 2, _MEMORIES),
    ]
    for i in range(FREE_DIMS):
        word, bit = w + 1 + i // 2, 32 * (i % 2)
        fields.append(Bits(f"{name}.step[{i}]", word, bit, 16))
        fields.append(Bits(f"{name}.num[{i}]", word, bit + 16, 16, nonzero=True))
    return _operand(name, spec, tuple(fields), spec.optional)


def _dma(name: str, spec: DmaField) -> Group:
    w = spec.word
    fields = [
        Bits(f"{name}.address", w, 0, 40),
        Bits(f"{name}.start", w, 40, 7),
        Bits(f"{name}.partitions - 1", w, 47, 7),
        Bits(f"{name}.dtype", w, 54, 5, _DTYPES),
        Bits(f"{name}.memory", w, 59, 2, _MEMORIES),
    ]
    for i in range(DMA_DIMS):
        fields.append(Bits(f"{name}.step[{i}]", w + 1 + i, 0, 32))
        fields.append(Bits(f"{name}.num[{i}]", w + 1 + i, 32, 32, nonzero=True))
    return _operand(name, spec, tuple(fields), False)


def _scalar(name: str, spec: ScalarField) -> Group:
    w, kind_bits = spec.word, 3 << 62
    immediate = Variant("immediate", ((w, kind_bits, 2 << 62),), (Bits(f"{name}.bits", w, 0, 32),))
    column_fields = (
        Bits(f"{name}.address", w, 0, 24),
        Bits(f"{name}.start", w, 24, 7),
        Bits(f"{name}.dtype", w, 38, 5, _DTYPES),
        Bits(f"{name}.memory", w, 43, 2, _MEMORIES),
    )
    column = Variant("column", ((w, kind_bits, kind_bits),), column_fields)
    absent = (Variant("absent", ((w, kind_bits, 0),)),) if spec.optional else ()
    return Group(name, {w: WORD_MASK}, (*absent, immediate, column))


def _number(name: str, spec: BitsField) -> Group:
    codes = None if spec.enum is None else tuple(int(c) for c in spec.enum)
    field = Bits(name, spec.word, spec.bit, spec.width, codes)
    return Group(name, {spec.word: field.mask}, (Variant("", (), (field,)),))


def well_formed(words: Words) -> BoolColumn:
    """Whether `decode` accepts each row. Shape [n]."""
    opcodes = bits(words, 0, 0, 8)
    good = np.zeros(len(words), dtype=np.bool_)
    for opcode in np.unique(opcodes).tolist():
        kind = REGISTRY.get(opcode)
        if kind is not None:
            index = np.flatnonzero(opcodes == opcode)
            good[index] = _matches(words[index], kind)
    return good


def _matches(words: Words, kind: type[Instruction]) -> BoolColumn:
    unowned = [WORD_MASK] * WORDS
    good = np.ones(len(words), dtype=np.bool_)
    for group in layout(kind):
        for word, mask in group.owned.items():
            unowned[word] &= ~mask
        matched = np.zeros(len(words), dtype=np.bool_)
        for variant in group.variants:
            matched |= _in_variant(words, group, variant)
        good &= matched
    for word, mask in enumerate(unowned):
        if mask:
            good &= words[:, word] & np.uint64(mask) == 0
    return good


def _in_variant(words: Words, group: Group, variant: Variant) -> BoolColumn:
    matched = np.ones(len(words), dtype=np.bool_)
    zero = dict(group.owned)
    for word, mask, value in variant.fixed:
        matched &= words[:, word] & np.uint64(mask) == np.uint64(value)
        zero[word] &= ~mask
    for field in variant.fields:
        zero[field.word] &= ~field.mask
        if field.codes is not None:
            allowed = np.zeros(1 << field.width, dtype=np.bool_)
            allowed[list(field.codes)] = True
            matched &= allowed[bits(words, field.word, field.bit, field.width)]
        if field.nonzero:
            matched &= words[:, field.word] & np.uint64(field.mask) != 0
    for word, mask in zero.items():
        if mask:
            matched &= words[:, word] & np.uint64(mask) == 0
    return matched


def require_well_formed(words: Words, at: str = "program") -> None:
    """Refuse a stream that `decode` would refuse, quickly. Raises MalformedError as `decode`."""
    bad = np.flatnonzero(~well_formed(words))
    if len(bad):
        first = int(bad[0])
        decode(words[first].tolist(), f"{at}, instruction {first}")
        raise AssertionError(f"layout and decoder disagree on {words[first].tolist()}")
