"""A host section as an ONNX model of its own: its nodes as they stand, constants taken in.

The same section gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.errors import CapacityError
from compiler.frontends.onnx.model import Model
from compiler.graph.graph import Array
from compiler.partition.calls import Call
from compiler.partition.cut import Border

LARGEST_BYTES = (1 << 31) - 1  # of a serialised protobuf message
NEWEST_IR = 11  # what the calls of a model need is in their operator set, not in this


def host_model(
    model: Model,
    calls: Sequence[Call],
    border: Border,
    types: Mapping[str, onnx.TypeProto],
    constants: Mapping[str, Array],
) -> bytes:
    """The serialised model of a section.

    Raises:
        CapacityError: SYS-P003, its constants are more than one message holds.
    """
    original = {t.name: t for t in model.proto.graph.initializer}
    read = dict.fromkeys(r for c in calls for r in c.reads)
    weights = []
    for name in read:
        if name in constants:
            weights.append(numpy_helper.from_array(np.ascontiguousarray(constants[name]), name))
        elif name in original:  # text: no array of ours
            weights.append(original[name])
    _check_size(weights)
    graph = helper.make_graph(
        [c.proto for c in calls],
        model.proto.graph.name or "host",
        [_info(n, types) for n in border.takes],
        [_info(n, types) for n in border.gives],
        weights,
        sparse_initializer=[
            s for s in model.proto.graph.sparse_initializer if s.values.name in read
        ],
    )
    entries = [helper.make_opsetid(domain, v) for domain, v in sorted(model.opsets.items())]
    proto = helper.make_model(
        graph,
        opset_imports=entries,
        functions=list(model.proto.functions),
        ir_version=min(model.proto.ir_version or NEWEST_IR, NEWEST_IR),
        producer_name="systola",
    )
    return bytes(proto.SerializeToString(deterministic=True))


def _info(name: str, types: Mapping[str, onnx.TypeProto]) -> onnx.ValueInfoProto:
    kind = types.get(name)
    known = kind is not None and kind.WhichOneof("value") is not None
    return onnx.ValueInfoProto(name=name, type=kind if known else None)


def _check_size(weights: Sequence[onnx.TensorProto]) -> None:
    size = sum(len(w.raw_data) for w in weights)
    if size > LARGEST_BYTES:
        largest = max(weights, key=lambda w: len(w.raw_data))
        raise CapacityError(
            "SYS-P003",
            "the constants of a section of the host fit in one ONNX message",
            found=f"{size} bytes, of which {len(largest.raw_data)} are {largest.name!r}; "
            f"at most {LARGEST_BYTES}",
            hint="keep the operations that read it on the device, or cut the model",
        )
