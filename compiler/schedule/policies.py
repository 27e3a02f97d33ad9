"""Policies: how far the list scheduler may go ahead, and the search for the one that suits.

No policy is best for every program: going far ahead fills memory that the work at hand could use,
and every schedule is made by a greedy rule. A schedule takes milliseconds to make and its end is
known exactly, so a few are made, each policy one step from the best so far, and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from compiler.schedule.tables import LATEST, State


@dataclass(frozen=True)
class Policy:
    """How the scheduler goes ahead.

    Attributes:
        window: units past the first unscheduled one at which the engines look for work.
        near: units past it within which a load may use as much room as other work.
        horizon: transfers wait while so many DMA start-ups' worth of others are under way.
        far_share: percent of SBUF that loads further ahead than `near` may fill.
        room: percent of the memories that may be used for going ahead.
    """

    window: int = 4096
    near: int = 256
    horizon: int = 3
    far_share: int = 90
    room: int = 100


STEPS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("near", (1024, 64)),
    ("window", (256,)),
    ("horizon", (12, 1)),
)
"""What is varied, one after the other, from the best so far."""

FINER: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("near", (16, 64, 256, 1024, 4096)),
    ("window", (128, 256, 512, 1024, 4096)),
    ("horizon", (1, 2, 3, 6, 12, 24)),
    ("far_share", (70, 80, 90, 96)),
)
"""The same where time does not matter."""

ROOMS = (95, 90, 80)
LAST_ROOMS = (65, 40, 0)
"""Rooms that are tried because they are faster, and because buffers find a place with them."""

IN_ORDER = tuple(Policy(room=room) for room in (100, *ROOMS, *LAST_ROOMS))
"""Without comparing: ever less room until all fits."""

UNITS_A_SEARCH = 100_000
"""Units that all schedules of a search may have together."""

Made = tuple[Policy, State]
Schedule = Callable[[Policy], State]


def schedules(schedule: Schedule, units: int, *, thorough: bool = False) -> Iterator[Made]:
    """Policies and their schedules: first those compared, fastest first; then ever less room."""
    left = len(STEPS) * 100 if thorough else max(1, UNITS_A_SEARCH // max(1, units))
    made = _compared(schedule, FINER if thorough else STEPS, left)
    made.sort(key=lambda one: int(one[1].misc[LATEST]))
    yield from made
    tried = {policy for policy, _ in made}
    for room in (*ROOMS, *LAST_ROOMS):
        policy = replace(made[0][0], room=room)
        if policy not in tried:
            yield policy, schedule(policy)


def _compared(
    schedule: Schedule, steps: tuple[tuple[str, tuple[int, ...]], ...], left: int
) -> list[Made]:
    """At most `left` schedules, from step to step."""
    best = Policy()
    made = {best: schedule(best)}
    for name, values in (*steps, ("room", ROOMS)):
        here = best
        for value in values:
            policy = replace(here, **{name: value})
            if len(made) >= left or policy in made:
                continue
            made[policy] = schedule(policy)
            if made[policy].misc[LATEST] < made[best].misc[LATEST] and name != "room":
                best = policy
    return list(made.items())
