"""Which line of a viewer a row is drawn on: a viewer's line holds slices one after the other.

The tensor engine loads the next weights while it multiplies, so its loads get a lane of their own;
whatever else overlaps goes to the next free lane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from traces.events import Ints
from traces.trace import Trace


@dataclass(frozen=True)
class Lane:
    """A line of slices that do not overlap: its track's core and stream, and the rows it holds."""

    name: str
    core: int
    stream: int
    rows: NDArray[np.int64]


def lanes(trace: Trace) -> list[Lane]:
    """Every lane that holds a row, in the order of tracks; rows in order of time."""
    e = trace.events
    found: list[Lane] = []
    for (core, stream), (name, rows) in zip(trace.tracks, trace.rows(), strict=True):
        every = np.arange(rows.start, rows.stop)
        is_load = trace.is_load[rows]
        for suffix, chosen in (("", every[~is_load]), (" weights", every[is_load])):
            for number, part in enumerate(_disjoint(e.start, e.end, chosen)):
                label = f"{name}{suffix}" + (f" +{number}" if number else "")
                found.append(Lane(label, core, stream, part))
    return found


def _disjoint(start: Ints, end: Ints, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The rows in as few parts as greedy placement needs, each without overlap."""
    parts: list[NDArray[np.int64]] = []
    rows = rows[np.argsort(start[rows], kind="stable")]
    while len(rows):
        if np.all(start[rows[1:]] >= end[rows[:-1]]):
            return [*parts, rows]
        taken = np.zeros(len(rows), bool)
        free = -1
        for i, (s, t) in enumerate(zip(start[rows].tolist(), end[rows].tolist(), strict=True)):
            if s >= free:
                taken[i], free = True, t
        parts.append(rows[taken])
        rows = rows[~taken]
    return parts
