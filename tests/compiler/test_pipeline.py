"""From a model to a NEFF and back: real models on the simulated device, and what a NEFF holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.errors import UnsupportedError
from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import FP32, INT32, Graph
from compiler.options import Options
from compiler.pipeline import compile_model
from neff.writer import to_bytes
from tests.compiler.device_run import compiled, error_on_device, run
from tests.compiler.model_cases import SENSITIVE, ZOO, load_case, worst_error


def perceptron() -> Graph:
    """y = relu(x w + b) v."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("perceptron")
    x = b.input("x", (3, 200), FP32)
    w = b.constant(rng.standard_normal((200, 130)).astype(np.float32) / 14)
    v = b.constant(rng.standard_normal((130, 10)).astype(np.float32) / 11)
    hidden = b.emit("add", b.emit("matmul", x, w), b.constant(np.float32(0.25)))
    b.output(b.emit("matmul", b.emit("relu", hidden), v), "y")
    return b.finish()


def perceptron_input() -> dict[str, np.ndarray]:
    """An input of `perceptron`."""
    return {"x": np.random.default_rng(1).standard_normal((3, 200)).astype(np.float32)}


@pytest.mark.parametrize("without", ["fuse-loops", "schedule", "prefetch", "stripe"])
def test_leaving_out_a_pass_changes_no_result_beyond_rounding(without: str) -> None:
    assert error_on_device(perceptron(), perceptron_input(), without=frozenset([without])) < 1e-5


def test_compiling_twice_gives_the_same_bytes() -> None:
    first, second = (to_bytes(compiled(perceptron()).neff) for _ in range(2))
    assert first == second


def test_the_report_counts_what_the_model_asks_for() -> None:
    report = compiled(perceptron()).report
    assert report["macs"] == 3 * 200 * 130 + 3 * 130 * 10
    assert report["cycles"] >= report["bound_cycles"]
    assert report["dram_bytes"] >= report["dram_bytes_compulsory"]


def test_an_output_that_is_an_input_and_a_scalar() -> None:
    b = GraphBuilder("passed through")
    x, s = b.input("x", (5, 7), FP32), b.input("s", (), FP32)
    b.output(x, "same")
    b.output(b.emit("mul", s, b.constant(np.float32(3))), "scaled")
    arrays = {"x": np.arange(35, dtype=np.float32).reshape(5, 7), "s": np.float32(2)}
    found = run(compiled(b.finish()), {k: np.asarray(v) for k, v in arrays.items()})
    assert found["same"].tolist() == np.arange(35).reshape(5, 7).tolist()
    assert found["scaled"] == 6


def test_a_mask_of_infinities_survives_being_moved() -> None:
    """softmax(scores + where(keep, 0, -inf)) with the mask transposed on its way."""
    b = GraphBuilder("masked")
    keep, scores = b.input("keep", (65, 33), FP32), b.input("scores", (33, 65), FP32)
    kept = b.emit("gt", keep, b.constant(np.float32(0)))
    mask = b.emit("select", kept, b.constant(np.float32(0)), b.constant(np.float32(-np.inf)))
    x = b.emit("add", scores, b.emit("transpose", mask, perm=(1, 0)))
    top = b.emit("reduce", x, kind="max", axes=(1,), keepdims=True)
    e = b.emit("exp", b.emit("sub", x, top))
    total = b.emit("reduce", e, kind="sum", axes=(1,), keepdims=True)
    b.output(b.emit("div", e, total), "y")
    b.output(mask, "mask")
    rng = np.random.default_rng(0)
    inputs = {"keep": rng.standard_normal((65, 33)), "scores": rng.standard_normal((33, 65))}
    assert error_on_device(b.finish(), {k: v.astype(np.float32) for k, v in inputs.items()}) < 1e-5


def test_every_refused_operation_is_named_at_once() -> None:
    b = GraphBuilder("refused")
    x, i = b.input("x", (9, 4), FP32), b.input("i", (3,), INT32)
    b.output(b.emit("scatter", x, i, b.input("u", (3, 4), FP32)), "y")
    b.output(b.emit("gather", b.input("table", (9000, 4), FP32), i, axis=0), "z")
    with pytest.raises(UnsupportedError) as caught:
        compiled(b.finish())
    assert caught.value.code == "SYS-C101"
    assert "indices are computed at run time" in str(caught.value)
    assert "the table has more than 8192 rows" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_models_of_the_zoo_match_the_framework(models_dir: Path, name: str) -> None:
    case = load_case(models_dir, name)
    made = compile_model(case.path, Options(auto_cast="none", shapes=case.shapes))
    bound = 1e-4 if name in SENSITIVE else 1e-5
    assert worst_error(run(made, case.inputs), case.outputs) < bound
