"""Weights of which most are zero: channels and outputs fall into classes that do not meet.

    w[o, c, t] = rows[c, t, place[o]]  where o and c are of one class, else 0

A grouped convolution has a class a group. One whose outputs were shuffled, or filled up with
zeros, is written with all its zeros in the graph, and found again here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compiler.graph.graph import Array

NONE = -1
"""The class of a channel that no output reads, and of an output that reads nothing."""
WORTH = 1.5
"""Times fewer bytes that classes must leave of the weights."""

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Classes:
    """Weights without the zeros between classes.

    Attributes:
        channels, outputs: the class of each, or `NONE`.
        place: of each output within its class.
        rows: [channels, taps, most outputs of a class].
    """

    channels: Labels
    outputs: Labels
    place: Labels
    rows: Array

    @property
    def count(self) -> int:
        """How many classes there are."""
        return int(self.outputs.max()) + 1

    def live(self, rows: int, columns: int) -> NDArray[np.bool_]:
        """[block of `rows` channels, piece of `columns` outputs]: whether any of the two meet."""
        theirs = _members(self.channels, rows, self.count)
        return theirs @ _members(self.outputs, columns, self.count).T

    @staticmethod
    def of_groups(weights: Array, groups: int) -> Classes:
        """The classes of a grouped convolution; weights [O, C / groups, *kernel]."""
        outputs, each = weights.shape[:2]
        per = outputs // groups
        split = weights.reshape(groups, per, each, -1).transpose(0, 2, 3, 1)
        every = np.arange(outputs)
        rows = split.reshape(groups * each, -1, per)
        return Classes(np.arange(groups * each) // each, every // per, every % per, rows)

    @staticmethod
    def find(weights: Array) -> Classes | None:
        """The classes of weights [O, C, *kernel], where they leave much less to load."""
        first = weights[0].reshape(weights.shape[1], -1)
        if 2 * np.count_nonzero(first) > first.size:  # dense weights are told at once
            return None
        met = (weights.reshape(*weights.shape[:2], -1) != 0).any(axis=2)
        channels, outputs = _labels(met)
        count = int(outputs.max(initial=NONE)) + 1
        if count == 0:
            return None
        sizes = np.bincount(outputs[outputs != NONE])
        if WORTH * sizes.max() * np.count_nonzero(channels != NONE) > met.size:
            return None
        place = np.zeros(len(outputs), np.int64)
        flat = weights.reshape(*weights.shape[:2], -1).transpose(1, 2, 0)
        rows = np.zeros((*flat.shape[:2], int(sizes.max())), weights.dtype)
        for j in range(count):
            mine, here = np.flatnonzero(outputs == j), np.flatnonzero(channels == j)
            place[mine] = np.arange(len(mine))
            rows[here, :, : len(mine)] = flat[here][:, :, mine]
        return Classes(channels, outputs, place, rows)


def _members(labels: Labels, size: int, count: int) -> NDArray[np.bool_]:
    """[span of `size` labels, class]: whether the class is there."""
    found = np.zeros((-(-len(labels) // size), count), bool)
    here = np.flatnonzero(labels != NONE)
    found[here // size, labels[here]] = True
    return found


def _labels(met: NDArray[np.bool_]) -> tuple[Labels, Labels]:
    """Class of each channel and of each output: what meets, directly or not, is of one."""
    outputs = np.full(met.shape[0], NONE, np.int64)
    channels = np.full(met.shape[1], NONE, np.int64)
    count = 0
    for o in range(met.shape[0]):
        if outputs[o] != NONE or not met[o].any():
            continue
        here = met[o]
        while True:
            mine = met[:, here].any(axis=1)
            wider = met[mine].any(axis=0)
            if wider.sum() == here.sum():
                break
            here = wider
        outputs[mine], channels[here] = count, count
        count += 1
    return channels, outputs
