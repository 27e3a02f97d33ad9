"""Arithmetic of 32-bit integers by operations that FP32 does exactly, in parts of 16 and 8 bits.

Read `exact_integers.py` for where it is used, and why. Everything wraps at 32 bits.
"""

from __future__ import annotations

import numpy as np

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import INT32, UINT32, DType, Node, Value

HALF, BYTE = 0xFFFF, 0xFF
MOST_SUMMED = {16: 2**8, 8: 2**16}
"""Bits of the parts of a number -> how many of them sum to less than 2**24."""
MOST_BITS = 32
"""From this exponent on only powers of -1, 0 and 1 stay in the type."""


class Parts:
    """Arithmetic of one 32-bit type in parts of 16 and 8 bits, by core ops that are exact."""

    def __init__(self, b: GraphBuilder, dtype: DType) -> None:
        self.b, self.dtype = b, dtype

    def number(self, value: int) -> Value:
        """A constant of the type, its bits those of `value`."""
        return self.b.constant(np.asarray(value & 0xFFFFFFFF, np.uint32).astype(self.dtype))

    def low(self, x: Value, mask: int = HALF) -> Value:
        return self.b.emit("and", x, self.number(mask))

    def high(self, x: Value, bits: int = 16) -> Value:
        """What is above the low bits, signed where the type is."""
        return self.b.emit("shr", x, self.number(bits))

    def joined(self, high: Value, low: Value, bits: int = 16) -> Value:
        """high * 2**bits + the low bits of `low`, modulo 2**32."""
        shifted = self.b.emit("shl", high, self.number(bits))
        return self.b.emit("or", shifted, self.low(low, 2**bits - 1))

    def add(self, *xs: Value) -> Value:
        """A sum that stays below 2**24."""
        total = xs[0]
        for x in xs[1:]:
            total = self.b.emit("add", total, x)
        return total

    def arithmetic(self, op: str, x: Value, y: Value) -> Value:
        """x + y, x - y or x * y modulo 2**32."""
        if op == "mul":
            return self.product(x, y)
        y = self.b.emit("bit_not", y) if op == "sub" else y
        carry = [self.number(1)] if op == "sub" else []
        low = self.add(self.low(x), self.low(y), *carry)
        return self.joined(self.add(self.high(x), self.high(y), self.high(low)), low)

    def product(self, x: Value, y: Value) -> Value:
        x0, y0 = self.low(x), self.low(y)
        first = self.b.emit("mul", x0, self.low(y, BYTE))
        second = self.b.emit("mul", x0, self.high(y0, 8))
        cross = [self._low_product(self.low(self.high(v)), w) for v, w in ((x, y0), (y, x0))]
        above = self.b.emit("mul", self.low(second, BYTE), self.number(256))
        low = self.add(self.low(first), above)
        high = self.add(self.high(first), self.high(second, 8), *cross, self.high(low))
        return self.joined(high, low)

    def _low_product(self, x: Value, y: Value) -> Value:
        """The low 16 bits of a product of numbers of 16 bits."""
        low = self.b.emit("mul", x, self.low(y, BYTE))
        high = self.b.emit("mul", x, self.high(y, 8))
        above = self.b.emit("mul", self.low(high, BYTE), self.number(256))
        return self.low(self.add(low, above))

    def power(self, x: Value, exponent: int) -> Value:
        """By squaring. The products are split in their turn if they have to be."""
        total: Value | None = None
        while exponent:
            if exponent & 1:
                total = x if total is None else self.b.emit("mul", total, x)
            exponent >>= 1
            x = self.b.emit("mul", x, x) if exponent else x
        return self.number(1) if total is None else total

    def raised(self, x: Value, exponent: Value) -> Value:
        """x ** exponent, by squaring, where it fits in the type or the exponent is below 64.

        Beyond, 0 and powers of 2 give 0, and 1 and -1 what they have to; below 0, all but 1 and -1
        give 0.
        """
        odd = self.b.emit("and", exponent, self.number(1))
        many = self.b.emit("or", odd, self.number(2 * MOST_BITS - 2))
        far = self.b.emit("gt", exponent, self.number(2 * MOST_BITS - 1))
        n = self.b.emit("select", far, many, exponent)
        below = self.b.emit("lt", exponent, self.number(0))
        if self.dtype == INT32:
            n = self.b.emit("select", below, odd, n)
        total, square = self.number(1), x
        for bit in range(MOST_BITS.bit_length()):
            taken = self.b.emit("ne", self.b.emit("and", n, self.number(1 << bit)), self.number(0))
            square = square if bit == 0 else self.product(square, square)
            more = square if bit == 0 else self.product(total, square)
            total = self.b.emit("select", taken, more, total)
        if self.dtype == UINT32:
            return total
        units = [self.b.emit("eq", x, self.number(one)) for one in (1, -1)]
        none = self.b.emit("and", below, self.b.emit("not", self.b.emit("or", *units)))
        return self.b.emit("select", none, self.number(0), total)

    def multiplied(self, x: Value, node: Node) -> Value:
        """The product along axes: of the two halves of each axis, as often as it takes."""
        axes = node.attrs["axes"]
        assert isinstance(axes, tuple)
        for axis in axes:
            assert isinstance(axis, int)
            while x.shape[axis] > 1:
                half = x.shape[axis] // 2
                first, second = (self._cut(x, axis, at, half) for at in (0, half))
                y = self.product(first, second)
                if x.shape[axis] % 2:
                    y = self.b.emit("concat", y, self._cut(x, axis, 2 * half, 1), axis=axis)
                x = y
        return self.b.emit("reshape", x, shape=node.output.shape)

    def _cut(self, x: Value, axis: int, first: int, many: int) -> Value:
        starts = tuple(first if i == axis else 0 for i in range(x.rank))
        sizes = tuple(many if i == axis else e for i, e in enumerate(x.shape))
        return self.b.emit("slice", x, starts=starts, sizes=sizes, steps=(1,) * x.rank)

    def unary(self, op: str, x: Value) -> Value:
        """neg, abs or relu."""
        if op == "neg":
            return self.arithmetic("sub", self.number(0), x)
        if self.dtype == UINT32:
            return x
        negative = self.b.emit("lt", x, self.number(0))
        other = self.number(0) if op == "relu" else self.unary("neg", x)
        return self.b.emit("select", negative, other, x)

    def either(self, op: str, x: Value, y: Value, easy: bool) -> Value:
        """A comparison; `easy` where FP32 has it."""
        return self.b.emit(op, x, y) if easy else self.compare(op, x, y)

    def compare(self, op: str, x: Value, y: Value) -> Value:
        if op in ("eq", "ne"):
            return self.b.emit(op, self.b.emit("xor", x, y), self.number(0))
        if op in ("gt", "le"):
            x, y = y, x
        high = self.high(x), self.high(y)
        lower = self.b.emit("and", self.b.emit("eq", *high),
                            self.b.emit("lt", self.low(x), self.low(y)))  # fmt: skip
        less = self.b.emit("or", self.b.emit("lt", *high), lower)
        return less if op in ("lt", "gt") else self.b.emit("not", less)

    def sums(self, x: Value, node: Node, count: int) -> Value:
        """A sum along axes, or a running one."""
        bits = 16 if count <= MOST_SUMMED[16] else 8
        places = range(0, 32, bits)
        parts = [self.low(self.high(x, at) if at else x, 2**bits - 1) for at in places]
        sums = [self.b.emit(node.op, part, **node.attrs) for part in parts]
        for i in range(1, len(sums)):  # carry
            sums[i] = self.add(sums[i], self.high(sums[i - 1], bits))
        total = sums[-1]
        for part in reversed(sums[:-1]):
            total = self.joined(total, part, bits)
        return total

    def largest(self, x: Value, node: Node) -> Value:
        """The largest or the smallest along axes."""
        attrs = {**node.attrs, "keepdims": True}
        top = self.high(x)
        most = self.b.emit("reduce", top, **attrs)
        rest = self.number(0 if node.attrs["kind"] == "max" else HALF)
        low = self.b.emit("select", self.b.emit("eq", top, most), self.low(x), rest)
        whole = self.joined(most, self.b.emit("reduce", low, **attrs))
        return self.b.emit("reshape", whole, shape=node.output.shape)

    def converted(self, x: Value, dtype: DType) -> Value:
        """The same bits in another type, or its low ones in a small type."""
        if x.dtype not in (INT32, UINT32):
            x = self.b.emit("cast", x, to=INT32)
            return Parts(self.b, INT32).converted(x, dtype)
        if dtype.itemsize < 4:
            return self.b.emit("cast", self.b.emit("cast", self.low(x), to=INT32), to=dtype)
        halves = [self.low(self.high(x)), self.low(x)]
        high, low = (self.b.emit("cast", half, to=dtype) for half in halves)
        return Parts(self.b, dtype).joined(high, low)
