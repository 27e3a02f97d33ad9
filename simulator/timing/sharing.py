"""How the transfers under way share DMA engines and DRAM, in whole numbers.

A chip's engines go in equal shares to its cores, a core's in equal shares to its transfers; none
gets more than it can use (a core reaches so many engines; a transfer keeps as many engines busy as
it has descriptors), and what one leaves goes to the others: water filling. If all together
would move more DRAM bytes than DRAM can, those that use DRAM are slowed by one common factor.

All quantities are in WORK_SCALE-ths; every division rounds so that neither limit is passed.
"""

from __future__ import annotations

from isa.timing import WORK_SCALE, WORK_SHIFT
from simulator.timing.compiled import compiled
from simulator.timing.tables import CHIP_ENGINES, CORE_ENGINES, DRAM_RATE


@compiled
def fill(capacity, demand, share):  # type: ignore[no-untyped-def]
    """Equal shares of `capacity` to all with a demand, none above it; other shares stay. [n]."""
    left, n = capacity, 0
    for k in range(len(demand)):
        if demand[k] > 0:
            share[k] = -1
            n += 1
    while n > 0:
        level, met = left // n, 0
        for k in range(len(demand)):
            if demand[k] > 0 and share[k] < 0 and demand[k] <= level:
                share[k] = demand[k]
                left -= demand[k]
                met += 1
        n -= met
        if met == 0:
            for k in range(len(demand)):
                if demand[k] > 0 and share[k] < 0:
                    share[k] = level
            return


@compiled
def share_out(m, core, widest, traffic, room, rate):  # type: ignore[no-untyped-def]
    """rate := engine time that each queue's transfer gets in a tick. Shapes [queues].

    Args:
        m: the numbers of `tables.machine_of`.
        core: core of each queue.
        widest: engines that the queue's transfer can use; 0 where none is under way.
        traffic: DRAM bytes that it moves in an engine-tick.
        room: to work in. Shape [3, at least queues and cores].
    """
    queues, cores = len(widest), core[-1] + 1
    rate[:] = 0
    if cores == 1:
        fill(min(m[CORE_ENGINES], m[CHIP_ENGINES]), widest, rate)
    else:
        core_demand, core_share, demand = room[0, :cores], room[1, :cores], room[2, :queues]
        core_demand[:], core_share[:] = 0, 0
        for k in range(queues):
            wanted = core_demand[core[k]] + widest[k]
            core_demand[core[k]] = min(m[CORE_ENGINES], wanted)
        fill(m[CHIP_ENGINES], core_demand, core_share)
        for c in range(cores):
            for k in range(queues):
                demand[k] = widest[k] if core[k] == c else 0
            fill(core_share[c], demand, rate)
    limit_dram(m, widest, traffic, rate)


@compiled
def limit_dram(m, widest, traffic, rate):  # type: ignore[no-untyped-def]
    """Slow the transfers that use DRAM by one factor, so that together they keep to its rate."""
    total = 0
    for k in range(len(widest)):
        total += (rate[k] * traffic[k] + WORK_SCALE - 1) >> WORK_SHIFT
    if total > m[DRAM_RATE]:
        for k in range(len(widest)):
            if traffic[k] > 0:
                rate[k] = rate[k] * m[DRAM_RATE] // total
    for k in range(len(widest)):
        if widest[k] > 0 and rate[k] < 1:
            rate[k] = 1  # always some progress
