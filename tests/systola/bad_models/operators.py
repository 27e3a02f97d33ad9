"""Nodes whose operands or attributes do not fit their operator."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from tests.systola.bad_models.case import (
    LEGAL,
    Case,
    Write,
    file,
    graph,
    text,
)


def node(op: str, x: str, y: str, more: str = "", attributes: str = "", before: str = "") -> Write:
    attributes = f"<{attributes}>" if attributes else ""
    body = f"{before} y = {op}{attributes}(x{more})"
    return graph(f"agraph ({x} x) => ({y} y) {{ {body} }}")


def conv(x: str, w: str, attributes: str = "") -> Write:
    attributes = f"<{attributes}>" if attributes else ""
    return graph(f"agraph (float[{x}] x, float[{w}] w) => (float[1,4,a,b] y) "
                 f"{{ y = Conv{attributes}(x, w) }}")  # fmt: skip


def const(name: str, kind: str, values: str) -> str:
    count = len(values.split(","))
    return f"{name} = Constant<value = {kind}[{count}] {{{values}}}>() "


def _zero_point() -> onnx.ModelProto:
    model = text("agraph (float[4] x) => (int8[4] y) { y = QuantizeLinear(x, s, z) }")
    scale = numpy_helper.from_array(np.asarray(0.1, np.float32), "s")
    model.graph.initializer.extend([scale, numpy_helper.from_array(np.asarray(3, np.float32), "z")])
    return model


NODES = [
    Case("operands of two types", "SYS-F111", graph(
        "agraph (float[2] x, int64[2] w) => (float[2] y) { y = Add(x, w) }")),
    Case("a type that the operator lacks", "SYS-P004", graph(
        "agraph (string[2] x) => (string[2] y) { y = Relu(x) }")),
    Case("an attribute of another type", "SYS-F003", node("Relu", "float[2]", "float[2]",
                                                        attributes="alpha = 1.0")),
    Case("an axis that is text", "SYS-F003", node("Softmax", "float[2]", "float[2]",
                                                attributes='axis = "last"')),
    Case("an attribute left out", "SYS-F003", node("Cast", "float[2]", "float[2]")),
    Case("an operand too few", "SYS-F003", node("Add", "float[2]", "float[2]")),
    Case("an operand too many", "SYS-F003", node("Relu", "float[2]", "float[2]", ", x")),
    Case("a cast to nothing", "SYS-P004", node("Cast", "float[2]", "float[2]",
                                             attributes="to = 99")),
    Case("shapes that do not broadcast", "SYS-F112", graph(
        "agraph (float[2,3] x, float[4] w) => (float[2,3] y) { y = Add(x, w) }")),
    Case("a product that does not fit", "SYS-F114", graph(
        "agraph (float[2,3] x, float[4,5] w) => (float[2,5] y) { y = MatMul(x, w) }")),
    Case("a rank that does not fit", "SYS-F114", conv("1,3,8", "4,3,3,3")),
    Case("channels that do not fit", "SYS-F114", conv("1,3,8,8", "4,2,3,3")),
    Case("groups that do not divide", "SYS-F114", conv("1,3,8,8", "4,3,3,3", "group = 2")),
    Case("no groups", "SYS-F015", conv("1,3,8,8", "4,3,3,3", "group = 0")),
    Case("a kernel larger than its input", "SYS-F115", conv("1,3,2,2", "4,3,3,3")),
    Case("a kernel of another shape", "SYS-F113", conv("1,3,8,8", "4,3,3,3",
                                                     "kernel_shape = [5, 5]")),
    Case("a stride of zero", "SYS-F113", conv("1,3,8,8", "4,3,3,3", "strides = [0, 1]")),
    Case("a dilation of zero", "SYS-F113", conv("1,3,8,8", "4,3,3,3", "dilations = [0, 1]")),
    Case("negative padding", "SYS-P004", conv("1,3,8,8", "4,3,3,3", "pads = [-9, 0, 0, 0]")),
    Case("padding of another rank", "SYS-F113", conv("1,3,8,8", "4,3,3,3", "pads = [1, 1]")),
    Case("an enormous kernel", "SYS-F130", node(
        "MaxPool", "float[1,1,8,8]", "float[1,1,a,b]",
        attributes=f"kernel_shape = [2, 2], pads = [0, 0, {1 << 60}, 0], ceil_mode = 1")),
    Case("a reshape that does not fit", "SYS-F116", node(
        "Reshape", "float[2,3]", "float[4,2]", ", s", before=const("s", "int64", "4, 2"))),
    Case("a reshape with two open extents", "SYS-F116", node(
        "Reshape", "float[2,3]", "float[a,b]", ", s", before=const("s", "int64", "-1, -1"))),
    Case("a transposition that is none", "SYS-F117", node(
        "Transpose", "float[2,3]", "float[2,3]", attributes="perm = [0, 0]")),
    Case("an axis out of range", "SYS-F117", node(
        "Softmax", "float[2,3]", "float[2,3]", attributes="axis = 2")),
    Case("a gather axis out of range", "SYS-F117", node(
        "Gather", "float[2,3]", "float[1,3]", ", i", "axis = 5", const("i", "int64", "0"))),
    Case("an index out of range", "SYS-F119", node(
        "Gather", "float[2,3]", "float[1,3]", ", i", "axis = 0", const("i", "int64", "7"))),
    Case("a slice that stands still", "SYS-F113", node(
        "Slice", "float[4]", "float[a]", ", b, e, a, s", before=const("b", "int64", "0")
        + const("e", "int64", "4") + const("a", "int64", "0") + const("s", "int64", "0"))),
    Case("parts that do not join", "SYS-F118", graph(
        "agraph (float[2,3] x, float[2,3,1] w) => (float[a,b] y) "
        "{ y = Concat<axis = 0>(x, w) }")),
    Case("a split that does not add up", "SYS-F120", graph(
        "agraph (float[4] x) => (float[a] y, float[b] z) "
        "{ s = Constant<value = int64[2] {1, 2}>()  y, z = Split(x, s) }")),
    Case("a squeeze of an extent of 2", "SYS-F116", node(
        "Squeeze", "float[2,3]", "float[3]", ", a", before=const("a", "int64", "0"))),
    Case("an expansion beyond bounds", "SYS-F130", node(
        "Expand", "float[2,1]", "float[a,b]", ", s",
        before=const("s", "int64", f"2, {1 << 40}"))),
    Case("an expansion that overflows", "SYS-F130", node(
        "Expand", "float[1]", "float[a,b,c]", ", s",
        before=const("s", "int64", f"{1 << 62}, {1 << 62}, 4"))),
    Case("a constant beyond bounds", "SYS-F130", graph(
        "agraph (float[2] x) => (float[a] y) "
        f"{{ s = Constant<value = int64[1] {{{1 << 62}}}>()  c = ConstantOfShape(s)  y = c }}"
        .replace("y = c", "y = Add(x, c)"))),
    Case("a constant of negative shape", "SYS-F112", graph(
        "agraph (float[2] x) => (float[a] y) "
        "{ s = Constant<value = int64[1] {-5}>()  c = ConstantOfShape(s)  y = Add(x, c) }")),
    Case("a negative repeat", "SYS-F112", node(
        "Tile", "float[2]", "float[a]", ", s", before=const("s", "int64", "-3"))),
    Case("negative padding beyond the input", "SYS-P004", node(
        "Pad", "float[2]", "float[a]", ", s", before=const("s", "int64", "-9, 0"))),
    Case("a resize to nothing", "SYS-P004", graph(
        "agraph (float[1,1,2,2] x) => (float[a,b,c,d] y) "
        "{ s = Constant<value = float[4] {1.0, 1.0, -2.0, 1.0}>()  y = Resize(x, , s) }")),
    Case("a zero point of another type", "SYS-P004", file(_zero_point)),
    Case("an einsum that is none", "SYS-F015", node(
        "Einsum", "float[2,3]", "float[2]", attributes='equation = "i&->!"')),
    Case("k larger than its axis", "SYS-F113", graph(
        "agraph (float[4] x) => (float[a] y, int64[b] z) "
        "{ k = Constant<value = int64[1] {9}>()  y, z = TopK(x, k) }")),
    Case("an empty tensor among others", LEGAL, graph(
        "agraph (float[0,3] x, float[2,3] w) => (float[2,3] y) "
        "{ c = Concat<axis = 0>(x, w)  y = Relu(c) }")),
    Case("tensors without elements", "SYS-P004", graph(
        "agraph (float[0,3] x) => (float[0,3] y) { y = Relu(x) }")),
]  # fmt: skip
