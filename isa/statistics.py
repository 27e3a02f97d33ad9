"""Row statistics of the vector engine, every step one FP32 operation (`bn_stats`, `bn_aggr`)."""

from __future__ import annotations

import numpy as np

from isa.alu import AluOp
from isa.alu_reference import fold
from isa.dtypes import Fp32Array


def _sum(values: Fp32Array) -> Fp32Array:
    """Sums of the rows in order from +0, [P]."""
    return fold(AluOp.ADD, np.zeros(len(values), np.float32), values)


def statistics(x: Fp32Array) -> Fp32Array:
    """count, mean, count*variance of every row: [P, N] -> [P, 3]; zeros where N is 0."""
    rows, n = x.shape
    if n == 0:
        return np.zeros((rows, 3), np.float32)
    count = np.full(rows, n, np.float32)
    with np.errstate(all="ignore"):
        mean = _sum(x) / count
        apart = x - mean[:, None]
        return np.stack([count, mean, _sum(apart * apart)], axis=1)


def aggregate(triples: Fp32Array) -> Fp32Array:
    """Mean and variance of rows of (count, mean, count*variance) triples: [P, 3k] -> [P, 2]."""
    count, mean, spread = triples[:, 0::3], triples[:, 1::3], triples[:, 2::3]
    with np.errstate(all="ignore"):
        total = _sum(count)
        whole = _sum(count * mean) / total
        apart = mean - whole[:, None]
        variance = _sum(spread + count * (apart * apart)) / total
        return np.stack([whole, variance], axis=1)
