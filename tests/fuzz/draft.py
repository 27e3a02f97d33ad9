"""A model as it is drawn, node by node: every value is known as soon as its node is added.

Each node is evaluated alone (`oracle.py`). So a node that is invalid or overflows never gets into
a model. A model has one of five kinds: `plain`; `half`, whose floats are FP16 or BF16; `special`,
with infinities, NaNs and negative zeros among them; `wide`, with 32-bit integers up to their
limits; `empty`, with extents of zero.

Each value is kept twice: as it is, and with an error of a few roundings that grew on the way.
A node that makes much of that error (a floor at a step, an arg-max of a tie) is not added, so what
differs from the nominal value by more than the tolerance is a wrong answer, not a harsh model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import DTypeLike
from onnx import helper

from tests.fuzz.oracle import Array, Unsuitable, evaluate

T = TypeVar("T")
Attributes = dict[str, Any]
FLOATS = ("float32",)
SMALL_INTEGERS = ("int8", "uint8", "int16", "uint16")
INTEGERS = ("int32", "int64", "int32", *SMALL_INTEGERS)
NUMBERS = (*FLOATS, *FLOATS, *FLOATS, *INTEGERS)
ANY = (*NUMBERS, "bool")

LARGEST = 1e4  # magnitude of any floating-point value
MOST_ELEMENTS = 6000
MOST_64 = 2**31 - 1  # of any 64-bit integer: what the device takes and gives in 32 bits


@dataclass(frozen=True)
class Precision:
    """How exactly values are known.

    Attributes:
        noise: the error at each inexact node, of the largest magnitude.
        accepted: the error that a model may make of it, of a value's range.
        tolerance: what a right answer may differ by, of a value's range.
    """

    noise: float
    accepted: float
    tolerance: float


FP32 = Precision(1e-6, 5e-5, 1e-3)
PRECISIONS = {
    "float16": Precision(2.5e-4, 3e-3, 1e-2),
    "bfloat16": Precision(2e-3, 2e-2, 6e-2),
}
STEPPED = frozenset(
    ("Floor", "Ceil", "Round", "Sign", "Mod", "Hardmax", "ThresholdedRelu", "Shrink")
)


def named(dtype: DTypeLike | str) -> np.dtype[Any]:
    """The numpy type of a name, BF16 included."""
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


@dataclass(eq=False)
class Value:
    """A tensor: `array` as it is, `noisy` with the error that grew on the way.

    `exact`: made of inputs by operations that round nothing. `constant`: an initializer.
    `precision`: that of the coarsest value that it is made of.
    """

    name: str
    array: Array
    noisy: Array
    exact: bool = True
    constant: bool = False
    made: bool = False
    precision: Precision = FP32

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def rank(self) -> int:
        return self.array.ndim

    @property
    def dtype(self) -> str:
        return str(self.array.dtype)


@dataclass(eq=False)
class Step:
    """A node with its operands (None where one is left out) and results."""

    node: onnx.NodeProto
    inputs: list[Value | None]
    outputs: list[Value]


@dataclass
class Draft:
    """A model in the making. Samplers draw operands and attributes from it, then `add` a node."""

    rng: np.random.Generator
    opset: int
    kind: str = "plain"
    real: str = "float32"  # the type of its floating-point numbers
    values: list[Value] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    # What samplers draw.

    def integer(self, low: int, high: int) -> int:
        """Uniform in [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[self.integer(0, len(choices) - 1)]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def shape(self, low: int = 1, high: int = 4) -> tuple[int, ...]:
        """A small shape of rank low..high; ones and odd sizes are frequent."""
        rank = self.integer(low, high)
        sizes: tuple[int, ...] = (1, 2, 3, 5, 7, 16, 33, 130)
        if rank > 2:
            sizes = (1, 2, 3, 4, 5, 7, 8, 13, 17)
        if self.kind == "empty" and self.chance(0.4):
            sizes = (0, 1, 3)
        return tuple(self.one_of(sizes) for _ in range(rank))

    def axis(self, value: Value) -> int:
        return self.integer(-value.rank, value.rank - 1)

    def axes(self, value: Value, least: int = 1) -> list[int]:
        """Distinct axes, some counted from the end."""
        count = self.integer(least, value.rank)
        chosen = self.rng.permutation(value.rank)[:count].tolist()
        return [a - value.rank if self.chance(0.3) else a for a in chosen]

    def fresh(self, dtype: str, shape: Sequence[int], low: float = -3, high: float = 3) -> Value:
        """An input or a constant with values in [low, high]."""
        dtype = self.real if dtype == "float32" else dtype
        array = self._random(dtype, tuple(shape), low, high)
        value = Value(f"v{len(self.values)}", array, array, constant=self.chance(0.35))
        value.precision = PRECISIONS.get(dtype, FP32)
        self.values.append(value)
        return value

    def _random(self, dtype: str, shape: tuple[int, ...], low: float, high: float) -> Array:
        kind = named(dtype)
        if kind.kind == "b":
            return np.asarray(self.rng.random(shape) < 0.5)
        if kind.kind in "iu":
            if self.kind == "wide" and (low, high) == (-3, 3) and kind.itemsize == 4:
                return self._wide(kind, shape)
            least = max(int(np.ceil(low)), 0) if kind.kind == "u" else int(np.ceil(low))
            return np.asarray(self.rng.integers(least, max(int(high), least) + 1, shape), kind)
        made = np.asarray(self.rng.uniform(low, high, shape))
        if self.kind == "special" and self.chance(0.6):
            strange = self.one_of(((-0.0,), (np.inf, -np.inf), (np.nan,), (-np.inf,),
                                   (np.inf, -np.inf, np.nan, -0.0, 0.0)))  # fmt: skip
            strange = tuple(v for v in strange if v or low <= 0 <= high) or (np.inf,)
            made = np.where(self.rng.random(shape) < 0.15, self.rng.choice(strange, shape), made)
        return np.asarray(made).astype(kind)

    def _wide(self, kind: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        """Numbers of every magnitude, near the limits too."""
        bounds = np.iinfo(kind)
        made = self.rng.integers(bounds.min, bounds.max, shape, np.int64, endpoint=True)
        made >>= self.rng.integers(0, 32, shape) * (self.rng.random(shape) < 0.6)
        near = bounds.max - self.rng.integers(0, 4, shape)
        return np.asarray(np.where(self.rng.random(shape) < 0.1, near, made), kind)

    def constant(self, array: Any, dtype: DTypeLike = np.int64) -> Value:
        """An initializer with these numbers."""
        known = np.asarray(array, dtype)
        if known.dtype == np.float32 and self.kind == "half":
            known = known.astype(named(self.real))
        value = Value(f"v{len(self.values)}", known, known, constant=True)
        self.values.append(value)
        return value

    def pick(
        self,
        types: Sequence[str] = FLOATS,
        rank: tuple[int, int] = (1, 4),
        where: Callable[[Value], bool] = lambda _: True,
        within: tuple[float, float] | None = None,
    ) -> Value:
        """A value of the model so far that fits, preferably a recent one; else a fresh one."""
        low, high = within or (-3, 3)
        types = [self.real if t == "float32" else t for t in types]
        if self.kind == "wide" and "int32" in types:
            types = [*types, "uint32", "int32"]

        def fits(v: Value) -> bool:
            if not (v.made and v.dtype in types and rank[0] <= v.rank <= rank[1]):
                return False
            inside = (
                within is None
                or not v.array.size
                or (v.array.min() >= low and v.array.max() <= high)
            )
            return bool(inside) and where(v)

        found = [v for v in self.values if fits(v)]
        if found and self.chance(0.8):
            return self.one_of(found[-3:]) if self.chance(0.6) else self.one_of(found)
        for _ in range(20):
            made = self.fresh(self.one_of(types), self.shape(*rank), low, high)
            if where(made):
                return made
            self.values.remove(made)
        raise Unsuitable

    def partner(self, value: Value, within: tuple[float, float] = (-3, 3)) -> Value:
        """A second operand that broadcasts against `value`."""
        mates = [
            v for v in self.values
            if v.made and v.dtype == value.dtype and _broadcast(v.shape, value.shape)
            and v.array.size and v.array.min() >= within[0] and v.array.max() <= within[1]
        ]  # fmt: skip
        if mates and self.chance(0.5):
            return self.one_of(mates)
        shape = [1 if self.chance(0.25) else n for n in value.shape]
        if self.chance(0.2):
            shape = shape[self.integer(0, len(shape)) :]
        elif self.chance(0.1) and value.rank < 4:
            shape = [self.integer(1, 3), *shape]
        return self.fresh(value.dtype, shape, *within)

    # What makes a node.

    def add(
        self,
        op: str,
        inputs: Sequence[Value | None],
        outputs: int = 1,
        exact: bool = False,
        domain: str = "",
        captured: Sequence[Value] = (),
        **attributes: Any,
    ) -> list[Value]:
        """Append a node; its results. `captured`: what its bodies read. Raises Unsuitable."""
        names = [f"n{len(self.steps)}_{i}" for i in range(outputs)]
        node = helper.make_node(
            op, [v.name if v else "" for v in inputs], names, domain=domain, **attributes
        )
        read = [v for v in (*inputs, *captured) if v]
        arrays = evaluate(node, self.opset, {v.name: v.array for v in read})
        sure = all(v.exact for v in read)
        noisy = arrays
        if any(a.HasField("g") for a in node.attribute):  # what nodes inside make of their errors
            noisy = evaluate(node, self.opset, {v.name: self._disturbed(v) for v in read})
        elif not sure:
            noisy = evaluate(node, self.opset, {v.name: v.noisy for v in read})
        precision = max((v.precision for v in read), key=lambda p: p.noise, default=FP32)
        steps = op in STEPPED or not all(map(is_float, arrays))
        if steps and not sure and precision is not FP32:
            raise Unsuitable  # one rounding more, and it is another number
        made = [
            self._value(n, a, b, sure and (exact or not is_float(a)), precision)
            for n, a, b in zip(names, arrays, noisy, strict=True)
        ]
        self.values.extend(made)
        self.steps.append(Step(node, [*inputs, *captured], made))
        return made

    def _disturbed(self, value: Value) -> Array:
        """The value with an error, if it is exact itself."""
        if not value.exact or not is_float(value.array):
            return value.noisy
        noise = value.precision.noise * self.rng.standard_normal(value.shape)
        with np.errstate(all="ignore"):
            return (value.array.astype(np.float64) * (1 + noise)).astype(value.array.dtype)

    def _value(
        self, name: str, array: Array, noisy: Array, exact: bool, precision: Precision
    ) -> Value:
        if array.size > MOST_ELEMENTS or array.ndim > 6 or not (array.size or self.kind == "empty"):
            raise Unsuitable
        if array.shape != noisy.shape or array.dtype != noisy.dtype:
            raise Unsuitable
        own = PRECISIONS.get(str(array.dtype), FP32)
        precision = max(precision, own, key=lambda p: p.noise)
        if is_float(array):
            noisy = self._with_error(array, noisy, exact, precision)
        elif not np.array_equal(array, noisy) or _magnitude(array) > MOST_64:
            raise Unsuitable
        return Value(name, array, noisy, exact, made=True, precision=precision)

    def _with_error(self, array: Array, noisy: Array, exact: bool, precision: Precision) -> Array:
        finite = np.isfinite(array)
        if self.kind != "special" and not finite.all():
            raise Unsuitable
        if not np.array_equal(array[~finite], noisy[~finite], equal_nan=True):
            raise Unsuitable
        if not finite.any():
            return noisy
        largest = float(np.abs(array[finite].astype(np.float64)).max())
        if largest > LARGEST:
            raise Unsuitable
        if not exact:
            spread = precision.noise * largest * self.rng.standard_normal(array.shape)
            with np.errstate(all="ignore"):
                noisy = (noisy.astype(np.float64) + spread).astype(array.dtype)
            # what is 0 is not 0 with an error; what is nothing but an error may be 0
            nothing = (array != 0) & (np.abs(array) <= precision.noise * largest)
            noisy = np.where(nothing, np.zeros_like(noisy), noisy)
        apart = np.abs(noisy[finite].astype(np.float64) - array[finite].astype(np.float64)).max()
        if not apart <= precision.accepted * scale_of(array):  # nor what is not a number
            raise Unsuitable
        return noisy


def is_float(array: Array) -> bool:
    return array.dtype.kind == "f" or array.dtype == ml_dtypes.bfloat16


def _magnitude(array: Array) -> int:
    """The largest magnitude of 64-bit integers; 0 of other types."""
    if array.dtype.kind not in "iu" or array.itemsize < 8 or not array.size:
        return 0
    return max(abs(int(array.min())), abs(int(array.max())))


def scale_of(array: Array) -> float:
    """What errors are measured against: the range; the magnitude of what has none."""
    wide = array.astype(np.float64)
    wide = wide[np.isfinite(wide)]
    return float(np.ptp(wide) or np.abs(wide).max()) or 1.0 if wide.size else 1.0


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    pairs = zip(reversed(a), reversed(b), strict=False)
    return all(m == n or 1 in (m, n) for m, n in pairs)
