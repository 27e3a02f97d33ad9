"""The static allocation problem, as arrays: boxes with a life, a size and, where memory is
two-dimensional, a range of quadrants.

In    life spans in schedule order, sizes, alignments, quadrants
Out   `Problem`, and `Solution`, one offset a box
Read  `checker.py` for what a solution is, `solver.py` for how one is found

A box takes bytes [offset, offset + size) of quadrants [q0, q1) during [lower, upper). With one
quadrant this is the two-dimensional problem of the literature.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compiler.errors import VerifyError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """Boxes to be given an offset. All arrays int64 [n].

    Attributes:
        lower, upper: the life of each box, half open, in any unit of time.
        size: bytes, at least 1.
        align: what its offset is a multiple of, at least 1.
        q0, q1: its quadrants, half open.
    """

    lower: Ints
    upper: Ints
    size: Ints
    align: Ints
    q0: Ints
    q1: Ints

    def __len__(self) -> int:
        return len(self.lower)


@dataclass(frozen=True)
class Solution:
    """Offsets that keep all boxes apart.

    Attributes:
        offsets: int64 [n], the first byte of each box.
        height: one past the highest byte taken.
        lower_bound: no solution is lower than this.
        method: which tier found it: `greedy` or `search`.
        steps: placements that the search tried; 0 where the greedy tier sufficed.
    """

    offsets: Ints
    height: int
    lower_bound: int
    method: str
    steps: int


def problem(
    lower: ArrayLike,
    upper: ArrayLike,
    size: ArrayLike,
    align: ArrayLike = 1,
    q0: ArrayLike = 0,
    q1: ArrayLike = 1,
) -> Problem:
    """A problem from anything that numpy takes; single numbers hold for every box.

    Raises:
        VerifyError: SYS-S010 a box has no life, no byte, no quadrant or no alignment.
    """
    lower = np.array(lower, np.int64).reshape(-1)
    columns = [np.asarray(c, np.int64) for c in (upper, size, align, q0, q1)]
    full = [np.broadcast_to(c, lower.shape).copy() for c in columns]
    made = Problem(lower, *full)
    _require(made.lower < made.upper, "lives for no time", made.upper - made.lower)
    _require(made.size > 0, "has no byte", made.size)
    _require(made.align > 0, "has no alignment", made.align)
    _require((made.q0 >= 0) & (made.q0 < made.q1), "lies in no quadrant", made.q1 - made.q0)
    return made


def _require(holds: NDArray[np.bool_], what: str, values: Ints) -> None:
    if not holds.all():
        box = int(np.argmin(holds))
        raise VerifyError("SYS-S010", f"a box {what}", found=f"{int(values[box])}", at=f"box {box}")


def read_csv(path: Path) -> Problem:
    """Boxes from a table with the columns lower, upper (half open) and size."""
    with path.open(newline="") as file:
        rows = [tuple(int(r[c]) for c in ("lower", "upper", "size")) for r in csv.DictReader(file)]
    table = np.array(rows, np.int64).reshape(-1, 3)
    return problem(table[:, 0], table[:, 1], table[:, 2])
