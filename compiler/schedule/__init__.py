"""Scheduling and memory planning: from instructions on buffers to streams, order and addresses.

plan.py            plan(program, deps, hw) -> Plan: the whole, with retries
costs.py           what each instruction costs, by the specification
units.py           what is scheduled as a whole; the canonical order
list_scheduler.py  the order: engines, queues, semaphores and memory in a model of time
transfers.py       its DMA queues;  demand.py  its memory guard;  heaps.py;  tables.py
allocate.py        addresses
capacity.py        what to say when it does not fit
check_plan.py      what a correct plan is, written plainly; shares no code with the others
"""

from compiler.schedule.plan import Plan, ScheduleOptions, plan

__all__ = ["Plan", "ScheduleOptions", "plan"]
