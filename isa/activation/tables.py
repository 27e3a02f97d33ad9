"""The piecewise-polynomial tables: their format, and the shipped ones.

A table function looks at the bits of an FP32 number. The top nine (sign and exponent) pick an entry
of `rows`; the entry says where the binade's segments begin and how many of the mantissa's top bits
number them:

    entry   = rows[512*function + (bits >> 23)]
    segment = (entry >> 5) + ((bits & 0x7FFFFF) >> (entry & 31))

A segment is five FP32 numbers: origin, c0, c1, c2, c3. With t = x - origin the result is
((c3*t + c2)*t + c1)*t + c0, every operation rounded to FP32. x and origin are within a factor of
two of each other or the origin is zero, so t is exact. Where a function is zero the origin is that
zero, so small results keep their relative accuracy; c0 = -0 keeps the sign of a zero x.

The generator is `scripts/generate_activation_tables.py`; the arrays are stored as `.npy` beside
this file, little-endian.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isa.activation.functions import FACTS, ActivationFunction, Method

ROWS_FILE = Path(__file__).with_name("rows.npy")
SEGMENTS_FILE = Path(__file__).with_name("segments.npy")
ROWS_PER_FUNCTION = 512
SHIFT_BITS = 5
MANTISSA_BITS = 23


class Tables(NamedTuple):
    """All that both evaluators read; a plain tuple of arrays, so that Numba kernels take it whole.

    `rows` uint32 [512 * functions]; `segments` float32 [n, 5]; `special` float32 [functions, 4],
    the results at +inf, -inf, +0, -0 (the zeros only for Method.POWER and Method.LOGARITHM).
    """

    rows: NDArray[np.uint32]
    segments: NDArray[np.float32]
    special: NDArray[np.float32]


@cache
def load_tables() -> Tables:
    """The shipped tables, read once and read-only."""
    rows = np.load(ROWS_FILE, allow_pickle=False).astype(np.uint32)
    segments = np.load(SEGMENTS_FILE, allow_pickle=False).astype(np.float32)
    tables = Tables(rows, segments, special_results())
    for array in tables:
        array.setflags(write=False)
    return tables


def special_results() -> NDArray[np.float32]:
    """float32 [functions, 4]: results at +inf, -inf, +0, -0, from `FACTS`."""
    rows = [(*FACTS[f].limits, *(FACTS[f].zeros or (0.0, 0.0))) for f in ActivationFunction]
    return np.array(rows, np.float32)


def table_bytes(function: ActivationFunction) -> int:
    """Bytes of the function's segments and row entries; 0 for a function without a table."""
    if FACTS[function].method is Method.ARITHMETIC:
        return 0
    entries = function_rows(load_tables(), function)
    first = entries >> SHIFT_BITS
    counts = 1 << (MANTISSA_BITS - (entries & 31).astype(np.int64))
    used = {int(s) for f, n in zip(first, counts, strict=True) for s in range(f, f + n)}
    return len(used) * 5 * 4 + ROWS_PER_FUNCTION * 4


def function_rows(tables: Tables, function: ActivationFunction) -> NDArray[np.uint32]:
    """uint32 [512]: the row entries of one function, by sign and exponent."""
    start = ROWS_PER_FUNCTION * function
    return tables.rows[start : start + ROWS_PER_FUNCTION]
