"""Models that are refused: with a code, the place, and what to do; never with a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.errors import ShapeError, UnsupportedError, UsageError
from compiler.frontends.onnx import import_onnx
from compiler.graph.evaluate import evaluate
from isa.errors import MalformedError, SystolaError
from tests.compiler.frontends.single_node import node_model

X = np.ones((2, 3), np.float32)


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[Any]],
    outputs: list[str],
    initializers: list[onnx.TensorProto] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    wanted = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
    graph = helper.make_graph(nodes, "g", given, wanted, initializers or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def relu(**kwargs: Any) -> onnx.ModelProto:
    return model_of(
        [helper.make_node("Relu", ["x"], ["y"], name="r")], {"x": [2, 3]}, ["y"], **kwargs
    )


def long_range() -> onnx.ModelProto:
    return node_model("Range", [np.int64(0), np.int64(2**40), np.int64(1)], 11, [0, 1, 2])


def overreaching_pool() -> onnx.ModelProto:
    x = np.ones((1, 1, 3, 3), np.float32)
    return node_model("MaxPool", [x], 12, kernel_shape=[2, 2], dilations=[4, 4])


def name_of_bytes() -> bytes:
    return bytes(relu().SerializeToString()).replace(b"\x01r", b"\x01\xff")


def cycle() -> onnx.ModelProto:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    return model_of(nodes, {"x": [2]}, ["b"])


def truncated_weight() -> onnx.ModelProto:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], raw_data=b"\0" * 12)
    return model_of([helper.make_node("Add", ["x", "w"], ["y"])], {"x": [4]}, ["y"], [weight])


def escaping_weight() -> onnx.ModelProto:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")
    return model_of([helper.make_node("Add", ["x", "w"], ["y"])], {"x": [4]}, ["y"], [weight])


def mismatched(op: str, a: list[int], b: list[int]) -> onnx.ModelProto:
    return model_of([helper.make_node(op, ["a", "b"], ["y"], name="n")], {"a": a, "b": b}, ["y"])


def with_constant(op: str, array: Any, **attributes: Any) -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.asarray(array), "w")
    node = helper.make_node(op, ["x", "w"], ["y"], name="n", **attributes)
    return model_of([node], {"x": [2, 3]}, ["y"], [weight])


def recursive() -> onnx.ModelProto:
    body = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("F", ["a"], ["b"], domain="own")],
        [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)],
    )  # fmt: skip
    model = model_of([helper.make_node("F", ["x"], ["y"], domain="own")], {"x": [2]}, ["y"])
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(body)
    return model


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: b"", "SYS-F002"),
    (lambda: b"version https://git-lfs.github.com/spec/v1\n", "SYS-F002"),
    (lambda: relu().SerializeToString()[:-9], "SYS-F002"),
    (lambda: onnx.ModelProto().SerializeToString(), "SYS-F002"),
    (lambda: relu(opset=6), "SYS-F201"),
    (lambda: relu(opset=9999), "SYS-F202"),
    (cycle, "SYS-F003"),
    (recursive, "SYS-F003"),
    (truncated_weight, "SYS-F003"),
    (escaping_weight, "SYS-F003"),
    (lambda: mismatched("Add", [2, 3], [4]), "SYS-F112"),
    (lambda: mismatched("MatMul", [2, 3], [4, 5]), "SYS-F114"),
    (lambda: mismatched("Conv", [1, 3, 8, 8], [4, 2, 3, 3]), "SYS-F114"),
    (lambda: mismatched("Conv", [1, 3, 2, 2], [4, 3, 3, 3]), "SYS-F115"),
    (lambda: mismatched("Concat", [1], [2]), "SYS-F003"),
    (lambda: with_constant("Reshape", [4, 2]), "SYS-F116"),
    (lambda: with_constant("Reshape", [-1, -1]), "SYS-F116"),
    (lambda: with_constant("Gather", [0, 5], axis=1), "SYS-F119"),
    (lambda: with_constant("Gather", [0], axis=7), "SYS-F117"),
    (lambda: with_constant("Expand", [2**40, 1]), "SYS-F112"),
    (lambda: with_constant("Tile", [2**40, 1]), "SYS-F130"),
    (long_range, "SYS-F131"),
    (overreaching_pool, "SYS-F115"),
    (name_of_bytes, "SYS-F014"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "code"), BAD)
def test_a_bad_model_is_refused(make: Callable[[], Any], code: str) -> None:
    with pytest.raises(SystolaError) as caught:
        import_onnx(make(), {})
    error = caught.value
    assert error.code == code
    assert error.found
    assert len(str(error).splitlines()) < 12


def test_gathering_past_the_table_names_the_node() -> None:
    with pytest.raises(ShapeError) as caught:
        import_onnx(mismatched("MatMul", [2, 3], [4, 5]))
    assert '"n" (MatMul)' in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="SYS-F001"):
        import_onnx(tmp_path / "none.onnx")


def test_random_bytes_are_refused_and_nothing_else() -> None:
    rng = np.random.default_rng(3)
    good = relu().SerializeToString()
    for trial in range(150):
        data = bytearray(good)
        for _ in range(1 + trial % 5):
            data[rng.integers(len(data))] = rng.integers(256)
        try:
            import_onnx(bytes(data))
        except SystolaError:
            continue


def test_every_missing_operator_is_named_at_once() -> None:
    nodes = [
        helper.make_node("NonMaxSuppression", ["b", "s"], ["i"], name="nms"),
        helper.make_node("Relu", ["x"], ["z"]),
        helper.make_node("Frobnicate", ["z"], ["f"], name="frob", domain="acme"),
        helper.make_node("NonZero", ["f"], ["y"], name="nz"),
    ]
    model = model_of(nodes, {"b": [1, 4, 4], "s": [1, 1, 4], "x": [3, 3]}, ["y"])
    model.opset_import.append(helper.make_opsetid("acme", 1))
    with pytest.raises(UnsupportedError) as caught:
        import_onnx(model)
    assert caught.value.code == "SYS-F200"
    assert [m[:2] for m in caught.value.missing] == [
        ("NonMaxSuppression", "nms"), ("acme::Frobnicate", "frob"), ("NonZero", "nz"),
    ]  # fmt: skip


class TestShapes:
    """Free dimensions are given by the caller, or named in the error with the option."""

    def free(self, *shape: Any) -> onnx.ModelProto:
        nodes = [helper.make_node("Relu", ["x"], ["y"])]
        return model_of(nodes, {"x": list(shape)}, ["y"])

    def test_an_unknown_dimension_names_tensor_place_and_option(self) -> None:
        with pytest.raises(ShapeError) as caught:
            import_onnx(self.free("batch", 3, None))
        text = str(caught.value)
        assert "SYS-F101" in text
        assert "input 'x', dimension 0: 'batch'" in text
        assert "dimension 2: (unnamed)" in text
        assert "--shape x=N,3,N" in text

    def test_a_shape_or_a_symbol_fixes_it(self) -> None:
        assert import_onnx(self.free("batch", 3), {"x": [4, 3]}).inputs[0].shape == (4, 3)
        assert import_onnx(self.free("batch", 3), {"batch": [5]}).inputs[0].shape == (5, 3)

    def test_a_symbol_is_one_extent_everywhere(self) -> None:
        nodes = [helper.make_node("Add", ["a", "b"], ["y"])]
        model = model_of(nodes, {"a": ["n", 2], "b": ["n", 1]}, ["y"])
        assert import_onnx(model, {"a": [7, 2]}).inputs[1].shape == (7, 1)
        with pytest.raises(UsageError, match="SYS-F104"):
            import_onnx(model, {"a": [7, 2], "b": [8, 1]})

    @pytest.mark.parametrize("shape", [[4, 4], [4], [-1, 3]])
    def test_a_shape_against_the_model_is_refused(self, shape: list[int]) -> None:
        with pytest.raises(UsageError, match="SYS-F104"):
            import_onnx(self.free("batch", 3), {"x": shape})

    def test_a_batch_fixes_the_first_dimension_of_every_input(self) -> None:
        nodes = [helper.make_node("Concat", ["a", "b"], ["y"], axis=1)]
        model = model_of(nodes, {"a": ["n", 2], "b": [None, 1]}, ["y"])
        graph = import_onnx(model, batch=6)
        assert [v.shape for v in graph.inputs] == [(6, 2), (6, 1)]
        assert graph.outputs[0].shape == (6, 3)
        assert [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim] == ["n", ""]

    def test_a_dimension_that_is_named_batch_is_the_batch(self) -> None:
        model = self.free("sequence", "batch_size", 3)
        graph = import_onnx(model, {"sequence": [4]}, batch=6)
        assert graph.inputs[0].shape == (4, 6, 3)
        with pytest.raises(ShapeError, match="dimension 0: 'sequence'"):
            import_onnx(model, batch=6)

    def test_a_batch_that_the_model_has_already_is_allowed_another_refused(self) -> None:
        assert import_onnx(self.free(6, 3), batch=6).inputs[0].shape == (6, 3)
        for batch in (5, 3, 0, -1):
            with pytest.raises(UsageError, match="SYS-F105"):
                import_onnx(self.free(6, 3), batch=batch)
        with pytest.raises(UsageError, match="SYS-F104"):
            import_onnx(self.free("n", 3), {"x": [5, 3]}, batch=6)

    def test_the_batch_is_offered_where_it_is_all_that_is_free(self) -> None:
        with pytest.raises(ShapeError, match="--batch N, or --shape x=N,3"):
            import_onnx(self.free("n", 3))
        with pytest.raises(ShapeError) as caught:
            import_onnx(self.free("n", "m"))
        assert "--batch" not in str(caught.value)

    def test_a_shape_for_nobody_is_refused(self) -> None:
        with pytest.raises(UsageError, match="SYS-F103"):
            import_onnx(self.free(1, 3), {"z": [1]})

    def test_a_shape_known_only_at_run_time_is_refused(self) -> None:
        model = node_model("Reshape", [X, np.asarray([3, 2])], 14)
        with pytest.raises(ShapeError, match="SYS-F102"):
            import_onnx(model)


def test_weights_outside_the_file_are_mapped(tmp_path: Path) -> None:
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    node = helper.make_node("Add", ["x", "w"], ["y"])
    model = model_of([node], {"x": [2, 3]}, ["y"], [numpy_helper.from_array(weight, "w")])
    model.graph.output[0].type.tensor_type.shape.SetInParent()  # checked on disk, as it stands
    onnx.save(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
    )
    graph = import_onnx(tmp_path / "m.onnx")
    np.testing.assert_array_equal(evaluate(graph, {"x": X})["y"], X + weight)


@pytest.mark.parametrize("location", ["../secret.bin", "none.bin", "/etc/hostname"])
def test_weights_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 64)
    model = escaping_weight()
    model.graph.initializer[0].external_data[0].value = location
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(MalformedError):
        import_onnx(folder / "m.onnx")
