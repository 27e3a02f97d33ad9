"""Samplers of control flow that is decided at compile time, and of constants made by a node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from tests.fuzz.draft import Attributes, Draft, Value
from tests.fuzz.oracle import Unsuitable
from tests.fuzz.table import draws

UNARY = ("Relu", "Tanh", "Neg", "Abs", "Sigmoid", "Identity")
BINARY = ("Add", "Sub", "Mul", "Max")


def _some_nodes(d: Draft, read: Sequence[str], last: str, prefix: str) -> list[NodeProto]:
    """One to four nodes that end in `last`, the first of them on the first tensor to read."""
    here, nodes = read[0], []
    for i in range(d.integer(1, 4)):
        name = f"{prefix}_{i}"
        if d.chance(0.5):
            nodes.append(helper.make_node(d.one_of(UNARY), [here], [name]))
        else:
            pair = [here, d.one_of(read)]
            nodes.append(helper.make_node(d.one_of(BINARY), pair, [name]))
        here = name
    nodes[-1].output[0] = last
    return nodes


def _info(name: str, value: Value | None = None) -> onnx.ValueInfoProto:
    if value is None:
        return helper.make_empty_tensor_value_info(name)
    kind = helper.np_dtype_to_tensor_dtype(value.array.dtype)
    return helper.make_tensor_value_info(name, kind, value.shape)


@draws("If")
def branches(d: Draft, op: str) -> None:
    """Of values outside, by a constant condition: known, or made of constants by a node."""
    a = d.pick()
    b = d.partner(a)
    if b.array.size > a.array.size or len(b.shape) > len(a.shape):
        raise Unsuitable
    name = f"i{len(d.steps)}"
    shapes = [_info(f"{name}_{k}") for k in "te"]
    kind = helper.np_dtype_to_tensor_dtype(a.array.dtype)
    for info in shapes:
        info.type.tensor_type.elem_type = kind
    bodies = [
        helper.make_graph(_some_nodes(d, [a.name, b.name], s.name, s.name), s.name, [], [s])
        for s in shapes
    ]
    condition = d.constant(d.chance(0.5), bool)
    if d.chance(0.4):
        (condition,) = d.add("Not", [condition])
    d.add(op, [condition], captured=[a, b], then_branch=bodies[0], else_branch=bodies[1])


@draws("Loop")
def loop(d: Draft, op: str) -> None:
    """A few trips over one state; ends by their count, or by a condition on it."""
    a = d.pick()
    c = d.partner(a)
    if np.broadcast_shapes(a.shape, c.shape) != a.shape:
        raise Unsuitable
    name = f"l{len(d.steps)}"
    trip, going, state, on, result, seen = (f"{name}_{k}" for k in "tgsorn")
    trips = d.integer(1, 5)
    by_condition = d.chance(0.4)
    limit = numpy_helper.from_array(np.asarray(d.integer(0, trips), np.int64), f"{name}_limit")
    scaled = numpy_helper.from_array(np.asarray(0.5, a.array.dtype), f"{name}_half")
    nodes = [
        helper.make_node("Less", [trip, limit.name], [on]) if by_condition
        else helper.make_node("Identity", [going], [on]),
        helper.make_node("Mul", [state, scaled.name], [f"{name}_m"]),
        *_some_nodes(d, [f"{name}_m", c.name], result, name),
        helper.make_node(d.one_of(UNARY), [result], [seen]),
    ]  # fmt: skip
    body = helper.make_graph(
        nodes,
        name,
        [
            helper.make_tensor_value_info(trip, TensorProto.INT64, []),
            helper.make_tensor_value_info(going, TensorProto.BOOL, []),
            _info(state, a),
        ],
        [helper.make_tensor_value_info(on, TensorProto.BOOL, []), _info(result, a), _info(seen, a)],
        [limit, scaled],
    )
    first: list[Value | None] = [
        d.constant(trips),
        d.constant(True, bool) if d.chance(0.6) else None,
    ]
    d.add(op, [*first, a], 2, captured=[c], body=body)


@draws("Scan")
def scan(d: Draft, op: str) -> None:
    """A running state and a result of each step, along any axis, from either end."""
    if d.opset < 9:
        raise Unsuitable
    x = d.pick(rank=(1, 3), where=lambda v: max(v.shape) < 20)
    axis = d.integer(0, x.rank - 1)
    slice_shape = x.shape[:axis] + x.shape[axis + 1 :]
    start = d.fresh("float32", slice_shape)
    name = f"c{len(d.steps)}"
    state, piece, result, seen = (f"{name}_{k}" for k in "sprn")
    scaled = numpy_helper.from_array(np.asarray(0.5, x.array.dtype), f"{name}_half")
    nodes = [
        helper.make_node("Mul", [state, scaled.name], [f"{name}_m"]),
        helper.make_node("Add", [f"{name}_m", piece], [result]),
        *_some_nodes(d, [result, piece], seen, name),
    ]
    each = _info(state, start)
    infos = [onnx.ValueInfoProto(name=n, type=each.type) for n in (piece, result, seen)]
    body = helper.make_graph(nodes, name, [each, infos[0]], infos[1:], [scaled])
    given: Attributes = {"scan_input_axes": [axis], "scan_input_directions": [d.integer(0, 1)]}
    if d.chance(0.5):
        given["scan_output_axes"] = [d.integer(0, len(slice_shape))]
        given["scan_output_directions"] = [d.integer(0, 1)]
    d.add(op, [start, x], 2, num_scan_inputs=1, body=body, **given)


@draws("Constant")
def constant(d: Draft, op: str) -> None:
    numbers = [round(float(v), 3) for v in d.rng.uniform(-3, 3, d.integer(1, 9))]
    kinds = ["value"]
    if d.opset >= 12:
        kinds += ["value_float", "value_floats", "value_int", "value_ints"]
    kind = d.one_of(kinds)
    if kind == "value":
        made = d.fresh(d.one_of(("float32", "int32", "int64", "bool")), d.shape(0, 3)).array
        d.add(op, [], exact=True, value=numpy_helper.from_array(made))
    else:
        whole = [int(v) for v in numbers]
        several = whole if "int" in kind else numbers
        given: Attributes = {kind: several if kind.endswith("s") else several[0]}
        d.add(op, [], exact=True, **given)
