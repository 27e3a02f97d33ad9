"""Models in sections against onnxruntime: every reason for a cut, in FP32."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import neff
import systola
from compiler.errors import ShapeError, UnsupportedError, UsageError
from isa.errors import SystolaError
from tests.compiler.partition.cut_models import (
    CASES,
    F,
    X,
    bert,
    between,
    data_dependent,
    node,
    tied,
)


def reference(model: onnx.ModelProto, inputs: dict[str, Any]) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return list(session.run(None, inputs))


def in_sections(model: onnx.ModelProto, **options: Any) -> neff.PartitionedNeff:
    """The file of a model that has sections."""
    made = systola.compile(model, **options).neff
    assert isinstance(made, neff.PartitionedNeff)
    return made


@pytest.mark.parametrize("name", CASES)
def test_a_cut_model_gives_what_onnxruntime_gives(name: str) -> None:
    model, inputs, options, operators, turns = CASES[name]
    compiled = systola.compile(model, auto_cast="none", **options)
    report = compiled.report
    assert [op["op"] for op in report["host_ops"]] == operators
    assert all(op["reason"] and op["node"] for op in report["host_ops"])
    assert "".join(s["on"][0] for s in report["sections"]) == turns
    loaded = neff.model_from_bytes(neff.partitioned_bytes(compiled.neff))
    assert isinstance(loaded, neff.PartitionedNeff)
    found = compiled.run(inputs).outputs
    for array, wanted in zip(found.values(), reference(model, inputs), strict=True):
        assert array.shape == wanted.shape
        assert np.abs(array - wanted).max() <= 1e-5 * max(np.ptp(wanted), 1e-3)


def test_embeddings_go_to_the_host_and_the_layers_stay() -> None:
    compiled = systola.compile(bert())
    report = compiled.report
    assert [op["node"] for op in report["host_ops"]] == [
        "word_embedding", "type_embedding", "sum_of_embeddings",
    ]  # fmt: skip
    assert report["macs"] == report["macs_on_device"] > 0
    assert report["host_to_device_bytes"] == 16 * 32 * 4
    assert report["device_to_host_bytes"] == 0
    assert any("host's time is not counted" in note for note in report["notes"])


def test_a_table_of_the_host_alone_is_not_in_the_neff_and_a_tied_one_is_in_both() -> None:
    def held(model: onnx.ModelProto) -> tuple[int, int]:
        parts = in_sections(model, auto_cast="none").parts
        on_host = sum(len(p.model) for p in parts if isinstance(p, neff.HostPart))
        device = [p.neff for p in parts if isinstance(p, neff.DevicePart)]
        return on_host, sum(a.nbytes for n in device for a in n.constants.values())

    table = 9000 * 32 * 4
    on_host, on_device = held(bert())
    assert on_host > table > on_device
    on_host, on_device = held(tied())
    assert min(on_host, on_device) > 9000 * 8 * 4


def test_the_same_model_gives_the_same_bytes() -> None:
    once, again = (neff.partitioned_bytes(in_sections(bert())) for _ in range(2))
    assert once == again


def test_a_model_that_fits_is_not_cut() -> None:
    model = between(node("Relu", ["y"], ["z"]), last="z")
    compiled = systola.compile(model)
    assert isinstance(compiled, systola.CompiledModel)
    assert compiled.report["host_ops"] == []


def refusal(model: onnx.ModelProto, kind: type[SystolaError], **options: Any) -> SystolaError:
    with pytest.raises(kind) as caught:
        systola.compile(model, **options)
    return caught.value


def test_must_compile_names_every_operation_of_the_host() -> None:
    error = refusal(CASES["no decomposition"][0], UnsupportedError, must_compile=True)
    assert error.code == "SYS-P001"
    assert "Binarizer" in error.found
    assert "no decomposition" in error.found
    error = refusal(bert(), UnsupportedError, must_compile=True)
    assert "word_embedding" in error.found
    assert "type_embedding" not in error.found  # the device could do that one


def test_a_shape_that_depends_on_data_is_refused_unless_asked_for() -> None:
    error = refusal(data_dependent(), ShapeError)
    assert error.code == "SYS-P002"
    assert "'places'" in error.found
    assert "dimension 1 of 2" in error.found
    assert "find" in error.at
    assert "--host-dynamic" in error.hint


def test_a_model_of_the_host_alone_is_refused() -> None:
    model = between(node("Relu", ["y"], ["z"]), last="z")
    error = refusal(model, UnsupportedError, host_ops=["MatMul", "Relu"])
    assert error.code == "SYS-P004"


def test_what_is_named_has_to_be_there() -> None:
    model = between(node("Relu", ["y"], ["z"]), last="z")
    error = refusal(model, UsageError, host_ops=["Softmax"], host_nodes=["nobody"])
    assert error.code == "SYS-P005"
    assert "'Softmax'" in error.found
    assert "'nobody'" in error.found


def test_an_operator_that_nobody_knows_is_refused_by_name() -> None:
    model = between(node("Mystery", ["y"], ["z"], domain="nowhere"), last="z")
    model.opset_import.append(onnx.helper.make_opsetid("nowhere", 1))
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("z", F, [4, 4]))
    assert refusal(model, SystolaError).code in ("SYS-H001", "SYS-P002")


def test_a_larger_segment_size_sends_small_sections_to_the_host() -> None:
    model, inputs = CASES["no decomposition"][:2]
    compiled = systola.compile(model, auto_cast="none", minimum_segment_size=2)
    assert [s["on"] for s in compiled.report["sections"]] == ["host", "device"]
    assert "at least 2" in compiled.report["host_ops"][0]["reason"]
    assert compiled.report["macs_on_device"] == compiled.report["macs"] // 2
    np.testing.assert_allclose(
        compiled.run({"x": X}).outputs["o"], reference(model, inputs)[0], 1e-4
    )


@pytest.mark.parametrize("seed", range(6))
def test_any_nodes_may_be_on_the_host(seed: int) -> None:
    random = np.random.Generator(np.random.PCG64(seed))
    model = bert(vocabulary=64)
    names = [n.name or n.output[0] for n in model.graph.node]
    chosen = [n for n in names if random.random() < 0.25] or names[:1]
    inputs = {n: random.integers(0, 2, (1, 16)) for n in ("ids", "kinds", "mask")}
    compiled = systola.compile(model, auto_cast="none", host_nodes=chosen)
    assert set(chosen) <= {op["node"] for op in compiled.report["host_ops"]}
    wanted = reference(model, inputs)[0]
    assert np.abs(compiled.run(inputs).outputs["o"] - wanted).max() <= 1e-5 * np.ptp(wanted)
