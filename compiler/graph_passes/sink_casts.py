"""sink-casts: convert the parts of an input that are read, not the whole.

Before    c = cast(x);  a = slice(c);  b = slice(c)
After     a = cast(slice(x));  b = cast(slice(x))

An input that is only read in slices then stays in DRAM until each slice is loaded.
Needs     auto-cast, which puts one cast behind each input.
"""

from __future__ import annotations

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import Graph, Value


def sink_casts(graph: Graph) -> Graph:
    """Slices of a converted input become conversions of its slices."""
    inputs = {v.id for v in graph.inputs}
    casts = {n.output.id: n for n in graph.nodes if n.op == "cast" and n.inputs[0].id in inputs}
    if not any(n.op == "slice" and n.inputs[0].id in casts for n in graph.nodes):
        return graph
    b = GraphBuilder(graph.name)
    b.notes.extend(graph.notes)
    new: dict[int, Value] = {}
    for v in graph.inputs:
        new[v.id] = b.input(v.name, v.shape, v.dtype)
    for v in graph.constant_values:
        new[v.id] = b.constant(graph.constants[v.id], v.dtype, v.name)
    for node in graph.nodes:
        with b.origin(node.sources, node.output.name):
            cast = casts.get(node.inputs[0].id) if node.op == "slice" else None
            dtypes = [v.dtype for v in node.outputs]
            if cast is None:
                made = b.emit_all(node.op, [new[v.id] for v in node.inputs], node.attrs, dtypes)
            else:
                part = b.emit_all("slice", [new[cast.inputs[0].id]], node.attrs)
                made = b.emit_all("cast", part, cast.attrs, dtypes)
        for old, value in zip(node.outputs, made, strict=True):
            new[old.id] = value
    for v in graph.outputs:
        b.output(new[v.id], v.name)
    return b.finish()
