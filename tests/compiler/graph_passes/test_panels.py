"""Products cut into panels: the same values, no panel too large, each read as often as said."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from compiler.clock import Clock
from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import Graph
from compiler.graph.verify import verify
from compiler.graph_passes.panels import BLOCK, STAGES, panels
from compiler.options import Options
from compiler.pipeline import compile_graph
from isa.hardware import load_target
from tests.compiler.device_run import run, worst

INF1 = load_target("inf1")
BF16 = np.dtype(ml_dtypes.bfloat16)


def product(
    rows: int, inner: int, columns: int, turned: tuple[bool, bool], dtype: np.dtype[np.generic]
) -> Graph:
    b = GraphBuilder("product")
    a_shape = (inner, rows) if turned[0] else (rows, inner)
    b_shape = (columns, inner) if turned[1] else (inner, columns)
    a, c = b.input("a", a_shape, dtype), b.input("b", b_shape, dtype)
    made = b.emit("matmul", a, c, transpose_a=turned[0], transpose_b=turned[1])
    b.output(made, "y")
    return b.finish()


def drawn(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {v.name: rng.standard_normal(v.shape).astype(v.dtype) for v in graph.inputs}


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("shape", [(300, 1024, 700), (1024, 512, 130), (129, 2048, 1000)])
def test_a_cut_product_means_the_same(
    shape: tuple[int, int, int], turned: tuple[bool, bool]
) -> None:
    depth = -(-shape[1] // 128) * 4
    small = replace(INF1, sbuf_partition_bytes=STAGES + depth * (3 * BLOCK + 1))
    graph = product(*shape, turned, np.dtype(np.float32))
    cut = panels(graph, small, 4)
    assert cut is not graph
    verify(cut)
    for node in cut.nodes:
        if node.op == "matmul":
            wide = node.output.shape[1]
            assert depth * (node.output.shape[0] + 2 * wide) <= small.sbuf_partition_bytes
    inputs = drawn(graph, 1)
    assert worst(evaluate(cut, inputs), evaluate(graph, inputs)) < 1e-5


def test_what_fits_is_left_alone() -> None:
    graph = product(256, 512, 256, (False, False), BF16)
    assert panels(graph, INF1, 2) is graph


def test_a_product_larger_than_sbuf_runs_on_the_device() -> None:
    """4 MiB and 6 MiB of operands, a result of 6 MiB."""
    graph = product(1024, 2048, 1536, (False, False), BF16)
    small = replace(INF1, sbuf_partition_bytes=48 * 1024)
    cut = panels(graph, small, 2)
    slices = [n for n in cut.nodes if n.op == "slice" and n.inputs[0].name == "b"]
    columns = {n.attrs["starts"] for n in slices}
    assert len(columns) < len(slices), "each strip of rows reads the panels anew"
    made = compile_graph(graph, small, Options(), Clock(lambda _: None))
    inputs = drawn(graph, 2)
    exact = {k: v.astype(np.float32) for k, v in evaluate(graph, inputs).items()}
    found = {k: v.astype(np.float32) for k, v in run(made, inputs).items()}
    assert worst(found, exact) < 1e-2
