"""How far a compiled model is from FP32: per output as the device gives it, and per layer.

Outputs are those of the simulated device against onnxruntime in FP32. For the layers, the compiled
graph is evaluated with every value rounded to the type that it is stored in, and compared under the
model's own tensor names, as far as values keep them: what a layer loses to storage, worst first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike

from compiler.errors import UsageError
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import Graph, Node
from compiler.graph.ops import CORE_OPS
from systola.inputs import Array
from systola.models import CompiledModel
from systola.sections import CompiledSections

Progress = Callable[[str], None]
_STEP = re.compile(rf"/(?:{'|'.join(CORE_OPS)})(?:\.\d+)?$")


@dataclass(frozen=True)
class Difference:
    """One tensor's distance from its FP32 values.

    Attributes:
        name: the model's tensor; op: the compiled operator that makes it ("" for an output).
        max_abs: largest absolute difference; relative_max: over the range of the FP32 values.
        relative_rms: root mean square of the difference over that of the FP32 values.
        cosine: between the two as vectors.
        argmax_agreement: share of positions whose largest entry along the last axis (longer than
            1) is the same.
    """

    name: str
    op: str
    max_abs: float
    relative_max: float
    relative_rms: float
    cosine: float
    argmax_agreement: float | None

    def cells(self) -> list[str]:
        """The row of a table, without the operator."""
        share = "-" if self.argmax_agreement is None else f"{100 * self.argmax_agreement:.1f} %"
        numbers = (self.max_abs, self.relative_max, self.relative_rms)
        return [self.name, *(f"{n:.3g}" for n in numbers), f"{self.cosine:.7f}", share]


@dataclass(frozen=True)
class Accuracy:
    """Outputs in the model's order; layers with the largest relative RMS first."""

    outputs: list[Difference]
    layers: list[Difference]
    drawn_inputs: tuple[str, ...]
    report: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The keys of `systola accuracy --json`."""
        return {
            **self.report,
            "outputs": [asdict(e) for e in self.outputs],
            "layers": [asdict(e) for e in self.layers],
            "drawn_inputs": list(self.drawn_inputs),
        }


def difference(name: str, found: Array, exact: Array, op: str = "") -> Difference:
    """Compare an array with its exact values, of the same shape."""
    a, b = (np.asarray(x).astype(np.float64) for x in (found, exact))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    apart = np.where(same, 0.0, np.abs(a - b))
    norm, largest = float(np.linalg.norm(b)), float(apart.max(initial=0.0))
    spread = float(np.ptp(b)) if b.size else 0.0
    spread = spread or float(np.abs(b).max(initial=0.0))
    product = float(np.linalg.norm(a)) * norm
    cosine = float((a * b).sum()) / product if product else float(largest == 0)
    agreement = _argmax_agreement(a, b)
    return Difference(
        name, op, largest, _over(largest, spread), _over(float(np.linalg.norm(apart)), norm),
        min(cosine, 1.0), agreement,
    )  # fmt: skip


def _argmax_agreement(a: Array, b: Array) -> float | None:
    """Along the last axis that is longer than 1: a classifier may keep 1 x 1 behind its classes."""
    long = [axis for axis, extent in enumerate(b.shape) if extent > 1]
    if not long or not b.size:
        return None
    return float((a.argmax(long[-1]) == b.argmax(long[-1])).mean())


def _over(value: float, scale: float) -> float:
    if scale:
        return value / scale
    return 0.0 if value == 0 else math.inf


def measure(
    compiled: CompiledModel | CompiledSections,
    model: str | Path | bytes | onnx.ModelProto,
    inputs: Mapping[str, ArrayLike],
    progress: Progress = lambda _: None,
) -> Accuracy:
    """Run the device, onnxruntime and the compiled graph on the same inputs, and compare.

    Raises:
        MalformedError: an input does not fit.
        UsageError: SYS-U010, onnxruntime cannot run the model.
    """
    progress("simulate")
    result = compiled.run(inputs)
    values = result.values
    whole = {t.name: values[t.name] for t in compiled.inputs}
    progress("onnxruntime in FP32")
    wanted = {t.name for t in compiled.outputs}
    graphs = [section.graph for section in compiled.compiled_models]
    names = [_named_values(graph, model) for graph in graphs]
    exact = fp32_values(model, whole, sorted(wanted.union(*names)))
    outputs = [difference(n, found, exact[n]) for n, found in result.outputs.items()]
    progress("compare layers")
    layers = []
    for graph, named in zip(graphs, names, strict=True):
        stored = evaluate(graph, _bound(graph, values), intermediates=True)
        layers += [
            difference(n, stored[value], exact[n], op)
            for n, (op, value) in named.items()
            if stored[value].shape == exact[n].shape and exact[n].dtype.kind == "f"
        ]
    layers.sort(key=lambda e: (-e.relative_rms, e.name))
    return Accuracy(outputs, layers, result.drawn_inputs, result.report)


def _bound(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Inputs in the compiled graph's types: an index may have been narrowed."""
    return {v.name: arrays[v.name].astype(v.dtype) for v in graph.inputs}


def _named_values(
    graph: Graph, model: str | Path | bytes | onnx.ModelProto
) -> dict[str, tuple[str, str]]:
    """The model's tensors that the compiled graph has: tensor -> (operator, compiled value)."""
    known = {name for node in proto_of(model).graph.node for name in node.output if name}
    return {base: (node.op, node.output.name) for base, node in last_made(graph, known).items()}


def last_made(graph: Graph, known: Collection[str]) -> dict[str, Node]:
    """The node that makes each tensor of a model, by its name.

    A pass that rewrites the operator behind a tensor adds its own steps to the name
    (`conv1/add/add`): the last value whose name leads back to the tensor is the tensor. One that
    stands for it but is not equal to it has a name that leads nowhere.
    """
    found = {}
    for node in graph.nodes:
        base = node.output.name
        while base not in known and _STEP.search(base):
            base = _STEP.sub("", base)
        if base in known:
            found[base] = node
    return found


def proto_of(model: str | Path | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """A model as a message, with its external data."""
    if isinstance(model, onnx.ModelProto):
        return model
    if isinstance(model, bytes):
        return onnx.load_model_from_string(model)
    return onnx.load(str(model))


def fp32_values(
    model: str | Path | bytes | onnx.ModelProto, inputs: Mapping[str, Array], names: list[str]
) -> dict[str, Array]:
    """Tensors of a model by name, as onnxruntime computes them on one thread.

    Raises:
        UsageError: SYS-U010, onnxruntime refuses the model or its inputs.
    """
    import onnxruntime

    proto = onnx.ModelProto()
    proto.CopyFrom(proto_of(model))
    have = {o.name for o in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in have)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        found = session.run(names, dict(inputs))
    except Exception as error:  # onnxruntime's own kinds share no base
        raise UsageError(
            "SYS-U010",
            "onnxruntime runs the model in FP32, to compare with",
            found=" ".join(str(error).split())[:300],
        ) from None
    return dict(zip(names, found, strict=True))
