"""Make the activation tables: `python -m scripts.generate_activation_tables [FOLDER]`.

In    the formulas of `activation_formulas.py`, evaluated by mpmath to 160 bits
Out   `rows.npy` and `segments.npy` (format: `isa/activation/tables.py`), the same bytes each time

For each sign and exponent the binade is cut into the fewest equal segments, a power of two, whose
cubic interpolants at the Chebyshev points keep `TOLERANCE` relative to the function. The origin of
a segment is moved a little to where the constant term is nearly an FP32 number, so that rounding
the coefficients costs almost nothing.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mpmath import mp, mpf

from isa.activation.functions import FACTS, ActivationFunction, Method
from isa.activation.tables import ROWS_FILE, ROWS_PER_FUNCTION, SEGMENTS_FILE, SHIFT_BITS
from scripts.activation_formulas import FORMULAS, Formula, zeros_of
from scripts.float32_rounding import nearest_float32

TOLERANCE = 3 * mpf(2) ** -28  # relative; a tenth to a fifth of a unit in the last place
FLAT_TOLERANCE = mpf(2) ** -26  # for a constant or the line y = x in place of a whole binade
SMALLEST_NORMAL = mpf(2) ** -126
LARGEST = (2 - mpf(2) ** -23) * mpf(2) ** 127
OVERFLOW = LARGEST * (1 + mpf(2) ** -25)
MAX_SEGMENT_BITS = 14
SMALLEST_EXPONENT = -40  # below this every function is its Taylor polynomial at zero
LINEAR_EXPONENT = -24  # below this a function that is zero at zero is c1 * x
ORIGIN_CANDIDATES = 24

Polynomial = list[mpf]  # coefficients of t^0, t^1, ...
Segment = tuple[float, float, float, float, float]  # origin, c0, c1, c2, c3
CHEBYSHEV_POINTS = {n: [mp.cos((2 * i + 1) * mp.pi / (2 * n)) for i in range(n)] for n in (3, 4)}
EXTREMA = [mp.cos(i * mp.pi / 4) for i in range(5)]


@dataclass
class TableBuilder:
    """The two arrays under construction; equal neighbouring binades share their segment."""

    rows: np.ndarray = field(
        default_factory=lambda: np.full(
            ROWS_PER_FUNCTION * len(ActivationFunction), 23, dtype=np.uint32
        )
    )
    segments: list[Segment] = field(default_factory=list)

    def place(self, row: int, segments: list[Segment]) -> None:
        """Point `row` at `segments`, whose number is a power of two."""
        count = len(segments)
        if count == 1 and self.segments and self.segments[-1] == segments[0]:
            base = len(self.segments) - 1
        else:
            base = len(self.segments)
            self.segments += segments
        self.rows[row] = base << SHIFT_BITS | (23 - (count.bit_length() - 1))


def chop(value: mpf) -> float:
    """The nearest FP32 number, as a Python float."""
    return nearest_float32(value)


def at(p: Polynomial, t: mpf) -> mpf:
    """p(t) by Horner's rule."""
    total = mpf(0)
    for c in reversed(p):
        total = total * t + c
    return total


def interpolate(f: Callable[[mpf], mpf], points: list[mpf]) -> Polynomial:
    """The polynomial through f at the points, by Newton's divided differences."""
    column = [f(t) for t in points]
    for order in range(1, len(points)):
        for i in range(len(points) - 1, order - 1, -1):
            column[i] = (column[i] - column[i - 1]) / (points[i] - points[i - order])
    p: Polynomial = [column[-1]]
    for c, t in zip(column[-2::-1], points[-2::-1], strict=True):
        p = [low - t * high for low, high in zip([mpf(0), *p], [*p, mpf(0)], strict=True)]
        p[0] += c
    return p


def shifted(p: Polynomial, by: mpf) -> Polynomial:
    """q with q(t) = p(t + by)."""
    q = list(p)
    for start in range(len(q) - 1):
        for i in range(len(q) - 2, start - 1, -1):
            q[i] += by * q[i + 1]
    return q


