"""FP16 and BF16 on the host, where an engine lacks an operator in them: computed in FP32.

    y = f(x: bfloat16)   ->   y = cast(cast(f(x: float32), bfloat16), float32)

Every narrow tensor is held in FP32, and rounded once where it is made. onnxruntime has few kernels
for BF16; onnx's reference evaluator rounds each step of an operator, and a sum of a thousand terms
stands still. Inputs and outputs keep their types: `fed` and `found` convert them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

_T = onnx.TensorProto
HALVES = frozenset((_T.FLOAT16, _T.BFLOAT16))
OF_BITS = frozenset(("BitCast",))
"""Operators whose results are the operands' bits, and not their numbers."""


@dataclass(frozen=True)
class Widened:
    """A model with its narrow tensors in FP32.

    Attributes:
        model: serialised.
        takes, gives: inputs and outputs that are narrow in the original -> their types there.
    """

    model: bytes
    takes: dict[str, int]
    gives: dict[str, int]

    def fed(self, feeds: dict[str, Any]) -> dict[str, Any]:
        """The feeds of the original as this one's."""
        return {n: np.asarray(a, np.float32) if n in self.takes else a for n, a in feeds.items()}

    def found(self, results: dict[str, Any]) -> dict[str, Any]:
        """The results as the original's; what is FP32 here is exact there."""
        return {
            n: np.asarray(a).astype(helper.tensor_dtype_to_np_dtype(self.gives[n]))
            if n in self.gives
            else a
            for n, a in results.items()
        }


def widened(model: bytes) -> Widened | None:
    """The model in FP32; None where nothing in it is narrow, or where it is not known what is:
    in bodies, functions and sequences, and behind operators that are not ONNX's own."""
    proto = onnx.load_model_from_string(model)
    kinds = _types(proto)
    narrow = {name: code for name, code in kinds.items() if code in HALVES}
    graph = proto.graph
    if not narrow or proto.functions or not all(_is_plain(n, kinds) for n in graph.node):
        return None
    border = [{i.name: i for i in infos} for infos in (graph.input, graph.output)]
    for info in (*graph.input, *graph.output):
        if info.name in narrow:
            info.type.tensor_type.elem_type = _T.FLOAT
    del graph.value_info[:]
    nodes = [*_constants(graph, narrow)]
    for node in graph.node:
        nodes += _rounded(node, narrow)
    del graph.node[:]
    graph.node.extend(nodes)
    takes, gives = ({n: c for n, c in narrow.items() if n in names} for names in border)
    return Widened(proto.SerializeToString(), takes, gives)


def _types(proto: onnx.ModelProto) -> dict[str, int]:
    """Name -> element type of every tensor that onnx can say it of."""
    try:
        graph = onnx.shape_inference.infer_shapes(proto).graph
    except Exception:  # whatever onnx raises: it cannot say
        return {}
    kinds = {t.name: t.data_type for t in graph.initializer}
    for info in (*graph.input, *graph.value_info, *graph.output):
        if info.type.WhichOneof("value") == "tensor_type":
            kinds[info.name] = info.type.tensor_type.elem_type
    return kinds


def _is_plain(node: onnx.NodeProto, kinds: dict[str, int]) -> bool:
    """Whether the node has tensors of known types only, and takes the narrow ones by their numbers,
    in no body of its own."""
    names = [n for n in (*node.input, *node.output) if n]
    known = all(kinds.get(n, _T.UNDEFINED) != _T.UNDEFINED for n in names)
    within = set(_names_within(node))
    apart = not within or not any(kinds.get(n) in HALVES for n in (*names, *within))
    return known and apart and node.op_type not in OF_BITS


def _names_within(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors in a node's bodies."""
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            yield from (o.name for o in body.output)
            for inner in body.node:
                yield from (*inner.input, *inner.output, *_names_within(inner))


def _constants(graph: onnx.GraphProto, narrow: dict[str, int]) -> Iterator[onnx.NodeProto]:
    """Narrow constants under other names, and converted."""
    for tensor in graph.initializer:
        if tensor.name in narrow:
            name, tensor.name = tensor.name, f"{tensor.name}/narrow"
            yield helper.make_node("Cast", [tensor.name], [name], to=_T.FLOAT)


def _rounded(node: onnx.NodeProto, narrow: dict[str, int]) -> Iterator[onnx.NodeProto]:
    """The node, and its narrow results rounded."""
    made = [name for name in node.output if name in narrow]
    wide = onnx.NodeProto()
    wide.CopyFrom(node)
    wide.output[:] = [f"{n}/wide" if n in narrow else n for n in node.output]
    yield wide
    for name in made:
        rounded = f"{name}/narrow"
        yield helper.make_node("Cast", [f"{name}/wide"], [rounded], to=narrow[name])
        yield helper.make_node("Cast", [rounded], [name], to=_T.FLOAT)
