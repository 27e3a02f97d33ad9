"""The part of a tensor that a box of its reshaped form is made of."""

from __future__ import annotations

import itertools
import math

Shape = tuple[int, ...]
Part = tuple[int, int]


def reshaped(old: Shape, new: Shape, box: tuple[Part, ...]) -> tuple[tuple[Part, ...], ...]:
    """(a box of the result around `box`, the box of the operand that has its elements).

    Both are one run of elements in each group of dimensions that become each other, so that the
    one box is the other reshaped.
    """
    made, read = list(box), [(0, extent) for extent in old]
    for olds, news in _groups(old, new):
        parts = _run([old[d] for d in olds], [new[d] for d in news], [box[d] for d in news])
        for d, part in zip(news, parts[0], strict=True):
            made[d] = part
        for d, part in zip(olds, parts[1], strict=True):
            read[d] = part
    return tuple(made), tuple(read)


def _groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """The least sets of neighbouring dimensions that hold the same number of elements."""
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        olds, news, p, q = list[int](), list[int](), 1, 1
        while True:
            if i < len(old) and (p < q or not olds):
                olds.append(i)
                p, i = p * old[i], i + 1
            elif j < len(new) and (q < p or not news):
                news.append(j)
                q, j = q * new[j], j + 1
            else:
                break
        found.append((olds, news))
    return found


def _run(old: list[int], new: list[int], box: list[Part]) -> tuple[list[Part], list[Part]]:
    """The shortest run around a box that is a box of either shape: (new, old)."""
    low = high = 0
    for (first, size), extent in zip(box, new, strict=True):
        low, high = low * extent + first, high * extent + first + size - 1
    best: tuple[int, int, int, int] | None = None
    for i, j in itertools.product(range(max(1, len(old))), range(max(1, len(new)))):
        inner = [math.prod(old[i + 1 :]), math.prod(new[j + 1 :])]
        step = math.lcm(*inner)
        a, z = low // step * step, (high // step + 1) * step
        within = [math.prod(old[i:]), math.prod(new[j:])]  # of which a run may not cross the border
        if any(a // n != (z - 1) // n for n in within):
            continue
        if best is None or z - a < best[1] - best[0]:
            best = a, z, i, j
    assert best is not None, "all of it is a run"
    a, z, i, j = best
    return _box_of(new, j, a, z), _box_of(old, i, a, z)


def _box_of(shape: list[int], dim: int, a: int, z: int) -> list[Part]:
    """Elements [a, z) as a box that is parted in `dim`."""
    parts = []
    for d, extent in enumerate(shape):
        inner = math.prod(shape[d + 1 :])
        if d < dim:
            parts.append((a // inner % extent, 1))
        elif d == dim:
            parts.append((a // inner % extent, (z - a) // inner))
        else:
            parts.append((0, extent))
    return parts
