"""Shapes that are not known, or that the options give wrongly."""

from __future__ import annotations

from tests.systola.bad_models.case import (
    LEGAL,
    Case,
    changed,
    graph,
)

FREE = "agraph (float[n,3] x) => (float[n,3] y) { y = Relu(x) }"

SHAPES = [
    Case("a shape that depends on data, before a layer", "SYS-P002", graph(
        "agraph (float[2,3] x) => (float[2,n] y) "
        "{ i = NonZero(x)  f = Cast<to = 1>(i)  y = Sqrt(f) }")),
    Case("only what depends on data", "SYS-P004", graph(
        "agraph (float[2,3] x) => (int64[2,n] y) { y = NonZero(x) }")),
    Case("a reshape by an input", "SYS-F102", graph(
        "agraph (float[2,3] x, int64[2] s) => (float[a,b] y) { y = Reshape(x, s) }")),
    Case("a free extent", "SYS-F101", graph(FREE)),
    Case("a rank that is not given", "SYS-F003", changed(
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"))),
    Case("an extent of -1", "SYS-F101", changed(
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", -1))),
    Case("an enormous input", "SYS-F130", graph(
        f"agraph (float[{1 << 62},3] x) => (float[{1 << 62},3] y) {{ y = Relu(x) }}")),
    Case("an input larger than any memory", "SYS-F130", graph(
        f"agraph (float[{1 << 39}] x) => (float[{1 << 39}] y) {{ y = Relu(x) }}")),
    Case("a shape for nobody", "SYS-F103", graph(FREE, "--shape", "z=1,3")),
    Case("a shape of another rank", "SYS-F104", graph(FREE, "--shape", "x=1,3,5")),
    Case("a shape against the model", "SYS-F104", graph(FREE, "--shape", "x=1,4")),
    Case("a negative extent given", "SYS-U000", graph(FREE, "--shape", "x=-1,3")),
    Case("an enormous extent given", "SYS-F130", graph(FREE, "--shape", f"x={1 << 62},3")),
    Case("two shapes that disagree", "SYS-F104", graph(
        "agraph (float[n] x, float[n] w) => (float[n] y) { y = Add(x, w) }",
        "--shape", "x=2", "--shape", "w=3")),
    Case("a shape that is text", "SYS-U000", graph(FREE, "--shape", "x=many")),
    Case("a shape given", LEGAL, graph(FREE, "--shape", "x=2,3")),
    Case("a batch for a model that has its own", "SYS-F105", graph(
        "agraph (float[2,3] x) => (float[2,3] y) { y = Relu(x) }", "--batch", "4")),
    Case("a batch and another shape", "SYS-F104", graph(
        FREE, "--batch", "4", "--shape", "x=2,3")),
    Case("a batch of nothing", "SYS-U000", graph(FREE, "--batch", "0")),
    Case("an enormous batch", "SYS-F130", graph(FREE, "--batch", f"{1 << 62}")),
    Case("a batch given", LEGAL, graph(FREE, "--batch", "2")),
]  # fmt: skip
