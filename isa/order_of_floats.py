"""The order that ranking instructions use: -inf < ... < -0 < +0 < ... < inf < NaN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.dtypes import Fp32Array, canonical_nan


def rank_keys(x: Fp32Array) -> NDArray[np.int64]:
    """Integers in the order of the values; NaN above all, -0 below +0."""
    bits = canonical_nan(x).view(np.uint32).astype(np.int64)
    negative = bits >= 1 << 31
    return np.where(negative, (1 << 31) - 1 - bits, bits)


def descending(x: Fp32Array) -> NDArray[np.intp]:
    """Positions of each row's elements from the greatest down, equal ones in order of position."""
    return np.argsort(-rank_keys(x), axis=1, kind="stable")


def first_matches(x: Fp32Array, values: Fp32Array) -> NDArray[np.bool_]:
    """Which elements the values take: from the last column down, each its first not yet taken."""
    taken = np.zeros(x.shape, np.bool_)
    rows = np.arange(len(x))
    for column in reversed(range(values.shape[1])):
        free = (x == values[:, column, None]) & ~taken
        place = free.argmax(axis=1)
        taken[rows, place] |= free[rows, place]
    return taken
