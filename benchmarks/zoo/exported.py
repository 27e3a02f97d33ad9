"""Architectures of the transformers package, exported to ONNX with fixed random weights.

Static shapes, eager attention, the exporter that traces with torch.export: its graphs hold no
chains of shape arithmetic. Each architecture is a function from a batch to a module and its example
inputs; `exported_model` does the rest. Needs the extra `zoo` (torch, transformers, onnxscript).
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto

OPSET = 18
SEED = 0
DEVIATION = 0.04
"""Of random weights: about 1/sqrt(768), so that scores differ and outputs depend on inputs."""


@dataclass(frozen=True)
class Trace:
    """What the exporter is given.

    Attributes:
        module: called with the inputs in order; returns one tensor.
        inputs: example inputs by name.
    """

    module: Any
    inputs: dict[str, Any]


def exported_model(architecture: Callable[[], Trace]) -> ModelProto:
    """Export an architecture; the same versions of torch and transformers give the same graph."""
    import torch

    torch.manual_seed(SEED)
    torch.backends.mha.set_fastpath_enabled(False)
    with _quietly():
        trace = architecture()
        program: Any = torch.onnx.export(
            trace.module.eval(),
            tuple(trace.inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(trace.inputs),
            output_names=["output"],
            verbose=False,
        )
    model: ModelProto = program.model_proto
    _name_by_scope(model)
    return model


def _name_by_scope(model: ModelProto) -> None:
    """Nodes and values are named by the module they come from; stack traces are left out.

    Before: `linear_3`. After: `encoder/layer/0/attention/self/query/linear_3`.
    """
    graph = model.graph
    kept = {v.name for v in (*graph.input, *graph.output)}
    names: dict[str, str] = {}
    for node in graph.node:
        scopes = next(
            (p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), "[]"
        )
        path = [s for s in scopes.strip("[]").replace("'", "").split(", ") if s]
        scope = path[-2] if len(path) > 1 else ""
        scope = scope.removeprefix("model.").replace(".", "/")
        for name in node.output:
            if name and name not in kept:
                names[name] = f"{scope}/{name}" if scope else name
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]
        node.name = node.output[0]
        del node.metadata_props[:]
        node.doc_string = ""
    for part in (graph, model):
        del part.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.initializer):
        del value.metadata_props[:]
    del graph.value_info[:]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's progress and its warnings on optional packages."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(level)
