"""What the fuzzer found: the smallest model that failed, now judged as the fuzzer judges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import helper

import systola
from tests.fuzz.draft import Draft, Value
from tests.fuzz.judge import Model, judge
from tests.fuzz.oracle import tensor_info, whole

TARGETS = ("inf1", "inf2")


def passes(opset: int, draw: Callable[[Draft], object], target: str) -> tuple[str, ...]:
    """Judge the model that `draw` makes; its outputs are what no node reads. What the host ran."""
    d = Draft(np.random.default_rng(7), opset)
    draw(d)
    read = {id(v) for s in d.steps for v in s.inputs if v}
    made = [v for s in d.steps for v in s.outputs if id(v) not in read]
    outcome = judge(Model(tuple(d.steps), tuple(made), opset), target)
    assert outcome.kind == "passed", outcome
    return outcome.host


def given(d: Draft, dtype: str, shape: tuple[int, ...], low: float = -3, high: float = 3) -> Value:
    """An input, never a constant."""
    value = d.fresh(dtype, shape, low, high)
    value.constant = False
    return value


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [-3, -1, 1])
def test_flattening_softmax_takes_an_axis_from_the_end(op: str, axis: int) -> None:
    passes(11, lambda d: d.add(op, [given(d, "float32", (3, 2, 4, 5))], axis=axis), "inf1")


@pytest.mark.parametrize("index", ["int32", "int64"])
def test_one_hot_with_a_scalar_depth(index: str) -> None:
    def draw(d: Draft) -> None:
        indices = given(d, index, (4,), -6, 5)
        d.add("OneHot", [indices, d.constant(6), d.constant([1, -2], "float32")], axis=0)
        d.add("Tan", [given(d, "float32", (), -1, 1)])

    passes(15, draw, "inf1")


def test_a_scalar_constant_stays_one_on_the_host() -> None:
    def draw(d: Draft) -> None:
        d.add("Sub", [given(d, "int64", ()), d.constant(3)])
        d.add("Tan", [given(d, "float32", (), -1, 1)])

    passes(15, draw, "inf1")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_small_integers_wrap(dtype: str, target: str) -> None:
    bounds = np.iinfo(dtype)

    def draw(d: Draft) -> None:
        a, b = (given(d, dtype, (40,), bounds.min, bounds.max) for _ in range(2))
        for op in ("Add", "Sub", "Mul"):
            d.add(op, [a, b])
        if bounds.min < 0:
            d.add("Neg", [d.constant([bounds.min, bounds.max, 0], dtype)])
        d.add("Cast", [given(d, "int32", (40,), -70000, 70000)], to=_code(dtype))
        d.add("Cast", [given(d, "int8", (9,), -128, 127)], to=_code(dtype))

    passes(14, draw, target)


def _code(dtype: str) -> int:
    from onnx.helper import np_dtype_to_tensor_dtype

    return int(np_dtype_to_tensor_dtype(np.dtype(dtype)))


def test_a_flat_gather_in_front_of_a_depthwise_convolution() -> None:
    def draw(d: Draft) -> None:
        indices = d.constant(np.arange(80).reshape(4, 2, 5, 2) * 7 % 6)
        (picked,) = d.add("GatherElements", [given(d, "float32", (4, 2, 6, 6)), indices], axis=3)
        d.add("Conv", [picked, given(d, "float32", (2, 1, 3, 2))], group=2, pads=[1, 0, 1, 1])

    passes(13, draw, "inf1")


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_a_mean_over_rearranged_space(mode: str) -> None:
    def draw(d: Draft) -> None:
        x = given(d, "float32", (3, 4, 5, 5))
        (wide,) = d.add("DepthToSpace", [x], blocksize=2, mode=mode)
        parameters = [given(d, "float32", (1,)) for _ in range(2)]
        d.add("InstanceNormalization", [wide, *parameters], epsilon=1e-2)

    passes(17, draw, "inf2")


@pytest.mark.parametrize("target", TARGETS)
def test_a_reduction_of_what_every_partition_holds(target: str) -> None:
    def draw(d: Draft) -> None:
        (sums,) = d.add("ReduceSumSquare", [given(d, "float32", (13, 8, 5, 4))],
                        axes=[-4, 3], keepdims=0)  # fmt: skip
        d.add("Less", [sums, given(d, "float32", (5,), 0, 60)])
        (norm,) = d.add("ReduceL2", [sums], axes=[0])
        d.add("Relu", [norm])
        (mean,) = d.add("GlobalAveragePool", [given(d, "float32", (7, 3, 8, 8))])
        d.add("Selu", [mean])
        d.add("MeanVarianceNormalization", [mean], axes=[1, 2, 0])

    passes(12, draw, target)


@pytest.mark.parametrize("target", TARGETS)
def test_a_gather_of_what_was_cut(target: str) -> None:
    def draw(d: Draft) -> None:
        bounds = [d.constant(v) for v in ([1, 0], [4, 3], [1, 2], [1, 2])]
        (cut,) = d.add("Slice", [given(d, "float32", (2, 5, 3)), *bounds])
        indices = d.constant([[[0, 1], [1, 1]], [[1, 0], [0, 1]]])
        d.add("GatherElements", [cut, indices], axis=-3)

    passes(16, draw, target)


def test_a_host_node_of_which_only_the_shape_is_read() -> None:
    def draw(d: Draft) -> None:
        lengths = given(d, "int64", (6,), 1, 5)
        (turned,) = d.add("ReverseSequence", [given(d, "float32", (5, 6)), lengths],
                          batch_axis=1, time_axis=0)  # fmt: skip
        (eye,) = d.add("EyeLike", [turned], k=1)
        d.add("Add", [eye, given(d, "float32", (5, 6))])

    passes(13, draw, "inf1")


@pytest.mark.parametrize("target", TARGETS)
def test_an_input_that_is_moved_before_it_is_read(target: str) -> None:
    def draw(d: Draft) -> None:
        cut = d.constant([1, 2, 13, 16])
        (flat,) = d.add("Reshape", [given(d, "float32", (2, 2, 8, 13)), cut])
        d.add("Relu", [flat])
        (turned,) = d.add("Transpose", [given(d, "float32", (33, 16))], perm=[1, 0])
        (row,) = d.add("Reshape", [turned, d.constant([528])])
        d.add("Relu", [row])

    passes(17, draw, target)


@pytest.mark.parametrize("target", TARGETS)
def test_a_convolution_of_fewer_rows_than_its_stride(target: str) -> None:
    def draw(d: Draft) -> None:
        kernel = given(d, "uint8", (3, 13, 1, 2), 0, 99)
        d.add("ConvInteger", [given(d, "uint8", (4, 13, 1, 5)), kernel],
              pads=[0, 0, 0, 1], strides=[2, 3])  # fmt: skip

    passes(15, draw, target)


@pytest.mark.parametrize("target", TARGETS)
def test_an_output_that_is_an_input_moved(target: str) -> None:
    def draw(d: Draft) -> None:
        x = given(d, "uint8", (5, 5, 13, 7), 0, 9)
        d.add("Transpose", [x], exact=True, perm=[1, 3, 2, 0])

    passes(14, draw, target)


def test_the_root_of_integers_is_cut_where_it_is_exact() -> None:
    def draw(d: Draft) -> None:
        d.add("ReduceL2", [given(d, "int32", (16, 1), -9, 9)], axes=[0], exact=True)
        d.add("Tan", [given(d, "float32", (), -1, 1)])

    passes(13, draw, "inf1")


@pytest.mark.parametrize("target", TARGETS)
def test_a_slice_of_an_input_that_is_an_output_and_read(target: str) -> None:
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=2, num_outputs=2),
        helper.make_node("Abs", ["a"], ["c"]),
        helper.make_node("Neg", ["b"], ["d"]),
    ]
    x = np.arange(512, dtype=np.float32).reshape(8, 8, 8) - 256
    wanted = {"a": x[..., :4], "c": np.abs(x[..., :4]), "d": -x[..., 4:]}
    graph = helper.make_graph(
        nodes,
        "split",
        [tensor_info("x", x)],
        [tensor_info(name, value) for name, value in wanted.items()],
    )
    compiled = systola.compile(whole(graph, 18), target=target, auto_cast="none")
    found = compiled.run({"x": x}).outputs
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)


def test_the_host_s_engines_do_not_share_a_section() -> None:
    """A norm of order 1 in onnx's reference evaluator sums numbers, not magnitudes."""

    def draw(d: Draft) -> None:
        (found,) = d.add("Unique", [given(d, "float32", (17, 4, 1))], exact=True)
        (norm,) = d.add("LpNormalization", [found], p=1)
        d.add("Atanh", [norm])
        kept = [found, d.constant(0.5, "float32"), d.constant(False, bool)]
        d.add("Dropout", kept, exact=True)
        d.add("Tan", [given(d, "float32", (5,), -1, 1)])

    passes(15, draw, "inf1")


