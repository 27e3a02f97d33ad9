"""Where the event loop stands, and what it writes down; int64 arrays with named rows."""

from __future__ import annotations

import numpy as np

from isa.memory import FIRST_QUEUE
from simulator.timing.tables import CORE, FIRST, SLOT_ROWS, STREAM, Ints, Tables

FOREVER = 1 << 62

# Why an instruction did not start at once: codes of the record's CAUSE.
NOTHING, SEMAPHORE, RESULT, WEIGHTS, TABLE_LOADING, DMA_START = range(6)

# Columns of the record, [n, 7]; times in ticks.
READY = 0  # all but the port was there; of a DMA, its trigger
BEGUN, ENDED = 1, 2
VISIBLE = 3  # -1 before the row has completed
WAIT = 4  # BEGUN less the earliest that its stream allowed
CAUSE, CAUSE_ROW = 5, 6  # the last thing it waited for; -1 for no row
RECORD_COLUMNS = 7

# Rows of the state [31, slots], after those of `Tables.slots`.
QUEUE = SLOT_ROWS  # place among the queues; -1
ROW = QUEUE + 1  # next row to issue
AT = ROW + 1  # when it will try; FOREVER when blocked or done
REQUEST = AT + 1  # when it could have started but for a port
WHY, WHY_ROW = REQUEST + 1, REQUEST + 2
BLOCKED = WHY_ROW + 1  # row that it must hear of, NEVER, or -1
AWAITS = BLOCKED + 1  # counted semaphore that it waits on; -1
WATCHED = AWAITS + 1  # least of this slot's rows that a slot is blocked on
FREE = WATCHED + 1  # end of the row in front; of a queue, earliest next trigger
LAST = FREE + 1  # start of the row in front
LOAD_FREE, LOAD_ROW = LAST + 1, LAST + 2  # end of the last stationary load, and its row
DONE = LOAD_ROW + 1  # completion of the row that completed last
LOADED = DONE + 1  # activation table set
PSUM_UNTIL, SBUF_UNTIL = LOADED + 1, LOADED + 2
TOLD, TELL_AT = SBUF_UNTIL + 1, SBUF_UNTIL + 2  # next row whose counted signal is due, and when
STATE_ROWS = TELL_AT + 1

# Rows of the queues' data side, [12, queues].
Q_SLOT, Q_CORE = 0, 1
Q_ROW = 2  # next row whose data move
Q_AT = 3  # when they begin, or end; FOREVER when none is triggered
Q_FREE = 4  # end of the data in front
Q_ACTIVE = 5  # whether data are moving
Q_LEFT, Q_SINCE = 6, 7  # engine time that they still needed, and when
Q_RATE = 8  # engine time that they get in a tick
Q_WIDEST = 9  # engines that they can use; 0 when idle
Q_TRAFFIC = 10  # DRAM bytes that they move in an engine-tick
Q_SHARED = 11  # room for new rates
QUEUE_ROWS = 12


def start_state(t: Tables) -> Ints:
    """Every slot at its first row, nothing loaded."""
    state = np.zeros((STATE_ROWS, t.slots.shape[1]), np.int64)
    state[:SLOT_ROWS] = t.slots
    state[[QUEUE, BLOCKED, AWAITS, LOAD_ROW]] = -1
    state[[ROW, TOLD]] = t.slots[FIRST]
    state[[AT, WATCHED, TELL_AT]] = FOREVER
    queues = np.flatnonzero(t.slots[STREAM] >= FIRST_QUEUE)
    state[QUEUE, queues] = np.arange(len(queues))
    return state


def start_queues(t: Tables) -> Ints:
    """Every queue idle."""
    slots = np.flatnonzero(t.slots[STREAM] >= FIRST_QUEUE)
    queues = np.zeros((QUEUE_ROWS, len(slots)), np.int64)
    queues[Q_SLOT], queues[Q_CORE] = slots, t.slots[CORE, slots]
    queues[Q_ROW], queues[Q_AT] = t.slots[FIRST, slots], FOREVER
    return queues


def start_record(n: int) -> Ints:
    """Nothing has happened yet."""
    record = np.zeros((n, RECORD_COLUMNS), np.int64)
    record[:, VISIBLE] = -1
    return record
