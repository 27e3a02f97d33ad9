"""Instructions drawn at random from the declarations: for the manual's examples and for tests.

`uniform_rows` draws any well-formed row; `legal_rows` draws operands that tend to suit each other
and keeps the rows that are legal. Numbers come from a counter and a mixing function written out
here, so that the same seed gives the same rows on every machine and with every version of NumPy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isa.dtypes import SIZE_BY_CODE, DType
from isa.hardware import Hardware
from isa.layout import Bits, Group, layout
from isa.legality import legal_mask
from isa.memory import Memory, engine_of
from isa.program import BufferKind, DramBuffer, Program
from isa.spec import WORDS, AnyField, BitsField, DmaField, Instruction
from isa.tiles import DMA_DIMS, FREE_DIMS

Words = NDArray[np.uint64]
Numbers = NDArray[np.int64]
BATCH = 2048
BATCHES = 64  # of one size, before a kind is given up as never legal
DRAM_BYTES = 1 << 20
BUFFER = DramBuffer("scratch", BufferKind.SCRATCH, 0, DRAM_BYTES)
_PARTITIONS = (128, 128, 64, 32, 16, 1)
_SHAPES = ((64,), (8,), (512,), (4, 16), (2, 4, 8), (32,), (16,), (128,), (1,), (2,), (6,), (3, 8))
_NUMS = np.array([(1,) * (DMA_DIMS - len(shape)) + shape for shape in _SHAPES], np.int64)
_DTYPES = tuple(int(d) for d in (DType.FP32, DType.BF16, DType.FP32, DType.BF16, DType.INT32))
_PLAIN = (1.0, 0.0, -1.0, 0.5, 2.0, 3.0, -0.75)


class Numbers64:
    """A stream of 64-bit numbers: the finaliser of SplitMix64 over a counter."""

    def __init__(self, seed: int) -> None:
        self._next = seed << 40

    def draw(self, n: int) -> Words:
        """The next n numbers, uint64."""
        z = np.arange(self._next, self._next + n, dtype=np.uint64)
        self._next += n
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: Words = z ^ (z >> np.uint64(31))
        return mixed

    def below(self, limit: int, n: int) -> Numbers:
        """n numbers in [0, limit)."""
        return ((self.draw(n) >> np.uint64(11)) % np.uint64(limit)).astype(np.int64)

    def among(self, values: tuple[int, ...], n: int) -> Numbers:
        """n of the values."""
        return np.array(values, np.int64)[self.below(len(values), n)]

    def mostly(self, usual: Numbers, other: Numbers, of_ten: int = 8) -> Numbers:
        """`usual` in about `of_ten` cases of ten, else `other`."""
        return np.where(self.below(10, len(usual)) < of_ten, usual, other)


def uniform_rows(kind: type[Instruction], seed: int, n: int) -> Words:
    """n well-formed rows of a kind, every field drawn over its whole range. Shape [n, 16]."""
    numbers = Numbers64(seed)
    return _rows(kind, n, numbers, lambda group, field: _any_value(field, numbers, n))


def _rows(
    kind: type[Instruction], n: int, numbers: Numbers64, value: Callable[[Group, Bits], Numbers]
) -> Words:
    words = np.zeros((n, WORDS), np.uint64)
    for group in layout(kind):
        chosen = numbers.below(len(group.variants), n)
        for v, variant in enumerate(group.variants):
            here = chosen == v
            for word, _, fixed in variant.fixed:
                words[here, word] |= np.uint64(fixed)
            for field in variant.fields:
                raw = value(group, field).astype(np.uint64) & np.uint64(field.mask >> field.bit)
                words[here, field.word] |= raw[here] << np.uint64(field.bit)
    return words


def _any_value(field: Bits, numbers: Numbers64, n: int) -> Numbers:
    if field.codes is not None:
        return numbers.among(field.codes, n)
    if field.nonzero:
        return 1 + numbers.below((1 << field.width) - 1, n)
    return numbers.below(1 << field.width, n)


def legal_rows(kind: type[Instruction], stream: int, hw: Hardware, seed: int, n: int) -> Words:
    """Up to n legal rows without waits and signals; DRAM operands lie in BUFFER. Shape [m, 16]."""
    program = Program({}, (BUFFER,))
    found: list[Words] = []
    for batch in range(BATCHES):
        words = _suitable_rows(kind, hw, Numbers64(seed * BATCHES + batch + 1), BATCH)
        words[:, 0] &= np.uint64(0xFF)
        words[:, 1] = 0
        found.append(words[legal_mask(program, hw, stream, words)])
        if sum(map(len, found)) >= n:
            break
    return np.concatenate(found)[:n]


def streams_of(kind: type[Instruction], hw: Hardware) -> list[int]:
    """The streams of a target that can execute a kind."""
    return [s for s in range(hw.streams) if hw.has_stream(s) and engine_of(s) in kind.engines]


def _suitable_rows(kind: type[Instruction], hw: Hardware, numbers: Numbers64, n: int) -> Words:
    """Rows whose operands mostly share partitions, shape and data type."""
    shared = _Shared(numbers, n)
    draws = {name: _Operand(spec, hw, numbers, shared) for name, spec in kind.fields.items()}

    def value(group: Group, field: Bits) -> Numbers:
        draw = draws.get(group.name)
        return _any_value(field, numbers, n) if draw is None else draw.value(field)

    return _rows(kind, n, numbers, value)


class _Shared:
    """What the operands of one instruction tend to have in common."""

    def __init__(self, numbers: Numbers64, n: int) -> None:
        self.n = n
        self.partitions = numbers.among(_PARTITIONS, n)
        self.shape = numbers.below(len(_SHAPES), n)
        self.dtype = numbers.among(_DTYPES, n)


class _Operand:
    """Field values of one operand, or of a number, for all rows."""

    def __init__(self, spec: AnyField, hw: Hardware, numbers: Numbers64, shared: _Shared) -> None:
        self.spec, self.numbers, self.n = spec, numbers, shared.n
        if isinstance(spec, BitsField):
            return
        n = shared.n
        self.memory = numbers.among(tuple(sorted(int(m) for m in spec.memories)), n)
        allowed = tuple(sorted(int(d) for d in spec.dtypes))
        fits = np.isin(shared.dtype, allowed)
        usual = np.where(fits, shared.dtype, numbers.among(allowed, n))
        self.dtype = numbers.mostly(usual, numbers.among(allowed, n))
        self.partitions = numbers.mostly(shared.partitions, numbers.among(_PARTITIONS, n))
        in_dram = self.memory == Memory.DRAM
        whole = np.where(in_dram, 1, self.partitions)
        shape = numbers.mostly(shared.shape, numbers.below(len(_SHAPES), n), of_ten=7)
        rank = DMA_DIMS if isinstance(spec, DmaField) else FREE_DIMS
        self.nums = _NUMS[shape][:, -rank:]
        if isinstance(spec, DmaField):  # a DRAM operand walks in dimensions what others do in lanes
            self.nums[:, 0] = np.where(in_dram, self.partitions, 1)
        self.partitions = whole
        self.start = self._starts()
        self.address = SIZE_BY_CODE[self.dtype] * 16 * numbers.below(48, n)
        self.steps = _contiguous(self.nums)

    def _starts(self) -> Numbers:
        grain = np.where(self.partitions > 64, 128, np.where(self.partitions > 32, 64, 32))
        start: Numbers = grain * (self.numbers.below(4, self.n) % (128 // grain))
        start = self.numbers.mostly(0 * start, start, of_ten=6)
        return np.where(self.memory == Memory.DRAM, 0, start)

    def value(self, field: Bits) -> Numbers:
        """The values of one of the operand's fields."""
        if isinstance(self.spec, BitsField):
            return self._number(self.spec, field)
        name = field.name.rsplit(".", 1)[1]
        if name == "bits":
            plain = np.array(_PLAIN, np.float32).view(np.uint32).astype(np.int64)
            return plain[self.numbers.below(len(plain), self.n)]
        if name == "partitions - 1":
            return self.partitions - 1
        if name.endswith("]"):
            column = self.steps if name.startswith("step") else self.nums
            dim: Numbers = column[:, int(name[-2])]
            return dim
        value: Numbers = getattr(self, name)
        return value

    def _number(self, spec: BitsField, field: Bits) -> Numbers:
        usual = np.full(self.n, spec.default)
        small = self.numbers.below(min(9, 1 << min(spec.width, 31)), self.n)
        anything = _any_value(field, self.numbers, self.n)
        other = anything if spec.enum is not None else self.numbers.mostly(small, anything)
        return self.numbers.mostly(usual, other, of_ten=3)


def _contiguous(nums: Numbers) -> Numbers:
    """Steps of row-major blocks; 0 for single elements. nums: [n, rank]."""
    inside = np.ones_like(nums)
    inside[:, :-1] = np.cumprod(nums[:, :0:-1], axis=1)[:, ::-1]
    steps: Numbers = np.where(nums > 1, inside, 0)
    return steps
