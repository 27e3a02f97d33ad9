"""What each instruction of a virtual program costs, as columns: the specification's own costs.

In    a VirtualProgram (addresses do not matter for time)
Out   `Costs`: arrays with a row an instruction, in ticks and in `isa.timing.WORK_SCALE`-ths
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isa.hardware import Hardware
from isa.kernel.virtual import VirtualProgram
from isa.memory import DRAM, FIRST_QUEUE, Engine
from isa.spec import BY_MNEMONIC
from isa.timing import WORK_SCALE, WORK_SHIFT, StreamCosts

Ints = NDArray[np.int64]

LOAD, STORE, MOVE = FIRST_QUEUE, FIRST_QUEUE + 1, FIRST_QUEUE + 2
CLASSES = FIRST_QUEUE + 3
"""Classes of work: the five sequencers by stream number, and three of DMA: from DRAM, to DRAM, and
between on-chip memories (or inside DRAM)."""

PSUM_PORT, SBUF_PORT = 1, 2


class Costs(NamedTuple):
    """One row an instruction. Shape [n] each."""

    lane: Ints  # class of work
    occupancy: Ints
    latency: Ints
    table: Ints  # activation table set, 0 for none
    port: Ints  # bits of the shared ports that it holds
    work: Ints  # engine time of a DMA
    widest: Ints  # DMA engines that it can use
    traffic: Ints  # DRAM bytes an engine-tick
    loads_weights: NDArray[np.bool_]  # fills the array's second set of weights


def costs_of(program: VirtualProgram, hw: Hardware) -> Costs:
    """The costs of every instruction. Raises IllegalError SYS-M001 as `isa.timing.dma_work`."""
    n = len(program)
    lane = _lanes(program)
    columns = {name: np.zeros(n, np.int64) for name in Costs._fields[1:8]}
    for stream in np.unique(program.streams).tolist():
        index = np.flatnonzero(program.streams == stream)
        costs = StreamCosts(program.words[index], stream, hw)
        columns["occupancy"][index] = costs.occupancy
        columns["latency"][index] = costs.latency
        if stream >= FIRST_QUEUE:
            work = costs.dma
            dram = work.read_bytes + work.written_bytes
            columns["latency"][index] = hw.ns_to_ticks(hw.dma_completion_ns)
            columns["work"][index] = work.engine_work
            columns["widest"][index] = np.clip(work.descriptors, 1, hw.dma_engines) << WORK_SHIFT
            exact = dram * float(WORK_SCALE) * WORK_SCALE / np.maximum(work.engine_work, 1)
            columns["traffic"][index] = exact.astype(np.int64)
            continue
        sbuf, psum = costs.touches
        if hw.psum_port_shared and stream in (Engine.SCALAR, Engine.VECTOR):
            columns["port"][index] |= np.where(psum, PSUM_PORT, 0)
        if hw.sbuf_port_shared and hw.has_gpsimd and stream in (Engine.VECTOR, Engine.GPSIMD):
            columns["port"][index] |= np.where(sbuf, SBUF_PORT, 0)
        if stream == Engine.SCALAR:
            columns["table"][index] = costs.table_sets
    loads = program.opcodes == BY_MNEMONIC["load_stationary"].opcode
    return Costs(lane, **columns, loads_weights=loads)


def _lanes(program: VirtualProgram) -> Ints:
    """The class of work of each instruction."""
    lane = program.streams.astype(np.int64)
    copies = np.flatnonzero(lane >= FIRST_QUEUE)
    in_dram = np.array([b.memory is DRAM for b in program.buffers] + [True])
    to, source = (in_dram[program.operands[copies, place]] for place in (0, 1))
    lane[copies] = np.where(source & ~to, LOAD, np.where(to & ~source, STORE, MOVE))
    return lane


def queue_ranges(queues: int) -> tuple[Ints, Ints]:
    """For each class of work its first DMA queue and how many it has; shapes [CLASSES].

    Loads have about half of the queues, so that stores and moves never stand behind prefetches.
    """
    first, count = np.zeros(CLASSES, np.int64), np.ones(CLASSES, np.int64)
    if queues >= 3:
        stores = max(1, queues // 5)
        moves = max(1, queues // 3)
        loads = queues - stores - moves
        first[[LOAD, STORE, MOVE]] = (0, loads, loads + stores)
        count[[LOAD, STORE, MOVE]] = (loads, stores, moves)
    elif queues == 2:
        first[[STORE, MOVE]] = 1
    return first, count
