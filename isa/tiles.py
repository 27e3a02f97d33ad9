"""Operands: access patterns over a memory.

Tile       partitions start .. start+partitions, and up to four free dimensions (step, num) in
           elements from a byte address; the same pattern in every partition (neuron-facts 2.0)
Column     one FP32 value a partition, beside a Tile of the same partition count
Immediate  a 32-bit constant in the instruction
DmaTile    what a descriptor names: 40-bit address, five dimensions, 32-bit steps
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.dtypes import DType
from isa.memory import Memory

Dim = tuple[int, int]
"""(step in elements, number of elements)"""

FREE_DIMS = 4
DMA_DIMS = 5
UNIT: Dim = (0, 1)


def contiguous(*nums: int) -> tuple[Dim, ...]:
    """Dimensions of a row-major block, outermost first: contiguous(2, 3) == ((3, 2), (1, 3))."""
    dims: list[Dim] = []
    step = 1
    for num in reversed(nums):
        dims.append((step if num > 1 else 0, num))
        step *= num
    return tuple(reversed(dims))


def padded(dims: tuple[Dim, ...], rank: int) -> tuple[Dim, ...]:
    """`dims` with unit dimensions in front, to exactly `rank` of them."""
    if len(dims) > rank:
        raise ValueError(f"an access pattern has at most {rank} free dimensions, not {len(dims)}")
    return (UNIT,) * (rank - len(dims)) + tuple(dims)


def offsets_of(dims: tuple[Dim, ...]) -> NDArray[np.int64]:
    """Element offsets in order, innermost fastest. Shape [product of nums]."""
    offsets = np.zeros(1, dtype=np.int64)
    for step, num in dims:
        offsets = (offsets[:, None] + np.arange(num, dtype=np.int64) * step).reshape(-1)
    return offsets


class AccessPattern:
    """What every access pattern has: an address, a data type and dimensions."""

    __slots__ = ()

    address: int
    dtype: DType
    dims: tuple[Dim, ...]

    @property
    def free(self) -> int:
        """Elements a partition."""
        count = 1
        for _, num in self.dims:
            count *= num
        return count

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps, outermost first."""
        return tuple(step for step, _ in self.dims)

    @property
    def nums(self) -> tuple[int, ...]:
        """Element counts, outermost first."""
        return tuple(num for _, num in self.dims)

    @property
    def low(self) -> int:
        """Least byte touched in a partition."""
        size = self.dtype.size_bytes
        return self.address + size * sum(min(0, s * (n - 1)) for s, n in self.dims)

    @property
    def high(self) -> int:
        """One past the greatest byte touched in a partition."""
        size = self.dtype.size_bytes
        return self.address + size * (1 + sum(max(0, s * (n - 1)) for s, n in self.dims))


@dataclass(frozen=True, slots=True)
class Tile(AccessPattern):
    """An engine's operand: the same free pattern in `partitions` neighbouring partitions."""

    memory: Memory
    start: int
    partitions: int
    address: int
    dtype: DType
    dims: tuple[Dim, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "dims", padded(self.dims, FREE_DIMS))


@dataclass(frozen=True, slots=True)
class Column:
    """One value a partition: [P, 1], where P is the partition count of the main operand."""

    memory: Memory
    start: int
    address: int
    dtype: DType = DType.FP32


@dataclass(frozen=True, slots=True)
class Immediate:
    """A 32-bit constant, kept as bits so that every NaN equals itself."""

    bits: int

    @classmethod
    def of(cls, value: float) -> Immediate:
        """The FP32 nearest to `value`."""
        return cls(int(np.float32(value).view(np.uint32)))

    @property
    def value(self) -> float:
        """The constant read as FP32."""
        return float(struct.unpack("<f", struct.pack("<I", self.bits))[0])


Scalar = Column | Immediate


@dataclass(frozen=True, slots=True)
class DmaTile(AccessPattern):
    """A DMA operand. In SBUF and PSUM it starts at (start, address) and walks partitions outermost;
    in DRAM `start` is 0, `partitions` is 1 and the address is a byte of the program's window.
    """

    memory: Memory
    address: int
    dtype: DType
    dims: tuple[Dim, ...]
    start: int = 0
    partitions: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "dims", padded(self.dims, DMA_DIMS))

    @property
    def elements(self) -> int:
        """Elements in all."""
        return self.free * self.partitions