@pytest.mark.parametrize("target", TARGETS)
def test_a_gather_of_many_from_a_large_table(target: str) -> None:
    def draw(d: Draft) -> None:
        table = d.constant(d.rng.integers(-9, 9, (33, 130)), "int32")
        indices = given(d, "int64", (19, 79), -130, 129)
        (found,) = d.add("GatherElements", [table, indices], axis=-1)
        d.add("Div", [found, given(d, "int32", (19, 1), 1, 5)])
        d.add("GatherElements", [given(d, "float32", (33, 130)), indices], exact=True, axis=1)

    passes(16, draw, target)


@pytest.mark.parametrize("target", TARGETS)
def test_an_input_turned_into_one_line_of_many_blocks(target: str) -> None:
    def draw(d: Draft) -> None:
        lengths = d.constant(d.rng.integers(1, 8, 130))
        x = given(d, "float32", (7, 130))
        d.add("ReverseSequence", [x, lengths], exact=True, batch_axis=1, time_axis=0)

    passes(18, draw, target)


@pytest.mark.parametrize("target", TARGETS)
def test_a_convolution_with_a_phase_of_nothing_but_padding(target: str) -> None:
    def draw(d: Draft) -> None:
        w = d.fresh("float32", (3, 4, 2, 3), -1, 1)
        x = given(d, "float32", (8, 4, 2, 3))
        d.add("Conv", [x, w], kernel_shape=[2, 3], pads=[1, 2, 1, 0], strides=[1, 3])

    passes(8, draw, target)


