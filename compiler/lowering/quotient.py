"""Quotients rounded once, as IEEE division rounds: for what an op behind rounds to integers.

The engines have a reciprocal; x * (1 / y) rounds three times, and takes one tie for another.
"""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np

from compiler.lowering.emission import ONE, Col, Input, Instructions, Pending, Scalar
from isa.alu import AluOp
from isa.dtypes import DType
from isa.kernel import Ap

LIMIT = 2.0**60
"""From where on a quotient need not be exact: 8 bits of it times a divisor are still finite."""

CORRECTION = 2.0**38
"""Four last places of a quotient below `LIMIT`: near is closer."""

LARGEST = 255 * 2.0**120
"""The largest in 8 bits. An infinite divisor has finite parts; times its reciprocal they vanish."""


class Quotients(Instructions):
    """Emits quotients."""

    def _divisor(self, y: Input) -> Ap | Scalar:
        """A tile that has one number a partition as a column."""
        if not isinstance(y, Ap | Pending):
            return y
        tile = self.settled(y)
        if any(step and n > 1 for step, n in tile.dims):
            return tile
        return Col(self._in_fp32(replace(self._in_sbuf(tile), dims=ONE)))

    def _quotient(self, x: Ap, y: Ap | Col | float, out: Ap) -> Ap:
        """x / y rounded once: near - (near y - x) / y, where near := x * (1 / y).

        The numerator is exact but for its own last place: near is a sum of three parts of 8 bits, y
        one of 8 and 16; all products, and sums in this order, have 24 bits or little more. So only
        where x / y is within 2**-20 places of a tie may the other neighbour be taken. Beyond
        `LIMIT`, where near may be infinite, it is what is given.
        """
        inverse, high, low = self._parts(y)
        near, left, rest = (self.scratch(DType.FP32) for _ in range(3))
        part = self.scratch(DType.BF16)
        self._binary(AluOp.MULTIPLY, x, inverse, lambda: near, keep=False)
        self._scalar(left, near, AluOp.MIN, LIMIT, AluOp.MAX, -LIMIT)
        for i in range(3):
            self._copy(part, left)
            if i < 2:
                self._tensor(AluOp.SUBTRACT, left, part, left)
            first = (AluOp.ADD, rest) if i else (AluOp.SUBTRACT, x)
            self._product(part, high, *first, rest)
            self._product(part, low, AluOp.ADD, rest, rest)
        self._product(rest, inverse, AluOp.MIN, CORRECTION, rest)
        self._scalar(
            rest, rest, AluOp.MAX, -CORRECTION, AluOp.ADD, 0.0
        )  # no -0: near keeps its sign
        return self._tensor(AluOp.SUBTRACT, near, rest, out)

    def _product(self, x: Ap, y: Ap | Scalar, op: AluOp, other: Ap | float, out: Ap) -> None:
        """out := x y op other"""
        if y == 0.0 and op is AluOp.ADD and other is out:
            return
        first = self._binary(AluOp.MULTIPLY, x, y, lambda: self.scratch(DType.FP32), keep=True)
        self._binary(op, first, other, lambda: out, keep=False)

    def _parts(self, y: Ap | Scalar) -> tuple[Ap | Scalar, Ap | Scalar, Ap | Scalar]:
        """1 / y, and y as a sum of 8 bits and 16."""
        if isinstance(y, float):
            whole = np.float32(y)
            upper = whole.astype(ml_dtypes.bfloat16).astype(np.float32)
            return float(np.float32(1) / whole), float(upper), float(whole - upper)
        narrow, high, low = self._like(y, DType.BF16), self._like(y), self._like(y)
        source = self._region(y)
        self.k.tensor_scalar(low, source, AluOp.MIN, LARGEST, AluOp.MAX, -LARGEST)
        self.k.tensor_copy(narrow, low)
        self.k.tensor_copy(high, narrow)
        self.k.tensor_tensor(low, low, high, AluOp.SUBTRACT)
        if isinstance(y, Col):
            return self._column_reciprocal(y.ap), Col(high), Col(low)
        inverse = self._like(y)
        self._cost(True, 11)
        self.k.reciprocal(inverse, source)
        return inverse, high, low

    def _region(self, y: Ap | Col) -> Ap:
        if isinstance(y, Ap):
            return y
        return replace(y.ap, partitions=self.partitions, dims=ONE)

    def _like(self, y: Ap | Col, dtype: DType = DType.FP32) -> Ap:
        if isinstance(y, Ap):
            return self.scratch(dtype)
        buffer = self.k.sbuf(self.partitions, dtype.size_bytes, "column", self.start)
        return Ap(buffer, 0, self.partitions, 0, dtype, ONE)

    def _column_reciprocal(self, x: Ap) -> Col:
        buffer = self.k.sbuf(self.partitions, 4, "reciprocal", self.start)
        out = Ap(buffer, 0, self.partitions, 0, DType.FP32, ONE)
        self.k.reciprocal(out, replace(x, partitions=self.partitions, dims=ONE))
        return Col(out)
