"""A model cut over cores computes what it computed in one piece, and its weights stay."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from compiler.clock import Clock
from compiler.errors import UnsupportedError, UsageError
from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Array, Graph
from compiler.graph.verify import verify
from compiler.multicore.cut import Place
from compiler.multicore.split import split
from compiler.multicore.stages import CompiledPipeline, pipeline_of
from compiler.options import Options
from isa.hardware import load_target
from neff import from_bytes, to_bytes
from simulator.runtime import Device
from tests.compiler.device_run import worst
from tests.compiler.multicore.test_pin import layers
from tests.compiler.random_graphs import ALL, random_graph

HW = load_target("inf1")


def pipelined(graph: Graph, cores: int, cast: str = "none") -> CompiledPipeline:
    options = Options(pipeline_cores=cores, auto_cast=cast)
    return pipeline_of(graph, HW, options, Clock(lambda _: None))


def run(made: CompiledPipeline, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """On the device, proved, by way of a file's bytes."""
    model = Device(HW).load(from_bytes(to_bytes(made.neff)))
    return dict(model.run(inputs, function_only=True).outputs)


def convolutions(channels: int) -> Graph:
    """Three convolutions with a residual around the second, then a pooled classifier."""
    rng = np.random.default_rng(channels)
    b = GraphBuilder("convolutions")
    x = b.input("x", (1, 3, 12, 12), FP32)

    def conv(v: object, inputs: int, outputs: int) -> object:
        w = b.constant(rng.standard_normal((outputs, inputs, 3, 3)).astype(np.float32) / 9)
        attrs = {"strides": (1, 1), "pads": ((1, 1), (1, 1)), "dilations": (1, 1), "groups": 1}
        return b.emit("conv", v, w, **attrs)  # type: ignore[arg-type]

    first = b.emit("relu", conv(x, 3, channels))  # type: ignore[arg-type]
    second = b.emit("add", conv(first, channels, channels), first)  # type: ignore[arg-type]
    third = b.emit("relu", conv(second, channels, 2 * channels))  # type: ignore[arg-type]
    b.output(b.emit("reduce", third, kind="mean", axes=(2, 3), keepdims=False), "y")
    b.output(second, "features")
    return b.finish()


def attention(tokens: int, width: int, heads: int) -> Graph:
    """softmax(q k + mask) v, with a mask of infinities that is an input of the model."""
    rng = np.random.default_rng(tokens)
    b = GraphBuilder("attention")
    x, mask = b.input("x", (tokens, width), FP32), b.input("mask", (tokens, tokens), FP32)
    one = width // heads

    def projected(perm: tuple[int, ...]) -> object:
        w = b.constant(rng.standard_normal((width, width)).astype(np.float32) / width**0.5)
        parts = b.emit("reshape", b.emit("matmul", x, w), shape=(tokens, heads, one))
        return b.emit("transpose", parts, perm=perm)

    q, k, v = projected((1, 0, 2)), projected((1, 2, 0)), projected((1, 0, 2))
    scores = b.emit("add", b.emit("matmul", q, k), mask)  # type: ignore[arg-type]
    top = b.emit("reduce", scores, kind="max", axes=(2,), keepdims=True)
    e = b.emit("exp", b.emit("sub", scores, top))
    total = b.emit("reduce", e, kind="sum", axes=(2,), keepdims=True)
    mixed = b.emit("matmul", b.emit("div", e, total), v)  # type: ignore[arg-type]
    joined = b.emit("reshape", b.emit("transpose", mixed, perm=(1, 0, 2)), shape=(tokens, width))
    again = b.emit("add", joined, b.emit("reduce", mask, kind="max", axes=(1,), keepdims=True))
    b.output(again, "y")
    return b.finish()


def drawn(graph: Graph, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {v.name: rng.standard_normal(v.shape).astype(np.float32) for v in graph.inputs}


def masked() -> tuple[Graph, dict[str, Array]]:
    graph = attention(40, 96, 3)
    inputs = drawn(graph)
    inputs["mask"] = np.where(np.tril(np.ones((40, 40))) > 0, 0, -np.inf).astype(np.float32)
    return graph, inputs


CASES = {
    "layers": (layers(200, 3), None),
    "wide layers": (layers(640, 2), None),
    "convolutions": (convolutions(40), None),
    "many channels": (convolutions(150), None),
    "attention": masked(),
}


@pytest.mark.parametrize("cores", [2, 5])
@pytest.mark.parametrize("name", CASES)
def test_a_pipeline_computes_what_the_model_means(name: str, cores: int) -> None:
    graph, given = CASES[name]
    inputs = given or drawn(graph)
    made = pipelined(graph, cores)
    assert len(made.stages) == cores
    assert worst(run(made, inputs), evaluate(graph, inputs)) < 1e-5
    assert all(s["streamed_bytes"] == 0 for s in made.report["pipeline"]["stages"])


def test_a_pipeline_is_its_stages_in_turn_to_the_bit() -> None:
    graph = convolutions(40)
    made = pipelined(graph, 4, "all")
    known: dict[str, Array] = dict(drawn(graph))
    for stage in made.stages:
        model = Device(HW).load(stage.neff)
        mine = {t.name: known[t.name] for t in stage.neff.inputs}
        known |= model.run(mine, function_only=True).outputs
    for name, array in run(made, drawn(graph)).items():
        assert array.tobytes() == known[name].tobytes()


def test_random_graphs_are_cut_anywhere() -> None:
    wrong = []
    for seed in range(20):
        graph, inputs = random_graph(seed, 6, ALL)
        try:
            made = pipelined(graph, 2 + seed % 3)
        except UnsupportedError:
            continue
        for stage in made.stages:
            verify(stage.graph)
        error = worst(run(made, inputs), evaluate(graph, inputs))
        if not error <= 1e-4:
            wrong.append((seed, error))
    assert wrong == []


def test_pieces_of_a_product_are_what_it_was() -> None:
    """Every column between two places, with the elementwise nodes behind it."""
    graph = layers(640, 2)
    inputs = drawn(graph)
    whole = evaluate(graph, inputs)["y"]
    places = [Place(0, 128), Place(0, 512), Place(3, 32), Place(3, 64), Place(4)]
    stages = split(graph, places)
    assert len(stages) == 6
    known: dict[str, Array] = dict(inputs)
    for stage in stages:
        verify(stage.graph)
        assert all(stages[k].graph for k in stage.received.values())
        mine = {v.name: known[v.name] for v in stage.graph.inputs}
        known |= evaluate(stage.graph, mine)
    assert np.allclose(known["y"], whole, atol=1e-5)


def test_the_report_is_of_a_beat() -> None:
    made = pipelined(layers(512, 8), 4, "all")
    report = made.report["pipeline"]
    stages = report["stages"]
    assert made.report["cycles"] == max(s["cycles"] for s in stages)
    assert report["latency_s"] * HW.base_clock_hz == sum(s["cycles"] for s in stages)
    weights = 8 * 512 * 512 * 2
    assert sum(s["pinned_bytes"] for s in stages) >= weights
    assert max(s["pinned_bytes"] for s in stages) < weights / 2
    again = pipelined(layers(512, 8), 4, "all")
    assert to_bytes(again.neff) == to_bytes(made.neff)


@pytest.mark.parametrize("cores", [0, 65])
def test_a_pipeline_has_a_sensible_number_of_cores(cores: int) -> None:
    with pytest.raises(UsageError, match="SYS-C120"):
        pipelined(layers(64, 1), cores)