@pytest.mark.parametrize("target", TARGETS)
def test_parts_of_a_moved_input_that_cut_its_blocks(target: str) -> None:
    def draw(d: Draft) -> None:
        (moved,) = d.add("DepthToSpace", [given(d, "float32", (5, 4, 5, 2))], blocksize=2)
        d.add("Split", [moved, d.constant([5, 5])], 2, axis=-2)

    passes(13, draw, target)


def test_a_mean_over_a_dimension_that_is_split_within_partitions() -> None:
    def draw(d: Draft) -> None:
        tables = [given(d, "float32", (8, 4)) for _ in range(2)]
        places = given(d, "int64", (2, 2), 0, 7)
        x = given(d, "float32", (2, 1, 2, 8))
        (turned,) = d.add("RotaryEmbedding", [x, *tables, places], interleaved=1)
        d.add("LayerNormalization", [turned, given(d, "float32", (8,))], axis=-1)

    assert not passes(23, draw, "inf2")


def test_a_loss_of_constants_far_apart_is_finite() -> None:
    def draw(d: Draft) -> None:
        scores = d.constant([[0.0, 120.0, 3.0]], "float32")
        d.add("SoftmaxCrossEntropyLoss", [scores, d.constant([0])], reduction="none")
        d.add("Relu", [given(d, "float32", (5,))])

    passes(14, draw, "inf1")
