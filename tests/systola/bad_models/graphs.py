"""Graphs that break the rules of graphs."""

from __future__ import annotations

from collections.abc import Callable

import onnx
from onnx import TensorProto, helper

from tests.systola.bad_models.case import (
    ADD,
    ONES,
    RELU,
    Case,
    changed,
    file,
    graph,
    text,
    weight,
)


def _bytes_in_name() -> bytes:
    model = text(RELU)
    model.graph.node[0].name = "r"
    return bytes(model.SerializeToString().replace(b"\x01r", b"\x01\xff"))


def _two_weights(model: onnx.ModelProto) -> None:
    model.graph.initializer.extend([weight(ONES), weight(2 * ONES)])


def _no_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].ClearField("type")


def _element_type(model: onnx.ModelProto, number: int) -> None:
    model.graph.input[0].type.tensor_type.elem_type = number


def _no_nodes(model: onnx.ModelProto) -> None:
    del model.graph.node[:]


def _cycle_of_functions() -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    call = helper.make_node("F", ["a"], ["b"], domain="own")
    back = helper.make_node("G", ["a"], ["b"], domain="own")
    model = text("agraph (float[2] x) => (float[2] y) { y = own.G(x) }")
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(helper.make_function("own", "G", ["a"], ["b"], [call], opsets))
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [back], opsets))
    return model


def _function_without_output() -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 17)]
    node = helper.make_node("Relu", ["a"], ["c"])
    model = text("agraph (float[2] x) => (float[2] y) { y = own.G(x) }")
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(helper.make_function("own", "G", ["a"], ["b"], [node], opsets))
    return model


def _nested(depth: int) -> Callable[[], bytes]:
    """`If` in `If`, written from the inside: protobuf's own writer would not."""

    def field(number: int, data: bytes) -> bytes:
        size, head = len(data), bytearray()
        while size > 127:
            head.append(size & 127 | 128)
            size >>= 7
        return bytes([number << 3 | 2, *head, size]) + data

    def make() -> bytes:
        inner = field(1, helper.make_node("Identity", ["x"], ["y"]).SerializeToString())
        inner += field(2, b"g") + field(12, helper.make_tensor_value_info(
            "y", TensorProto.FLOAT, [2]).SerializeToString())  # fmt: skip
        for _ in range(depth):
            branch = field(1, b"then_branch") + field(6, inner) + b"\xa0\x01\x05"
            other = field(1, b"else_branch") + field(6, field(2, b"e")) + b"\xa0\x01\x05"
            node = field(1, b"c") + field(2, b"y") + field(4, b"If") + field(5, branch)
            inner = field(1, node + field(5, other)) + field(2, b"g")
        for number, name, kind in ((11, "x", 1), (11, "c", 9), (12, "y", 1)):
            shape = [] if name == "c" else [2]
            info = helper.make_tensor_value_info(name, kind, shape)
            inner += field(number, info.SerializeToString())
        return b"\x08\x08" + field(7, inner) + field(8, b"\x0a\x00\x10\x11")

    return make


GRAPHS = [
    Case("no outputs", "SYS-F017", changed(lambda m: m.graph.ClearField("output"))),
    Case("no nodes", "SYS-F003", changed(_no_nodes)),
    Case("no name", "SYS-F003", changed(lambda m: m.graph.ClearField("name"))),
    Case("a name that is not text", "SYS-F014", file(_bytes_in_name)),
    Case(
        "a cycle",
        "SYS-F003",
        graph("agraph (float[2] x) => (float[2] b) { a = Add(x, b)  b = Relu(a) }"),
    ),
    Case("a node that reads itself", "SYS-F003", graph(
        "agraph (float[2] x) => (float[2] y) { y = Add(x, y) }")),
    Case("a weight that is missing", "SYS-F003", graph(ADD)),
    Case("an output that nobody makes", "SYS-F003", graph(
        "agraph (float[2] x) => (float[2] y, float[2] z) { y = Relu(x) }")),
    Case("a name made twice", "SYS-F003", graph(
        "agraph (float[2] x) => (float[2] y) { y = Relu(x)  y = Neg(x) }")),
    Case("a name made twice by a node", "SYS-F003", graph(
        "agraph (float[4] x) => (float[2] y) { y, y = Split(x) }")),
    Case("an input that a node makes", "SYS-F003", graph(
        "agraph (float[2] x) => (float[2] x) { x = Relu(x) }")),
    Case("an input twice", "SYS-F003", graph(
        "agraph (float[2] x, float[2] x) => (float[2] y) { y = Relu(x) }")),
    Case("an output twice", "SYS-F017", graph(
        "agraph (float[2] x) => (float[2] y, float[2] y) { y = Relu(x) }")),
    Case("a weight twice", "SYS-F003", changed(_two_weights, ADD)),
    Case("an input without a type", "SYS-F003", changed(_no_type)),
    Case("an input of type 0", "SYS-P004", changed(lambda m: _element_type(m, 0))),
    Case("an input of type 99", "SYS-P004", changed(lambda m: _element_type(m, 99))),
    Case("functions in a circle", "SYS-F003", file(_cycle_of_functions)),
    Case("a function that makes nothing", "SYS-F013", file(_function_without_output)),
    Case("20 subgraphs in each other", "SYS-P004", file(_nested(20))),
    Case("40 subgraphs in each other", "SYS-F002", file(_nested(40))),
    Case("1,000 subgraphs in each other", "SYS-F002", file(_nested(1000))),
    Case("10,000 subgraphs in each other", "SYS-F002", file(_nested(10_000))),
    Case("a text input", "SYS-P004", graph(
        "agraph (string[2] x) => (string[2] y) { y = Identity(x) }")),
    Case("a sequence input", "SYS-P004", graph(
        "agraph (seq(float[2]) x) => (seq(float[2]) y) { y = Identity(x) }")),
    Case("an optional input", "SYS-P004", graph(
        "agraph (optional(float[2]) x) => (optional(float[2]) y) { y = Identity(x) }")),
]  # fmt: skip
