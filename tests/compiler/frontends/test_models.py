"""Real models import, and mean what their own framework says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.frontends.onnx import import_onnx
from compiler.graph.evaluate import evaluate
from compiler.graph.verify import verify
from compiler.graph_passes import SIMPLIFICATIONS, auto_cast, simplify
from tests.compiler.model_cases import TRAINED, ZOO, load_case, worst_error

TOLERANCE = 1e-4  # of an output's range; FP16 models round every intermediate on their own
FP16_TOLERANCE = 5e-4


def _tolerance(name: str) -> float:
    return FP16_TOLERANCE if "fp16" in name else TOLERANCE


@pytest.mark.parametrize("name", [*TRAINED, *ZOO])
def test_a_model_means_the_same_imported_and_simplified(models_dir: Path, name: str) -> None:
    case = load_case(models_dir, name)
    imported = import_onnx(case.path, case.shapes)
    verify(imported)
    assert worst_error(evaluate(imported, case.inputs), case.outputs) < _tolerance(name)
    simple = simplify(imported)
    assert worst_error(evaluate(simple, case.inputs), case.outputs) < _tolerance(name)
    again = simplify(simple)
    assert [n.op for n in again.nodes] == [n.op for n in simple.nodes]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TRAINED, *ZOO])
def test_every_pass_keeps_a_model(models_dir: Path, name: str) -> None:
    case = load_case(models_dir, name)
    graph = import_onnx(case.path, case.shapes)
    for graph_pass in SIMPLIFICATIONS:
        graph = graph_pass.run(graph)
        verify(graph, after=graph_pass.name)
        assert worst_error(evaluate(graph, case.inputs), case.outputs) < _tolerance(name)


@pytest.mark.parametrize("name", ["mnist8", "digits_cnn_b50", "zoo_random/bert-small"])
@pytest.mark.parametrize("mode", ["all", "matmult"])
def test_bf16_storage_costs_about_what_bf16_costs(models_dir: Path, name: str, mode: str) -> None:
    case = load_case(models_dir, name)
    graph = simplify(import_onnx(case.path, case.shapes))
    cast = auto_cast(graph, mode)
    verify(cast, after="auto-cast")
    error = worst_error(evaluate(cast, case.inputs), case.outputs)
    assert 1e-5 < error < 2e-2


def test_stories_predict_the_published_tokens(models_dir: Path) -> None:
    case = load_case(models_dir, "stories260k_prefill64")
    graph = auto_cast(simplify(import_onnx(case.path)), "all")
    found = evaluate(graph, case.inputs)["logits"].argmax(-1)
    assert isinstance(case.outputs, dict)
    np.testing.assert_array_equal(found, case.outputs["logits"].argmax(-1))


def test_every_node_leads_back_to_the_model(models_dir: Path) -> None:
    graph = simplify(import_onnx(load_case(models_dir, "zoo_random/bert-small").path))
    assert all(node.sources for node in graph.nodes if node.op != "cast")
    assert {"LayerNormalization", "MatMul", "Softmax"} <= {
        source.op_type for node in graph.nodes for source in node.sources
    }


def test_batch_normalisation_disappears_into_convolutions(models_dir: Path) -> None:
    graph = simplify(import_onnx(load_case(models_dir, "ultraface_rfb320").path))
    producers = graph.producers()
    scaled = [
        n for n in graph.nodes
        if n.op == "mul" and any(getattr(producers.get(v.id), "op", "") == "conv" for v in n.inputs)
    ]  # fmt: skip
    assert not scaled


def test_activations_are_recognised(models_dir: Path) -> None:
    def ops(name: str) -> set[str]:
        return {n.op for n in simplify(import_onnx(load_case(models_dir, name).path)).nodes}

    assert "gelu" in ops("zoo_random/bert-small")
    assert "gelu_tanh" in ops("zoo_random/gpt2-small")
    assert {"silu", "rsqrt"} <= ops("stories260k_prefill64")
    assert "erf" not in ops("zoo_random/vit-small")
