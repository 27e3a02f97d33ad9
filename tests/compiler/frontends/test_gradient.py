"""Gradients, against differences of the model's own results in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import systola
from compiler.errors import UnsupportedError
from compiler.frontends.onnx import import_onnx
from compiler.graph.evaluate import evaluate

RNG = np.random.default_rng(25)
X, W = RNG.uniform(0.4, 1.6, (3, 4)), RNG.uniform(-0.9, 1.1, (4, 2))
STEP = 1e-5

BODIES = [
    "y = Mul(x, x)",
    "a = MatMul(x, w)  b = Tanh(a)  y = ReduceSum(b)",
    "t = Transpose(w)  a = Gemm <transB = 1, alpha = 0.7> (x, t)  y = Sigmoid(a)",
    "m = ReduceMean <keepdims = 1, axes = [1]> (x)  a = Div(x, m)  y = Log(a)",
    "a = MatMul(x, w)  b = Relu(a)  c = Exp(b)  y = Sub(c, b)",
    "a = Softmax <axis = 1> (x)  b = Sqrt(a)  y = Mul(a, b)",
    "a = Sin(x)  b = Cos(x)  c = Max(a, b)  d = Min(a, b)  e = Div(d, c)  y = Abs(e)",
    "two = Constant <value_float = 3.0> ()  p = CastLike(two, x)  a = Pow(x, p)  y = Neg(a)",
    "r = Constant <value_ints = [2, 3]> ()  a = MatMul(x, w)  b = Reshape(a, r)"
    "  c = Reciprocal(x)  d = ReduceSum(c)  e = Add(b, d)  y = Softplus(e)",
]


def model(body: str, kind: str, more: str = "") -> Any:
    return onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "ai.onnx.preview.training" : 1]> '
        f"agraph ({kind}[3,4] x, {kind}[4,2] w) => ({kind} y, {kind}[3,4] dx) {{ "
        + body
        + ' dx = ai.onnx.preview.training.Gradient <xs = ["x"], y = "y"'
        + (', zs = ["w"]> (x, w)' if "w" in body else "> (x)")
        + f" {more} }}"
    )


@pytest.mark.parametrize("body", BODIES)
def test_a_gradient_is_the_limit_of_differences(body: str) -> None:
    graph = import_onnx(model(body, "double"))
    found = evaluate(graph, {"x": X, "w": W})["dx"]
    for at in np.ndindex(X.shape):
        ends = []
        for sign in (1, -1):
            moved = X.copy()
            moved[at] += sign * STEP
            ends.append(evaluate(graph, {"x": moved, "w": W})["y"].sum())
        assert found[at] == pytest.approx((ends[0] - ends[1]) / (2 * STEP), rel=1e-6, abs=1e-8)


def test_it_runs_on_the_device() -> None:
    proto = model(BODIES[1], "float")
    feeds = {"x": X.astype(np.float32), "w": W.astype(np.float32)}
    made = systola.compile(proto, auto_cast="none", must_compile=True).run(feeds).outputs
    slope = 1 - np.tanh(X @ W) ** 2
    np.testing.assert_allclose(made["dx"], slope @ W.T, rtol=1e-4, atol=1e-5)


def test_what_has_no_rule_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="the gradient of floor"):
        import_onnx(model("y = Floor(x)", "float"))
    other = model("y = Exp(x)", "float")
    other.graph.node[-1].input[0] = "y"
    with pytest.raises(UnsupportedError, match="another place"):
        import_onnx(other)
