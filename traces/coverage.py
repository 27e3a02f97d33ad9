"""How much of each pixel's time something filled: what a picture of many rows is made of.

A picture has far fewer columns than a run has rows. So nothing is drawn row by row: each column
shows the share of its time that was busy, and each of its parts by class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from traces.events import Ints

Floats = NDArray[np.float64]


def coverage(start: Ints, end: Ints, total: int, columns: int) -> Floats:
    """The share of each column's time that the intervals fill. Shape [columns], 0 to 1.

    Args:
        start, end: ticks, half open, in order and without overlap.
        total: ticks of the whole width.
    """
    edges = np.linspace(0, max(total, 1), columns + 1)
    if not len(start):
        return np.zeros(columns)
    before = np.concatenate([[0], np.cumsum(end - start)]).astype(np.float64)
    row = np.searchsorted(start, edges, side="right") - 1
    inside = np.minimum(edges - start[row], (end - start)[row])
    filled = np.where(row < 0, 0.0, before[row] + inside)
    return np.asarray(np.clip(np.diff(filled) / np.diff(edges), 0.0, 1.0))


def envelope(ticks: Ints, values: Ints, total: int, columns: int) -> Ints:
    """The largest value of a step function in each column. Shape [columns].

    Args:
        ticks, values: from ticks[i] until ticks[i + 1] the value is values[i]; ticks[0] is 0.
    """
    edges = np.linspace(0, max(total, 1), columns + 1)
    at_edge = values[np.maximum(np.searchsorted(ticks, edges[:-1], side="right") - 1, 0)]
    column = np.clip(np.searchsorted(edges, ticks, side="right") - 1, 0, columns - 1)
    highest = at_edge.astype(np.int64)
    np.maximum.at(highest, column, values)
    return highest
