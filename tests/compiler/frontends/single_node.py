"""One-node models, and what onnx's reference evaluator says about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from compiler.frontends.onnx import import_onnx
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import Graph
from compiler.graph.verify import verify
from compiler.graph_passes import simplify


def node_model(
    op_type: str,
    inputs: Sequence[Any],
    opset: int,
    constants: Sequence[int] = (),
    outputs: int = 1,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node; `constants` are the operands that are initializers; None is left out."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op_type, names, results, name="the_node", **attributes)
    given = [
        helper.make_tensor_value_info(
            f"x{i}", helper.np_dtype_to_tensor_dtype(np.asarray(x).dtype), np.shape(x)
        )
        for i, x in enumerate(inputs)
        if x is not None and i not in constants
    ]
    weights = [numpy_helper.from_array(np.asarray(inputs[i]), f"x{i}") for i in constants]
    wanted = [onnx.ValueInfoProto(name=name) for name in results]
    graph = helper.make_graph([node], "one_node", given, wanted, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    for output in model.graph.output:  # an operator that inference leaves out: as its operand
        if output.type.WhichOneof("value") is None:
            output.type.tensor_type.elem_type = given[0].type.tensor_type.elem_type
    return model


def check_node(
    op_type: str,
    inputs: Sequence[Any],
    opset: int,
    constants: Sequence[int] = (),
    outputs: int = 1,
    expected: Sequence[Any] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    **attributes: Any,
) -> Graph:
    """The imported and the simplified node agree with the reference; returns the simplified one."""
    model = node_model(op_type, inputs, opset, constants, outputs, **attributes)
    feeds = {
        f"x{i}": np.asarray(x) for i, x in enumerate(inputs) if x is not None and i not in constants
    }
    if expected is None:
        expected = list(ReferenceEvaluator(model).run(None, feeds))
    graph = import_onnx(model)
    simple = simplify(graph)
    for candidate in (graph, simple):
        verify(candidate)
        found = evaluate(candidate, feeds)
        for i, wanted in enumerate(expected):
            array = found[f"y{i}"]
            assert array.shape == np.shape(wanted)
            assert array.dtype == np.asarray(wanted).dtype
            np.testing.assert_allclose(
                array.astype(np.float64), np.asarray(wanted, np.float64), rtol=rtol, atol=atol
            )
    return simple