@dataclass(frozen=True)
class Fitter:
    """Fits one function on intervals of one sign."""

    f: Formula
    zeros: tuple[mpf, ...]

    def fits(self, p: Polynomial, origin: mpf, low: mpf, high: mpf) -> bool:
        """The polynomial keeps the tolerance at the points where its error is largest."""
        middle, half = (low + high) / 2, (high - low) / 2
        for c in EXTREMA:
            x = middle + half * c
            truth = self.f(x)
            bound = TOLERANCE * max(abs(truth), SMALLEST_NORMAL)
            if abs(at(p, x - origin) - truth) > bound:
                return False
        return True

    def free(self, low: mpf, high: mpf) -> tuple[mpf, Polynomial]:
        """Cubic interpolant on [low, high] about its middle."""
        middle, half = (low + high) / 2, (high - low) / 2
        return middle, interpolate(
            lambda t: self.f(middle + t), [half * c for c in CHEBYSHEV_POINTS[4]]
        )

    def anchored(self, low: mpf, high: mpf, origin: mpf) -> tuple[mpf, Polynomial]:
        """Cubic that is exact at the origin and close relative to the distance from it."""
        middle, half = (low + high) / 2 - origin, (high - low) / 2
        start = self.f(origin)
        slope = interpolate(
            lambda t: (self.f(origin + t) - start) / t,
            [middle + half * c for c in CHEBYSHEV_POINTS[3]],
        )
        return origin, [start, *slope]

    def segment(self, low: mpf, high: mpf) -> Segment | None:
        """The segment for x in [low, high], or None when a cubic is not close enough."""
        if abs(self.f(low)) >= OVERFLOW and abs(self.f(high)) >= OVERFLOW:
            return constant(mpf("inf"))
        high = self.before_overflow(low, high)
        reach = (high - low) / 2
        zero = next((z for z in self.zeros if low - reach <= z <= high + reach), None)
        if zero is not None:
            origin, p = self.anchored(low, high, mpf(chop(zero)))
            return rounded(origin, p) if self.fits(p, origin, low, high) else None
        origin, p = self.free(low, high)
        if not self.fits(p, origin, low, high):
            return None
        return rounded(*self.best_origin(origin, p, reach))

    def before_overflow(self, low: mpf, high: mpf) -> mpf:
        """The end of the interval, cut to where results are finite (they grow with x then)."""
        if abs(self.f(high)) < OVERFLOW:
            return high
        return mp.findroot(lambda x: mp.log(self.f(x) / OVERFLOW), (low, high))

    def best_origin(self, middle: mpf, p: Polynomial, reach: mpf) -> tuple[mpf, Polynomial]:
        """An FP32 origin near the middle where p is nearest to an FP32 number, and p about it."""
        tries = []
        for i in range(-ORIGIN_CANDIDATES, ORIGIN_CANDIDATES + 1):
            origin = mpf(chop(middle + reach * i / (8 * ORIGIN_CANDIDATES)))
            value = at(p, origin - middle)
            tries.append((abs(mpf(chop(value)) - value) / max(abs(value), SMALLEST_NORMAL), origin))
        origin = min(tries)[1]
        return origin, shifted(p, origin - middle)


def rounded(origin: mpf, p: Polynomial) -> Segment:
    """Coefficients as FP32; a constant term of zero is -0, which keeps the sign of a zero x."""
    c = [chop(value) for value in p]
    return (chop(origin), c[0] if p[0] else -0.0, c[1], c[2], c[3])


def constant(value: mpf) -> Segment:
    """The segment that is one number everywhere."""
    return (0.0, chop(value), 0.0, 0.0, 0.0)


def flat(fitter: Fitter, low: mpf, high: mpf, limit: float) -> Segment | None:
    """A binade on which the function already is its limit, or x itself."""
    values = [(x, fitter.f(x)) for x in (low, (low + high) / 2, high)]
    scale = FLAT_TOLERANCE / 4
    if all(abs(y) < mpf(2) ** -151 for _, y in values):
        return (0.0, -0.0 if values[0][1] < 0 else 0.0, 0.0, 0.0, 0.0)
    if abs(limit) < float("inf") and all(abs(y - limit) <= scale * abs(limit) for _, y in values):
        return constant(mpf(limit))
    if all(abs(y - x) <= scale * abs(x) for x, y in values):
        return (0.0, -0.0, 1.0, 0.0, 0.0)
    return None


