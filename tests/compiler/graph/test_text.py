"""Graph text: what is printed is what is parsed; what is broken is refused."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import BF16, FP32, INT64, Graph, Source
from compiler.graph.text import constants_by_digest, parse_graph, print_graph
from compiler.graph.verify import verify
from isa.errors import MalformedError


def example() -> Graph:
    b = GraphBuilder('a "quoted" name')
    x = b.input("x", (1, 4), FP32)
    with b.origin([Source("fc/MatMul", "MatMul"), Source("a, b", "Add")], "fc"):
        w = b.constant(np.arange(32, dtype=np.float32).reshape(4, 8), name="weights")
        y = b.emit("matmul", x, w)
        y = b.emit("add", y, b.constant(np.asarray([1.5, np.inf, -0.0, 1e-40] * 2, np.float32)))
    (y,) = b.emit_all("cast", (y,), {"to": BF16})
    y = b.emit("pad", y, pads=((0, 0), (1, 2)), mode="edge")
    values, indices = b.emit_all("topk", (y,), {"axis": 1, "k": 2})
    b.output(values, "values")
    b.output(b.emit("add", indices, b.constant(np.asarray(-3, INT64))), "indices")
    b.notes.append('a note with "quotes"')
    return b.finish()


def test_text_round_trips() -> None:
    graph = example()
    text = print_graph(graph)
    parsed = parse_graph(text, constants_by_digest(graph))
    assert print_graph(parsed) == text
    verify(parsed)
    inputs = {"x": np.ones((1, 4), np.float32)}
    for name, array in evaluate(graph, inputs).items():
        np.testing.assert_array_equal(array, evaluate(parsed, inputs)[name])
    assert parsed.nodes[0].sources == graph.nodes[0].sources
    assert parsed.notes == graph.notes


@pytest.mark.parametrize("line", [
    "%9 = neg(%0)",
    '%9 "y": float32[1] = neg(%7) {}',
    '%9 "y": float99[1] = neg(%0) {}',
    '%9 "y": float32[1] = neg %0',
    '%9 "y": float32[2] = constant [1.0]',
    '%9 "y": float32[64] = constant sha256:00',
    '%9 "y": float32[1] = pad(%0) {pads=os.system}',
])  # fmt: skip
def test_broken_text_names_its_line(line: str) -> None:
    text = f'graph "g" {{\n  %0 "x": float32[1] = input\n  {line}\n  return %9\n}}\n'
    with pytest.raises(MalformedError, match="SYS-G100") as caught:
        parse_graph(text)
    assert caught.value.at in ("line 3", "line 4")
