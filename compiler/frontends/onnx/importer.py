"""Walk a model's nodes in order and build the graph.

Every operator is decomposed into core ops as soon as its operands are known. Constants fold while
building, so chains of Shape, Gather, Concat ... on static shapes are plain numbers by the time a
Reshape asks for them. An operator without an importer runs in onnx's reference evaluator if all its
operands are constant, else by its ONNX function body, else it is collected and reported with all
the others in one error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

import compiler.frontends.onnx.operators  # noqa: F401  # registers every importer
from compiler.errors import CapacityError, UnsupportedError
from compiler.frontends.onnx.batch import with_batch
from compiler.frontends.onnx.functions import function_body, has_body, substituted
from compiler.frontends.onnx.model import Model, read_model
from compiler.frontends.onnx.precision import narrowed, widened
from compiler.frontends.onnx.reference import evaluate_constant_node
from compiler.frontends.onnx.registry import NotOnDeviceError, OnnxNode, importer_of
from compiler.frontends.onnx.scope import Scope
from compiler.frontends.onnx.shapes import input_types
from compiler.frontends.onnx.tensors import attribute_value, mapped_array, to_array
from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph, Source, Value
from isa.errors import MalformedError, SystolaError

LARGEST_TENSOR_BYTES = 1 << 40  # no target has a memory near this; a larger shape is a mistake
# What reading attributes and operands of the wrong kind or number raises, in an importer's plain
# Python; a bug of ours is an AssertionError and is not among them.
_MISFIT = (ValueError, TypeError, LookupError, ArithmeticError, StopIteration)
_SEE_STANDARD = "compare the node with the operator's page of the ONNX standard"
DEEPEST_NESTING = 32  # functions and subgraphs inside each other


def import_onnx(
    model: str | Path | bytes | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None = None,
    batch: int | None = None,
) -> Graph:
    """Import an ONNX model as a graph of core ops.

    Args:
        model: a path, the file's bytes, or a parsed model.
        shapes: the static shape of an input by its name, or one extent by a symbolic
            dimension's name, where the model leaves dimensions free.
        batch: the extent of the inputs' batch, where the model leaves it free (`batch.py`).

    Raises:
        MalformedError: the file cannot be read or breaks ONNX's rules (SYS-F0xx).
        ShapeError: a dimension stays unknown, or operands do not fit (SYS-F1xx).
        UnsupportedError: operators without a mapping, all of them named (SYS-F200).
    """
    source = read_model(model)
    return Importer(source).run(dict(shapes or {}), batch)


class Importer:
    """The walk over one model. `compiler.partition` derives from it a walk that refuses nothing."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.b = GraphBuilder(model.proto.graph.name or "graph")
        self.functions = {(f.domain, f.name): f for f in model.proto.functions}
        self.missing: list[tuple[str, str, str]] = []  # operator, node, reason
        self.depth = 0

    def run(self, shapes: dict[str, Sequence[int]], batch: int | None = None) -> Graph:
        graph, scope = self.model.proto.graph, Scope()
        self._load_initializers(graph, scope, self.model.data)
        inputs = [i for i in graph.input if i.name not in scope.values]
        for name, shape, dtype in input_types(with_batch(inputs, batch), shapes):
            scope.values[name] = self.b.input(name, shape, dtype)
        self.import_nodes(graph.node, scope, self.model.opsets, ())
        if self.missing:
            raise _unsupported(self.missing)
        for output in graph.output:
            value = self._lookup(scope, output.name, "the model's outputs")
            assert value is not None  # else something is missing
            self.b.output(value, output.name)
        return self.b.finish()

    def _load_initializers(
        self, graph: onnx.GraphProto, scope: Scope, data: Mapping[int, memoryview] | None = None
    ) -> None:
        """Bind the initializers; `data` are those of the large ones, by index."""
        if graph.sparse_initializer:
            raise UnsupportedError(
                "SYS-F204",
                "initializers are dense",
                found=f"sparse initializer {graph.sparse_initializer[0].values.name}",
                hint="store the weights as dense tensors",
            )
        for i, tensor in enumerate(graph.initializer):
            if data and i in data:
                array = mapped_array(tensor, data[i])
            else:
                array = to_array(tensor, self.model.folder)
            scope.values[tensor.name] = self.b.constant(array, name=scope.prefix + tensor.name)

    def import_nodes(
        self,
        nodes: Iterable[onnx.NodeProto],
        scope: Scope,
        opsets: Mapping[str, int],
        callers: tuple[Source, ...],
    ) -> None:
        """Import nodes in order; `callers` are the model's nodes whose bodies they stand in."""
        for node in nodes:
            first = next((o for o in node.output if o), node.op_type)
            name = scope.prefix + (node.name or first)
            sources = callers or (Source(name, node.op_type),)
            with self.b.origin(sources, scope.prefix + first):
                try:
                    self._import_node(node, scope, opsets, sources)
                except _MISFIT as misfit:
                    raise MalformedError(
                        "SYS-F015",
                        f"the operands and attributes of {node.op_type} fit its definition",
                        found=f"{type(misfit).__name__}: {misfit}",
                        at=f"node {sources[0]}",
                        hint=_SEE_STANDARD,
                    ) from misfit
                except SystolaError as error:
                    error.at = error.at or f"node {sources[0]}" + (
                        f", inside it {node.op_type}" if callers else ""
                    )
                    error.hint = error.hint or _SEE_STANDARD
                    raise

    def _import_node(
        self,
        node: onnx.NodeProto,
        scope: Scope,
        opsets: Mapping[str, int],
        sources: tuple[Source, ...],
    ) -> None:
        domain = "" if node.domain == "ai.onnx" else node.domain
        operands = tuple(self._lookup(scope, i, "") if i else None for i in node.input)
        poisoned = any(i and v is None for i, v in zip(node.input, operands, strict=True))
        version = opsets.get(domain, 1)
        importer = importer_of(domain, node.op_type, version)
        results: Sequence[Value | None] | None = None
        reason = "no decomposition into core ops"
        if poisoned:
            local = (node.domain, node.op_type) in self.functions
            if importer is None and not local and not has_body(node, domain, version):
                self._report(node, sources, reason)
            results = [None] * len(node.output)
        else:
            attributes = {a.name: attribute_value(a, self.model.folder) for a in node.attribute}

            def subgraph(body: onnx.GraphProto, feeds: dict[str, Value]) -> list[Value]:
                return self._import_body(body, feeds, scope, opsets, sources)

            call = OnnxNode(node, version, operands, attributes, self.b, subgraph, scope.find)
            try:
                wide = widened(call, domain)
                results = self._decompose(wide or call, domain, importer, opsets, sources)
                if wide is not None and results is not None:
                    results = narrowed(call, results)
            except NotOnDeviceError as refusal:
                reason = str(refusal)
            if results is None:
                self._report(node, sources, reason)
                results = [None] * len(node.output)
        self._bind(node, scope, results, named=not poisoned)

    def _decompose(
        self,
        call: OnnxNode,
        domain: str,
        importer: Any,
        opsets: Mapping[str, int],
        sources: tuple[Source, ...],
    ) -> Sequence[Value | None] | None:
        """The node's results, by the first way that there is; None if there is none."""
        node = call.proto
        if importer is not None:
            results = importer(call)
            return [results] if isinstance(results, Value) else results
        local = self.functions.get((node.domain, node.op_type))
        body = local or function_body(node, domain, call.version, call.inputs)
        made, missing = None, len(self.missing)
        if body is not None:
            made = self._import_function(body, call, opsets, sources)
            if len(self.missing) == missing or local is not None:
                return made
        # behind the body, for what it computes is naive in places: the logarithm of a softmax
        folded = self._folded(call, opsets)
        if folded is None:
            return made
        del self.missing[missing:]
        return folded

    def _folded(self, call: OnnxNode, opsets: Mapping[str, int]) -> Sequence[Value] | None:
        """The results of a node on constants, by onnx's reference evaluator; None if it cannot."""
        arrays = [None if v is None else self.b.array(v) for v in call.inputs]
        known = all(v is None or a is not None for v, a in zip(call.inputs, arrays, strict=True))
        found = evaluate_constant_node(call.proto, arrays, opsets) if known and arrays else None
        return None if found is None else [self.b.constant(a) for a in found]

    def _import_function(
        self,
        body: onnx.FunctionProto,
        call: OnnxNode,
        opsets: Mapping[str, int],
        sources: tuple[Source, ...],
    ) -> Sequence[Value | None]:
        scope = Scope(prefix=f"{next((o for o in call.proto.output if o), '')}/")
        given = dict(zip(body.input, call.inputs, strict=False))
        scope.values.update({name: given.get(name) for name in body.input})
        absent = {name for name in body.input if given.get(name) is None}
        inner = dict(opsets)
        inner.update(
            {("" if o.domain == "ai.onnx" else o.domain): o.version for o in body.opset_import}
        )
        attributes = {a.name: a for a in body.attribute_proto}
        attributes.update({a.name: a for a in call.proto.attribute})
        nodes = [substituted(n, attributes, absent) for n in body.node]
        self._enter(call.op_type)
        self.import_nodes(nodes, scope, inner, sources)
        self.depth -= 1
        made = list(body.output[: len(call.proto.output)])
        if (call.proto.domain, call.op_type) in self.functions:
            return [self._lookup(scope, name, f"function {call.op_type}") for name in made]
        return [scope.values.get(name) for name in made]

    def _import_body(
        self,
        body: onnx.GraphProto,
        feeds: dict[str, Value],
        outer: Scope,
        opsets: Mapping[str, int],
        sources: tuple[Source, ...],
    ) -> list[Value]:
        """A subgraph of If, Loop or Scan, its inputs bound to `feeds`."""
        scope = Scope(outer, f"{sources[0].name}/")
        self._load_initializers(body, scope)
        scope.values.update(feeds)
        self._enter(sources[0].op_type)
        self.import_nodes(body.node, scope, opsets, sources)
        self.depth -= 1
        results = [self._lookup(scope, o.name, "a subgraph's outputs") for o in body.output]
        if any(v is None for v in results):
            raise NotOnDeviceError("its body holds operators without a mapping")
        return [v for v in results if v is not None]

    def _enter(self, what: str) -> None:
        self.depth += 1
        if self.depth > DEEPEST_NESTING:
            raise MalformedError(
                "SYS-F012",
                f"functions and subgraphs nest at most {DEEPEST_NESTING} deep",
                found=f"{what} inside {self.depth - 1} others",
                hint="a function that calls itself reads like this",
            )

    def _lookup(self, scope: Scope, name: str, reader: str) -> Value | None:
        try:
            return scope.find(name)
        except KeyError:
            raise MalformedError(
                "SYS-F013",
                "a tensor is defined before it is used",
                found=f"{name!r} is defined by no input, initializer or earlier node",
                at=reader,
                hint="sort the nodes topologically; a cycle reads like this too",
            ) from None

    def _bind(
        self,
        node: onnx.NodeProto,
        scope: Scope,
        results: Sequence[Value | None],
        named: bool,
    ) -> None:
        padded = [*results, *[None] * (len(node.output) - len(results))]
        for name, value in zip(node.output, padded, strict=False):
            if not name:
                continue
            scope.values[name] = value
            if value is not None:
                _check_size(value)
                self.b.rename(value, scope.prefix + name)

    def _report(self, node: onnx.NodeProto, sources: tuple[Source, ...], reason: str) -> None:
        operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        self.missing.append((operator, sources[0].name, reason))


def _check_size(value: Value) -> None:
    if value.size_bytes > LARGEST_TENSOR_BYTES:
        raise CapacityError(
            "SYS-F130",
            "a tensor is small enough to exist",
            found=f"{value} is {value.size_bytes:.3g} bytes",
            hint="check the shapes given with --shape and --batch",
        )


def _unsupported(missing: list[tuple[str, str, str]]) -> UnsupportedError:
    """One error that names every operator and node without a mapping."""
    groups: dict[tuple[str, str], list[str]] = {}
    for operator, node, reason in missing:
        groups.setdefault((operator, reason), []).append(node)
    lines = []
    for (operator, reason), nodes in groups.items():
        shown = ", ".join(f'"{n}"' for n in dict.fromkeys(nodes))
        lines.append(f"{operator} ({reason}): {shown}")
    error = UnsupportedError(
        "SYS-F200",
        f"every operator of the model has a mapping to core ops; "
        f"{len({m[0] for m in missing})} have none",
        found="\n         ".join(lines),
        hint="leave these nodes to the framework, or replace them in the model",
    )
    error.missing = missing
    return error