def binade(fitter: Fitter, sign: int, exponent: int) -> list[Segment]:
    """Segments, in mantissa order, for sign * [2^exponent, 2^(exponent+1))."""
    start = mpf(2) ** exponent
    for bits in range(MAX_SEGMENT_BITS + 1):
        width = start / 2**bits
        segments = []
        for i in range(2**bits):
            ends = sorted((sign * (start + i * width), sign * (start + (i + 1) * width)))
            segment = fitter.segment(*ends)
            if segment is None:
                break
            segments.append(segment)
        else:
            return segments
    raise ArithmeticError(f"no cubic segments are close enough at 2^{exponent}")


def near_zero(fitter: Fitter, sign: int) -> tuple[int, Segment]:
    """The largest exponent e with one cubic for all of sign * [0, 2^e], and that cubic.

    Where f(0) is 0 the rounding of c1 weighs on every result, so that cubic is kept to the numbers
    that are so small that only c1 * x is left.
    """
    largest = LINEAR_EXPONENT if fitter.f(mpf(0)) == 0 else 0
    for exponent in range(largest, SMALLEST_EXPONENT, -1):
        ends = sorted((mpf(0), sign * mpf(2) ** exponent))
        origin, p = fitter.anchored(ends[0], ends[1], mpf(0))
        if fitter.fits(p, origin, *ends):
            return exponent, rounded(origin, p)
    raise ArithmeticError("no cubic about zero is close enough")


def add_polynomial(builder: TableBuilder, function: ActivationFunction) -> None:
    """All rows of a function whose table covers every finite x."""
    facts = FACTS[function]
    fitter = Fitter(FORMULAS[function], zeros_of(function))
    for sign in (1, -1):
        limit = facts.limits[0 if sign > 0 else 1]
        first_row = ROWS_PER_FUNCTION * function + (0 if sign > 0 else 256)
        inner_exponent, inner = near_zero(fitter, sign)
        segments = [inner]
        for field_ in range(256):  # the exponent field; 255 is never looked up for a result
            exponent = field_ - 127
            if inner_exponent <= exponent < 128:
                segments = outer_binade(fitter, function, sign, exponent, limit)
            builder.place(first_row + field_, segments)


def outer_binade(
    fitter: Fitter, function: ActivationFunction, sign: int, exponent: int, limit: float
) -> list[Segment]:
    """A binade away from zero: cut off, flat, or fitted."""
    low, high = mpf(2) ** exponent, mpf(2) ** (exponent + 1)
    edge = FACTS[function].valid[1]
    if low >= edge:
        return [constant(fitter.f(sign * mpf(edge)))]
    if abs(fitter.f(sign * low)) >= OVERFLOW:
        return [constant(mpf("inf"))]
    simple = flat(fitter, sign * low, sign * high, limit)
    return [simple] if simple else binade(fitter, sign, exponent)


def add_scaled(builder: TableBuilder, function: ActivationFunction) -> None:
    """The rows that the mantissa of a scaled function can fall in, x in [0.5, 4)."""
    fitter = Fitter(FORMULAS[function], zeros_of(function))
    for exponent in (-1, 0, 1):
        row = ROWS_PER_FUNCTION * function + 127 + exponent
        builder.place(row, binade(fitter, 1, exponent))


def generate() -> tuple[np.ndarray, np.ndarray]:
    """rows uint32 [512 * functions] and segments float32 [n, 5]."""
    builder = TableBuilder()
    for function in ActivationFunction:
        method = FACTS[function].method
        before = len(builder.segments)
        if method is Method.POLYNOMIAL:
            add_polynomial(builder, function)
        elif method is not Method.ARITHMETIC:
            add_scaled(builder, function)
        print(f"{function.name.lower():24}{len(builder.segments) - before:7} segments", flush=True)
    return builder.rows, np.array(builder.segments, dtype=np.float32)


def save(path: Path, array: np.ndarray) -> None:
    """Write an array in the first version of the `.npy` format, little-endian."""
    with path.open("wb") as file:
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        np.lib.format.write_array(file, little, version=(1, 0), allow_pickle=False)


def main(folder: Path) -> None:
    """Generate and write both files."""
    rows, segments = generate()
    save(folder / ROWS_FILE.name, rows)
    save(folder / SEGMENTS_FILE.name, segments)
    print(f"{len(segments)} segments, {rows.nbytes + segments.nbytes} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROWS_FILE.parent)
