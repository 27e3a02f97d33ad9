"""The reference evaluator: what a graph means, op by op, in numpy.

Floats are widened to FP32 (FP64 if an operand is FP64), computed, and rounded to the dtype of the
value that is written; so a graph whose dtypes were chosen by auto-cast evaluates as the device
would store it, up to summation order and function tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import compiler.graph.semantics.contraction
import compiler.graph.semantics.elementwise
import compiler.graph.semantics.movement  # noqa: F401  # the three register the ops' meanings
from compiler.errors import UsageError
from compiler.graph.graph import FP32, FP64, Array, Attr, DType, Graph, Value, is_float
from compiler.graph.semantics.registry import MEANINGS

_BITS_KEPT = frozenset(
    (
        "copy",
        "transpose",
        "reshape",
        "broadcast_to",
        "slice",
        "gather",
        "cast",
        "concat",
        "bitcast",
        "assemble",
    )
)  # bits move as they are: no widening


def apply(
    op: str, operands: Sequence[Array], attrs: Mapping[str, Attr], dtypes: Sequence[DType]
) -> tuple[Array, ...]:
    """The results of one core op on arrays, rounded to `dtypes`."""
    if op not in _BITS_KEPT:
        operands = _widened(operands)
    with np.errstate(all="ignore"):
        results = MEANINGS[op](*operands, attrs=attrs)
        results = results if isinstance(results, tuple) else (results,)
        return tuple(
            np.asarray(r).astype(d, copy=False) for r, d in zip(results, dtypes, strict=True)
        )


def _widened(operands: Sequence[Array]) -> list[Array]:
    floats = [x.dtype for x in operands if is_float(x.dtype)]
    wide = FP64 if FP64 in floats else FP32
    return [x.astype(wide, copy=False) if is_float(x.dtype) else x for x in operands]


def evaluate(
    graph: Graph, inputs: Mapping[str, Array], *, intermediates: bool = False
) -> dict[str, Array]:
    """Run a graph on arrays.

    Args:
        inputs: one array a graph input, by name, of its shape.
        intermediates: return every value by name, not the outputs alone.

    Raises:
        UsageError: an input is missing, unknown or of the wrong shape (SYS-G200..G202).
    """
    live: dict[int, Array] = dict(graph.constants)
    for value, array in bind_inputs(graph, inputs).items():
        live[value.id] = array
    last = {v.id: i for i, node in enumerate(graph.nodes) for v in node.inputs}
    kept = {value.id for value in graph.outputs}
    for i, node in enumerate(graph.nodes):
        operands = [live[v.id] for v in node.inputs]
        try:
            results = apply(node.op, operands, node.attrs, [v.dtype for v in node.outputs])
        except IndexError as error:
            raise UsageError(
                "SYS-G203",
                "run-time indices stay inside the indexed tensor",
                found=str(error),
                at=f"node {node.output.name} ({node.op})",
            ) from error
        live.update((v.id, r) for v, r in zip(node.outputs, results, strict=True))
        if not intermediates:
            for v in (*node.inputs, *node.outputs):
                if last.get(v.id, i) == i and v.id not in kept:
                    live.pop(v.id, None)
    wanted = graph.values() if intermediates else iter(graph.outputs)
    return {v.name: live[v.id] for v in wanted}


def bind_inputs(graph: Graph, inputs: Mapping[str, Array]) -> dict[Value, Array]:
    """Check arrays against the graph's inputs and convert them to the inputs' dtypes."""
    names = [v.name for v in graph.inputs]
    unknown = [name for name in inputs if name not in names]
    if unknown:
        raise UsageError(
            "SYS-G200",
            "every array given is an input of the graph",
            found=f"{unknown[0]!r}; the inputs are {names}",
        )
    bound = {}
    for value in graph.inputs:
        if value.name not in inputs:
            raise UsageError("SYS-G201", "every input is given", found=f"no array for {value}")
        array = np.asarray(inputs[value.name])
        if array.shape != value.shape:
            raise UsageError(
                "SYS-G202",
                "an input array has the shape the graph was compiled for",
                found=f"{list(array.shape)} for {value}",
            )
        bound[value] = array.astype(value.dtype, copy=False)
    return bound
