"""The zoo: names, cache, and that a made model keeps its numbers in range and its batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks.zoo import ENTRIES, store
from benchmarks.zoo.light import light_model
from compiler.frontends.onnx import import_onnx


def test_names_say_the_batch_and_limits_those_of_the_architecture() -> None:
    assert all(e.name == name for name, e in ENTRIES.items())
    assert ENTRIES["resnet50-b8"].batch == 8
    assert ENTRIES["bert-base-s128-b6-embeds"].batch == 6
    for name in (n for n in ENTRIES if n.endswith("-embeds")):
        assert ENTRIES[name].limit == ENTRIES[name.removesuffix("-embeds")].limit


def test_a_model_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTOLA_ZOO", str(tmp_path))
    file = store.path("squeezenet-b1")
    begun = file.stat().st_mtime_ns
    assert store.path("squeezenet-b1") == file
    assert file.stat().st_mtime_ns == begun
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_nothing_is_left_when_making_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTOLA_ZOO", str(tmp_path))

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(onnx, "save", fail)
    with pytest.raises(RuntimeError):
        store.path("matmul-4096")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("file", "batch"), [("shufflenet", 1), ("shufflenet", 2)])
def test_light_models_answer_to_their_input(file: str, batch: int) -> None:
    model = light_model(file, batch)
    del model.graph.node[-1]  # logits
    model.graph.output[0].name = model.graph.node[-1].output[0]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    shape = session.get_inputs()[0].shape
    assert shape[0] == batch
    rng = np.random.default_rng(3)
    first, second = (
        session.run(None, {session.get_inputs()[0].name: rng.standard_normal(shape, np.float32)})[0]
        for _ in range(2)
    )
    assert 0.1 < np.abs(first).max() < 100
    assert np.abs(first - second).max() > 0.1 * np.abs(first).max()


def test_the_same_recipe_gives_the_same_model() -> None:
    first, second = (light_model("squeezenet", 1).SerializeToString() for _ in range(2))
    assert first == second


def test_batches_reach_every_shape() -> None:
    graph = import_onnx(light_model("shufflenet", 4), {})
    assert all(v.shape[0] == 4 for v in graph.outputs)
