"""Read after write inside a stream: how far an instruction must let the one in front come.

An engine starts an instruction before the results of those in front can be read. Where it reads
what one of them writes (by bounding boxes: memory, partitions, bytes) it waits for the last such.
The tensor engine reads SBUF and writes PSUM only, and PSUM accumulates in place, so a chain of
matmuls has no such wait; nor has a chain through an engine's own reduce registers, which lie at the
end of its pipeline (an assumption: nothing is public about it).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isa.columns import ScalarColumns
from isa.footprints import OperandColumns, operands
from isa.memory import FIRST_QUEUE, Engine
from isa.spec import Role
from isa.timing import StreamCosts
from simulator.timing.tables import Ints

WINDOW = 256
"""Instructions in front that are looked at: far more than any built-in target's latency spans."""

MEMORY, PARTITION, PARTITION_END, LOW, HIGH = range(5)
_ABSENT = -1


def writers(costs: StreamCosts, duration: Ints, latency: Ints) -> NDArray[np.int32]:
    """For each row of a stream the last earlier row that it must see the result of, or -1.

    Args:
        duration: least ticks between the start of an instruction and that of the next. Shape [n].
        latency: ticks from an instruction's end to its result. Shape [n].
    """
    found = np.full(costs.n, -1, np.int32)
    if costs.stream == Engine.TENSOR or not latency.any():
        return found
    reads, writes = boxes(costs, Role.SOURCE), boxes(costs, Role.RESULT)
    if reads.size and writes.size:
        _search(reads, writes, duration, latency, found)
    return found


def boxes(costs: StreamCosts, role: Role) -> Ints:
    """Bounding boxes of what instructions read, or write. Shape [n, most operands, 5].

    A DMA that adds to its destination reads it too.
    """
    rows: list[list[tuple[NDArray[np.intp], OperandColumns]]] = []
    for kind, index, columns in costs.kinds:
        here = [o for o in operands(columns) if o.role is role]
        keeps: Any = kind.keeps_result  # columnar: the columns stand in for an instruction
        if role is Role.SOURCE and costs.stream >= FIRST_QUEUE and np.any(keeps(columns)):
            here += [o for o in operands(columns) if o.role is Role.RESULT]
        rows.append([(index, operand) for operand in here])
    most = max((len(r) for r in rows), default=0)
    table = np.full((costs.n, most, 5), _ABSENT, np.int64)
    for row in rows:
        for place, (index, operand) in enumerate(row):
            start = operand.start
            low, high = _extent(operand)
            present = np.where(operand.present, operand.memory, _ABSENT)
            table[index, place] = np.stack(
                [present, start, start + operand.partitions, low, high], axis=1
            )
    return table


def _extent(operand: OperandColumns) -> tuple[Ints, Ints]:
    """First byte in a partition, and one past the last."""
    field: Any = operand.field
    if isinstance(field, ScalarColumns):
        return field.address, field.address + field.size_bytes
    return field.low, field.high


@njit(cache=True)
def _search(reads, writes, duration, latency, found):  # type: ignore[no-untyped-def]
    """Fill `found`: walk back from each row while a result may still be on its way."""
    longest = latency.max()
    for i in range(1, len(found)):
        elapsed = 0
        for j in range(i - 1, max(-1, i - 1 - WINDOW), -1):
            if elapsed >= longest:
                break
            if elapsed < latency[j] and _meet(reads[i], writes[j]):
                found[i] = j
                break
            elapsed += duration[j]


@njit(cache=True)
def _meet(reads, writes):  # type: ignore[no-untyped-def]
    """Whether any box of one row overlaps any of another."""
    for a in range(reads.shape[0]):
        for b in range(writes.shape[0]):
            if (
                reads[a, MEMORY] >= 0
                and reads[a, MEMORY] == writes[b, MEMORY]
                and reads[a, PARTITION] < writes[b, PARTITION_END]
                and writes[b, PARTITION] < reads[a, PARTITION_END]
                and reads[a, LOW] < writes[b, HIGH]
                and writes[b, LOW] < reads[a, HIGH]
            ):
                return True
    return False
