"""Orders of preference: which boxes to place first.

In    a problem, its sections
Out   permutations; the first ones plain, the others mixed and jittered without end

The plain ones sort by fullness of the fullest section, by life (width), area and size (MiniMalloc's
orders are such). The mixed ones multiply powers of the same, of the blame that boxes have taken in
earlier searches, and of noise. Only operations that IEEE 754 fixes to the bit, and a generator
written out, so that every machine tries the same orders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compiler.memory.problem import Ints, Problem

Floats = NDArray[np.float64]

POWERS = (0.0, 0.5, 1.0, 2.0)
FULLNESS_POWERS = (0, 1, 20)
BLAME_POWERS = (0, 1, 4)
NOISES = (0.0, 0.1, 0.3)


def random_words(seed: int, count: int) -> NDArray[np.uint64]:
    """Words of splitmix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
    Generators", OOPSLA 2014), uint64 [count]."""
    z = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed << 32)
    z = z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@dataclass(frozen=True)
class Traits:
    """What boxes are sorted by, each [n].

    Attributes:
        size: bytes.
        life: in units of time;  spans: in sections.
        full: live bytes of the fullest section the box is in.
    """

    size: Ints
    life: Ints
    spans: Ints
    full: Ints

    def of(self, boxes: Ints) -> Traits:
        """The traits of some boxes."""
        return Traits(self.size[boxes], self.life[boxes], self.spans[boxes], self.full[boxes])


def traits(p: Problem, first: Ints, last: Ints, full: Ints) -> Traits:
    """The traits of all boxes; a box counts once for each quadrant."""
    return Traits(p.size * (p.q1 - p.q0), p.upper - p.lower, last - first, full)


def plain(t: Traits) -> tuple[Ints, ...]:
    """Fullest first, then by life; fullest first, then by area; by size; by area; by life."""
    area = t.life * t.size
    keys = (
        (-t.size, -t.life, -t.full),
        (-t.life, -area, -t.full),
        (-t.life, -t.size),
        (-t.life, -area),
        (-t.size, -t.life),
    )
    return tuple(np.lexsort(key).astype(np.int64) for key in keys)


def mixed(t: Traits, blame: Floats, nth: int) -> tuple[Ints, bool]:
    """The nth mixed order, and whether the lowest floor goes before it.

    Args:
        blame: share of earlier failures, [n].
    """
    word = [int(w >> np.uint64(8)) for w in random_words(2 * nth + 1, 7)]
    unit = (random_words(2 * nth + 2, len(t.size)) >> np.uint64(11)).astype(np.float64) / 2.0**53
    life = t.life if word[0] % 2 else t.spans
    weight = _power(t.size, POWERS[word[1] % 4]) * _power(life, POWERS[word[2] % 4])
    weight *= _power(t.full / t.full.max(), FULLNESS_POWERS[word[3] % 3])
    weight *= _power(blame + 1e-3, BLAME_POWERS[word[4] % 3])
    weight *= 1.0 + NOISES[word[5] % 3] * 3.0 * unit
    return np.argsort(-weight, kind="stable").astype(np.int64), bool(word[6] % 2)


def _power(values: NDArray[np.int64] | Floats, exponent: float) -> Floats:
    """values ** exponent by products and square roots, which are exact to the bit anywhere."""
    base = values.astype(np.float64)
    if exponent == 0.5:
        root: Floats = np.sqrt(base)
        return root
    found = np.ones_like(base)
    for _ in range(int(exponent)):
        found = found * base
    return found
