"""Waits and signals: keep every order that the data and the placement demand, across streams.

In    a VirtualProgram, its dependencies, a linear order in which it may run, an address a buffer
Out   a Program: one stream an engine and queue, at most two waits an instruction (more stand in
      `nop`s in front), a signal only where somebody waits

Every stream has one semaphore, its own number, which counts the signals that it has sent. Vector
clocks say what an instruction already knows to be complete, so that no order is asked for twice.
The verifier shares nothing with this file.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isa.errors import IllegalError
from isa.hardware import Hardware
from isa.kernel.dependencies import Dependencies
from isa.kernel.virtual import OPERANDS, VirtualProgram
from isa.memory import DRAM, PSUM, SBUF
from isa.program import DramBuffer, Program
from isa.spec import BY_MNEMONIC, REGISTRY, DmaField

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
GRANULE = 64
QUADRANT = 32


def synchronize(
    program: VirtualProgram, deps: Dependencies, order: Ints, address: Ints, hw: Hardware
) -> Program:
    """The program with addresses and semaphores.

    Args:
        order: a permutation of the instructions that respects `deps`; each stream keeps it.
        address: int64 [buffers], the first byte of each (in its partitions, or in DRAM).
    """
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    occupied = _occupants(program, position, address, hw)
    waits = _waits(
        order,
        program.streams.astype(np.int64),
        deps.start,
        deps.preds,
        *_root_buffers(program, deps),
        *occupied,
        *_last_accesses(program, position, hw.streams),
        hw.streams,
    )
    words = placed_words(program, address)
    return _assemble(program, words, order, waits, address, hw)


# --- orders that the placement demands ----------------------------------------------------------


def _root_buffers(program: VirtualProgram, deps: Dependencies) -> tuple[Ints, Ints]:
    """CSR: for each instruction the buffers of which it makes a first access."""
    boxes = program.boxes
    rooted = np.flatnonzero(deps.root)
    start = np.searchsorted(boxes.instruction[rooted], np.arange(len(program) + 1))
    return start.astype(np.int64), boxes.buffer[rooted]


def _last_accesses(program: VirtualProgram, position: Ints, streams: int) -> tuple[Ints]:
    """[buffers, streams]: the instruction that accesses a buffer last in each stream, or -1."""
    boxes = program.boxes
    by_time = np.argsort(position[boxes.instruction], kind="stable")
    last = np.full((max(1, len(program.buffers)), streams), -1, np.int64)
    index = boxes.instruction[by_time]
    last[boxes.buffer[by_time], program.streams[index]] = index
    return (last,)


def _occupants(
    program: VirtualProgram, position: Ints, address: Ints, hw: Hardware
) -> tuple[Ints, Ints]:
    """CSR: for each buffer, the buffers that held its place before it."""
    boxes, count = program.boxes, len(program.buffers)
    never = np.iinfo(np.int64).max
    first = np.full(count, never)
    np.minimum.at(first, boxes.buffer, position[boxes.instruction])
    spans = np.zeros((count, 5), np.int64)  # memory, granules [g0, g1), quadrants [q0, q1)
    for b in program.buffers:
        low, high = address[b.id], address[b.id] + b.size_bytes
        quads = (b.start // QUADRANT, -(-(b.start + b.partitions) // QUADRANT))
        spans[b.id] = (b.memory, low // GRANULE, -(-high // GRANULE), *quads)
    nowhere = (spans[:, 0] == DRAM) | (first == never)  # DRAM is never shared
    spans[nowhere, 2] = spans[nowhere, 1]
    granules = -(-max(hw.sbuf_partition_bytes, hw.psum_partition_bytes) // GRANULE)
    return _replay(np.argsort(first, kind="stable"), spans, granules)


@njit(cache=True)
def _replay(by_start: Ints, spans: Ints, granules: int) -> tuple[Ints, Ints]:
    count = len(by_start)
    holder = np.full((3, 4, granules), -1, np.int64)
    stamp = np.full(count, -1, np.int64)
    found = np.empty(max(16, 4 * count), np.int64)
    begin = np.zeros(count, np.int64)
    size = np.zeros(count, np.int64)
    used = 0
    for b in by_start:
        begin[b] = used
        memory, g0, g1, q0, q1 = spans[b]
        for q in range(q0, q1):
            for g in range(g0, g1):
                a = holder[memory, q, g]
                holder[memory, q, g] = b
                if a >= 0 and stamp[a] != b:
                    stamp[a] = b
                    if used == len(found):
                        grown = np.empty(2 * used, np.int64)
                        grown[:used] = found
                        found = grown
                    found[used] = a
                    used += 1
        size[b] = used - begin[b]
    return np.stack((begin, size)), found[:used].copy()


# --- waits --------------------------------------------------------------------------------------


@njit(cache=True)
def _waits(
    order: Ints,
    stream: Ints,
    dep_start: Ints,
    preds: Ints,
    root_start: Ints,
    root_buffer: Ints,
    occupant_span: Ints,
    occupants: Ints,
    last: Ints,
    streams: int,
) -> Ints:
    """[n, streams]: the instruction of each stream that instruction i waits for, or -1."""
    n = len(order)
    rank = np.zeros(n, np.int64)  # index of an instruction in its stream
    done = np.zeros((n, streams), np.int32)  # what is complete once instruction i is
    newest = np.full(streams, -1, np.int64)
    length = np.zeros(streams, np.int64)
    waits = np.full((n, streams), -1, np.int64)
    need = np.full(streams, -1, np.int64)
    for i in order:
        s = stream[i]
        rank[i] = length[s]
        clock = np.zeros(streams, np.int32)
        if newest[s] >= 0:
            clock[:] = done[newest[s]]
        need[:] = -1
        for at in range(dep_start[i], dep_start[i + 1]):
            j = preds[at]
            t = stream[j]
            if need[t] < 0 or rank[j] > rank[need[t]]:
                need[t] = j
        for r in range(root_start[i], root_start[i + 1]):
            b = root_buffer[r]
            for o in range(occupant_span[0, b], occupant_span[0, b] + occupant_span[1, b]):
                for t in range(streams):
                    j = last[occupants[o], t]
                    if j >= 0 and j != i and (need[t] < 0 or rank[j] > rank[need[t]]):
                        need[t] = j
        need[s] = -1
        for t in range(streams):
            if need[t] >= 0 and clock[t] > rank[need[t]]:
                need[t] = -1
        for t in range(streams):  # what another wait implies
            if need[t] < 0:
                continue
            for u in range(streams):
                if u != t and need[u] >= 0 and done[need[u], t] > rank[need[t]]:
                    need[t] = -1
                    break
        for t in range(streams):
            if need[t] >= 0:
                waits[i, t] = need[t]
                for u in range(streams):
                    clock[u] = max(clock[u], done[need[t], u])
        clock[s] = rank[i] + 1
        done[i] = clock
        newest[s] = i
        length[s] += 1
    return waits


# --- words --------------------------------------------------------------------------------------


def placed_words(program: VirtualProgram, address: Ints) -> Words:
    """The words with every operand's address and start partition made absolute."""
    words = program.words.copy()
    starts = np.array([b.start for b in program.buffers], np.int64)
    dma = np.zeros(256, bool)
    for opcode, kind in REGISTRY.items():
        dma[opcode] = any(isinstance(f, DmaField) for f in kind.fields.values())
    is_dma = dma[program.opcodes]
    for place in range(OPERANDS):
        for copies in (False, True):
            used = np.flatnonzero((program.operands[:, place] >= 0) & (is_dma == copies))
            if not len(used):
                continue
            buffer = program.operands[used, place]
            word = ((4, 10) if copies else (4, 7, 10, 13, 14))[place]
            shift = np.uint64(40 if copies else 24)
            words[used, word] += address[buffer].astype(np.uint64)
            words[used, word] += starts[buffer].astype(np.uint64) << shift
    return words


