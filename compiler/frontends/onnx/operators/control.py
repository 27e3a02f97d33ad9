"""Control flow that is decided at compile time: If, Optional, and Loop and Scan by unrolling."""

from __future__ import annotations

import numpy as np

from compiler.frontends.onnx.operators.movement import part
from compiler.frontends.onnx.registry import OnnxNode, imports
from compiler.graph.graph import INT64, Value

LONGEST_UNROLL = 4096  # iterations; beyond, the graph would be larger than any memory for it


@imports("OptionalGetElement")
def optional_get_element(n: OnnxNode) -> Value:
    """A tensor is its own element. (Values of an optional type do not come here.)"""
    return n[0]


@imports("OptionalHasElement")
def optional_has_element(n: OnnxNode) -> Value:
    """Whether there is an operand at all."""
    return n.b.constant(np.asarray(n.has(0)))


@imports("If")
def if_(n: OnnxNode) -> list[Value]:
    """The branch that a constant condition chooses."""
    condition = n.b.array(n[0])
    if condition is None:
        raise n.refuse("a condition that is known only at run time")
    branch = "then_branch" if bool(condition.ravel()[0]) else "else_branch"
    return n.subgraph(n.required(branch), {})


@imports("Loop")
def loop(n: OnnxNode) -> list[Value]:
    """Unrolled while the condition is a known true and trips remain."""
    body = n.required("body")
    trips = int(n.array(0, "trip count").ravel()[0]) if n.has(0) else LONGEST_UNROLL + 1
    going = n[1] if n.has(1) else n.b.constant(np.asarray(True))
    carried = [v for v in n.inputs[2:] if v is not None]
    scans: list[list[Value]] = [[] for _ in range(len(body.output) - 1 - len(carried))]
    for trip in range(trips):
        known = n.b.array(going)
        if known is None:
            raise n.refuse("a condition that is known only at run time")
        if not bool(known.ravel()[0]):
            break
        if trip >= LONGEST_UNROLL:
            raise n.refuse(f"more than {LONGEST_UNROLL} iterations")
        operands = [n.b.constant(np.asarray(trip, INT64)), going, *carried]
        feeds = {i.name: v for i, v in zip(body.input, operands, strict=True)}
        going, *results = n.subgraph(body, feeds)
        carried = results[: len(carried)]
        for scan, value in zip(scans, results[len(carried) :], strict=True):
            scan.append(n.reshape(value, (1, *value.shape)))
    if any(not scan for scan in scans):
        raise n.refuse("a scan output of no iterations")
    return [*carried, *(_joined(n, scan, 0) for scan in scans)]


@imports("Scan", since=9)
def scan(n: OnnxNode) -> list[Value]:
    """One trip for each step along the scanned inputs' axis."""
    body, count = n.required("body"), n.required("num_scan_inputs")
    states = n.present()[: len(n.inputs) - count]
    inputs = n.present()[len(states) :]
    outputs = len(body.output) - len(states)
    axes = n.attr("scan_input_axes") or [0] * count
    backwards = n.attr("scan_input_directions") or [0] * count
    axes = [n.axis(a, v.rank) for a, v in zip(axes, inputs, strict=True)]
    length = inputs[0].shape[axes[0]]
    if not 0 < length <= LONGEST_UNROLL:
        raise n.refuse(f"{length} iterations")
    collected: list[list[Value]] = [[] for _ in range(outputs)]
    for t in range(length):
        slices = []
        for v, axis, backward in zip(inputs, axes, backwards, strict=True):
            piece = part(n, v, axis, length - 1 - t if backward else t, 1)
            slices.append(n.reshape(piece, v.shape[:axis] + v.shape[axis + 1 :]))
        feeds = {i.name: v for i, v in zip(body.input, [*states, *slices], strict=True)}
        results = n.subgraph(body, feeds)
        states = results[: len(states)]
        for column, value in zip(collected, results[len(states) :], strict=True):
            column.append(value)
    return [*states, *_scan_outputs(n, collected)]


def _scan_outputs(n: OnnxNode, collected: list[list[Value]]) -> list[Value]:
    axes = n.attr("scan_output_axes") or [0] * len(collected)
    backwards = n.attr("scan_output_directions") or [0] * len(collected)
    results = []
    for values, given, backward in zip(collected, axes, backwards, strict=True):
        axis = n.axis(given, values[0].rank + 1)
        shape = (*values[0].shape[:axis], 1, *values[0].shape[axis:])
        pieces = [n.reshape(v, shape) for v in (reversed(values) if backward else values)]
        results.append(_joined(n, pieces, axis))
    return results


def _joined(n: OnnxNode, values: list[Value], axis: int) -> Value:
    return values[0] if len(values) == 1 else n.emit("concat", *values, axis=axis)
