"""Files that are no models, and versions that are not known."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from tests.systola.bad_models.case import (
    RELU,
    Arguments,
    Case,
    changed,
    file,
    graph,
    text,
    weight,
)


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
