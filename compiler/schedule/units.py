"""Units: what is scheduled as a whole, and the sequential order that everything else leans on.

The stationary tile lives inside the array, so a LoadStationary and its matmuls stay together on PE:
they are one unit. Where such a group cannot run in one go (a later matmul depends on what others
make of an earlier one's product, or takes another PSUM buffer) it is a chain of units, between
which PE takes nothing else. Every other instruction is a unit of its own. Instructions that share
an engine's private registers keep their order by extra edges.

The *canonical order* is program order with loads moved down to their first use: a topological order
of the units in which loads occupy memory as briefly as can be. Unit u is the u-th of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from compiler.schedule.costs import LOAD, Costs
from compiler.schedule.heaps import pop, push
from isa.columns import by_kind
from isa.kernel.dependencies import Dependencies
from isa.kernel.virtual import VirtualProgram
from isa.memory import FIRST_QUEUE, PSUM, Engine

Ints = NDArray[np.int64]

ORDER, RESULT, SIGNAL, IN_QUEUE = 0, 1, 2, 3
"""What an edge costs: nothing (the stream's own order), the latency of the result, a semaphore;
between transfers of one queue, nothing from the trigger on (`replay.py`)."""

# fmt: off
PRIVATE = frozenset((
    "activation_reduce", "act_read_accumulator", "tensor_scalar_reduce", "dropout", "rng",
    "set_rng_seed", "stream_shuffle", "tensor_copy_dynamic_src", "tensor_copy_dynamic_dst", "nop",
    "sem_clear", "reg_move", "reg_alu", "reg_load", "reg_store", "branch", "drain", "notify",
))
# fmt: on
"""Kinds that always touch registers of their engine; those with a `reduce` field do so at times."""


class Units(NamedTuple):
    """Units in canonical order."""

    first: Ints  # [units + 1] into `member`
    member: Ints  # [n] instructions
    unit: Ints  # [n] of each instruction
    follows: NDArray[np.bool_]  # [units] goes on with the chain of the PE unit in front
    chained: NDArray[np.bool_]  # [units] is part of a chain
    waits: Ints  # [units] edges that come in
    succ_start: Ints  # [n + 1] edges that go out, by instruction
    succ: Ints  # unit
    succ_cost: Ints  # ORDER, RESULT or SIGNAL
    succ_loads: NDArray[np.bool_]  # whether it leads to a load of weights


def units_of(program: VirtualProgram, deps: Dependencies, costs: Costs) -> Units:
    """Units, edges and canonical order of a program."""
    source, target, cost = _edges(program, deps, costs)
    boxes = program.boxes
    in_psum = np.array([b.memory is PSUM for b in program.buffers] + [False])
    written = np.full(len(program), -1, np.int64)  # PSUM buffer that a matmul writes
    matmuls = (costs.lane == Engine.TENSOR) & ~costs.loads_weights
    rows = boxes.write & in_psum[boxes.buffer]
    written[boxes.instruction[rows]] = boxes.buffer[rows]
    written[~matmuls] = -1
    start, preds = _csr(target, source, len(program))
    unit, follows = _group(
        costs.lane, costs.loads_weights, written, start, preds, len(program.buffers)
    )
    count = len(follows)
    key = _keys(costs.lane, unit, source, target, count)
    position = _canonical(key, unit, costs.lane, source, target, count)
    unit = position[unit]
    moved = np.empty(count, bool)
    moved[position] = follows
    succ_start, picked = _csr_index(source, len(program))
    outer = unit[source] != unit[target]
    keep = picked[outer[picked]]
    succ_start = np.concatenate([[0], np.cumsum(outer[picked])])[succ_start]
    first, member = _csr_index(unit, count)
    chained = moved.copy()
    pe = np.flatnonzero(costs.lane[member[first[:-1]]] == Engine.TENSOR)
    chained[pe[:-1]] |= moved[pe[1:]]
    return Units(
        first=first,
        member=member,
        unit=unit,
        follows=moved,
        chained=chained,
        waits=np.bincount(unit[target[outer]], minlength=count).astype(np.int64),
        succ_start=succ_start.astype(np.int64),
        succ=unit[target[keep]],
        succ_cost=cost[keep],
        succ_loads=costs.loads_weights[target[keep]],
    )


def _edges(program: VirtualProgram, deps: Dependencies, costs: Costs) -> tuple[Ints, Ints, Ints]:
    """Every order that must be kept, sorted by target: (source, target, cost)."""
    target = np.repeat(np.arange(len(program)), np.diff(deps.start))
    source = deps.preds
    extra = [private_chain(program, s) for s in np.unique(program.streams).tolist()]
    source = np.concatenate([source, *(chain[:-1] for chain in extra)])
    target = np.concatenate([target, *(chain[1:] for chain in extra)])
    order = np.argsort(target, kind="stable")
    source, target = source[order], target[order]
    same = (program.streams[source] == program.streams[target]) & (costs.lane[target] < FIRST_QUEUE)
    cost = np.where(same, ORDER, SIGNAL)
    near = np.flatnonzero(same & (costs.lane[target] != Engine.TENSOR))
    cost[near] = np.where(_reads_result(program, source[near], target[near]), RESULT, ORDER)
    return source, target, cost.astype(np.int64)


def private_chain(program: VirtualProgram, stream: int) -> Ints:
    """The instructions of a stream that touch its engine's private registers, in order."""
    index = np.flatnonzero(program.streams == stream)
    touched = np.zeros(len(index), bool)
    for kind, rows, columns in by_kind(program.words[index]):
        if kind.mnemonic in PRIVATE:
            touched[rows] = True
        elif "reduce" in kind.fields:
            touched[rows] = np.asarray(columns.reduce) != 0
    return index[touched].astype(np.int64)


def _reads_result(program: VirtualProgram, source: Ints, target: Ints) -> NDArray[np.bool_]:
    """Whether the target of each edge reads a byte that its source writes."""
    b = program.boxes
    start = np.searchsorted(b.instruction, np.arange(len(program) + 1)).astype(np.int64)
    box = np.stack([b.buffer, b.write.astype(np.int64), b.p0, b.p1, b.b0, b.b1], axis=1)
    return _meets(start, np.ascontiguousarray(box), source, target)


@njit(cache=True)
def _meets(start: Ints, box: Ints, source: Ints, target: Ints) -> NDArray[np.bool_]:
    found = np.zeros(len(source), np.bool_)
    for e in range(len(source)):
        for w in range(start[source[e]], start[source[e] + 1]):
            for r in range(start[target[e]], start[target[e] + 1]):
                a, b = box[w], box[r]
                if (
                    a[1] == 1
                    and b[1] == 0
                    and a[0] == b[0]
                    and a[2] < b[3]
                    and b[2] < a[3]
                    and a[4] < b[5]
                    and b[4] < a[5]
                ):
                    found[e] = True
    return found


def _csr_index(keys: Ints, count: int) -> tuple[Ints, Ints]:
    """Row starts and the indices sorted by key, stably."""
    start = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=count))]).astype(np.int64)
    return start, np.argsort(keys, kind="stable").astype(np.int64)


