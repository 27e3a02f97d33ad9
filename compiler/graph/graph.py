"""The graph: static single assignment over tensors of static shape.

A `Value` is written once, by a node, by the caller (an input) or by nobody (a constant). Nodes
stand in topological order. Every value keeps the tensor name of the model it came from, every node
the model's nodes it came from, through all passes.

Dtypes are numpy's, with `ml_dtypes.bfloat16` for BF16. A value's dtype is how it is *stored*: float
ops compute in FP32 (FP64 if an operand is FP64) and round to nearest even when they store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt

DType: TypeAlias = np.dtype[Any]
Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Attr: TypeAlias = (
    bool
    | int
    | float
    | str
    | tuple[int, ...]
    | tuple[float, ...]
    | tuple[tuple[int, int], ...]
    | np.dtype[Any]
)

FP64: DType = np.dtype(np.float64)
FP32: DType = np.dtype(np.float32)
FP16: DType = np.dtype(np.float16)
BF16: DType = np.dtype(ml_dtypes.bfloat16)
BOOL: DType = np.dtype(np.bool_)
INT64: DType = np.dtype(np.int64)
INT32: DType = np.dtype(np.int32)
UINT32: DType = np.dtype(np.uint32)

_SMALL_FLOATS = frozenset(
    np.dtype(t)
    for t in (
        ml_dtypes.bfloat16,
        ml_dtypes.float8_e4m3fn,
        ml_dtypes.float8_e4m3fnuz,
        ml_dtypes.float8_e5m2,
        ml_dtypes.float8_e5m2fnuz,
    )
)


def is_float(dtype: DType) -> bool:
    """A floating-point dtype, BF16 and FP8 included."""
    return dtype.kind == "f" or dtype in _SMALL_FLOATS


def is_integer(dtype: DType) -> bool:
    """A signed or unsigned integer dtype (not boolean)."""
    return dtype.kind in "iu"


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape (elements) and storage dtype of a tensor."""

    shape: Shape
    dtype: DType


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """One tensor, written once. `id` is unique in its graph; equality is identity."""

    id: int
    name: str  # the model's own tensor name; derived ones are "name/step"
    shape: Shape
    dtype: DType

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        n = 1
        for extent in self.shape:
            n *= extent
        return n

    @property
    def size_bytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def type(self) -> TensorType:
        return TensorType(self.shape, self.dtype)

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Source:
    """A node of the user's model: its name (that of its output if it has none) and operator."""

    name: str
    op_type: str

    def __str__(self) -> str:
        return f'"{self.name}" ({self.op_type})'


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One core op (see `ops.py`) applied to values."""

    op: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()  # the model's nodes this came from, the main one first

    @property
    def output(self) -> Value:
        """The first output, the only one of every op but `topk`."""
        return self.outputs[0]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A model: inputs in, outputs out, nodes in topological order.

    `constants` maps value id -> array (read only; dtype and shape are the value's own).
    Output names are unique and are the model's; an output is always written by a node.
    """

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[int, Array]
    constant_values: tuple[Value, ...]  # the values of `constants`, in order of first use
    notes: tuple[str, ...] = ()  # what passes have to say to the user (a narrowed input, say)
    _producers: dict[int, Node] = field(default_factory=dict, init=False, repr=False)
    _consumers: dict[int, list[Node]] = field(default_factory=dict, init=False, repr=False)

    def is_constant(self, value: Value) -> bool:
        return value.id in self.constants

    def values(self) -> Iterator[Value]:
        """Every value once: inputs, constants, then node outputs in order."""
        yield from self.inputs
        yield from self.constant_values
        for node in self.nodes:
            yield from node.outputs

    def producers(self) -> dict[int, Node]:
        """Value id -> the node that writes it. Made once; not to be changed."""
        if not self._producers:
            self._producers.update((v.id, node) for node in self.nodes for v in node.outputs)
        return self._producers

    def consumers(self) -> dict[int, list[Node]]:
        """Value id -> the nodes that read it, in order (twice if read twice). Made once; not to be
        changed."""
        if not self._consumers:
            for node in self.nodes:
                for value in node.inputs:
                    self._consumers.setdefault(value.id, []).append(node)
        return self._consumers
