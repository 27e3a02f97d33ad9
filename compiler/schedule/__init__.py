"""Scheduling and memory planning: from instructions on buffers to streams, order and addresses.

plan.py            plan(program, deps, hw) -> Plan: the whole, with retries
costs.py           what each instruction costs, by the specification
units.py           what is scheduled as a whole; the canonical order
list_scheduler.py  the order: at every moment the ready unit that comes first
policies.py        how far the scheduler goes ahead; several are compared
placing.py         schedules whose buffers find places
replay.py          the time that a schedule takes with the places that it got
engines.py         when a unit runs;  transfers.py  the same for DMA queues
admission.py       which buffers may be taken, guarded by demand.py
tables.py          what these read and keep;  heaps.py;  inner.py
allocate.py        addresses
capacity.py        what to say when it does not fit
check_plan.py      what a correct plan is, written plainly; shares no code with the others
"""

from compiler.schedule.plan import Plan, ScheduleOptions, fits, plan

__all__ = ["Plan", "ScheduleOptions", "fits", "plan"]
