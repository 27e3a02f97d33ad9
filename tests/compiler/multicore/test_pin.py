"""Pinned weights: loaded once, same bits, less traffic, and as many as there is room for."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.graph.builder import GraphBuilder
from compiler.graph.graph import FP32, Graph
from compiler.pipeline import Compiled
from isa.hardware import load_target
from isa.verify import verify
from neff import from_bytes, to_bytes
from simulator.runtime import Device, LoadedModel
from tests.compiler.device_run import compiled

HW = load_target("inf1")


def layers(width: int, depth: int, rows: int = 64) -> Graph:
    """x := relu(x w + b), `depth` times."""
    rng = np.random.default_rng(width)
    b = GraphBuilder("layers")
    x = b.input("x", (rows, width), FP32)
    for _ in range(depth):
        w = b.constant(rng.standard_normal((width, width)).astype(np.float32) / width**0.5)
        bias = b.constant(rng.standard_normal(width).astype(np.float32))
        x = b.emit("relu", b.emit("add", b.emit("matmul", x, w), bias))
    b.output(x, "y")
    return b.finish()


def loaded(made: Compiled) -> LoadedModel:
    """On the device, proved, by way of a file's bytes."""
    return Device(HW).load(from_bytes(to_bytes(made.neff)))


def outputs(model: LoadedModel, seed: int) -> np.ndarray:
    return np.asarray(model.run(seed=seed, function_only=True).outputs["y"])


@pytest.mark.parametrize("cast", ["all", "none"])
def test_every_run_gives_the_bits_of_the_program_that_loads_its_weights(cast: str) -> None:
    graph = layers(200, 3)
    plain, pinned = (loaded(compiled(graph, auto_cast=cast, pin_weights=p)) for p in (False, True))
    for seed in (1, 2, 1):
        assert np.array_equal(outputs(pinned, seed), outputs(plain, seed))


def test_what_is_pinned_is_read_once() -> None:
    made = compiled(layers(256, 4), pin_weights=True, auto_cast="all")
    program, timing = made.program, loaded(made).cores[0]
    weights = 4 * 256 * 256 * 2  # BF16
    assert timing.loading.dram_read_bytes >= weights
    assert timing.timing.dram_read_bytes == 64 * 256 * 4  # the input alone
    assert (
        made.report["bound_cycles"]
        < compiled(layers(256, 4), auto_cast="all").report["bound_cycles"]
    )
    assert len(program.pinned)
    assert verify(program, HW) == []


def test_what_finds_no_room_is_streamed_and_what_is_used_first_is_pinned() -> None:
    graph = layers(1024, 8)  # 16 MiB in BF16: more than the 12 MiB of SBUF
    made = compiled(graph, pin_weights=True, auto_cast="all")
    core = loaded(made).cores[0]
    read, streamed = core.loading.dram_read_bytes, core.timing.dram_read_bytes
    weights = 8 * 1024 * 1024 * 2
    assert weights / 2 < read < HW.sbuf_bytes
    assert read + streamed >= weights
    plain = compiled(graph, auto_cast="all")
    assert made.report["cycles"] < plain.report["cycles"]
    assert np.array_equal(outputs(loaded(made), 3), outputs(loaded(plain), 3))
