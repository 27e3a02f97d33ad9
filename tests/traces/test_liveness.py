"""How long a value is held: cases written out, and the plain definition on random accesses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from traces.liveness import _last_use

Ints = NDArray[np.int64]

# one partition class, four cells: (row, cell, "r" or "w"); a row ends at 10 * row + 9
CASES = {
    "a write that nobody reads lives while it is written": ("w0", {0: 9}),
    "a value lives to its last read": ("w0 r0 r0", {0: 29}),
    "a new value ends the old one's life at its last read": ("w0 r0 w0 r0", {0: 19, 2: 39}),
    "what an instruction reads and writes in place goes on": ("w0 r0+w0 r0+w0 r0", {0: 39}),
    "two cells are two values": ("w0 w1 r0 r1", {0: 29, 1: 39}),
    "a read of what nobody wrote is nothing": ("r0 w0", {1: 19}),
    "in place on another cell is new": ("w0 r0+w1 r1", {0: 19, 2: 29}),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_life(text: str, expected: dict[int, int]) -> None:
    accesses = [
        (row, int(part[1]), part[0] == "w")
        for row, parts in enumerate(text.split())
        for part in parts.split("+")
    ]
    row, cell, is_write = (np.array(column, np.int64) for column in zip(*accesses, strict=True))
    one = np.zeros_like(cell)
    last = _last_use(
        is_write,
        row,
        10 * row + 9,
        np.stack([one, one + 1]),
        np.stack([cell, cell + 1]),
        np.full((2, 1, 4), -1, np.int64),
    )
    owners = {int(i): int(last[i]) for i in np.flatnonzero(last >= 0)}
    # keys above count accesses
    assert owners == expected


def test_lives_follow_the_definition_on_random_accesses() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        n = int(rng.integers(1, 40))
        row = np.arange(n)
        first = rng.integers(0, 6, n)
        cells = np.stack([first, first + rng.integers(1, 3, n)])
        parts = rng.integers(0, 2, n)
        classes = np.stack([parts, parts + 1])
        is_write = rng.integers(0, 2, n)
        end = 10 * row + rng.integers(1, 30, n)
        got = _last_use(is_write, row, end, classes, cells, np.full((2, 2, 8), -1, np.int64))
        assert got.tolist() == [
            plain_life(i, is_write, end, classes, cells) if is_write[i] else -1 for i in range(n)
        ]


def plain_life(i: int, is_write: Ints, end: Ints, classes: Ints, cells: Ints) -> int:
    """The last end among the write and the reads that meet a cell of it not yet overwritten."""
    alive = {(c, g) for c in range(*classes[:, i]) for g in range(*cells[:, i])}
    last = int(end[i])
    for j in range(i + 1, len(end)):
        touched = {(c, g) for c in range(*classes[:, j]) for g in range(*cells[:, j])}
        if is_write[j]:
            alive -= touched
        elif alive & touched:
            last = max(last, int(end[j]))
    return last
