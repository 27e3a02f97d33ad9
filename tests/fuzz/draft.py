"""A model as it is drawn, node by node: every value is known as soon as its node is added.

Each node is evaluated alone, by onnxruntime or by onnx's reference where that lacks the operator.
So a node that is invalid, overflows, or yields nothing never gets into a model.

Each value is kept twice: as it is, and with an error of a few FP32 roundings that grew on the way.
A node that makes much of that error (a floor at a step, an arg-max of a tie) is not added, so what
differs from the nominal value by more than the tolerance is a wrong answer, not a harsh model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import DTypeLike, NDArray
from onnx import helper

Array = NDArray[Any]

FLOATS = ("float32",)
SMALL_INTEGERS = ("int8", "uint8", "int16", "uint16")
INTEGERS = ("int32", "int64", "int32", *SMALL_INTEGERS)
NUMBERS = (*FLOATS, *FLOATS, *FLOATS, *INTEGERS)
ANY = (*NUMBERS, "bool")

NOISE = 1e-6  # of the largest magnitude, at each inexact node
ACCEPTED = 5e-5  # of the range: the error that a model may make of it
LARGEST = 1e4  # magnitude of any floating-point value
MOST_ELEMENTS = 6000
EXACT = 2**24  # of any 32-bit integer: the device computes with those in FP32


class Unsuitable(Exception):
    """The node drawn cannot stand in this model; another is drawn."""


@dataclass(eq=False)
class Value:
    """A tensor: `array` as it is, `noisy` with the error that grew on the way.

    `exact`: made of inputs by operations that round nothing. `constant`: an initializer.
    """

    name: str
    array: Array
    noisy: Array
    exact: bool = True
    constant: bool = False
    made: bool = False

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
    values: list[Value] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    # What samplers draw.

    def integer(self, low: int, high: int) -> int:
        """Uniform in [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[self.integer(0, len(choices) - 1)]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def shape(self, low: int = 1, high: int = 4) -> tuple[int, ...]:
        """A small shape of rank low..high; ones and odd sizes are frequent."""
        rank = self.integer(low, high)
        sizes = (1, 2, 3, 4, 5, 7, 8, 13, 17) if rank > 2 else (1, 2, 3, 5, 7, 16, 33, 130)
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
        array = self._random(dtype, tuple(shape), low, high)
        value = Value(f"v{len(self.values)}", array, array, constant=self.chance(0.35))
        self.values.append(value)
        return value

    def _random(self, dtype: str, shape: tuple[int, ...], low: float, high: float) -> Array:
        kind = np.dtype(dtype)
        if kind.kind == "b":
            return np.asarray(self.rng.random(shape) < 0.5)
        if kind.kind in "iu":
            least = max(int(np.ceil(low)), 0) if kind.kind == "u" else int(np.ceil(low))
            return np.asarray(self.rng.integers(least, max(int(high), least) + 1, shape), kind)
        return np.asarray(self.rng.uniform(low, high, shape)).astype(kind)

    def constant(self, array: Any, dtype: DTypeLike = np.int64) -> Value:
        """An initializer with these numbers."""
        known = np.asarray(array, dtype)
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

        def fits(v: Value) -> bool:
            if not (v.made and v.dtype in types and rank[0] <= v.rank <= rank[1]):
                return False
            inside = within is None or (v.array.min() >= low and v.array.max() <= high)
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
            and v.array.min() >= within[0] and v.array.max() <= within[1]
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
        **attributes: Any,
    ) -> list[Value]:
        """Append a node; its results. Raises Unsuitable."""
        names = [f"n{len(self.steps)}_{i}" for i in range(outputs)]
        node = helper.make_node(
            op, [v.name if v else "" for v in inputs], names, domain=domain, **attributes
        )
        arrays = evaluate(node, self.opset, {v.name: v.array for v in inputs if v})
        sure = all(v.exact for v in inputs if v)
        noisy = arrays
        if not sure:
            noisy = evaluate(node, self.opset, {v.name: v.noisy for v in inputs if v})
        made = [
            self._value(n, a, b, sure and (exact or a.dtype.kind != "f"))
            for n, a, b in zip(names, arrays, noisy, strict=True)
        ]
        self.values.extend(made)
        self.steps.append(Step(node, list(inputs), made))
        return made

    def _value(self, name: str, array: Array, noisy: Array, exact: bool) -> Value:
        if not 0 < array.size <= MOST_ELEMENTS or array.ndim > 6:
            raise Unsuitable
        if array.shape != noisy.shape or array.dtype != noisy.dtype:
            raise Unsuitable
        if array.dtype.kind == "f":
            largest = float(np.abs(array).max())
            if not largest <= LARGEST:  # not a number, too
                raise Unsuitable
            if not exact:
                spread = NOISE * largest * self.rng.standard_normal(array.shape)
                noisy = (noisy + spread).astype(array.dtype)
            if float(np.abs(noisy - array).max()) > ACCEPTED * scale_of(array):
                raise Unsuitable
        elif not np.array_equal(array, noisy) or _magnitude(array) > EXACT:
            raise Unsuitable
        return Value(name, array, noisy, exact, made=True)


def _magnitude(array: Array) -> int:
    """The largest magnitude of 32- and 64-bit integers; 0 of other types."""
    if array.dtype.kind not in "iu" or array.itemsize < 4:
        return 0
    return max(abs(int(array.min())), abs(int(array.max())))


def scale_of(array: Array) -> float:
    """What errors are measured against: the range; the magnitude of what has none."""
    wide = array.astype(np.float64)
    return float(np.ptp(wide)) or float(np.abs(wide).max()) or 1.0


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    pairs = zip(reversed(a), reversed(b), strict=False)
    return all(m == n or 1 in (m, n) for m, n in pairs)


def evaluate(node: onnx.NodeProto, opset: int, feeds: Mapping[str, Array]) -> list[Array]:
    """The results of a node. Raises Unsuitable where neither judge runs it."""
    graph = helper.make_graph(
        [node], "node",
        [tensor_info(name, array) for name, array in feeds.items()],
        [helper.make_empty_tensor_value_info(name) for name in node.output],
    )  # fmt: skip
    model = whole(graph, opset)
    if not node.domain and not _is_current(node.op_type, opset):
        raise Unsuitable(f"there is no {node.op_type} in opset {opset}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        results = session.run(None, dict(feeds))
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        results = _reference(model, feeds)
    except Exception as error:  # whatever onnxruntime refuses
        raise Unsuitable(f"{node.op_type}: {error}") from error
    if not all(isinstance(r, np.ndarray | np.generic) for r in results):
        raise Unsuitable
    return [np.asarray(r) for r in results]


def _reference(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Any]:
    from onnx.reference import ReferenceEvaluator

    try:
        with np.errstate(all="ignore"):
            return list(ReferenceEvaluator(model).run(None, dict(feeds)))
    except Exception as error:
        raise Unsuitable from error


def tensor_info(name: str, array: Array) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, array.shape)


def whole(graph: onnx.GraphProto, opset: int) -> onnx.ModelProto:
    imports = [helper.make_opsetid("", opset)]
    if any(n.domain == "com.microsoft" for n in graph.node):
        imports.append(helper.make_opsetid("com.microsoft", 1))
    return helper.make_model(graph, opset_imports=imports, ir_version=8 if opset < 20 else 10)


def _is_current(op: str, opset: int) -> bool:
    return onnx.defs.has(op, opset, "") and not onnx.defs.get_schema(op, opset, "").deprecated
