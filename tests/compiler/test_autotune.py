"""-O3: deterministic, within its budget, never worse, and its memory can be trusted or lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.autotune_cache import Cache, key_of
from compiler.errors import UsageError
from compiler.graph.builder import GraphBuilder
from compiler.graph.evaluate import evaluate
from compiler.graph.graph import FP32, Attr, Graph
from compiler.knobs import CHOICES, Knobs
from compiler.options import Options
from isa.hardware import load_target
from neff import to_bytes
from tests.compiler.device_run import compiled, run

HW = load_target("inf1")


def small_net(channels: int = 24) -> Graph:
    """Two convolutions and a product, with weights of several transfers."""
    rng = np.random.default_rng(channels)
    b = GraphBuilder("net")
    x = b.input("x", (1, 3, 32, 32), FP32)
    pads, ones = ((1, 1), (1, 1)), (1, 1)
    how: dict[str, Attr] = {"strides": ones, "dilations": ones, "groups": 1, "pads": pads}
    for inputs in (3, channels):
        w = rng.standard_normal((channels, inputs, 3, 3)).astype(np.float32) / 8
        x = b.emit("relu", b.emit("conv", x, b.constant(w), **how))
    w = rng.standard_normal((channels * 64, 32)).astype(np.float32) / 32
    pooled = b.emit(
        "reduce_window", x, kind="max", window=(4, 4), strides=(4, 4), dilations=ones,
        pads=((0, 0), (0, 0)),
    )  # fmt: skip
    flat = b.emit("reshape", pooled, shape=(1, channels * 64))
    b.output(b.emit("matmul", flat, b.constant(w)), "y")
    return b.finish()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYSTOLA_CACHE", str(tmp_path))
    return tmp_path / "autotune"


def test_a_search_gains_and_repeats_itself(cache: Path) -> None:
    graph = small_net()
    plain = compiled(graph)
    first = compiled(graph, level=3, budget=6)
    found = first.report["autotune"]
    assert found["evaluations"] <= found["budget"] == 6
    assert found["start_cycles"] >= found["best_cycles"] == first.report["cycles"]
    assert first.report["cycles"] <= plain.report["cycles"]
    assert len(found["trials"]) == found["evaluations"]
    (kept,) = cache.iterdir()
    again = compiled(graph, level=3, budget=6)  # from memory
    assert to_bytes(again.neff) == to_bytes(first.neff)
    kept.unlink()
    anew = compiled(graph, level=3, budget=6)  # from nothing
    assert to_bytes(anew.neff) == to_bytes(first.neff)
    x = {"x": np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)}
    np.testing.assert_allclose(run(first, x)["y"], evaluate(graph, x)["y"], atol=1e-4)


def test_a_search_goes_on_where_it_stood(cache: Path) -> None:
    graph = small_net()
    compiled(graph, level=3, budget=2)
    (kept,) = cache.iterdir()
    before = json.loads(kept.read_bytes())["trials"]
    compiled(graph, level=3, budget=4)
    after = json.loads(kept.read_bytes())["trials"]
    assert len(before) == 2
    assert after[:2] == before
    assert len(after) == 4


def test_a_search_is_named_by_all_that_it_depends_on() -> None:
    graph = small_net()
    key = key_of(graph, HW, Options())
    assert key == key_of(small_net(), HW, Options(level=3, budget=7))
    others = [
        key_of(small_net(16), HW, Options()),
        key_of(graph, load_target("inf2"), Options()),
        key_of(graph, HW, Options(auto_cast="none")),
        key_of(graph, HW, Options(without=frozenset(("stripe",)))),
    ]
    assert len({key, *others}) == 5


@given(st.binary(max_size=200) | st.sampled_from([b"{}", b'{"format": 1}', b"[]", b"[" * 5000]))
def test_a_damaged_file_is_as_good_as_none(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = Cache("key", folder)
    cache.begin(Knobs())
    cache.keep(Knobs(strips=2), 7)
    cache.keep(Knobs(strips=3), None)
    again = Cache("key", folder)
    assert (again.start, again.trials) == (cache.start, cache.trials)
    assert cache.path is not None
    whole = cache.path.read_bytes()
    cut = len(data) * len(whole) // 256
    for damaged in (data, whole[:cut], whole[:cut] + data + whole[cut:]):
        cache.path.write_bytes(damaged)
        Cache("key", folder)  # never raises
    assert [p.name for p in cache.path.parent.iterdir()] == ["key.json"]


def test_without_a_folder_nothing_outlives_the_search(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("not a folder")
    for folder in (None, taken):
        cache = Cache("key", folder)
        cache.keep(Knobs(), 5)
        assert cache.known(Knobs()) == (5,)
        assert Cache("key", folder).known(Knobs()) is None


def test_knobs_are_what_they_say() -> None:
    start = Knobs()
    for name, values in CHOICES.items():
        assert getattr(start, name) in values
        for other in Knobs(strips=4).neighbours(name):
            assert other.difference(Knobs(strips=4)).startswith(name)
            assert Knobs.from_json(other.to_json()) == other
    assert list(start.neighbours("strip_room")) == []
    with pytest.raises(ValueError, match="strips"):
        Knobs.from_json({**start.to_json(), "strips": True})


@pytest.mark.parametrize("asked", [{"level": 0}, {"level": 4}, {"budget": 0}])
def test_levels_that_there_are_not(asked: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="SYS-C110"):
        compiled(small_net(), **asked)
