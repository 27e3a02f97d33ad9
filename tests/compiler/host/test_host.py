"""The host's engines: the right one is chosen, and what ends a process is an error here."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compiler.errors import UnsupportedError
from compiler.host import apart, choose, open_section
from isa.errors import TrapError


def one(op: str, shape: list[int], kind: int = TensorProto.FLOAT, **attributes: Any) -> bytes:
    node = helper.make_node(op, ["x"], ["y"], **attributes)
    info = helper.make_tensor_value_info
    graph = helper.make_graph([node], "g", [info("x", kind, shape)], [info("y", kind, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_plain_operators_run_here_and_the_others_apart() -> None:
    assert choose(one("Relu", [2])) == ("onnxruntime", False)
    pool = one("MaxPool", [1, 1, 4, 4], kernel_shape=[2, 2])
    assert choose(pool) == ("onnxruntime", True)


def test_types_that_numpy_lacks_go_to_the_reference() -> None:
    assert choose(one("Identity", [2], TensorProto.FLOAT8E4M3FN)) == ("reference", False)
    assert choose(one("Relu", [2], TensorProto.BFLOAT16)) == ("onnxruntime", False)  # in FP32


def test_an_operator_of_nobody_is_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("Mystery", ["x"], ["y"], domain="nowhere")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("nowhere", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    with pytest.raises(UnsupportedError) as caught:
        choose(model.SerializeToString())
    assert caught.value.code == "SYS-H001"
    assert "nowhere::Mystery" in caught.value.at


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_section_gives_the_same_in_either_process(elsewhere: bool) -> None:
    section = open_section(one("Relu", [3]), "onnxruntime", elsewhere)
    for x in ([-1, 0, 2], [5, -5, 1]):
        found = section.run({"x": np.array(x, np.float32)})
        np.testing.assert_array_equal(found["y"], np.maximum(x, 0))
    with pytest.raises(TrapError) as caught:
        section.run({"x": np.zeros(7, np.float32)})
    assert caught.value.code == "SYS-H002"
    section.close()


def test_what_onnxruntime_has_and_does_not_run_goes_to_the_reference() -> None:
    """A ConvInteger with padding and a zero point, in onnx 1.23's own suite."""
    value, kinds = helper.make_tensor_value_info, TensorProto
    node = helper.make_node("ConvInteger", ["x", "w", "z"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph(
        [node], "g",
        [value("x", kinds.UINT8, [1, 1, 3, 3]), value("w", kinds.UINT8, [1, 1, 2, 2]),
         value("z", kinds.UINT8, [])],
        [value("y", kinds.INT32, [1, 1, 4, 4])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=8)
    section = open_section(model.SerializeToString(), "onnxruntime", False)
    feeds = {"x": np.arange(2, 11, dtype=np.uint8).reshape(1, 1, 3, 3), "z": np.uint8(1)}
    found = section.run({**feeds, "w": np.ones((1, 1, 2, 2), np.uint8)})["y"]
    assert found[0, 0].tolist() == [[1, 3, 5, 3], [5, 12, 16, 9], [11, 24, 28, 15], [7, 15, 17, 9]]


def test_a_window_larger_than_its_input_does_not_end_this_process() -> None:
    model = one("MaxPool", [1, 1, 3, 3], kernel_shape=[2, 2], dilations=[4, 4])
    x = np.ones((1, 1, 3, 3), np.float32)
    with pytest.raises(TrapError) as caught:
        open_section(model, "onnxruntime", True).run({"x": x})
    assert caught.value.code in ("SYS-H002", "SYS-H003")


def test_the_end_of_the_other_process_is_an_error_and_the_next_run_has_another() -> None:
    first, second = (open_section(one("Neg", [2]), "onnxruntime", True) for _ in range(2))
    x = np.ones(2, np.float32)
    np.testing.assert_array_equal(second.run({"x": x})["y"], -x)
    (worker,) = apart._workers
    worker._process.kill()
    worker._process.wait()
    for section in (first, second):
        np.testing.assert_array_equal(section.run({"x": x})["y"], -x)
        section.close()


def test_a_section_is_text_as_well() -> None:
    node = helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action="UPPER")
    info = helper.make_tensor_value_info("x", TensorProto.STRING, [2])
    goal = helper.make_tensor_value_info("y", TensorProto.STRING, [2])
    graph = helper.make_graph([node], "g", [info], [goal])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = onnx.ModelProto.SerializeToString(model)
    engine, elsewhere = choose(data)
    assert elsewhere
    section = open_section(data, engine, elsewhere)
    assert section.run({"x": np.array(["a", "b"], object)})["y"].tolist() == ["A", "B"]
    section.close()
