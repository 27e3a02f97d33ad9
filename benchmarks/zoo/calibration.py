"""Batch-norm statistics that fit: measured on random images, all layers in one run.

A deep network whose statistics do not fit its weights is chaotic: rounding alone moves its outputs
by a fourth. So each BatchNormalization is replaced by its training form (subtract the batch's mean,
divide by its deviation), the network is run once, and what was measured becomes the statistics.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

IMAGES = 2
DIGITS = 3
"""Statistics are kept to so many digits, so that the last bits of a sum do not show."""


def calibrate(model: ModelProto) -> None:
    """Set mean and variance of every BatchNormalization of a model with one image input."""
    norms = [n for n in model.graph.node if n.op_type == "BatchNormalization"]
    if not norms:
        return
    measured = _measure(model)
    tensors = {t.name: t for t in model.graph.initializer}
    for node in norms:
        for name, value in zip(node.input[3:5], measured[node.output[0]], strict=True):
            tensors[name].CopyFrom(numpy_helper.from_array(_rounded(value), name))


def _measure(model: ModelProto) -> dict[str, list[NDArray[np.float32]]]:
    """Mean and variance of each normalisation's input, by the name of its output."""
    trial = ModelProto()
    trial.CopyFrom(model)
    graph = trial.graph
    nodes = []
    wanted: list[str] = []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        x, scale, bias, y = node.input[0], node.input[1], node.input[2], node.output[0]
        mean, var, centred = f"{y}:mean", f"{y}:var", f"{y}:centred"
        along = helper.make_node("Unsqueeze", [scale], [f"{y}:g"], axes=[1, 2])
        shift = helper.make_node("Unsqueeze", [bias], [f"{y}:b"], axes=[1, 2])
        nodes += [
            helper.make_node("ReduceMean", [x], [mean], axes=[0, 2, 3], keepdims=1),
            helper.make_node("Sub", [x, mean], [centred]),
            helper.make_node("Mul", [centred, centred], [f"{y}:sq"]),
            helper.make_node("ReduceMean", [f"{y}:sq"], [var], axes=[0, 2, 3], keepdims=1),
            helper.make_node("Sqrt", [var], [f"{y}:dev"]),
            helper.make_node("Div", [centred, f"{y}:dev"], [f"{y}:unit"]),
            along,
            shift,
            helper.make_node("Mul", [f"{y}:unit", f"{y}:g"], [f"{y}:scaled"]),
            helper.make_node("Add", [f"{y}:scaled", f"{y}:b"], [y]),
        ]
        wanted += [mean, var]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.output.extend(helper.make_tensor_value_info(n, 1, None) for n in wanted)
    found = _run(trial, wanted)
    return {
        node.output[0]: [found[f"{node.output[0]}:{part}"].ravel() for part in ("mean", "var")]
        for node in model.graph.node
        if node.op_type == "BatchNormalization"
    }


def _run(trial: ModelProto, wanted: list[str]) -> dict[str, NDArray[np.float32]]:
    """One run on random images; batch 1 of them stays the model's own."""
    given = trial.graph.input[0]
    shape = [d.dim_value for d in given.type.tensor_type.shape.dim]
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        trial.SerializeToString(), quiet, providers=["CPUExecutionProvider"]
    )
    images = np.random.default_rng(1).standard_normal((IMAGES, *shape), np.float32)
    runs = [session.run(wanted, {given.name: image}) for image in images]
    return {n: np.mean([r[i] for r in runs], axis=0) for i, n in enumerate(wanted)}


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """To DIGITS significant digits; a variance of zero becomes one's least fraction."""
    return np.array([float(f"{v:.{DIGITS - 1}e}") for v in values.tolist()], np.float32)
