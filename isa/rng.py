"""The random numbers of the vector engine: one 32-bit shift register with feedback a lane.

The hardware's generator is an LFSR whose polynomial is not public (neuron-facts 2.3). Ours is
xorshift (13, 17, 5), linear over GF(2) with the full period of 2**32 - 1; a lane is never zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Lanes = NDArray[np.uint32]


def step(lanes: Lanes) -> Lanes:
    """The next state of every lane, which is also its next number."""
    x = lanes ^ (lanes << np.uint32(13))
    x = x ^ (x >> np.uint32(17))
    last: Lanes = x ^ (x << np.uint32(5))
    return last


def numbers(lanes: Lanes, count: int) -> Lanes:
    """The next `count` numbers of every lane, [P, count]; `lanes` advances in place."""
    drawn = np.empty((len(lanes), count), np.uint32)
    for i in range(count):
        lanes[:] = step(lanes)
        drawn[:, i] = lanes
    return drawn


def seeded(seed: int, lanes: int) -> Lanes:
    """States from a 32-bit seed: seed + 0x9E3779B9 * (lane + 1), mixed, 1 where that gives 0."""
    x = (seed + 0x9E3779B9 * (np.arange(lanes, dtype=np.uint64) + np.uint64(1))).astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    x = x ^ (x >> np.uint32(16))
    return np.where(x == 0, np.uint32(1), x)
