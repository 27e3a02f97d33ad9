"""Models that are bad, and models that only look it: what each is, and what becomes of it.

A case writes its model into an empty folder and gives the arguments of `systola compile`: the
model's path, then options. `LEGAL` stands for a model that compiles.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

Arguments = list[str]
Write = Callable[[Path], Arguments]
LEGAL = "legal"
ADD = "agraph (float[4] x) => (float[4] y) { y = Add(x, w) }"
RELU = "agraph (float[2,3] x) => (float[2,3] y) { y = Relu(x) }"


@dataclass(frozen=True)
class Case:
    """A model, and the code that it is refused with."""

    name: str
    code: str
    write: Write


def text(graph: str, head: str = 'ir_version: 8, opset_import: ["": 17]') -> onnx.ModelProto:
    """A model in ONNX's text form."""
    return parser.parse_model(f"<{head}> {graph}")


def file(make: Callable[[], bytes | onnx.ModelProto], *options: str) -> Write:
    """Write what is made as m.onnx."""

    def write(folder: Path) -> Arguments:
        made = make()
        data = made if isinstance(made, bytes) else made.SerializeToString()
        (folder / "m.onnx").write_bytes(data)
        return [str(folder / "m.onnx"), *options]

    return write


def graph(body: str, *options: str, head: str = 'ir_version: 8, opset_import: ["": 17]') -> Write:
    return file(lambda: text(body, head), *options)


def changed(change: Callable[[onnx.ModelProto], Any], body: str = RELU) -> Write:
    """A good model with one thing changed."""

    def make() -> onnx.ModelProto:
        model = text(body)
        change(model)
        return model

    return file(make)


def weight(data: Any = None, **fields: Any) -> onnx.TensorProto:
    """The weight of ADD: ones, unless `fields` say otherwise."""
    if data is not None:
        return numpy_helper.from_array(np.asarray(data), "w")
    whole: dict[str, Any] = {"data_type": TensorProto.FLOAT, "dims": [4], "name": "w", **fields}
    return TensorProto(**whole)


def added(tensor: Callable[[], onnx.TensorProto], body: str = ADD) -> Write:
    return changed(lambda model: model.graph.initializer.append(tensor()), body)


ONES = np.ones(4, np.float32)


# --- files ---------------------------------------------------------------------------------------


def _folder(folder: Path) -> Arguments:
    (folder / "m.onnx").mkdir()
    return [str(folder / "m.onnx")]


def _link_to_itself(folder: Path) -> Arguments:
    (folder / "m.onnx").symlink_to(folder / "m.onnx")
    return [str(folder / "m.onnx")]


def _fifo(folder: Path) -> Arguments:
    os.mkfifo(folder / "m.onnx")
    return [str(folder / "m.onnx")]


def _cut() -> bytes:
    return bytes(text(RELU).SerializeToString()[:-9])


def _large_cut() -> bytes:
    model = text("agraph (float[4096] x) => (float[4096] y) { y = Add(x, w) }")
    model.graph.initializer.append(weight(np.ones(4096, np.float32)))
    return bytes(model.SerializeToString()[:-9000])


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 4\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(64))
FILES = [
    Case("no file", "SYS-F001", lambda folder: [str(folder / "none.onnx")]),
    Case("a folder", "SYS-F001", _folder),
    Case("a link to itself", "SYS-F001", _link_to_itself),
    Case("a pipe", "SYS-F001", _fifo),
    Case("a name too long", "SYS-F001", lambda folder: [str(folder / ("m" * 300))]),
    Case("an empty file", "SYS-F002", file(lambda: b"")),
    Case("text", "SYS-F002", file(lambda: b"import torch\n" * 30)),
    Case("a Git LFS pointer", "SYS-F002", file(lambda: LFS)),
    Case("an image", "SYS-F002", file(lambda: PNG)),
    Case("zeros", "SYS-F002", file(lambda: bytes(5000))),
    Case("noise", "SYS-F002", file(lambda: np.random.default_rng(5).bytes(20000))),
    Case("cut short", "SYS-F002", file(_cut)),
    Case("cut short in a weight", "SYS-F002", file(_large_cut)),
    Case("a model of nothing", "SYS-F002", file(onnx.ModelProto)),
    Case("no operator set", "SYS-F002", changed(lambda m: m.ClearField("opset_import"))),
    Case("no graph", "SYS-F002", changed(lambda m: m.ClearField("graph"))),
]


# --- versions ------------------------------------------------------------------------------------


def _opset(model: onnx.ModelProto, version: int) -> None:
    model.opset_import[0].version = version