def _assemble(
    program: VirtualProgram, words: Words, order: Ints, waits: Ints, address: Ints, hw: Hardware
) -> Program:
    signals = np.zeros(len(order), bool)
    signals[waits[waits >= 0]] = True
    count = np.zeros(len(order), np.int64)  # a stream's signals up to and with an instruction
    streams: dict[int, Words] = {}
    debug: dict[int, NDArray[np.int32]] = {}
    per_stream = {
        int(s): order[program.streams[order] == s] for s in np.unique(program.streams[order])
    }
    for index in per_stream.values():
        count[index] = np.cumsum(signals[index])
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    for s, index in per_stream.items():
        body = words[index]
        on = np.flatnonzero(signals[index])
        body[on, 0] |= np.uint64(1 << 26 | s << 27 | 1 << 35)
        streams[s], owner = _with_waits(body, waits[index], count, position)
        debug[s] = program.layer[index][owner]
    return Program(streams, _dram_buffers(program, address), debug, program.layers)


def _with_waits(body: Words, waits: Ints, count: Ints, position: Ints) -> tuple[Words, Ints]:
    """Put the waits into the headers; more than two take `nop`s in front.

    What comes last in the order stands on the instruction itself: the `nop`s run while it waits.
    """
    n = len(body)
    number = (waits >= 0).sum(axis=1)
    extra = np.maximum(0, (number - 1) // 2)  # nops: two waits each, the rest on the instruction
    owner = np.repeat(np.arange(n), extra + 1)
    out = np.zeros((len(owner), 16), np.uint64)
    out[:, 0] = BY_MNEMONIC["nop"].opcode
    at = np.cumsum(extra + 1) - 1
    out[at] = body
    for i in np.flatnonzero(number):
        row = at[i] - extra[i]
        awaited = np.flatnonzero(waits[i] >= 0)
        if extra[i]:
            awaited = awaited[np.argsort(position[waits[i, awaited]], kind="stable")]
        for k, t in enumerate(awaited.tolist()):
            target, side = row + k // 2, k % 2
            out[target, 0] |= np.uint64(1 << (8 + 9 * side) | t << (9 + 9 * side))
            out[target, 1] |= np.uint64(int(count[waits[i, t]]) << (32 * side))
    return out, owner


def _dram_buffers(program: VirtualProgram, address: Ints) -> tuple[DramBuffer, ...]:
    made = [
        DramBuffer(b.name, b.kind, int(address[b.id]), b.size_bytes, b.dtype, b.shape)
        for b in program.buffers
        if b.memory is DRAM
    ]
    return tuple(sorted(made, key=lambda b: b.address))


def sequential_addresses(program: VirtualProgram, hw: Hardware) -> Ints:
    """One buffer after the other in each memory: enough for small kernels.

    Raises:
        IllegalError: SYS-K001 when SBUF or PSUM overflows.
    """
    top = {SBUF: 0, PSUM: 0, DRAM: 0}
    address = np.zeros(len(program.buffers), np.int64)
    for b in program.buffers:
        at = -(-top[b.memory] // b.align) * b.align
        address[b.id], top[b.memory] = at, at + b.size_bytes
    for memory in (SBUF, PSUM):
        if top[memory] > hw.partition_bytes(memory):
            raise IllegalError(
                "SYS-K001",
                f"the kernel's buffers fit in {memory.name}",
                found=f"{top[memory]} bytes a partition; {hw.partition_bytes(memory)} allowed",
                hint="reuse buffers, or compile with the memory planner",
            )
    return address
