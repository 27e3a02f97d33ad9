"""Views: where each element of a tensor lies in a buffer, as factors.

Every logical dimension is a product of factors, outermost first; a factor walks partitions (P) or
the free bytes of a partition (F). A feature map [N, C, H, W] with its 256 channels in two blocks
of 128 partitions:

    N   F(1, 0)                  H   F(H, W)
    C   F(2, H * W)  P(128, 1)   W   F(W, 1)

Transposing, reshaping, slicing and broadcasting a tensor change its view and move nothing; where a
view cannot say it (`None`), data must move. A dimension whose extent is less than the product of
its factors is *ragged*: its last block of partitions is not full.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from isa.dtypes import DType
from isa.kernel import Buffer
from isa.tiles import Dim


@dataclass(frozen=True, slots=True)
class Factor:
    """`extent` steps of `stride`: partitions if `part`, else elements of the buffer's dtype."""

    extent: int
    stride: int
    part: bool = False


Factors = tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A tensor in a buffer.

    Attributes:
        shape: logical extents.
        factors: for each dimension its factors, outermost first; their product is at least the
            extent (more only in a ragged dimension, whose factors are F then P, or one P).
        start: first partition, relative to the buffer.
        offset: first element, in elements of `dtype`.
        replicated: every partition from `start` on holds the same data (no P factor).
    """

    buffer: Buffer
    dtype: DType
    shape: tuple[int, ...]
    factors: tuple[Factors, ...]
    start: int = 0
    offset: int = 0
    replicated: bool = False

    def part_dims(self) -> list[int]:
        """Dimensions with a partition factor of more than one step."""
        return [d for d, fs in enumerate(self.factors) if any(f.part and f.extent > 1 for f in fs)]

    def ragged(self, dim: int) -> bool:
        """Whether the dimension's last block is not full."""
        return math.prod(f.extent for f in self.factors[dim]) != self.shape[dim]

    def permute(self, perm: tuple[int, ...]) -> View:
        """Dimension i of the result is dimension perm[i]."""
        return replace(
            self,
            shape=tuple(self.shape[p] for p in perm),
            factors=tuple(self.factors[p] for p in perm),
        )

    def broadcast(self, shape: tuple[int, ...]) -> View:
        """Numpy's broadcasting, with steps of stride 0."""
        pad = len(shape) - len(self.shape)
        old = (1,) * pad + self.shape
        factors = ((),) * pad + self.factors
        made = tuple(
            f if o == n else (Factor(n, 0),) for o, n, f in zip(old, shape, factors, strict=True)
        )
        return replace(self, shape=shape, factors=made)

    def slice(self, dim: int, first: int, size: int, step: int = 1) -> View | None:
        """Elements first, first + step, ... of a dimension; None where factors cannot say it."""
        if first == 0 and step == 1 and size == self.shape[dim]:
            return self
        factors = tuple(f for f in self.factors[dim] if f.extent > 1)
        start, offset, kept = self.start, self.offset, list[Factor]()
        for i, f in enumerate(factors):
            inner = math.prod(g.extent for g in factors[i + 1 :])
            if inner == 1 or (first % inner == 0 and step == 1 and size % inner == 0):
                n, first_here, step_here = size // inner, first // inner, step
                start += first_here * f.stride if f.part else 0
                offset += 0 if f.part else first_here * f.stride
                kept.append(Factor(n, f.stride * step_here, f.part))
                kept.extend(factors[i + 1 :])
                break
            if inner != 1 and first // inner == (first + (size - 1) * step) // inner:
                start += first // inner * f.stride if f.part else 0
                offset += 0 if f.part else first // inner * f.stride
                first %= inner
                continue
            if first % inner == 0 and step == 1 and i == len(factors) - 2 and factors[-1].part:
                blocks = -(-size // inner)  # ends inside a block: ragged
                offset += 0 if f.part else first // inner * f.stride
                if f.part:
                    return None
                kept = [Factor(blocks, f.stride), factors[-1]]
                break
            return None
        if any(f.part and f.stride < 0 for f in kept):
            return None
        made = (*self.factors[:dim], tuple(kept), *self.factors[dim + 1 :])
        shape = (*self.shape[:dim], size, *self.shape[dim + 1 :])
        return View(self.buffer, self.dtype, shape, made, start, offset, self.replicated)

    def reshape(self, shape: tuple[int, ...]) -> View | None:
        """The same elements in row-major order; None where a factor would be cut unevenly."""
        if shape == self.shape:
            return self
        if 0 in shape:
            return None
        groups = _aligned_groups(self.shape, shape)
        made: list[Factors] = []
        for old, new in groups:
            if tuple(self.shape[i] for i in old) == tuple(shape[j] for j in new):
                made.extend(self.factors[i] for i in old)
                continue
            big = [i for i in old if self.shape[i] > 1]
            if any(self.ragged(i) for i in big):
                if len(big) == 1 and sum(shape[j] > 1 for j in new) == 1:
                    made.extend(self.factors[big[0]] if shape[j] > 1 else () for j in new)
                    continue
                return None
            runs = _joined(tuple(f for i in old for f in self.factors[i] if f.extent > 1))
            split = _split(list(runs), [shape[j] for j in new])
            if split is None:
                return None
            made.extend(_joined(fs) for fs in split)
        return replace(self, shape=shape, factors=tuple(made))


def _joined(factors: Factors) -> Factors:
    """Neighbours that walk one run become one factor."""
    out: list[Factor] = []
    for f in factors:
        if out and out[-1].part == f.part and out[-1].stride == f.stride * f.extent:
            out[-1] = Factor(out[-1].extent * f.extent, f.stride, f.part)
        else:
            out.append(f)
    return tuple(out)


def _aligned_groups(
    old: tuple[int, ...], new: tuple[int, ...]
) -> list[tuple[list[int], list[int]]]:
    """Pair the shortest runs of dimensions with equal products."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        a, b = list[int](), list[int]()
        left = right = 1
        if i < len(old):
            a.append(i)
            left = old[i]
            i += 1
        if j < len(new):
            b.append(j)
            right = new[j]
            j += 1
        while left != right:
            if left < right:
                a.append(i)
                left *= old[i]
                i += 1
            else:
                b.append(j)
                right *= new[j]
                j += 1
        groups.append((a, b))
    return groups


def _split(factors: list[Factor], extents: list[int]) -> list[Factors] | None:
    """Distribute factors, outermost first, over dimensions of the given extents."""
    out: list[list[Factor]] = [[] for _ in extents]
    rest = [f for f in factors if f.extent > 1]
    for d in range(len(extents) - 1, -1, -1):
        need = extents[d]
        while need > 1:
            if not rest:
                return None
            f = rest.pop()
            if need % f.extent == 0:
                out[d].insert(0, f)
                need //= f.extent
            elif f.extent % need == 0:
                out[d].insert(0, Factor(need, f.stride, f.part))
                rest.append(Factor(f.extent // need, f.stride * need, f.part))
                need = 1
            else:
                return None
    return [tuple(o) for o in out] if not rest else None


def compact(factors: Iterable[Factors]) -> tuple[tuple[Factors, ...], int]:
    """The factors with the free ones dense and row-major, and the elements of a partition."""
    made: list[Factors] = []
    stride = 1
    for dim in reversed(list(factors)):
        mine: list[Factor] = []
        for f in reversed(dim):
            mine.insert(0, f if f.part else Factor(f.extent, stride))
            stride *= 1 if f.part else f.extent
        made.insert(0, tuple(mine))
    return tuple(made), stride


def joined_dims(dims: Iterable[Dim]) -> tuple[Dim, ...]:
    """(step, num) dimensions, outermost first, with neighbours that are one run made one."""
    out: list[Dim] = []
    for step, num in dims:
        if num == 1:
            continue
        if out and out[-1][0] == step * num:
            out[-1] = (step, out[-1][1] * num)
        else:
            out.append((step, num))
    return tuple(out) or ((0, 1),)


@dataclass(frozen=True, slots=True)
class Atom:
    """A common factor of several views: its extent and, for each view, stride and space."""

    extent: int
    strides: tuple[int, ...]
    parts: tuple[bool, ...]


def common_atoms(views: list[View]) -> list[list[Atom]] | None:
    """For each dimension the coarsest factors that all views share, outermost first.

    All views have one shape and no ragged dimension that is not ragged in the same way in all that
    have partition factors there. None where factors do not divide each other.
    """
    result: list[list[Atom]] = []
    for d in range(len(views[0].shape)):
        stacks = [[f for f in v.factors[d] if f.extent > 1] for v in views]
        atoms: list[Atom] = []
        while any(stacks):
            tops = [s[-1] if s else None for s in stacks]
            if any(t is None for t in tops):
                return None
            extent = min(t.extent for t in tops if t is not None)
            for stack, top in zip(stacks, tops, strict=True):
                assert top is not None
                if top.extent % extent:
                    return None
                stack.pop()
                if top.extent > extent:
                    stack.append(Factor(top.extent // extent, top.stride * extent, top.part))
            strides = tuple(t.stride for t in tops if t is not None)
            parts = tuple(t.part for t in tops if t is not None)
            atoms.insert(0, Atom(extent, strides, parts))
        result.append(atoms)
    return result