def _twice(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("", 13))


def _ir(model: onnx.ModelProto, version: int) -> None:
    model.ir_version = version


VERSIONS = [
    Case("an opset too old", "SYS-F201", changed(lambda m: _opset(m, 6))),
    Case("an opset too new", "SYS-F202", changed(lambda m: _opset(m, 9999))),
    Case("a negative opset", "SYS-F201", changed(lambda m: _opset(m, -(2**62)))),
    Case("an operator set twice", "SYS-F016", changed(_twice)),
    Case("a format of the future", "SYS-F003", changed(lambda m: _ir(m, 4711))),
    Case("no format version", "SYS-F003", changed(lambda m: m.ClearField("ir_version"))),
    Case(
        "a domain that is not imported",
        "SYS-F003",
        graph("agraph (float[2] x) => (float[2] y) { y = acme.Relu(x) }"),
    ),
    Case(
        "an unknown domain",
        "SYS-P004",
        graph(
            "agraph (float[2] x) => (float[2] y) { y = acme.Frob(x) }",
            head='ir_version: 8, opset_import: ["": 17, "acme": 1]',
        ),
    ),
    Case(
        "an unknown operator",
        "SYS-F003",
        graph("agraph (float[2] x) => (float[2] y) { y = Frobnicate(x) }"),
    ),
    Case(
        "an operator of a later opset",
        "SYS-F003",
        graph(
            "agraph (float[2,4] x) => (float[2,4] y) { y = Gelu(x) }",
        ),
    ),
]


# --- graphs --------------------------------------------------------------------------------------


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


# --- weights -------------------------------------------------------------------------------------


def external(*, data: bytes | None = bytes(16), dims: tuple[int, ...] = (4,), **keys: str) -> Write:
    """ADD with its weight beside the model."""

    def write(folder: Path) -> Arguments:
        model = text(ADD)
        tensor = weight(dims=dims, data_location=TensorProto.EXTERNAL)
        for key, value in ({"location": "w.bin"} | keys).items():
            tensor.external_data.add(key=key, value=value)
        model.graph.initializer.append(tensor)
        inside = folder / "model"
        inside.mkdir()
        (folder / "secret.bin").write_bytes(bytes(16))
        (inside / "link.bin").symlink_to(folder / "secret.bin")
        if data is not None:
            (inside / "w.bin").write_bytes(data)
        (inside / "m.onnx").write_bytes(model.SerializeToString())
        return [str(inside / "m.onnx")]

    return write


def _sparse(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))


def _sparse_outside(model: onnx.ModelProto) -> None:
    _sparse(model)
    model.graph.sparse_initializer[0].indices.raw_data = np.int64(9).tobytes()


def _untyped(made: Write) -> Write:
    """The same model, its outputs without shapes."""

    def write(folder: Path) -> Arguments:
        (path,) = made(folder)
        model = onnx.load(path, load_external_data=False)
        model.graph.output[0].type.tensor_type.ClearField("shape")
        Path(path).write_bytes(model.SerializeToString())
        return [path]

    return write


def _named_external(folder: Path) -> Arguments:
    """A file name that is no file name."""
    return external(location="w\0.bin")(folder)


def _in_attribute() -> onnx.ModelProto:
    model = text(ADD)
    tensor = weight(data_location=TensorProto.EXTERNAL, name="")
    tensor.external_data.add(key="location", value="../secret.bin")
    node = helper.make_node("Constant", [], ["w"], value=tensor)
    model.graph.node.insert(0, node)
    return model


