"""Weights: inside the file, beside it, sparse, and of every type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.systola.bad_models.case import (
    ADD,
    LEGAL,
    Arguments,
    Case,
    Write,
    added,
    changed,
    file,
    text,
    weight,
)


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
