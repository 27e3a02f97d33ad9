"""Every instruction and transfer of a run, and every allocation, as one array a fact.

Time is in ticks of the target (isa.hardware), whole numbers, so that sums over rows are exact and
equal what the simulator counted. Rows are in order of (core, stream, place in the stream): the
order in which a program lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isa.memory import Memory

Ints = NDArray[np.int64]


class WaitCause(IntEnum):
    """Why an instruction did not start as soon as its stream was free."""

    NOTHING = 0
    SEMAPHORE = 1  # another stream had not signalled
    RESULT = 2  # an earlier instruction of its own stream had not written yet
    WEIGHTS = 3  # the stationary tile was not loaded
    TABLE = 4  # another activation table had to be loaded
    DMA_START = 5  # a transfer's start-up
    PORT = 6  # another engine held the memory port

    @property
    def text(self) -> str:
        """As reports show it: `dma start`."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Events:
    """One row an instruction. All arrays have length n.

    Attributes:
        core, stream: who ran it (isa.memory numbers streams); index: its place in the stream.
        opcode: of isa.spec.
        start, end: ticks in which it occupied its engine, half open.
        visible: tick from which its result can be read and its signal is sent.
        wait: ticks from the moment its stream was free until `start`.
        port_wait: the last part of `wait`, spent on a memory port.
        cause: why it waited, a WaitCause; cause_row: the row that ended the wait, -1 for none.
        layer: index into the trace's layers, -1 for none.
        read_bytes, written_bytes: DRAM traffic.
    """

    core: NDArray[np.int16]
    stream: NDArray[np.int16]
    index: NDArray[np.int32]
    opcode: NDArray[np.uint8]
    start: Ints
    end: Ints
    visible: Ints
    wait: Ints
    port_wait: Ints
    cause: NDArray[np.int8]
    cause_row: NDArray[np.int32]
    layer: NDArray[np.int32]
    read_bytes: Ints
    written_bytes: Ints

    def __len__(self) -> int:
        return len(self.start)

    @property
    def busy(self) -> Ints:
        """Ticks that each one occupied its engine."""
        return self.end - self.start


EVENT_DTYPES: dict[str, type[np.generic]] = {
    "core": np.int16,
    "stream": np.int16,
    "index": np.int32,
    "opcode": np.uint8,
    "start": np.int64,
    "end": np.int64,
    "visible": np.int64,
    "wait": np.int64,
    "port_wait": np.int64,
    "cause": np.int8,
    "cause_row": np.int32,
    "layer": np.int32,
    "read_bytes": np.int64,
    "written_bytes": np.int64,
}


@dataclass(frozen=True)
class MemoryUse:
    """Who had which part of SBUF or PSUM, and when. All arrays have length n.

    Attributes:
        core, memory: where (isa.memory.Memory).
        partition, partitions: first partition and how many; address, size_bytes: in each of them.
        start, end: ticks, half open.
        name: index into `names`.
        names: buffers.
    """

    core: NDArray[np.int16]
    memory: NDArray[np.int8]
    partition: NDArray[np.int16]
    partitions: NDArray[np.int16]
    address: Ints
    size_bytes: Ints
    start: Ints
    end: Ints
    name: NDArray[np.int32]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.start)

    def of(self, memory: Memory, core: int = 0) -> MemoryUse:
        """The part that concerns one memory of one core."""
        chosen = (self.memory == memory) & (self.core == core)
        part: dict[str, Any] = {n: getattr(self, n)[chosen] for n in MEMORY_DTYPES}
        return MemoryUse(**part, names=self.names)


MEMORY_DTYPES: dict[str, type[np.generic]] = {
    "core": np.int16,
    "memory": np.int8,
    "partition": np.int16,
    "partitions": np.int16,
    "address": np.int64,
    "size_bytes": np.int64,
    "start": np.int64,
    "end": np.int64,
    "name": np.int32,
}

_DEFAULTS = {"cause_row": -1, "layer": -1}


def columns(
    dtypes: Mapping[str, type[np.generic]], n: int, given: Mapping[str, ArrayLike]
) -> dict[str, NDArray[Any]]:
    """Columns of length n in their dtypes; those not given are zero, or -1 where that means none.

    Raises:
        ValueError: a column has another length, is unknown, or does not fit its dtype.
    """
    unknown = sorted(set(given) - set(dtypes))
    if unknown:
        raise ValueError(f"unknown column {unknown[0]}")
    made: dict[str, NDArray[Any]] = {}
    for name, dtype in dtypes.items():
        if name not in given:
            made[name] = np.full(n, _DEFAULTS.get(name, 0), dtype)
            continue
        wide = np.asarray(given[name])
        if wide.shape != (n,) or (n and wide.dtype.kind not in "iub"):
            raise ValueError(f"column {name} is {wide.dtype} {wide.shape}, not integers ({n},)")
        made[name] = wide.astype(dtype)
        if not np.array_equal(made[name], wide):
            raise ValueError(f"column {name} has a number beyond {np.dtype(dtype).name}")
    return made


def no_memory_use() -> MemoryUse:
    """A record in which nothing is allocated."""
    return memory_use({}, 0, ())


def memory_use(given: Mapping[str, ArrayLike], n: int, names: tuple[str, ...]) -> MemoryUse:
    """A record from n rows of columns. Raises ValueError as `columns`."""
    made: dict[str, Any] = columns(MEMORY_DTYPES, n, given)
    return MemoryUse(**made, names=names)