def _csr(keys: Ints, values: Ints, count: int) -> tuple[Ints, Ints]:
    start, order = _csr_index(keys, count)
    return start, values[order]


@njit(cache=True)
def _group(lane, loads, written, start, preds, buffers):  # type: ignore[no-untyped-def]
    """The unit of each instruction, numbered as met, and which units go on with a chain.

    `made[i]` is the latest PE group that instruction i descends from.
    """
    n = len(lane)
    unit, follows = np.empty(n, np.int64), np.zeros(n, np.bool_)
    made = np.full(n, -1, np.int64)
    seen = np.zeros(buffers + 1, np.bool_)
    units, group, current, fresh = 0, -1, -1, 0
    for i in range(n):
        newest = -1
        for e in range(start[i], start[i + 1]):
            newest = max(newest, made[preds[e]])
        if lane[i] != Engine.TENSOR:
            unit[i], made[i] = units, newest
            units += 1
            continue
        takes = written[i] >= 0 and not seen[written[i]]
        seen[written[i]] = True
        if loads[i] or current < 0:
            group += 1
            current, fresh = units, 0
            units += 1
        else:
            returns = False
            for e in range(start[i], start[i + 1]):
                p = preds[e]
                returns |= lane[p] != Engine.TENSOR and made[p] == group
            if returns or (takes and fresh > 0):
                current, fresh = units, 0
                follows[current] = True
                units += 1
        fresh += takes
        unit[i], made[i] = current, group
    return unit, follows[:units].copy()


@njit(cache=True)
def _keys(lane, unit, source, target, count):  # type: ignore[no-untyped-def]
    """Where each unit wants to stand: its first instruction, loads in front of their first use."""
    far = 2 * len(lane) + 2
    own = np.full(count, far, np.int64)
    for i in range(len(lane)):
        own[unit[i]] = min(own[unit[i]], i)
    use = np.full(count, far, np.int64)
    key = 2 * own + 1
    for e in range(len(source) - 1, -1, -1):  # targets fall: a source's uses are met before it
        if lane[source[e]] == LOAD:
            use[unit[source[e]]] = min(use[unit[source[e]]], key[unit[target[e]]])
            key[unit[source[e]]] = use[unit[source[e]]] - use[unit[source[e]]] % 2
    return key


@njit(cache=True)
def _canonical(key, unit, lane, source, target, count):  # type: ignore[no-untyped-def]
    """The position of each unit: least key first among those that may run; PE in program order."""
    n, edges = len(unit), len(source)
    start = np.zeros(count + 2, np.int64)
    waits = np.zeros(count, np.int64)
    for e in range(edges):
        if unit[source[e]] != unit[target[e]]:
            start[unit[source[e]] + 2] += 1
            waits[unit[target[e]]] += 1
    start = np.cumsum(start)
    out = np.empty(edges, np.int64)
    for e in range(edges):
        u = unit[source[e]]
        if u != unit[target[e]]:
            out[start[u + 1]] = unit[target[e]]
            start[u + 1] += 1
    following = np.full(count, -1, np.int64)
    last = -1
    for i in range(n):
        if lane[i] == Engine.TENSOR and unit[i] != last:
            if last >= 0:
                following[last] = unit[i]
                waits[unit[i]] += 1
            last = unit[i]
    keys, items = np.empty(count + 1, np.int64), np.empty(count + 1, np.int64)
    size = 0
    for u in range(count):
        if waits[u] == 0:
            size = push(keys, items, size, key[u], u)
    position = np.full(count, -1, np.int64)
    for at in range(count):
        u = items[0]
        size = pop(keys, items, size)
        position[u] = at
        for e in range(start[u], start[u + 1]):
            v = out[e]
            waits[v] -= 1
            if waits[v] == 0:
                size = push(keys, items, size, key[v], v)
        v = following[u]
        if v >= 0:
            waits[v] -= 1
            if waits[v] == 0:
                size = push(keys, items, size, key[v], v)
    return position
