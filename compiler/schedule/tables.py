"""What the list scheduler reads and what it keeps: a few integer tables with named columns.

Few and wide, because every array that a compiled function takes costs time to compile. Rows are
units in canonical order, instructions, buffers, DMA queues, or lanes (classes of work, `costs.py`).
Only SBUF and PSUM buffers count here. Times are ticks, engine time is in WORK_SCALE-ths.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compiler.schedule.costs import CLASSES, Costs, queue_ranges
from compiler.schedule.demand import CURVES, base_curves, blocks_of
from compiler.schedule.units import Units
from isa.hardware import Hardware
from isa.kernel.virtual import VirtualProgram
from isa.memory import DRAM, FIRST_QUEUE, PSUM, SBUF
from isa.program import BufferKind
from isa.timing import WORK_SHIFT

Ints = NDArray[np.int64]
FOREVER = 1 << 62
QUADRANT = 32
LATE = 64
"""Units ahead of the frontier from which a unit that reads nothing (it fills a buffer, with zeros
for instance) may run: it could run at once, but would take its memory for long."""
LATE_LOADED = 256
"""The same of a unit that a long load of weights waits for, which is to go ahead of its use."""
LONG = 8192
"""Bytes of such a load."""

GRANULE = 64

# Columns of Tables.unit: its instructions [FIRST, LAST) of `member`, its buffers [BUFFER,
# BUFFER_END) of `of_unit`; SOURCELESS: it waits for none, and no DMA does it (1), and a load of a
# constant waits for it (2); the rest as in
# costs.py and units.py, of the unit's last instruction.
UNIT_COLUMNS = 13
(
    FIRST,
    LAST,
    BUFFER,
    BUFFER_END,
    LANE,
    FOLLOWS,
    CHAINED,
    TABLE_SET,
    PORT,
    WORK,
    WIDEST,
    TRAFFIC,
    SOURCELESS,
) = range(UNIT_COLUMNS)
# Columns of Tables.instruction; its edges are [EDGE, EDGE_END) of `edge`.
OCCUPANCY, LATENCY, LOADS, EDGE, EDGE_END = range(5)
# Columns of Tables.edge.
TO, COST, TO_LOAD = range(3)
# Columns of Tables.buffer: memory (0 SBUF, 1 PSUM, -1 neither), quadrants of partitions [Q0, Q1),
# bytes a partition, first and last unit of the canonical order that touch it (-1 none), how many.
MEMORY, Q0, Q1, SIZE, FIRST_USE, LAST_USE, USERS = range(7)
# Rows of Tables.limit: bytes a partition, of SBUF and of PSUM: all; for what is taken ahead of the
# frontier; the same for loads far ahead.
CAPACITY, EARLY, PREFETCH = range(3)


class Tables(NamedTuple):
    """What is to be scheduled."""

    unit: Ints
    instruction: Ints
    buffer: Ints
    member: Ints
    edge: Ints
    of_unit: Ints
    limit: Ints


class Machine(NamedTuple):
    """Numbers of the target, and how far the scheduler may go."""

    semaphore: int
    table_load: int
    dma_start: int
    control: int
    engines: int
    dram: int
    window: int  # units past the frontier at which sequencers look
    near: int  # units past it within which loads count as other work
    late: int  # units past it within which units that read nothing may run
    late_loaded: int  # the same for those that a load of a constant waits for
    look: int  # ready units looked at
    patience: int  # ticks for which a ready unit may be passed over
    horizon: int  # ticks of DMA work under way past which loads are held back


# Columns of State.unit: edges still open; when all that it waits for is there; whether it is
# issued; the unit behind it in its queue; its trigger; start; queue. NTH is no fact of the row's
# unit: row k holds the unit that was issued k-th. When the weights are there that it loads.
WAITS, READY, ISSUED, NEXT, TRIGGER, START, QUEUE, NTH, WEIGHTS_READY = range(9)
# Columns of State.buffer: units that have still to touch it; end of the uses so far; units issued
# when it was taken (-1 before), and when it was given back.
USES, END, TAKEN, RELEASED = range(4)
# Columns of State.lane: units in its heap; version at which it could issue nothing; end of its last
# instruction; until when it holds the ports; its DMA queues.
READY_UNITS, TRIED, ENGINE_FREE, PSUM_UNTIL, SBUF_UNTIL, QUEUE_FIRST, QUEUE_COUNT = range(7)
# Columns of State.queue: first and last unit that have not ended (-1 none); trigger of the last;
# whether data move; next event; end of the last transfer; work left of the one under way as of
# SINCE, at RATE; work triggered and not begun.
HEAD, TAIL, LAST_TRIGGER, ACTIVE, AT, QUEUE_FREE, LEFT, SINCE, RATE, QUEUED = range(10)
# Places of State.misc: units issued; the frontier; changes so far; the PE unit that PE is held
# for (-1); the next PE unit in order; when the weights are in the array; start of the last matmul;
# table set loaded; latest completion; sizes of the heaps `pending` and `free`; the first unit that
# `admit_late` has not passed, and the same for units that loads wait for.
(
    COUNT,
    FRONTIER,
    VERSION,
    LOCK,
    NEXT_PE,
    WEIGHTS_IN,
    LAST_START,
    TABLE,
    LATEST,
    PENDING,
    TO_FREE,
    NEXT_LATE,
    NEXT_LOADED,
) = range(13)


class State(NamedTuple):
    """The scheduler in the middle of its work."""

    unit: Ints
    buffer: Ints
    lane: Ints
    queue: Ints
    misc: Ints
    heap: Ints  # [lanes, units] ready units, least first
    pending: Ints  # [2, units] (time, unit): ready at a time to come
    free: Ints  # [2, buffers] (time, buffer): no longer used from a time to come
    seen: Ints  # [look] room
    live: Ints  # [CURVES] bytes taken now
    curve: Ints  # demand.py
    blocks: Ints


def tables_of(program: VirtualProgram, units: Units, costs: Costs) -> Tables:
    """The facts of a program; `limit` is still to be set."""
    buffer, start, of_unit = _buffers(program, units)
    last = units.member[units.first[1:] - 1]
    unit = np.empty((len(last), UNIT_COLUMNS), np.int64)
    unit[:, FIRST], unit[:, LAST] = units.first[:-1], units.first[1:]
    unit[:, BUFFER], unit[:, BUFFER_END] = start[:-1], start[1:]
    unit[:, LANE], unit[:, FOLLOWS], unit[:, CHAINED] = (
        costs.lane[last],
        units.follows,
        units.chained,
    )
    unit[:, TABLE_SET], unit[:, PORT] = costs.table[last], costs.port[last]
    unit[:, WORK], unit[:, WIDEST], unit[:, TRAFFIC] = (
        costs.work[last],
        costs.widest[last],
        costs.traffic[last],
    )
    unit[:, SOURCELESS] = (units.waits == 0) & (unit[:, LANE] < FIRST_QUEUE)
    loaded = _before_constants(program, units)
    unit[loaded, SOURCELESS] *= 2
    edges = units.succ_start
    return Tables(
        unit=unit,
        instruction=np.stack(
            [costs.occupancy, costs.latency, costs.loads_weights, edges[:-1], edges[1:]], axis=1
        ).astype(np.int64),
        buffer=buffer,
        member=units.member,
        edge=np.stack([units.succ, units.succ_cost, units.succ_loads.astype(np.int64)], axis=1),
        of_unit=of_unit,
        limit=np.zeros((3, 2), np.int64),
    )


def _before_constants(program: VirtualProgram, units: Units) -> Ints:
    """Units that a long load of a constant waits for: late, they would hold a prefetch up."""
    constant = np.array(
        [b.kind is BufferKind.CONSTANT and b.size_bytes >= LONG for b in program.buffers] + [False]
    )
    loads = (program.streams >= FIRST_QUEUE) & constant[program.operands[:, 1]]
    loading = np.zeros(len(units.follows), bool)
    loading[units.unit[loads]] = True
    source = np.repeat(units.unit, np.diff(units.succ_start))
    return np.unique(source[loading[units.succ]])


def _buffers(program: VirtualProgram, units: Units) -> tuple[Ints, Ints, Ints]:
    """Rows of buffers, and CSR of the buffers that each unit touches, once each."""
    bs, n = program.buffers, len(units.follows)
    count = max(1, len(bs))
    boxes = program.boxes
    touch = np.unique(units.unit[boxes.instruction] * np.int64(count) + boxes.buffer)
    unit, touched = touch // count, touch % count
    places = {SBUF: 0, PSUM: 1, DRAM: -1}
    memory = np.array([-1 if b.pinned else places[b.memory] for b in bs] + [-1], np.int64)
    kept = memory[touched] >= 0
    unit, touched = unit[kept], touched[kept]
    row = np.zeros((len(bs), 7), np.int64)
    row[:, MEMORY] = memory[:-1]
    row[:, Q0] = [b.start // QUADRANT for b in bs]
    row[:, Q1] = [-(-(b.start + b.partitions) // QUADRANT) for b in bs]
    row[:, SIZE] = [-(-b.size_bytes // GRANULE) * GRANULE for b in bs]
    row[:, FIRST_USE], row[:, LAST_USE] = n, -1
    np.minimum.at(row[:, FIRST_USE], touched, unit)
    np.maximum.at(row[:, LAST_USE], touched, unit)
    row[row[:, LAST_USE] < 0, FIRST_USE] = -1
    row[:, USERS] = np.bincount(touched, minlength=len(bs))
    return row, np.searchsorted(unit, np.arange(n + 1)).astype(np.int64), touched.astype(np.int64)


def base_demand(tables: Tables) -> Ints:
    """Bytes a partition that the canonical order holds at each unit. Shape [CURVES, units]."""
    b = tables.buffer
    columns = (b[:, c].copy() for c in (MEMORY, Q0, Q1, SIZE, FIRST_USE, LAST_USE))
    curve: Ints = base_curves(len(tables.unit), *columns)
    return curve


def machine_of(hw: Hardware, window: int, near: int, horizon: int = 3) -> Machine:
    """The target's numbers; `horizon` in start-ups of a DMA."""
    start, table_load = hw.ns_to_ticks(hw.dma_start_ns), hw.ns_to_ticks(hw.act_table_load_ns)
    return Machine(
        semaphore=hw.ns_to_ticks(hw.semaphore_latency_ns),
        table_load=table_load,
        dma_start=start,
        control=hw.control_interval * hw.ticks_per_cycle(FIRST_QUEUE),
        engines=min(hw.dma_engines, hw.dma_engines_per_chip) << WORK_SHIFT,
        dram=(hw.dram_bytes_per_s << WORK_SHIFT) // hw.ticks_per_s,
        window=window,
        near=near,
        late=LATE,
        late_loaded=LATE_LOADED,
        look=16,
        patience=8 * table_load,
        horizon=horizon * start,
    )


