"""A graph being drawn: random numbers, shapes and operands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import FP32, INT32, Array, Value

ELEMENTS = 4000
EXTENTS = (1, 1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 31, 32, 33, 60, 64, 65, 100, 127, 128, 129, 131, 200)


@dataclass
class Drawing:
    """A graph being drawn."""

    rng: np.random.Generator
    b: GraphBuilder
    inputs: dict[str, Array] = field(default_factory=dict)
    exact: set[int] = field(default_factory=set)
    read: set[int] = field(default_factory=set)
    pool: list[Value] = field(default_factory=list)

    def number(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        """True in this share of the cases."""
        return bool(self.rng.random() < share)

    def one_of(self, *choices: str) -> str:
        """One of some names."""
        return choices[self.number(0, len(choices) - 1)]

    def shape(self, low: int = 1, high: int = 5, limit: int = ELEMENTS) -> tuple[int, ...]:
        """A shape of low .. high dimensions."""
        extents: list[int] = []
        for _ in range(self.number(low, high)):
            fits = [e for e in EXTENTS if e * int(np.prod(extents)) <= limit]
            extents.append(int(self.rng.choice(fits)))
        self.rng.shuffle(extents)
        return tuple(extents)

    def grid(self, shape: tuple[int, ...]) -> Array:
        """Multiples of 1/8 in [-4, 4]."""
        return (self.rng.integers(-32, 33, shape) / 8).astype(np.float32)

    def fresh(self, shape: tuple[int, ...]) -> Value:
        """A new exact input."""
        name = f"x{len(self.inputs)}"
        self.inputs[name] = self.grid(shape)
        value = self.b.input(name, shape, FP32)
        self.exact.add(value.id)
        return value

    def whole(self, shape: tuple[int, ...], low: int, high: int) -> Value:
        """A new INT32 input in [low, high]."""
        name = f"x{len(self.inputs)}"
        self.inputs[name] = self.rng.integers(low, high + 1, shape).astype(np.int32)
        return self.b.input(name, shape, INT32)

    def known(self, shape: tuple[int, ...]) -> Value:
        """A constant."""
        return self.b.constant(self.grid(shape))

    def other(self, shape: tuple[int, ...]) -> Value:
        """An operand of a shape: known before, new, or constant."""
        same = [v for v in self.pool if v.shape == shape and v.dtype == FP32]
        if same and self.chance(0.5):
            return same[self.number(0, len(same) - 1)]
        return self.known(shape) if self.chance(0.4) else self.fresh(shape)

    def exactly(self, value: Value) -> Value:
        """The value, or a new exact one of its shape."""
        return value if value.id in self.exact else self.fresh(value.shape)

    def moved(self, op: str, operand: Value, *more: Value, **attrs: object) -> Value:
        """A movement: exact values stay exact."""
        made = self.b.emit(op, operand, *more, **attrs)  # type: ignore[arg-type]  # drawn to fit
        if all(v.id in self.exact for v in (operand, *more)):
            self.exact.add(made.id)
        return made


Draw = Callable[[Drawing, Value], Value]


def smaller(d: Drawing, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to `shape`."""
    made = [1 if d.chance(0.3) else e for e in shape]
    return tuple(made[d.number(0, len(made)) if d.chance(0.3) else 0 :])
