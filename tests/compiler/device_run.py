"""Compile a graph and run it on the functional simulator, as a runtime would."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from compiler.clock import Clock
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import Array, Graph
from compiler.options import Options
from compiler.pipeline import Compiled, compile_graph
from isa.dtypes import DType
from isa.hardware import load_target
from isa.program import DramBuffer
from simulator.functional import run_fast


def compiled(graph: Graph, **options: object) -> Compiled:
    """The graph compiled; FP32 throughout unless `options` say otherwise."""
    chosen = Options(**{"auto_cast": "none", **options})  # type: ignore[arg-type]  # the caller's
    return compile_graph(graph, load_target(chosen.target), chosen, Clock(lambda _: None))


def run(made: Compiled, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs by name, in the model's dtypes."""
    buffers = {b.name: b for b in made.program.buffers}
    dram = np.zeros(made.program.dram_bytes, np.uint8)
    for name, data in made.neff.sections[0].constants.items():
        _span(dram, buffers[name])[: len(data)] = data
    for tensor in made.neff.inputs:
        b = buffers[tensor.buffer]
        stored = np.ascontiguousarray(np.asarray(inputs[tensor.name]).astype(DType(b.dtype).numpy))
        _span(dram, b)[: stored.nbytes] = stored.reshape(-1).view(np.uint8)
    state = run_fast(made.program, load_target(made.neff.target), dram)
    outputs = {}
    for tensor in made.neff.outputs:
        b = buffers[tensor.buffer]
        kind = DType(b.dtype).numpy
        data = _span(state.dram, b)[: tensor.elements * np.dtype(kind).itemsize]
        outputs[tensor.name] = data.view(kind).reshape(tensor.shape).astype(tensor.numpy)
    return outputs


def _span(dram: NDArray[np.uint8], b: DramBuffer) -> NDArray[np.uint8]:
    return dram[b.address : b.address + b.size_bytes]


def worst(found: Mapping[str, Array], exact: Mapping[str, Array]) -> float:
    """The largest error of any output, over the largest magnitude of that output (at least 1).

    Infinities and NaNs have to agree.
    """
    error = 0.0
    for name, reference in exact.items():
        a, b = found[name].astype(np.float64), reference.astype(np.float64)
        odd = ~np.isfinite(b)
        if not np.array_equal(a[odd], b[odd], equal_nan=True):
            return np.inf
        a, b = np.where(odd, 0.0, a), np.where(odd, 0.0, b)
        if a.size:
            error = max(error, float(np.abs(a - b).max() / max(1.0, np.abs(b).max())))
    return error


def error_on_device(graph: Graph, inputs: Mapping[str, Array], **options: object) -> float:
    """Compile, run, and compare with what the graph means."""
    return worst(run(compiled(graph, **options), inputs), evaluate(graph, inputs))
