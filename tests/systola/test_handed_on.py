"""Outputs that nothing computes: an input or an initializer, of whole models and of cut ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import systola
from compiler.errors import UnsupportedError

WHOLE = "y = Relu(x)"
CUT = "m = MatMul(x, x)  n = ai.onnx.ml.Binarizer(m)  y = Add(m, n)"  # the second is the host's
HANDED = {
    "an initializer": ("", "float[2] w", "float[2] w = {1, 2}"),
    "a wide integer": ("", "int64[2] w", "int64[2] w = {1, 5000000000}"),
    "text": ("", "string[2] w", 'string[2] w = {"a", "b"}'),
    "an input": ("", "float[2,2] x", ""),
    "an input of integers": (", int64[2] i", "int64[2] i", ""),
    "an input in double precision": (", double[2] i", "double[2] i", ""),
    "an input of text": (", string[2] i", "string[2] i", ""),
    "both": ("", "float[2,2] x, float[2] w", "float[2] w = {1, 2}"),
}
INPUTS = {
    "int64": np.array([1, 1 << 40]),
    "double": np.array([1.1, 2.2]),
    "string": np.array(["a", "b"], object),
}


def model_of(nodes: str, what: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    takes, gives, weights = HANDED[what]
    stored = f"<{weights}>" if weights else ""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]> agraph (float[2,2] x{takes}) '
        f"=> (float[2,2] y, {gives}) {stored} {{ {nodes} }}"
    )
    feeds: dict[str, Any] = {"x": np.array([[1, 2], [3, -4]], np.float32)}
    kind = next((k for k in INPUTS if k in takes), "")
    if kind:
        feeds["i"] = INPUTS[kind]
    return model, feeds


@pytest.mark.parametrize("what", HANDED)
@pytest.mark.parametrize("nodes", [WHOLE, CUT])
def test_it_is_handed_on_as_it_stands(nodes: str, what: str, tmp_path: Path) -> None:
    model, feeds = model_of(nodes, what)
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    made = systola.compile(model, auto_cast="none")
    assert [t.name for t in made.outputs] == [o.name for o in model.graph.output]
    assert {t.name for t in made.inputs} == set(feeds)
    made.save(tmp_path / "m.neff")
    for runs in (made, systola.load(tmp_path / "m.neff")):
        found = runs.run(feeds).outputs
        for info, array in zip(model.graph.output, wanted, strict=True):
            np.testing.assert_array_equal(found[info.name], array)
            assert np.asarray(found[info.name]).dtype.kind == np.asarray(array).dtype.kind


def test_the_device_alone_writes_initializers_but_hands_on_no_input() -> None:
    made = systola.compile(model_of(WHOLE, "an initializer")[0], must_compile=True)
    assert isinstance(made, systola.CompiledModel)
    with pytest.raises(UnsupportedError, match="SYS-P001"):
        systola.compile(model_of(WHOLE, "an input")[0], must_compile=True)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> agraph (float[2] x) => (float[2] x) '
        "{ y = Relu(x) }"
    )
    with pytest.raises(UnsupportedError, match="SYS-P004"):
        systola.compile(model)


def test_64_bit_integers_that_the_model_itself_has_are_never_narrowed() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> agraph (float[2,2] x, int64[2] i) '
        "=> (float[2,2] y, int64[4] j) <int64[2] w = {1, 5000000000}> "
        "{ y = Relu(x)  j = Concat<axis = 0>(i, w) }"
    )
    made = systola.compile(model)
    assert "32 bits" in made.report["host_ops"][0]["reason"]
    found = made.run({"x": np.ones((2, 2), np.float32), "i": np.array([-1, 7])})
    assert found.outputs["j"].tolist() == [-1, 7, 1, 5_000_000_000]
