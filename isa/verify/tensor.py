"""The tensor engine's own state: stationary tiles and accumulation groups."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from isa.columns import Columns, bits
from isa.dtypes import DType
from isa.instructions.tensor import LoadStationary, MultiplyMoving
from isa.memory import Engine
from isa.order import Events
from isa.program import Program
from isa.verify.accesses import Ints, Runs
from isa.verify.bounds import Rows
from isa.verify.faults import Fault, place
from isa.verify.walk import Groups

WIDE = (int(DType.FP32), int(DType.TF32))


def groups_of(rows: Rows, runs: Runs) -> Groups:
    """The part that each row plays in accumulation groups. A tile is the bytes that it covers: how
    its dimensions are written down makes no difference."""
    role = np.zeros(len(rows.words), dtype=np.int8)
    stop = np.zeros(len(rows.words), dtype=np.bool_)
    tile = np.full(len(rows.words), -1, dtype=np.int64)
    at = np.flatnonzero(bits(rows.words, 0, 0, 8) == MultiplyMoving.opcode)
    if len(at):
        columns = Columns(rows.words[at], MultiplyMoving)
        role[at] = np.where(columns.start, 2, 1)
        stop[at] = columns.stop
        write = runs.first[at + 1] - 1  # an instruction's writes come last
        place = (runs.start, runs.partitions, runs.base, runs.size)
        key = [*(column[write] for column in place), *runs.steps[write].T, *runs.nums[write].T]
        tile[at] = np.unique(np.stack(key, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    return Groups(role, stop, tile)


def faults_of_stationary(program: Program, events: Events) -> Iterator[Fault]:
    """Matmuls without a stationary tile, or with one that does not fit them."""
    if int(Engine.TENSOR) not in events.streams:
        return
    k = events.streams.index(int(Engine.TENSOR))
    path = events.row[events.first[k] : events.first[k + 1]]
    words = program.streams[int(Engine.TENSOR)][path]
    opcode = bits(words, 0, 0, 8)
    loads = np.where(opcode == LoadStationary.opcode, np.arange(len(words)), -1)
    held = np.maximum.accumulate(loads)
    matmuls = np.flatnonzero(opcode == MultiplyMoving.opcode)
    yield from _without(program, path, matmuls[held[matmuls] < 0])
    matmuls = matmuls[held[matmuls] >= 0]
    moving = Columns(words[matmuls], MultiplyMoving)
    src = Columns(words[held[matmuls]], LoadStationary).src
    checks = (
        (
            "SYS-V061",
            (moving.moving.start == src.start) & (moving.moving.partitions == src.partitions),
            "moving partitions {} + {}, stationary {} + {}",
            (moving.moving.start, moving.moving.partitions, src.start, src.partitions),
        ),
        (
            "SYS-V062",
            moving.dst.partitions == src.free,
            "{} partitions; the stationary tile has {} columns",
            (moving.dst.partitions, src.free),
        ),
        (
            "SYS-V063",
            np.isin(moving.moving.dtype, WIDE) == np.isin(src.dtype, WIDE),
            "moving type {}, stationary type {}",
            (moving.moving.dtype, src.dtype),
        ),
    )
    for code, holds, text, numbers in checks:
        for m in np.flatnonzero(~holds).tolist():
            found = text.format(*(int(column[m]) for column in numbers))
            pair = (held[matmuls[m]], matmuls[m])
            places = tuple(place(program, int(Engine.TENSOR), int(path[i])) for i in pair)
            yield Fault(code, found, places)


def _without(program: Program, path: Ints, matmuls: Ints) -> Iterator[Fault]:
    for i in matmuls.tolist():
        where = place(program, int(Engine.TENSOR), int(path[i]))
        yield Fault("SYS-V060", "none was loaded before it", (where,))
