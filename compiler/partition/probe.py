"""The walk that refuses nothing: who can be on the device, who cannot and why.

As the importer's, but a node that is refused goes to the host, and what it makes is an input of the
graph that is built. What the device cannot take of that (text, sequences, shapes that depend on
data) is followed: whoever reads it goes to the host too, until a tensor of static shape comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from compiler.errors import ShapeError, UnsupportedError
from compiler.frontends.onnx.batch import with_batch
from compiler.frontends.onnx.importer import Importer
from compiler.frontends.onnx.model import Model
from compiler.frontends.onnx.scope import Scope
from compiler.frontends.onnx.shapes import input_types
from compiler.frontends.onnx.tensors import mapped_array, to_array
from compiler.graph.graph import Array, Graph, Value
from compiler.partition.calls import Call, calls_of
from compiler.partition.types import Static, infer, is_device_type, static, type_of

_UNKNOWN_SHAPE = ("SYS-F102",)  # an operand that the shape depends on is computed at run time


@dataclass
class Probed:
    """What the walk found.

    Attributes:
        calls: the nodes, in order, but for those that fold away.
        host: call name -> why it is not on the device.
        dynamic: the calls among them whose shapes or those of their operands depend on data.
        values: tensor -> its value in `graph`; None: the device cannot take it.
        types: tensor -> ONNX type, where it is known.
        constants: tensor -> array: weights, and what was folded.
        graph: the device's part, what the host makes being inputs.
        inputs, outputs: the model's own tensors, in order.
    """

    calls: list[Call]
    host: dict[str, str]
    dynamic: set[str]
    values: dict[str, Value | None]
    types: dict[str, onnx.TypeProto]
    constants: dict[str, Array]
    graph: Graph
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def probe(
    model: Model,
    shapes: Mapping[str, Sequence[int]],
    forced: Mapping[str, str],
    batch: int | None = None,
    earlier: Mapping[str, onnx.TypeProto] | None = None,
) -> Probed:
    """Walk a model; `forced` are the calls that go to the host whatever they are, with reasons.

    Args:
        earlier: types that a walk with less on the host has found: unrolling a loop tells more than
            ONNX's shape inference.
    Raises:
        SystolaError: what is wrong with the model, beside what a host can do for it.
    """
    return _Probe(model, forced, earlier or {}).probed(dict(shapes), batch)


@dataclass
class _Found:
    host: dict[str, str] = field(default_factory=dict)
    dynamic: set[str] = field(default_factory=set)
    types: dict[str, onnx.TypeProto] = field(default_factory=dict)


class _Probe(Importer):
    def __init__(
        self, model: Model, forced: Mapping[str, str], earlier: Mapping[str, onnx.TypeProto]
    ) -> None:
        super().__init__(model)
        self.forced, self.earlier, self.found = forced, earlier, _Found()

    def probed(self, shapes: dict[str, Sequence[int]], batch: int | None) -> Probed:
        graph, scope = self.model.proto.graph, Scope()
        self._bind_initializers(graph, scope)
        free = [i for i in graph.input if i.name not in scope.values]
        inputs = self._bind_inputs(with_batch(free, batch), scope, shapes)
        calls = calls_of(graph)
        for call in calls:
            self._visit(call, scope)
        wanted = tuple(o.name for o in graph.output)
        for name in wanted:
            self._lookup(scope, name, "the model's outputs")
        calls = _alive(calls, wanted)
        kept = [c for c in calls if c.name in self.found.host or self._needed(c, scope, wanted)]
        kept = _alive(kept, wanted)  # what only such constants were made of goes with them
        self._declare_outputs(kept, scope, wanted)
        values = scope.values
        arrays = {n: self.b.array(v) for n, v in values.items() if v is not None}
        constants = {n: a for n, a in arrays.items() if a is not None}
        types = dict(self.found.types)
        types.update({n: type_of(v.shape, v.dtype) for n, v in values.items() if v is not None})
        return Probed(
            kept, {c.name: self.found.host[c.name] for c in kept if c.name in self.found.host},
            self.found.dynamic.intersection(c.name for c in kept), dict(values), types, constants,
            self.b.finish(), inputs, wanted,
        )  # fmt: skip

    def _needed(self, call: Call, scope: Scope, wanted: Sequence[str]) -> bool:
        """Whether a call on the device is more than constants that nobody outside asks for."""
        values = [scope.values.get(w) for w in call.writes]
        if any(v is None or self.b.array(v) is None for v in values):
            return True
        return any(w in wanted for w in call.writes)

    # -- what is there before the first node --------------------------------------------------

    def _bind_initializers(self, graph: onnx.GraphProto, scope: Scope) -> None:
        for i, tensor in enumerate(graph.initializer):
            kind = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            if isinstance(static(kind), str):
                scope.values[tensor.name], self.found.types[tensor.name] = None, kind
                continue
            large = self.model.data.get(i) if self.model.data else None
            array = (
                to_array(tensor, self.model.folder)
                if large is None
                else mapped_array(tensor, large)
            )
            scope.values[tensor.name] = self.b.constant(array, name=tensor.name)
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            scope.values[name] = None
            kind = onnx.helper.make_sparse_tensor_type_proto(sparse.values.data_type, sparse.dims)
            self.found.types[name] = kind

    def _bind_inputs(
        self, free: Sequence[onnx.ValueInfoProto], scope: Scope, shapes: dict[str, Sequence[int]]
    ) -> tuple[str, ...]:
        """The device's inputs become values; types that it has not stay with the host."""
        plain: list[onnx.ValueInfoProto] = []
        for info in free:
            kind = info.type
            if kind.WhichOneof("value") == "tensor_type" and is_device_type(kind):
                plain.append(info)
                continue
            scope.values[info.name] = None
            self.found.types[info.name] = _shaped(kind, shapes.pop(info.name, None))
        for name, shape, dtype in input_types(plain, shapes):
            scope.values[name] = self.b.input(name, shape, dtype)
        return tuple(i.name for i in free)

    # -- a node -------------------------------------------------------------------------------

    def _visit(self, call: Call, scope: Scope) -> None:
        reason, dynamic = self._refusal(call, scope)
        if not reason:
            return
        self.found.host[call.name] = reason
        if dynamic:
            self.found.dynamic.add(call.name)
        for name, value in self._made_on_host(call, scope).items():
            scope.values[name] = value

    def _refusal(self, call: Call, scope: Scope) -> tuple[str, bool]:
        """Why a call is not on the device, or nothing once it is imported; whether by its data."""
        if call.name in self.forced:
            return self.forced[call.name], False
        for name in call.reads:
            if self._lookup(scope, name, f"node {call.name!r}") is None:
                why = static(self.found.types.get(name))
                assert isinstance(why, str), "what is static has a value"
                return f"its operand {name!r} {why}", "run time" in why
        before = len(self.missing)
        try:
            self.import_nodes([call.proto], scope, self.model.opsets, ())
        except UnsupportedError as error:
            return f"{error.args[1]}: {error.found}" if error.found else str(error.args[1]), False
        except ShapeError as error:
            if error.code not in _UNKNOWN_SHAPE:
                raise
            return f"{error.args[1]}: {error.found}", True
        if len(self.missing) > before:
            operator, _, reason = self.missing[-1]
            inside = "" if operator == call.op else f"{operator} inside it: "
            return inside + reason, False
        return "", False

    def _made_on_host(self, call: Call, scope: Scope) -> dict[str, Value | None]:
        types = dict(self.found.types)
        constants: dict[str, Array] = {}
        for name in call.reads:
            value = scope.find(name)
            if value is not None:
                types[name] = type_of(value.shape, value.dtype)
                array = self.b.array(value)
                if array is not None:
                    constants[name] = array
        found = infer(call, types, constants, self.model.opsets)
        graph = self.model.proto.graph
        declared = {v.name: v.type for v in (*graph.value_info, *graph.output)}
        made: dict[str, Value | None] = {}
        for name in call.writes:
            kind = found.get(name)
            for known in (declared.get(name), self.earlier.get(name)):
                if isinstance(static(kind), str) and isinstance(static(known), Static):
                    kind = known
            self.found.types[name] = kind or onnx.TypeProto()
            tensor = static(kind)
            made[name] = (
                self.b.input(name, tensor.shape, tensor.dtype)
                if isinstance(tensor, Static)
                else None
            )
        return made

    def _declare_outputs(self, calls: Sequence[Call], scope: Scope, wanted: Sequence[str]) -> None:
        """What leaves the device: the model's outputs, and what the host reads of its values."""
        made = {w for c in calls if c.name not in self.found.host for w in c.writes}
        read = [r for c in calls if c.name in self.found.host for r in c.reads]
        for name in dict.fromkeys((*wanted, *read)):
            value = scope.values.get(name)
            if name in made and value is not None and (name in wanted or not self._known(value)):
                self.b.output(value, name)

    def _known(self, value: Value) -> bool:
        return self.b.array(value) is not None


def _alive(calls: Sequence[Call], wanted: Sequence[str]) -> list[Call]:
    """The calls that an output needs."""
    needed, found = set(wanted), []
    for call in reversed(calls):
        if needed.intersection(call.writes):
            needed.update(call.reads)
            found.append(call)
    return found[::-1]


def _shaped(kind: onnx.TypeProto, shape: Sequence[int] | None) -> onnx.TypeProto:
    if shape is None:
        return kind
    return onnx.helper.make_tensor_type_proto(kind.tensor_type.elem_type, [int(e) for e in shape])
