"""The host's engines: the right one is chosen, and what ends a process is an error here."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compiler.errors import UnsupportedError
from compiler.host import choose, open_section
from isa.errors import TrapError


def one(op: str, shape: list[int], kind: int = TensorProto.FLOAT, **attributes: object) -> bytes:
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
    assert choose(one("Relu", [2], TensorProto.BFLOAT16)) == ("reference", False)


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


@pytest.mark.parametrize("apart", [False, True])
def test_a_section_gives_the_same_in_either_process(apart: bool) -> None:
    section = open_section(one("Relu", [3]), "onnxruntime", apart)
    for x in ([-1, 0, 2], [5, -5, 1]):
        found = section.run({"x": np.array(x, np.float32)})
        np.testing.assert_array_equal(found["y"], np.maximum(x, 0))
    with pytest.raises(TrapError) as caught:
        section.run({"x": np.zeros(7, np.float32)})
    assert caught.value.code == "SYS-H002"
    section.close()


def test_a_window_larger_than_its_input_does_not_end_this_process() -> None:
    model = one("MaxPool", [1, 1, 3, 3], kernel_shape=[2, 2], dilations=[4, 4])
    x = np.ones((1, 1, 3, 3), np.float32)
    with pytest.raises(TrapError) as caught:
        open_section(model, "onnxruntime", True).run({"x": x})
    assert caught.value.code in ("SYS-H002", "SYS-H003")


def test_a_section_is_text_as_well() -> None:
    node = helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action="UPPER")
    info = helper.make_tensor_value_info("x", TensorProto.STRING, [2])
    goal = helper.make_tensor_value_info("y", TensorProto.STRING, [2])
    graph = helper.make_graph([node], "g", [info], [goal])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = onnx.ModelProto.SerializeToString(model)
    engine, apart = choose(data)
    assert apart
    section = open_section(data, engine, apart)
    assert section.run({"x": np.array(["a", "b"], object)})["y"].tolist() == ["A", "B"]
    section.close()
