"""Calls: a model's top-level nodes, each with a name of its own and the tensors that it touches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import onnx
from onnx import inliner

from compiler.frontends.onnx.model import Model


@dataclass(frozen=True, eq=False)
class Call:
    """A top-level node.

    Attributes:
        name: the model's own, made unique; that of the first output where it has none.
        op: the operator, with its domain where that is not ONNX's.
        reads: tensors read, those of the graph around that a body reads included.
        writes: tensors written.
    """

    name: str
    op: str
    proto: onnx.NodeProto
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def inlined(model: Model) -> Model:
    """The model without functions of its own: what they hold is cut node by node too."""
    if not model.proto.functions:
        return model
    proto = inliner.inline_local_functions(model.proto)
    opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in proto.opset_import}
    return replace(model, proto=proto, opsets=opsets)


def calls_of(graph: onnx.GraphProto) -> list[Call]:
    """The nodes in order; the graph itself is left as it is."""
    used: set[str] = set()
    found = []
    for node in graph.node:
        writes = tuple(o for o in node.output if o)
        wanted = name = node.name or (writes[0] if writes else node.op_type)
        count = 1
        while name in used:
            count += 1
            name = f"{wanted}.{count}"
        used.add(name)
        named = node
        if name != node.name:
            named = onnx.NodeProto()
            named.CopyFrom(node)
            named.name = name
        domain = node.domain if node.domain not in ("", "ai.onnx") else ""
        op = f"{domain}::{node.op_type}" if domain else node.op_type
        found.append(Call(name, op, named, tuple(dict.fromkeys(reads(node))), writes))
    return found


def reads(node: onnx.NodeProto) -> Iterable[str]:
    """The tensors that a node reads, bodies included."""
    yield from (i for i in node.input if i)
    for body in bodies(node):
        yield from _free(body)


def bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The subgraphs that a node holds, outermost only."""
    found = []
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            found.append(attribute.g)
        found.extend(attribute.graphs)
    return found


def operators(node: onnx.NodeProto) -> set[str]:
    """The operators that a node holds, its own included."""
    found = {str(node.op_type)}
    for body in bodies(node):
        for inner in body.node:
            found |= operators(inner)
    return found


def _free(graph: onnx.GraphProto) -> Iterable[str]:
    """What a subgraph reads and does not define."""
    known = {i.name for i in graph.input} | {t.name for t in graph.initializer}
    for node in graph.node:
        yield from (r for r in reads(node) if r not in known)
        known.update(node.output)
    yield from (o.name for o in graph.output if o.name not in known)
