"""A case, and the pieces that its model is written with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper, parser

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
