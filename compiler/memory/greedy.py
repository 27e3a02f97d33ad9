"""The fast tier: every box once, at the lowest offset that is free, in some good order.

In    boxes as arrays, an order
Out   offsets and their height
Read  `orders.py` for the orders, `solver.py` for which is tried when

`lowest_floor` always places the box that can lie lowest, as MiniMalloc's canonical solutions do
(Moffitt, "MiniMalloc: A Lightweight Memory Allocator for Hardware-Accelerated Machine Learning",
ASPLOS 2023), with the skyline in a tree of maxima. `first_fit` fills gaps, in any order of boxes
(greedy by size: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
2020). `in_time` is first fit in order of time with only the live boxes at hand.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import heapq

import numpy as np
from numba import njit


@njit(cache=True)
def first_fit(order, lower, upper, size, align, q0, q1, offsets):
    """Boxes in `order`, each in the lowest gap that holds it. Returns the height."""
    n = len(order)
    begin, end = np.empty(n, np.int64), np.empty(n, np.int64)  # of those placed, by rising bottom
    bottom, top = np.empty(n, np.int64), np.empty(n, np.int64)
    left, right = np.empty(n, np.int64), np.empty(n, np.int64)
    height = 0
    for count in range(n):
        b = order[count]
        at, step = np.int64(0), align[b]
        for k in range(count):
            if begin[k] < upper[b] and lower[b] < end[k] and left[k] < q1[b] and q0[b] < right[k]:
                if bottom[k] >= at + size[b]:
                    break
                if top[k] > at:
                    at = top[k] if step == 1 else -(-top[k] // step) * step
        offsets[b] = at
        k = count
        while k > 0 and bottom[k - 1] > at:
            begin[k], end[k], bottom[k] = begin[k - 1], end[k - 1], bottom[k - 1]
            top[k], left[k], right[k] = top[k - 1], left[k - 1], right[k - 1]
            k -= 1
        begin[k], end[k], bottom[k] = lower[b], upper[b], at
        top[k], left[k], right[k] = at + size[b], q0[b], q1[b]
        height = max(height, at + size[b])
    return height


@njit(cache=True)
def in_time(order, lower, upper, size, align, q0, q1, offsets):
    """First fit for an `order` of rising start: only live boxes are looked at."""
    n = len(order)
    until, bottom, top = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    left, right = np.empty(n, np.int64), np.empty(n, np.int64)
    kept = (until, bottom, top, left, right)  # rows by rising bottom; dead ones are free room
    count, height = 0, 0
    for b in order:
        now, at, step = lower[b], np.int64(0), align[b]
        for k in range(count):
            if until[k] > now and left[k] < q1[b] and q0[b] < right[k]:
                if bottom[k] >= at + size[b]:
                    break
                if top[k] > at:
                    at = top[k] if step == 1 else -(-top[k] // step) * step
        offsets[b] = at
        k, count = _make_room(kept, count, now, at)
        until[k], bottom[k], top[k], left[k], right[k] = upper[b], at, at + size[b], q0[b], q1[b]
        height = max(height, at + size[b])
    return height


@njit(cache=True)
def _make_room(kept, count, now, at):
    """A row for a box with bottom `at`, by moving those up to the nearest dead row; the count."""
    until, bottom = kept[0], kept[1]
    place = np.searchsorted(bottom[:count], at, side="right")
    up, down = place, place - 1
    while up < count and until[up] > now and (down < 0 or until[down] > now):
        up += 1
        down -= 1
    if up < count and until[up] > now:  # the dead row is below
        for rows in kept:
            for k in range(down, place - 1):
                rows[k] = rows[k + 1]
        return place - 1, count
    for rows in kept:
        for k in range(up, place, -1):
            rows[k] = rows[k - 1]
    return place, max(count, up + 1)


@njit(cache=True)
def lowest_floor(rank, first, last, count, size, align, q0, q1, offsets, most_looks):
    """Always the box that can lie lowest, equals by `rank`. Returns the height, -1 if it took
    more than `most_looks` looks at the skyline.

    first, last: the sections of each box, of `count` in all.
    """
    leaves = 1
    while leaves < count:
        leaves *= 2
    quadrants = q1.max()
    most = np.zeros((quadrants, 2 * leaves), np.int64)
    whole = np.zeros((quadrants, 2 * leaves), np.int64)
    heap = [(np.int64(0), rank[b], np.int64(b)) for b in range(len(rank))]
    heapq.heapify(heap)
    height = 0
    for _ in range(most_looks):
        if len(heap) == 0:
            return height
        floor, r, b = heap[0]
        now = np.int64(0)
        for q in range(q0[b], q1[b]):
            now = max(now, _highest(most[q], whole[q], leaves, first[b], last[b]))
        now = -(-now // align[b]) * align[b]
        if now > floor:
            heapq.heapreplace(heap, (now, r, b))
            continue
        heapq.heappop(heap)
        offsets[b] = floor
        for q in range(q0[b], q1[b]):
            _cover(most[q], whole[q], leaves, first[b], last[b], floor + size[b])
        height = max(height, floor + size[b])
    return height if len(heap) == 0 else -1


@njit(cache=True)
def _highest(most, whole, leaves, first, last):
    """The skyline's height over sections [first, last): what covers nodes inside, or above."""
    best = np.int64(0)
    for end in (first, last - 1):
        node = (end + leaves) >> 1
        while node > 0:
            best = max(best, whole[node])
            node >>= 1
    a, b = first + leaves, last + leaves
    while a < b:
        if a & 1:
            best = max(best, most[a])
            a += 1
        if b & 1:
            b -= 1
            best = max(best, most[b])
        a >>= 1
        b >>= 1
    return best


@njit(cache=True)
def _cover(most, whole, leaves, first, last, top):
    """Raise the skyline to `top`, which is above it, over sections [first, last)."""
    a, b = first + leaves, last + leaves
    while a < b:
        if a & 1:
            most[a] = top
            whole[a] = top
            a += 1
        if b & 1:
            b -= 1
            most[b] = top
            whole[b] = top
        a >>= 1
        b >>= 1
    for end in (first, last - 1):
        node = (end + leaves) >> 1
        while node > 0:
            most[node] = max(whole[node], most[2 * node], most[2 * node + 1])
            node >>= 1
