"""What has no place on chip is computed from DRAM to DRAM, and gives the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest

from compiler.bound import bound
from compiler.clock import Clock
from compiler.drafts import Drafts
from compiler.errors import UnsupportedError
from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Graph, Value
from compiler.graph_passes.split_sums import split_sums
from compiler.knobs import SPILLED, Knobs
from compiler.options import Options
from compiler.partition.compile import compile_any
from compiler.pipeline import Compiled, compile_graph, finished
from isa.hardware import Hardware, load_target
from tests.compiler.device_run import run, worst

RNG = np.random.default_rng(3)


def _small(sbuf: int = 8192) -> Hardware:
    """inf1 with a twelfth of its memory: large models in little time."""
    return replace(load_target("inf1"), sbuf_partition_bytes=sbuf)


def _weights(b: GraphBuilder, *shape: int) -> Value:
    array = RNG.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return b.constant(array.astype(np.float32))


def _softmax(b: GraphBuilder, x: Value, axis: int) -> Value:
    most = b.emit("reduce", x, kind="max", axes=(axis,), keepdims=True)
    powers = b.emit("exp", b.emit("sub", x, most))
    total = b.emit("reduce", powers, kind="sum", axes=(axis,), keepdims=True)
    return b.emit("div", powers, total)


def _columns(b: GraphBuilder) -> Value:
    return _softmax(b, b.input("x", (1024, 256), FP32), 0)


def _conv(b: GraphBuilder, x: Value) -> Value:
    pads = ((1, 1), (1, 1))
    weights = _weights(b, 16, 16, 3, 3)
    return b.emit("conv", x, weights, strides=(1, 1), dilations=(1, 1), pads=pads)


def _residual(b: GraphBuilder) -> Value:
    """Two convolutions with a sum around them, a pooling that needs a halo."""
    x = b.input("x", (1, 16, 64, 64), FP32)
    first = b.emit("relu", _conv(b, x))
    second = _conv(b, first)
    total = b.emit("relu", b.emit("add", second, x))
    return b.emit(
        "reduce_window", total, kind="max", window=(3, 3), strides=(2, 2), dilations=(1, 1),
        pads=((1, 1), (1, 1)),
    )  # fmt: skip


def _attention(b: GraphBuilder) -> Value:
    """Two heads over 256 tokens, and a product with what comes out."""
    x = b.input("x", (256, 64), FP32)
    heads = []
    for perm in ((1, 0, 2), (1, 2, 0), (1, 0, 2)):
        made = b.emit("matmul", x, _weights(b, 64, 64))
        cut = b.emit("reshape", made, shape=(256, 2, 32))
        heads.append(b.emit("transpose", cut, perm=perm))
    weights = _softmax(b, b.emit("matmul", heads[0], heads[1]), 2)
    mixed = b.emit("transpose", b.emit("matmul", weights, heads[2]), perm=(1, 0, 2))
    return b.emit("matmul", b.emit("reshape", mixed, shape=(256, 64)), _weights(b, 64, 64))


def _movements(b: GraphBuilder) -> Value:
    x = b.input("x", (264, 256), FP32)
    padded = b.emit("pad", x, pads=((0, 0), (3, 5)), value=2.0)
    joined = b.emit("concat", padded, b.emit("transpose", x, perm=(1, 0)), axis=0)
    kept = b.emit("slice", joined, starts=(515, 1), sizes=(500, 260), steps=(-1, 1))
    return b.emit("gather", kept, b.constant(np.arange(0, 520, 2) % 260), axis=1)


def _deep(b: GraphBuilder) -> Value:
    return b.emit("matmul", b.input("a", (128, 4096), FP32), b.input("b", (4096, 128), FP32))


def _anywhere(b: GraphBuilder) -> Value:
    x = b.input("x", (1024, 512), FP32)
    return b.emit("reduce", x, kind="max", axes=(0, 1), keepdims=False)


def _graph(make: Callable[[GraphBuilder], Value]) -> Graph:
    b = GraphBuilder(make.__name__)
    with b.origin((), "y"):
        b.output(make(b), "y")
    return b.finish()


def _compiled(graph: Graph, hw: Hardware) -> Compiled:
    return compile_graph(graph, hw, Options(auto_cast="none"), Clock(lambda _: None))


def _spilled(graph: Graph, hw: Hardware, auto_cast: str = "none") -> Compiled:
    """The graph from DRAM to DRAM, though another way may be open."""
    options, clock = Options(auto_cast=auto_cast), Clock(lambda _: None)
    drafts = Drafts(graph, hw, options, clock)
    draft = drafts.draft(Knobs(strips=SPILLED, strip_room=45))
    return finished(draft, hw, options, clock, bound(graph, hw))


MODELS = (_columns, _residual, _attention, _movements, _deep, _anywhere)


@pytest.mark.parametrize("make", MODELS, ids=lambda m: m.__name__)
def test_numbers(make: Callable[[GraphBuilder], Value]) -> None:
    graph = _graph(make)
    inputs = {
        v.name: RNG.standard_normal(v.shape).astype(np.float32) for v in graph.inputs
    }  # fmt: skip
    assert worst(run(_spilled(graph, _small()), inputs), evaluate(graph, inputs)) < 1e-5


def test_bf16() -> None:
    graph = _graph(_attention)
    inputs = {"x": RNG.standard_normal((256, 64)).astype(np.float32)}
    made = _spilled(graph, _small(), "all")
    assert worst(run(made, inputs), evaluate(graph, inputs)) < 0.05


def test_several_outputs_and_readers() -> None:
    """What two segments read, and what the graph gives besides, is stored once."""
    b = GraphBuilder("several")
    x = b.input("x", (1024, 256), FP32)
    shared = b.emit("tanh", x)
    largest, places = b.emit_all("topk", [shared], {"axis": 1, "k": 3})
    rows = b.emit("reduce", shared, kind="sum", axes=(0,), keepdims=True)
    for value, name in ((shared, "s"), (largest, "l"), (places, "p"), (rows, "r")):
        b.output(value, name)
    graph = b.finish()
    inputs = {"x": RNG.standard_normal((1024, 256)).astype(np.float32)}
    found = run(_compiled(graph, _small(4096)), inputs)
    exact = evaluate(graph, inputs)
    assert worst({n: found[n] for n in "slr"}, {n: exact[n] for n in "slr"}) < 1e-5
    ranked = np.take_along_axis(exact["s"], found["p"].astype(np.int64), 1)
    np.testing.assert_allclose(ranked, exact["l"], atol=1e-5)


def test_softmax_is_one_segment() -> None:
    """Columns are read once: everything between the two ends of a softmax stays on chip."""
    made = _spilled(_graph(_columns), _small(24576))
    assert made.report["dram_bytes"] == made.report["dram_bytes_compulsory"]


def test_no_room_at_all() -> None:
    """A running sum needs its whole row: the refusal says how much it wants and what there is."""
    b = GraphBuilder("row")
    b.output(b.emit("cumsum", b.input("x", (1, 8192), FP32), axis=1), "y")
    with pytest.raises(UnsupportedError, match="bytes a partition of SBUF however it is cut") as e:
        _compiled(b.finish(), _small())
    assert "8192" in str(e.value)


@pytest.mark.parametrize("kind", ["sum", "mean", "max", "min", "prod"])
def test_split_reductions(kind: str) -> None:
    b = GraphBuilder("sum")
    x = b.input("x", (3, 7, 5), FP32)
    b.output(b.emit("reduce", x, kind=kind, axes=(1, 2), keepdims=False), "y")
    graph = b.finish()
    inputs = {"x": RNG.standard_normal((3, 7, 5)).astype(np.float32)}
    split = split_sums(graph, {id(graph.nodes[0]): 3})
    assert sum(n.op == "slice" for n in split.nodes) == 3
    assert worst(evaluate(split, inputs), evaluate(graph, inputs)) < 1e-6


def test_what_has_no_room_goes_to_the_host() -> None:
    """A running sum over more than an instruction counts is the host's, with the reason."""
    value = onnx.helper.make_tensor_value_info
    float32, many = onnx.TensorProto.FLOAT, [1, 131072]
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["a"]),
        onnx.helper.make_node("CumSum", ["a", "axis"], ["y"], name="sums"),
    ]
    axis = onnx.numpy_helper.from_array(np.array(1), "axis")
    ends = [value("x", float32, many)], [value("y", float32, many)]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", *ends, [axis]))
    made = compile_any(model, Options(auto_cast="none"))
    assert [op["node"] for op in made.report["host_ops"]] == ["sums"]
    assert "however it is cut" in made.report["host_ops"][0]["reason"]
    with pytest.raises(UnsupportedError, match="SYS-P001"):
        compile_any(model, Options(must_compile=True))