HUGE = [1 << 62, 1 << 62]
WEIGHTS = [
    Case("beside the model", LEGAL, external()),
    Case("beside the model, outputs without types", LEGAL, _untyped(external())),
    Case("no data file", "SYS-F003", external(data=None)),
    Case("no data file, outputs without types", "SYS-F008", _untyped(external(data=None))),
    Case("a data file too short", "SYS-F009", external(data=bytes(12))),
    Case("data in a folder above", "SYS-F003", external(location="../secret.bin")),
    Case("data at an absolute path", "SYS-F003", external(location="/etc/hostname")),
    Case("data behind a link", "SYS-F003", external(location="link.bin")),
    Case("data in a folder itself", "SYS-F003", external(location=".")),
    Case("data without a place", "SYS-F003", external(location="")),
    Case("data at an impossible name", "SYS-F003", _named_external),
    Case("data at a negative offset", "SYS-F009", external(offset="-4")),
    Case("data behind the end", "SYS-F009", external(offset="8")),
    Case("data far behind the end", "SYS-F009", external(offset=str(1 << 63))),
    Case("an offset that is no number", "SYS-F009", external(offset="many")),
    Case("a length that is no number", "SYS-F009", external(length="0x10")),
    Case("a length of another shape", "SYS-F009", external(length="12")),
    Case("a checksum of other data", "SYS-F018", external(checksum="0" * 40)),
    Case("external data in an attribute", "SYS-F003", file(_in_attribute)),
    Case("external and enormous", "SYS-F009", external(dims=(1 << 62, 1 << 62))),
    Case("too few bytes", "SYS-F003", added(lambda: weight(raw_data=bytes(12)))),
    Case("too many bytes", "SYS-F006", added(lambda: weight(raw_data=bytes(20)))),
    Case("too few numbers", "SYS-F003", added(lambda: weight(float_data=[1.0, 2.0]))),
    Case("data in two forms", "SYS-F003", added(
        lambda: weight(float_data=[1.0] * 4, raw_data=bytes(16)))),
    Case("data in another type's field", "SYS-F003", added(lambda: weight(int64_data=[1] * 4))),
    Case("no data", "SYS-F003", added(weight)),
    Case("a negative extent", "SYS-F003", added(lambda: weight(dims=[-4], raw_data=bytes(16)))),
    Case("two negative extents", "SYS-F003", added(
        lambda: weight(dims=[-2, -2], raw_data=bytes(16)))),
    Case("an enormous shape", "SYS-F003", added(lambda: weight(dims=HUGE, raw_data=bytes(16)))),
    Case("a shape that overflows to zero", "SYS-F003", added(
        lambda: weight(dims=[1 << 32, 1 << 32], raw_data=b""))),
    Case("a weight of type 0", "SYS-F003", added(lambda: weight(data_type=0, raw_data=bytes(16)))),
    Case("a weight of type 99", "SYS-P004", added(
        lambda: weight(data_type=99, raw_data=bytes(16)))),
    Case("a weight without a name", "SYS-F003", added(lambda: weight(name="", raw_data=bytes(16)))),
    Case("a text weight", "SYS-P004", added(
        lambda: weight(data_type=TensorProto.STRING, string_data=[b"a"] * 4))),
    Case("a sparse weight", "SYS-P004", changed(_sparse, ADD)),
    Case("a sparse weight outside its shape", "SYS-F003", changed(_sparse_outside, ADD)),
    Case("an odd number of INT4", LEGAL, added(
        lambda: weight(data_type=TensorProto.INT4, dims=[3], raw_data=b"\x21\x03"),
        "agraph (float[3] x) => (float[3] y) { c = Cast<to=1>(w)  y = Add(x, c) }")),
    Case("too few INT4", "SYS-F003", added(
        lambda: weight(data_type=TensorProto.INT4, dims=[3], raw_data=b"\x21"),
        "agraph (float[3] x) => (float[3] y) { c = Cast<to=1>(w)  y = Add(x, c) }")),
    Case("FP8 with NaN", LEGAL, added(
        lambda: weight(data_type=TensorProto.FLOAT8E4M3FN, raw_data=b"\x7f\xff\x7e\x38"),
        "agraph (float[4] x) => (float[4] y) { c = Cast<to=1>(w)  y = Add(x, c) }")),
    Case("NaN and infinities", LEGAL, added(
        lambda: weight(np.asarray([np.nan, np.inf, -np.inf, 1], np.float32)))),
]  # fmt: skip


# --- operators -----------------------------------------------------------------------------------


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


# --- subgraphs, shapes and options ---------------------------------------------------------------

IF = "agraph (bool c, float[2] x) => (float[2] y) {{ y = If(c) <then_branch = g1 () => {} " \
     "else_branch = g2 () => (float[2] b) {{ b = Neg(x) }}> }}"  # fmt: skip
LOOP = "agraph (float[2] x) => (float[2] y) {{ {} y = Loop(t, , x) <body = g1 {}> }}"
TRIPS = "t = Constant<value = int64 {3}>() "
FREE = "agraph (float[n,3] x) => (float[n,3] y) { y = Relu(x) }"

