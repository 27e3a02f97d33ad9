"""Who had which part of SBUF and PSUM, found from what was written and read.

In    a program, and when each of its instructions ran
Out   the columns of `MemoryUse`: a row for each write whose value stands by itself

A value lives from the start of the instruction that writes it to the end of the last that reads it
before it is overwritten. What an instruction reads and writes in place, an accumulation above all,
stays one value; what loading has put there lives throughout. So this shows what a memory was needed
for; a planner may have reserved more. A tile counts as the bytes from its first to its last in a
partition, in grains of `GRAIN`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from isa.footprints import accesses
from isa.hardware import Hardware
from isa.memory import PSUM, SBUF, Memory
from isa.program import Program
from traces.events import Ints

GRAIN = 64  # bytes of a partition that live and die together


def memory_use_of(
    program: Program, hw: Hardware, start: ArrayLike, end: ArrayLike
) -> dict[str, NDArray[Any]]:
    """The columns of `MemoryUse` but for `core`; `name` is the writer's layer.

    A write whose instruction serves no layer has the name `len(program.layers)`.

    Args:
        start, end: ticks, a row an instruction, streams in ascending order.
    """
    rows = _every_access(program, hw)
    begins, ends = np.asarray(start, np.int64), np.asarray(end, np.int64)
    found = [_of_memory(rows, memory, begins, ends) for memory in (SBUF, PSUM)]
    found.append(_pinned(program, hw, int(ends.max(initial=0))))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _pinned(program: Program, hw: Hardware, end: int) -> dict[str, NDArray[Any]]:
    """What loading has put into SBUF, there from the first tick to the last."""
    a = accesses(program.pinned, hw)
    mine = np.flatnonzero(a.is_write & (a.memory == SBUF))
    none = np.zeros(len(mine), np.int64)
    return {
        "memory": none + int(SBUF),
        "partition": a.start[mine],
        "partitions": a.partitions[mine],
        "address": a.low[mine],
        "size_bytes": (a.high - a.low)[mine],
        "start": none,
        "end": none + end,
        "name": none + len(program.layers),
    }


def _every_access(program: Program, hw: Hardware) -> dict[str, Ints]:
    """Accesses of all streams: `row` in the trace, `layer`, and where."""
    parts: list[dict[str, Ints]] = []
    first = 0
    for stream in sorted(program.streams):
        words = program.streams[stream]
        a = accesses(words, hw)
        layer = program.debug.get(stream, np.full(len(words), -1, np.int32))
        columns: dict[str, Any] = {
            "row": a.instruction + first,
            "layer": layer[a.instruction],
            "is_write": a.is_write,
            "memory": a.memory,
            "partition": a.start,
            "partitions": a.partitions,
            "low": a.low,
            "high": a.high,
        }
        parts.append({k: np.asarray(v, np.int64) for k, v in columns.items()})
        first += len(words)
    names = ("row", "layer", "is_write", "memory", "partition", "partitions", "low", "high")
    none = np.zeros(0, np.int64)
    whole = {k: np.concatenate([none, *(p[k] for p in parts)]) for k in names}
    whole["layer"] = np.where(whole["layer"] < 0, len(program.layers), whole["layer"])
    return whole


def _of_memory(
    every: dict[str, Ints], memory: Memory, start: Ints, end: Ints
) -> dict[str, NDArray[Any]]:
    """One memory's rows."""
    a = {k: v[every["memory"] == memory] for k, v in every.items()}
    order = np.lexsort((a["is_write"], a["row"], start[a["row"]]))
    a = {k: v[order] for k, v in a.items()}
    bounds = np.unique(np.concatenate([a["partition"], a["partition"] + a["partitions"]]))
    classes = np.searchsorted(bounds, [a["partition"], a["partition"] + a["partitions"]])
    grains = np.stack([a["low"] // GRAIN, -(-a["high"] // GRAIN)])
    depth = int(grains.max()) if len(order) else 0
    shadow = np.full((2, max(len(bounds), 1), depth), -1, np.int64)
    last = _last_use(
        a["is_write"], a["row"], end[a["row"]], classes.astype(np.int64), grains, shadow
    )
    owns = np.flatnonzero(last >= 0)
    return {
        "memory": np.full(len(owns), int(memory)),
        "partition": a["partition"][owns],
        "partitions": a["partitions"][owns],
        "address": a["low"][owns],
        "size_bytes": (a["high"] - a["low"])[owns],
        "start": start[a["row"][owns]],
        "end": last[owns],
        "name": a["layer"][owns],
    }


@njit(cache=True)
def _last_use(
    is_write: Ints, row: Ints, end: Ints, classes: Ints, grains: Ints, shadow: Ints
) -> Ints:
    """When each write's value was used last; -1 where it only went on with an older value.

    Args:
        is_write, row, end: accesses in order of time, reads of a row in front of its writes.
        classes, grains: [2, m], first and one past the last of each access's cells.
        shadow: [2, classes, grains], all -1: the access that a cell's value is from, and the row
            that read it last.
    """
    last = np.full(len(row), -1, np.int64)
    for i in range(len(row)):
        begun = False
        for c in range(classes[0, i], classes[1, i]):
            for g in range(grains[0, i], grains[1, i]):
                owner = shadow[0, c, g]
                if not is_write[i]:
                    shadow[1, c, g] = row[i]
                    if owner >= 0:
                        last[owner] = max(last[owner], end[i])
                elif owner >= 0 and shadow[1, c, g] == row[i]:
                    last[owner] = max(last[owner], end[i])
                else:
                    shadow[0, c, g] = i
                    begun = True
        if begun:
            last[i] = end[i]
    return last
