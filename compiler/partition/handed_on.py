"""Outputs of a model that no node makes: an input, or an initializer, under its own name.

The first is at hand when the sections have run. The second is made by a section of the host that
holds nothing else. (Where a whole model is for the device, it writes its initializers itself.)
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.frontends.onnx.model import Model
from compiler.graph.graph import Array
from compiler.partition.calls import Call
from compiler.partition.model import HostOp
from compiler.partition.probe import Probed


def hands_on_an_input(model: Model) -> bool:
    """Whether an output is an input, which one program has no two tensors for."""
    inputs = {i.name for i in model.proto.graph.input}
    return any(o.name in inputs for o in model.proto.graph.output)


def handed_on(probed: Probed) -> tuple[HostOp, ...]:
    """The outputs that no node makes, as operations of the host."""
    made = {w for call in probed.calls for w in call.writes}
    return tuple(
        HostOp(name, "Identity" if name in probed.inputs else "Constant",
               "it is an output as it stands: nothing computes it")
        for name in probed.outputs if name not in made
    )  # fmt: skip


def constants_as_calls(model: Model, probed: Probed, handed: Iterable[HostOp]) -> list[Call]:
    """Nodes that make the initializers among the outputs."""
    stored = {t.name: t for t in model.proto.graph.initializer}
    found = []
    for name in (op.node for op in handed if op.node not in probed.inputs):
        node = onnx.NodeProto(op_type="Constant", name=name, output=[name])
        if name in probed.constants:
            tensor = _tensor(probed.constants[name])
            node.attribute.append(helper.make_attribute("value", tensor))
        elif name in stored:
            node.attribute.append(helper.make_attribute("value", stored[name]))
        else:
            node.attribute.append(_sparse(model, name))
        found.append(Call(name, "Constant", node, (), (name,)))
    return found


def _tensor(array: Array) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array, order="C"))


def _sparse(model: Model, name: str) -> onnx.AttributeProto:
    sparse = model.proto.graph.sparse_initializer
    return helper.make_attribute("sparse_value", next(s for s in sparse if s.values.name == name))