SUBGRAPHS = [
    Case("a branch that makes nothing", "SYS-P004", graph(IF.format("() { b = Neg(x) },"))),
    Case("a branch that makes too much", "SYS-P004", graph(
        IF.format("(float[2] a, float[2] b) { a = Neg(x)  b = Abs(x) },"))),
    Case("a branch with a dangling output", "SYS-F003", graph(
        IF.format("(float[2] a) { q = Neg(x) },"))),
    Case("a branch that is missing", "SYS-F003", graph(
        "agraph (bool c, float[2] x) => (float[2] y) "
        "{ y = If(c) <then_branch = g1 () => (float[2] b) { b = Neg(x) }> }")),
    Case("a loop body with too few outputs", "SYS-P004", graph(LOOP.format(
        TRIPS, "(int64 i, bool c, float[2] a) => (float[2] b) { b = Neg(a) }"))),
    Case("a loop whose state grows", LEGAL, graph(LOOP.format(
        TRIPS, "(int64 i, bool c, float[2] a) => (bool d, float[4] b) "
        "{ d = Identity(c)  b = Concat<axis = 0>(a, a) }"))),
    Case("a loop body with too few inputs", "SYS-F015", graph(LOOP.format(
        TRIPS, "(int64 i) => (bool d, float[2] b) "
        "{ d = Constant<value = bool {1}>()  b = Neg(x) }"))),
    Case("a loop of 2^62 trips", "SYS-P004", graph(LOOP.format(
        f"t = Constant<value = int64 {{{1 << 62}}}>() ",
        "(int64 i, bool c, float[2] a) => (bool d, float[2] b) "
        "{ d = Identity(c)  b = Neg(a) }"))),
    Case("a scan that scans nothing", "SYS-F015", graph(
        "agraph (float[2] x) => (float[2] y) { y = Scan<num_scan_inputs = 5, "
        "body = g1 (float[2] a) => (float[2] b) { b = Neg(a) }>(x) }")),
    Case("a scan without its count", "SYS-F003", graph(
        "agraph (float[2] x) => (float[2] y) { y = Scan<"
        "body = g1 (float[2] a) => (float[2] b) { b = Neg(a) }>(x) }")),
]  # fmt: skip

SHAPES = [
    Case("a shape that depends on data, before a layer", "SYS-P002", graph(
        "agraph (float[2,3] x) => (float[2,n] y) "
        "{ i = NonZero(x)  f = Cast<to = 1>(i)  y = Sqrt(f) }")),
    Case("only what depends on data", "SYS-P004", graph(
        "agraph (float[2,3] x) => (int64[2,n] y) { y = NonZero(x) }")),
    Case("a reshape by an input", "SYS-F102", graph(
        "agraph (float[2,3] x, int64[2] s) => (float[a,b] y) { y = Reshape(x, s) }")),
    Case("a free extent", "SYS-F101", graph(FREE)),
    Case("a rank that is not given", "SYS-F003", changed(
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"))),
    Case("an extent of -1", "SYS-F101", changed(
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", -1))),
    Case("an enormous input", "SYS-F130", graph(
        f"agraph (float[{1 << 62},3] x) => (float[{1 << 62},3] y) {{ y = Relu(x) }}")),
    Case("an input larger than any memory", "SYS-F130", graph(
        f"agraph (float[{1 << 39}] x) => (float[{1 << 39}] y) {{ y = Relu(x) }}")),
    Case("a shape for nobody", "SYS-F103", graph(FREE, "--shape", "z=1,3")),
    Case("a shape of another rank", "SYS-F104", graph(FREE, "--shape", "x=1,3,5")),
    Case("a shape against the model", "SYS-F104", graph(FREE, "--shape", "x=1,4")),
    Case("a negative extent given", "SYS-U000", graph(FREE, "--shape", "x=-1,3")),
    Case("an enormous extent given", "SYS-F130", graph(FREE, "--shape", f"x={1 << 62},3")),
    Case("two shapes that disagree", "SYS-F104", graph(
        "agraph (float[n] x, float[n] w) => (float[n] y) { y = Add(x, w) }",
        "--shape", "x=2", "--shape", "w=3")),
    Case("a shape that is text", "SYS-U000", graph(FREE, "--shape", "x=many")),
    Case("a shape given", LEGAL, graph(FREE, "--shape", "x=2,3")),
    Case("a batch for a model that has its own", "SYS-F105", graph(
        "agraph (float[2,3] x) => (float[2,3] y) { y = Relu(x) }", "--batch", "4")),
    Case("a batch and another shape", "SYS-F104", graph(
        FREE, "--batch", "4", "--shape", "x=2,3")),
    Case("a batch of nothing", "SYS-U000", graph(FREE, "--batch", "0")),
    Case("an enormous batch", "SYS-F130", graph(FREE, "--batch", f"{1 << 62}")),
    Case("a batch given", LEGAL, graph(FREE, "--batch", "2")),
]  # fmt: skip

CASES = [*FILES, *VERSIONS, *GRAPHS, *WEIGHTS, *NODES, *SUBGRAPHS, *SHAPES]