def start_state(tables: Tables, waits: Ints, demand: Ints, machine: Machine, queues: int) -> State:
    """Nothing issued. `waits` are the edges into each unit."""
    units, buffers = len(tables.unit), len(tables.buffer)
    unit = np.zeros((units, 9), np.int64)
    unit[:, WAITS], unit[:, NEXT], unit[:, QUEUE] = waits, -1, -1
    buffer = np.zeros((buffers, 4), np.int64)
    buffer[:, USES], buffer[:, TAKEN], buffer[:, RELEASED] = tables.buffer[:, USERS], -1, -1
    lane = np.zeros((CLASSES, 7), np.int64)
    lane[:, TRIED] = -1
    lane[:, QUEUE_FIRST], lane[:, QUEUE_COUNT] = queue_ranges(queues)
    queue = np.zeros((queues, 10), np.int64)
    queue[:, [HEAD, TAIL]], queue[:, LAST_TRIGGER], queue[:, AT] = -1, -FOREVER, FOREVER
    misc = np.zeros(13, np.int64)
    misc[LOCK] = -1
    curve = demand.copy()
    return State(
        unit=unit,
        buffer=buffer,
        lane=lane,
        queue=queue,
        misc=misc,
        heap=np.zeros((CLASSES, units + 1), np.int64),
        pending=np.zeros((2, units + 1), np.int64),
        free=np.zeros((2, buffers + 1), np.int64),
        seen=np.zeros(machine.look, np.int64),
        live=np.zeros(CURVES, np.int64),
        curve=curve,
        blocks=blocks_of(curve),
    )
