"""Weights are left where they lie: the skeleton and the data make the model again."""

from __future__ import annotations

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from compiler.frontends.onnx.importer import import_onnx
from compiler.frontends.onnx.wire import SMALL_BYTES, skeleton_of
from compiler.graph.text import print_graph
from isa.errors import MalformedError, SystolaError


def _model(*extents: int, dtype: type = np.float32) -> onnx.ModelProto:
    """x plus the sums of one weight an extent."""
    rng = np.random.default_rng(len(extents))
    weights = [
        numpy_helper.from_array((100 * rng.standard_normal((n, 4))).astype(dtype), f"w{i}")
        for i, n in enumerate(extents)
    ]
    nodes, last = [], "x"
    for i in range(len(extents)):
        nodes += [
            helper.make_node("Cast", [f"w{i}"], [f"c{i}"], to=onnx.TensorProto.FLOAT),
            helper.make_node("ReduceSum", [f"c{i}"], [f"s{i}"], keepdims=0),
            helper.make_node("Add", [last, f"s{i}"], [f"y{i}"]),
        ]
        last = f"y{i}"
    info = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [3]) for n in ("x", last)]
    graph = helper.make_graph(nodes, "sums", info[:1], info[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


EXTENTS = st.lists(st.sampled_from([1, 255, 256, 257, 1500]), min_size=1, max_size=5)


@given(EXTENTS, st.sampled_from([np.float32, np.float16, np.int64, np.uint8]))
def test_skeleton_and_data_are_the_model(extents: list[int], dtype: type) -> None:
    model = _model(*extents, dtype=dtype)
    found = skeleton_of(memoryview(model.SerializeToString()))
    large = {i for i, t in enumerate(model.graph.initializer) if len(t.raw_data) > SMALL_BYTES}
    if found is None:
        assert not large
        return
    assert set(found.data) == large
    again = onnx.ModelProto.FromString(found.model)
    for i, data in found.data.items():
        assert again.graph.initializer[i].raw_data == b""
        again.graph.initializer[i].raw_data = bytes(data)
    assert again == model


@given(EXTENTS)
def test_bytes_and_message_give_one_graph(extents: list[int]) -> None:
    model = _model(*extents)
    a, b = import_onnx(model), import_onnx(model.SerializeToString())
    assert print_graph(a) == print_graph(b)
    for x, y in zip(a.constants.values(), b.constants.values(), strict=True):
        np.testing.assert_array_equal(x, y)


@given(st.data())
def test_damaged_bytes_are_refused_alike(data: st.DataObject) -> None:
    whole = _model(1500, 3).SerializeToString()
    outside = [*range(60), *range(len(whole) - 200, len(whole))]
    at = data.draw(st.sampled_from(outside))
    damaged = bytearray(whole)
    damaged[at] = data.draw(st.integers(0, 255))
    cut = bytes(damaged)[: data.draw(st.sampled_from([len(whole), at]))]
    with contextlib.suppress(SystolaError):
        import_onnx(cut)


def test_too_few_bytes_for_the_shape() -> None:
    model = _model(1500)
    model.graph.initializer[0].dims[0] = 1499
    with pytest.raises(MalformedError, match="SYS-F006"):
        import_onnx(model.SerializeToString())
