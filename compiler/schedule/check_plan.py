"""What a correct plan is, in the plainest words: every pair of accesses, every pair of buffers.

In    a virtual program, a plan of it, the target
Out   sentences, one a fault; none means correct
Read  this before `plan.py`; it shares no code with the scheduler and the allocator

Quadratic on purpose: for tests and for debugging, up to some thousand instructions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from compiler.schedule.plan import Plan
from isa.hardware import Hardware
from isa.kernel.virtual import Buffer, VirtualProgram
from isa.memory import DRAM, FIRST_QUEUE, PSUM
from isa.spec import BY_MNEMONIC

Ints = NDArray[np.int64]
QUADRANT_PARTITIONS = 32
GRANULE_BYTES = 64


def check_plan(program: VirtualProgram, plan: Plan, hw: Hardware) -> list[str]:
    """The faults of a plan, as sentences."""
    n = len(program)
    if sorted(plan.order.tolist()) != list(range(n)):
        return ["the order is not a permutation of the instructions"]
    position = np.empty(n, np.int64)
    position[plan.order] = np.arange(n)
    return [
        *_streams(program, plan, hw),
        *_orders(program, position),
        *_stationary(program, plan),
        *_places(program, plan, hw),
        *_overlaps(program, plan, position),
    ]


def _streams(program: VirtualProgram, plan: Plan, hw: Hardware) -> Iterator[str]:
    for i, (old, new) in enumerate(zip(program.streams, plan.streams, strict=True)):
        if old < FIRST_QUEUE and new != old:
            yield f"instruction {i} was moved from its engine {old} to stream {new}"
        if old >= FIRST_QUEUE and not FIRST_QUEUE <= new < FIRST_QUEUE + hw.dma_queues:
            yield f"transfer {i} is on stream {new}, which is no queue"


def _orders(program: VirtualProgram, position: Ints) -> Iterator[str]:
    """Two accesses of a buffer that share bytes, one a write, keep their order."""
    b = program.boxes
    for x in range(len(b.instruction)):
        i = b.instruction[x]
        clash = (b.buffer == b.buffer[x]) & (b.write | b.write[x]) & (b.instruction > i)
        clash &= (b.p0 < b.p1[x]) & (b.p0[x] < b.p1) & (b.b0 < b.b1[x]) & (b.b0[x] < b.b1)
        for j in np.unique(b.instruction[clash]):
            if position[j] < position[i]:
                yield f"instruction {j} runs before {i}, whose bytes it shares"


def _stationary(program: VirtualProgram, plan: Plan) -> Iterator[str]:
    """Every matmul finds the stationary tile that stood in front of it in program order."""
    load = BY_MNEMONIC["load_stationary"].opcode
    meant = _latest_loads(program, np.arange(len(program)), load)
    found = _latest_loads(program, plan.order, load)
    for i, tile in meant.items():
        if found[i] != tile:
            yield f"matmul {i} multiplies by the tile of {found[i]}, not of {tile}"


def _latest_loads(program: VirtualProgram, order: Ints, load: int) -> dict[int, int]:
    latest, of = -1, {}
    for i in order.tolist():
        if program.streams[i] == 0:
            if program.opcodes[i] == load:
                latest = i
            else:
                of[i] = latest
    return of


def _places(program: VirtualProgram, plan: Plan, hw: Hardware) -> Iterator[str]:
    for b in program.buffers:
        at = int(plan.address[b.id])
        room = hw.dram_bytes if b.memory is DRAM else hw.partition_bytes(b.memory)
        if at < 0 or at + b.size_bytes > room:
            yield f"buffer {b.id} takes bytes {at} to {at + b.size_bytes} of {room}"
        align = hw.psum_bank_bytes if b.memory is PSUM else GRANULE_BYTES
        if at % align:
            yield f"buffer {b.id} stands at byte {at}, not a multiple of {align}"


def _overlaps(program: VirtualProgram, plan: Plan, position: Ints) -> Iterator[str]:
    """No two buffers share a granule of a quadrant while both are in use."""
    boxes = program.boxes
    lives: dict[int, tuple[int, int]] = {}
    for x in range(len(boxes.instruction)):
        touched, at = int(boxes.buffer[x]), int(position[boxes.instruction[x]])
        first, last = lives.get(touched, (at, at))
        lives[touched] = (min(first, at), max(last, at))
    for a in program.buffers:
        for b in program.buffers[a.id + 1 :]:
            if a.memory is not b.memory or not {a.id, b.id} <= lives.keys():
                continue
            (a0, a1), (b0, b1) = lives[a.id], lives[b.id]
            together = a.memory is DRAM or (a0 <= b1 and b0 <= a1)
            if (
                together
                and _quadrants(a) & _quadrants(b)
                and _granules(a, plan) & _granules(b, plan)
            ):
                yield f"buffers {a.id} and {b.id} share bytes while both are in use"


def _quadrants(b: Buffer) -> set[int]:
    first, count = b.start, b.partitions
    return {p // QUADRANT_PARTITIONS for p in range(first, first + count)}


def _granules(b: Buffer, plan: Plan) -> set[int]:
    at = int(plan.address[b.id])
    return set(range(at // GRANULE_BYTES, -(-(at + b.size_bytes) // GRANULE_BYTES)))
