"""The core graph of a device section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compiler.frontends.onnx.importer import Importer
from compiler.frontends.onnx.model import Model
from compiler.frontends.onnx.scope import Scope
from compiler.graph.graph import Array, Graph, Value
from compiler.partition.calls import Call
from compiler.partition.cut import Border


def without_unread_inputs(graph: Graph) -> Graph:
    """The graph, without the inputs that only the host reads."""
    read = {v.id for node in graph.nodes for v in node.inputs}
    return replace(graph, inputs=tuple(v for v in graph.inputs if v.id in read))


def section_graph(
    model: Model,
    calls: Sequence[Call],
    border: Border,
    values: Mapping[str, Value | None],
    constants: Mapping[str, Array],
) -> Graph:
    """Import the calls of one section; every tensor that it takes has a value in `values`."""
    walk = Importer(model)
    scope = Scope()
    for name in dict.fromkeys(r for c in calls for r in c.reads):
        if name in constants:
            scope.values[name] = walk.b.constant(constants[name], name=name)
    for name in border.takes:
        value = values[name]
        assert value is not None, "what the device takes is a static tensor"
        scope.values[name] = walk.b.input(name, value.shape, value.dtype)
    walk.import_nodes([c.proto for c in calls], scope, model.opsets, ())
    assert not walk.missing, "a call of the device was imported before"
    for name in border.gives:
        value = scope.values[name]
        assert value is not None, "a call of the device was imported before"
        walk.b.output(value, name)
    return walk.b.finish()
