"""Why an instruction waited for another's signal: for its result, or for room in a memory.

An instruction that reads what the other wrote waits for data. All others wait because they would
overwrite what is still to be read or written: the memory is full, or was given out so. Boxes of
bytes decide, as in `timing/hazards.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.columns import bits
from isa.hardware import Hardware
from isa.memory import DRAM, FIRST_QUEUE
from isa.program import BufferKind, Program
from isa.spec import BY_MNEMONIC, Role
from isa.timing import StreamCosts
from simulator.explain.causes import ROOM_CAUSES, Cause
from simulator.timing import Timing
from simulator.timing.hazards import HIGH, LOW, MEMORY, PARTITION, PARTITION_END, boxes
from simulator.timing.result import Cause as Wait
from simulator.timing.tables import END, FIRST, KIND, SIGNALLERS, STREAM, TRANSFER, Ints

Words = NDArray[np.uint64]

RATES = {
    BufferKind.CONSTANT: Cause.WEIGHTS_RATE,
    BufferKind.INPUT: Cause.INPUT_RATE,
    BufferKind.OUTPUT: Cause.OUTPUT_RATE,
    BufferKind.SCRATCH: Cause.SPILL_RATE,
}
"""What a transfer's bytes count under, by the DRAM buffer that it reads or writes."""

CONTROL_OPCODES = sorted(
    BY_MNEMONIC[name].opcode for name in ("nop", "sem_clear", "notify") if name in BY_MNEMONIC
)


def words_of(program: Program) -> Words:
    """The words of all streams in the order of a Timing's rows. Shape [n, 16]."""
    streams = [program.streams[s] for s in sorted(program.streams)]
    return np.concatenate([np.zeros((0, 16), np.uint64), *streams])


def stream_of_rows(timing: Timing) -> Ints:
    """The stream of each row. Shape [n]."""
    slots = timing.program.tables.slots
    return np.repeat(slots[STREAM], slots[END] - slots[FIRST])


def releases(timing: Timing) -> Ints:
    """For each row the row whose signal let it start (of a transfer: be triggered), or -1."""
    found = np.where(timing.cause == Wait.SEMAPHORE, timing.cause_row, -1).astype(np.int64)
    latency = timing.hw.ns_to_ticks(timing.hw.semaphore_latency_ns)
    queued = np.flatnonzero(stream_of_rows(timing) >= FIRST_QUEUE)
    for w in (SIGNALLERS, SIGNALLERS + 1):
        signaller = timing.program.tables.rows[queued, w]
        heard = np.where(signaller >= 0, timing.visible[signaller] + latency, -1)
        last = heard == timing.ready[queued]
        found[queued[last]] = signaller[last]
    return found


def rooms(words: Words, timing: Timing, release: Ints) -> Ints:
    """For each row the `Cause` of a wait for room, or -1 where it waits for data or for nothing.

    Args:
        release: as `releases` gives it.
    """
    found = np.full(len(release), -1, np.int64)
    waiting = np.flatnonzero(release >= 0)
    if len(waiting):
        mine = words[_actors(words, timing)[waiting]]
        reads, writes = (_boxes(mine, timing.hw, r) for r in (Role.SOURCE, Role.RESULT))
        theirs = _boxes(words[release[waiting]], timing.hw, Role.RESULT)
        room = np.array([*map(int, ROOM_CAUSES), -1])[writes[:, :, MEMORY].max(axis=1, initial=-1)]
        found[waiting] = np.where(_meet(reads, theirs), -1, room)
    return found


def rates(program: Program, words: Words, timing: Timing) -> Ints:
    """The cause that a transfer's bytes count under. Shape [n]; of other rows it means nothing."""
    found = np.full(len(words), int(Cause.COPY_RATE), np.int64)
    rows = np.flatnonzero(timing.program.tables.rows[:, KIND] == TRANSFER)
    buffers = sorted(program.buffers, key=lambda b: b.address)
    begin = np.array([b.address for b in buffers], np.int64)
    cause = np.array([*(int(RATES[b.kind]) for b in buffers), int(Cause.SPILL_RATE)])
    for role in (Role.SOURCE, Role.RESULT):
        box = _boxes(words[rows], timing.hw, role)
        for place in range(box.shape[1]):
            moved = np.flatnonzero(box[:, place, MEMORY] == DRAM)
            at = np.searchsorted(begin, box[moved, place, LOW], side="right") - 1
            found[rows[moved]] = cause[at]
    return found


def _actors(words: Words, timing: Timing) -> Ints:
    """For each row itself, or where it only waits (`nop`) the next of its stream that does more."""
    every = np.arange(len(words))
    waits_only = np.isin(bits(words, 0, 0, 8), CONTROL_OPCODES)
    following = np.where(waits_only, len(words), every)
    following = np.minimum.accumulate(following[::-1])[::-1]
    slots = timing.program.tables.slots
    end = np.repeat(slots[END], slots[END] - slots[FIRST])
    return np.where(following < end, following, every)


def _boxes(words: Words, hw: Hardware, role: Role) -> Ints:
    """As `timing.hazards.boxes`, of instructions of any stream."""
    return boxes(StreamCosts(words, FIRST_QUEUE, hw), role)


def _meet(a: Ints, b: Ints) -> NDArray[np.bool_]:
    """Whether any box of a row of `a` overlaps any of the same row of `b`."""
    x, y = a[:, :, None], b[:, None]
    meets = (x[..., MEMORY] >= 0) & (x[..., MEMORY] == y[..., MEMORY])
    meets &= (x[..., PARTITION] < y[..., PARTITION_END]) & (
        y[..., PARTITION] < x[..., PARTITION_END]
    )
    meets &= (x[..., LOW] < y[..., HIGH]) & (y[..., LOW] < x[..., HIGH])
    found: NDArray[np.bool_] = meets.any(axis=(1, 2))
    return found
