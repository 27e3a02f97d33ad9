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

CORRECTION = 1.5 * 2.0**35
"""More than half a last place of a quotient below `LIMIT`, less than that of one beyond."""


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
        """x / y rounded once (but where the quotient is within 2**-23 of a tie's distance to it).

        c := x / y to the last place or the next, by 8 bits q and what they leave;  out := c - d,
        d := (c y - x) / y, whose numerator is exact: c is q and two more parts of 8 bits, y one of
        8 and one of 16 bits, and each product and sum of these has 24 bits at most. Beyond `LIMIT`
        q stays there and d has no effect, so that no infinity meets another.
        """
        inverse, high, low = self._parts(y)
        near, rest = self.scratch(DType.FP32), self.scratch(DType.FP32)
        q, part = self.scratch(DType.BF16), self.scratch(DType.BF16)
        c, left = self.scratch(DType.FP32), self.scratch(DType.FP32)
        self._product(x, inverse, AluOp.MIN, LIMIT, near)
        self._scalar(q, near, AluOp.MAX, -LIMIT)
        self._product(q, high, AluOp.SUBTRACT, x, rest)
        self._product(q, low, AluOp.ADD, rest, rest)
        self._product(rest, inverse, AluOp.SUBTRACT, q, c)
        self._scalar(c, c, AluOp.MULTIPLY, -1.0)
        self._scalar(left, c, AluOp.MIN, LIMIT, AluOp.MAX, -LIMIT)
        self._tensor(AluOp.SUBTRACT, left, q, left)
        for _ in range(2):
            self._copy(part, left)
            self._tensor(AluOp.SUBTRACT, left, part, left)
            self._product(part, high, AluOp.ADD, rest, rest)
            self._product(part, low, AluOp.ADD, rest, rest)
        self._product(rest, inverse, AluOp.MIN, CORRECTION, rest)
        self._scalar(rest, rest, AluOp.MAX, -CORRECTION)
        return self._tensor(AluOp.SUBTRACT, c, rest, out)

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
        self.k.tensor_copy(narrow, source)
        self.k.tensor_copy(high, narrow)
        self.k.tensor_tensor(low, source, high, AluOp.SUBTRACT)
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
