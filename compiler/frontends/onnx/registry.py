"""How an ONNX operator is declared: one small function, and what it is given.

    @imports("Relu")
    def relu(n: OnnxNode) -> Value:
        return n.b.emit("relu", n[0])

`since` chooses among versions: the newest that is not newer than the model's opset is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from compiler.errors import ShapeError, UnsupportedError
from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Array, Attr, DType, Value
from isa.errors import MalformedError

if TYPE_CHECKING:
    import onnx

Results: TypeAlias = Value | Sequence[Value | None]
Importer: TypeAlias = Callable[["OnnxNode"], Results]

F = TypeVar("F", bound=Importer)

_IMPORTERS: dict[tuple[str, str], list[tuple[int, Importer]]] = {}


class NotOnDeviceError(Exception):
    """An operator, or this use of it, has no decomposition; the message says why."""


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One node of the model with its operands resolved.

    `n[i]` is operand i and must be there; `n.has(i)` asks; `n.array(i)` is its constant value.
    """

    proto: onnx.NodeProto
    version: int  # opset of the node's domain
    inputs: tuple[Value | None, ...]
    attributes: dict[str, Any]
    b: GraphBuilder
    subgraph: Callable[[onnx.GraphProto, dict[str, Value]], list[Value]]  # imports a body
    find: Callable[[str], Value | None]  # a tensor by its name; None if an op without mapping's

    @property
    def op_type(self) -> str:
        return str(self.proto.op_type)

    def has(self, i: int) -> bool:
        return i < len(self.inputs) and self.inputs[i] is not None

    def __getitem__(self, i: int) -> Value:
        value = self.inputs[i] if i < len(self.inputs) else None
        if value is None:
            raise MalformedError(
                "SYS-F010", f"{self.op_type} has an operand {i}", found="it is left out"
            )
        return value

    def present(self) -> list[Value]:
        """The operands that are not left out."""
        return [v for v in self.inputs if v is not None]

    def attr(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def required(self, name: str) -> Any:
        if name not in self.attributes:
            raise MalformedError(
                "SYS-F011", f"{self.op_type} has attribute {name}", found="it is missing"
            )
        return self.attributes[name]

    def array(self, i: int, what: str) -> Array:
        """The constant value of operand i; `what` names it in the error."""
        known = self.b.array(self[i])
        if known is None:
            raise ShapeError(
                "SYS-F102",
                f"the {what} of {self.op_type} is known at compile time",
                found=f"{self[i]} is computed at run time",
                hint="export the model with static shapes (constant folding on), "
                "or cut it before this node",
            )
        return known

    def ints(self, i: int, what: str) -> tuple[int, ...]:
        return tuple(int(x) for x in self.array(i, what).ravel())

    def axis(self, value: int, rank: int, extra: int = 0) -> int:
        """A possibly negative axis as one in [0, rank + extra)."""
        if not -rank - extra <= value < rank + extra:
            raise ShapeError(
                "SYS-F117", "an axis is in [-rank, rank)", found=f"axis {value} for rank {rank}"
            )
        return value + rank + extra if value < 0 else value

    def emit(self, op: str, *operands: Value, **attrs: Attr) -> Value:
        return self.b.emit(op, *operands, **attrs)

    def like(self, number: float, value: Value) -> Value:
        """A scalar constant of a value's dtype."""
        return self.b.constant(np.asarray(number, value.dtype))

    def cast(self, value: Value, dtype: DType) -> Value:
        return value if value.dtype == dtype else self.emit("cast", value, to=dtype)

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        if tuple(shape) == value.shape:
            return value
        return self.emit("reshape", value, shape=tuple(int(e) for e in shape))

    def transpose(self, value: Value, perm: Sequence[int]) -> Value:
        if tuple(perm) == tuple(range(value.rank)):
            return value
        return self.emit("transpose", value, perm=tuple(perm))

    def broadcast(self, value: Value, shape: Sequence[int]) -> Value:
        if tuple(shape) == value.shape:
            return value
        return self.emit("broadcast_to", value, shape=tuple(shape))

    def refuse(self, reason: str) -> UnsupportedError | NotOnDeviceError:
        """To raise: this use of the operator has no decomposition."""
        return NotOnDeviceError(reason)


def imports(*op_types: str, since: int = 1, domain: str = "") -> Callable[[F], F]:
    """Declare the function as the importer of operators from opset `since` on."""

    def register(function: F) -> F:
        for op_type in op_types:
            versions = _IMPORTERS.setdefault((domain, op_type), [])
            assert all(v != since for v, _ in versions), f"{op_type} since {since} stands twice"
            versions.append((since, function))
            versions.sort(key=lambda entry: entry[0])
        return function

    return register


def importer_of(domain: str, op_type: str, version: int) -> Importer | None:
    """The importer of an operator at an opset, if there is one."""
    found = None
    for since, function in _IMPORTERS.get((domain, op_type), ()):
        if since <= version:
            found = function
    return found


def supported_operators() -> list[tuple[str, str]]:
    """(domain, operator) of every operator with an importer of its own, sorted."""
    return sorted(_IMPORTERS)
