"""Which instruction must see the effect of which: read after write, write after read or write.

Boxes stand for accesses (`virtual.Boxes`): a box may claim more bytes than the access touches, so
an order may be kept that was not needed, but none is lost. A write that covers an older box takes
its place: whoever depended on the old one now depends on it through the new one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isa.kernel.virtual import VirtualProgram

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Dependencies:
    """For instruction i its predecessors are `preds[start[i]:start[i + 1]]`, each less than i.

    `root[b]` says that box b follows no other access of its buffer.
    """

    start: Ints
    preds: Ints
    root: NDArray[np.bool_]


def dependencies(program: VirtualProgram) -> Dependencies:
    """The orders that the data demand, by bounding boxes."""
    b = program.boxes
    box = np.stack([b.instruction, b.buffer, b.write.astype(np.int64), b.p0, b.p1, b.b0, b.b1])
    return Dependencies(*_build(len(program), len(program.buffers), np.ascontiguousarray(box.T)))


_INSTRUCTION, _BUFFER, _WRITE, _P0, _P1, _B0, _B1 = range(7)


@njit(cache=True)
def _overlap(a: Ints, b: Ints) -> bool:
    across: bool = a[_P0] < b[_P1] and b[_P0] < a[_P1]
    along: bool = a[_B0] < b[_B1] and b[_B0] < a[_B1]
    return across and along


@njit(cache=True)
def _covers(a: Ints, b: Ints) -> bool:
    across: bool = a[_P0] <= b[_P0] and a[_P1] >= b[_P1]
    along: bool = a[_B0] <= b[_B0] and a[_B1] >= b[_B1]
    return across and along


@njit(cache=True)
def _build(n: int, buffers: int, box: Ints) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    m = len(box)
    newest = np.full((2, buffers), -1, np.int64)  # newest live read (0) and write (1), then `older`
    older = np.full(m, -1, np.int64)
    root = np.ones(m, np.bool_)
    start = np.zeros(n + 1, np.int64)
    preds = np.empty(max(16, 4 * n), np.int64)
    stamp = np.full(n, -1, np.int64)
    count = 0
    b = 0
    for i in range(n):
        while b < m and box[b, _INSTRUCTION] == i:
            buffer, write = box[b, _BUFFER], box[b, _WRITE]
            for kind in range(1 if write == 0 else 0, 2):
                previous, at = -1, newest[kind, buffer]
                while at >= 0:
                    following = older[at]
                    gone = False
                    j = box[at, _INSTRUCTION]
                    if j != i and _overlap(box[at], box[b]):
                        root[b] = False
                        if stamp[j] != i:
                            stamp[j] = i
                            if count == len(preds):
                                grown = np.empty(2 * count, np.int64)
                                grown[:count] = preds
                                preds = grown
                            preds[count] = j
                            count += 1
                        gone = write == 1 and _covers(box[b], box[at])
                    if gone and previous < 0:
                        newest[kind, buffer] = following
                    elif gone:
                        older[previous] = following
                    else:
                        previous = at
                    at = following
            older[b] = newest[write, buffer]
            newest[write, buffer] = b
            b += 1
        start[i + 1] = count
    return start, preds[:count].copy(), root
