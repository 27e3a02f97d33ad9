"""The causes add up, and the one that a program was built to show comes first."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from isa.hardware import Hardware, load_target
from isa.memory import Engine
from isa.program import BufferKind, Program
from simulator.counters import count_program
from simulator.explain import Attribution, Cause, Phase, attribute
from simulator.explain.dram import dma_time
from simulator.explain.layers import layer_costs, macs_of_rows
from simulator.explain.releases import stream_of_rows
from simulator.explain.summary import difference
from simulator.explain.whatif import what_ifs
from simulator.timing import prepare, simulate
from tests.simulator.explain import kernels
from tests.simulator.timing_programs import random_program

INF1 = load_target("inf1")


def explain(program: Program, hw: Hardware = INF1) -> Attribution:
    return attribute(program, simulate(prepare(program, hw)))


def main_cause(found: Attribution, *phases: Phase) -> Cause:
    """The largest cause of idle ticks in these phases (all of them by default)."""
    ticks = {
        cause: sum(t for p, t in by_phase.items() if p in (phases or Phase))
        for cause, by_phase in found.idle().items()
    }
    return max(ticks, key=lambda c: ticks[c])


def require_exact(found: Attribution) -> None:
    """Segments tile the run; sums by cause, layer and DMA engine add up; busy is busy."""
    total = found.timing.total_ticks
    assert (found.ticks > 0).all()
    assert (found.begin[1:] == found.end[:-1]).all()
    if total:
        assert found.begin[0] == 0
        assert found.end[-1] == total
    by_cause = found.by_cause()
    assert sum(by_cause.values()) == total
    idle = sum(sum(phases.values()) for phases in found.idle().values())
    assert idle + by_cause.get(Cause.MULTIPLY, 0) == total
    layers = layer_costs(found)
    assert sum(layer.ticks for layer in layers) == total
    assert all(layer.ticks == layer.multiply + sum(layer.idle.values()) for layer in layers)
    assert all(0 <= u <= 1 + 1e-9 for layer in layers for u in layer.utilization.values())
    dma = dma_time(found)
    assert sum(dma.values()) == total * found.sharing.engines
    assert min(dma.values(), default=0) >= 0
    for macs, size_bytes in ((0, 1), (1 << 20, 0), (1, 1 << 20)):
        beyond = difference(found, macs, size_bytes)
        assert beyond.bound + sum(ticks for _, ticks in beyond.parts) == total


@pytest.mark.parametrize("target", ["inf1", "inf2", "trn2"])
@pytest.mark.parametrize("own", [True, False], ids=["own semaphores", "shared"])
def test_random_programs_add_up(target: str, own: bool) -> None:
    hw = load_target(target)
    for seed in range(25):
        rng = Random(seed)
        require_exact(explain(random_program(rng, hw, rng.randint(0, 120), own), hw))


def test_multiplying_is_what_the_tensor_engine_was_busy_with() -> None:
    program = kernels.weights_stream()
    found = explain(program)
    assert found.by_cause()[Cause.MULTIPLY] == found.timing.busy_ticks[int(Engine.TENSOR)]
    assert macs_of_rows(found).sum() == count_program(program)["macs"]


def test_weights_that_stream_without_rest_are_a_matter_of_rate() -> None:
    found = explain(kernels.weights_stream())
    assert main_cause(found, Phase.MIDDLE) is Cause.WEIGHTS_RATE
    idle = found.idle()
    assert sum(idle[Cause.WEIGHTS_RATE].values()) > 0.8 * sum(
        t for phases in idle.values() for t in phases.values()
    )
    dma = dma_time(found)
    assert dma[Cause.WEIGHTS_RATE] > 0.9 * sum(dma.values())


def test_one_buffer_is_a_matter_of_room() -> None:
    found = explain(kernels.one_buffer())
    assert main_cause(found, Phase.MIDDLE) is Cause.SBUF_ROOM
    dma = dma_time(found)
    assert next(iter(dma)) is Cause.SBUF_ROOM


def test_room_counts_even_where_the_gap_begins_after_the_load() -> None:
    found = explain(kernels.one_buffer(size_bytes=2048, matmuls=8, after=8))
    idle = found.idle()
    assert main_cause(found, Phase.MIDDLE) is Cause.SBUF_ROOM
    assert Cause.WEIGHTS_RATE not in idle or Phase.MIDDLE not in idle[Cause.WEIGHTS_RATE]


def test_two_buffers_take_that_away() -> None:
    one, two = kernels.one_buffer(size_bytes=4096), kernels.weights_stream(size_bytes=4096)
    assert Cause.SBUF_ROOM in explain(one).idle()
    assert Cause.SBUF_ROOM not in explain(two).idle()


def test_one_bank_is_a_matter_of_psum() -> None:
    assert main_cause(explain(kernels.one_bank()), Phase.MIDDLE) is Cause.PSUM_ROOM


def test_banks_enough_and_a_slow_reader_are_a_matter_of_the_reader() -> None:
    found = explain(kernels.one_bank(rounds=64, banks=4, reads=3))
    assert main_cause(found, Phase.MIDDLE) is Cause.ACT


def test_a_chain_of_tiny_steps_is_latency() -> None:
    found = explain(kernels.ping_pong())
    assert main_cause(found, Phase.MIDDLE) is Cause.RESULT
    rounds, hw = kernels.ROUNDS - 1, INF1
    idle = found.idle()
    assert idle[Cause.RESULT][Phase.MIDDLE] == rounds * (hw.pe_latency + hw.act_latency)
    assert idle[Cause.SEMAPHORE][Phase.MIDDLE] == rounds * 2 * hw.semaphore_latency_ns
    assert idle[Cause.ACT][Phase.MIDDLE] == rounds * hw.engine_min_interval


def test_elementwise_work_in_front_is_the_vector_engine() -> None:
    found = explain(kernels.vector_only())
    assert main_cause(found) is Cause.DVE
    binding = {layer.name: layer.binding for layer in layer_costs(found)}
    assert binding["stream 2"] == Cause.DVE.text


@pytest.mark.parametrize(
    ("size_bytes", "rows", "cause"),
    [
        (4, 128, Cause.DESCRIPTORS),
        (1 << 15, 3, Cause.FEW_DESCRIPTORS),
        (1 << 15, 120, Cause.WEIGHTS_RATE),
    ],
)
def test_the_shape_of_a_transfer_decides_its_cause(
    size_bytes: int, rows: int, cause: Cause
) -> None:
    count = 64 if size_bytes == 4 else 4
    assert main_cause(explain(kernels.small_descriptors(size_bytes, rows, count))) is cause


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (BufferKind.CONSTANT, Cause.WEIGHTS_RATE),
        (BufferKind.INPUT, Cause.INPUT_RATE),
        (BufferKind.SCRATCH, Cause.SPILL_RATE),
    ],
)
def test_bytes_count_under_the_buffer_that_they_come_from(kind: BufferKind, cause: Cause) -> None:
    program = kernels.weights_stream()
    other = kernels.with_buffer(program, kind)
    assert main_cause(explain(other), Phase.MIDDLE) is cause


def test_what_follows_the_last_matmul_is_the_end() -> None:
    found = explain(kernels.one_bank(rounds=2))
    end = {c: p[Phase.END] for c, p in found.idle().items() if Phase.END in p}
    last = found.timing.end[stream_of_rows(found.timing) == Engine.TENSOR].max()
    assert sum(end.values()) == found.timing.total_ticks - last


def test_a_program_without_a_matmul_is_explained_too() -> None:
    program = kernels.vector_only()
    alone = Program({int(Engine.VECTOR): program.streams[int(Engine.VECTOR)]})
    found = explain(alone)
    require_exact(found)
    assert main_cause(found, Phase.END) is Cause.DVE


def test_an_empty_program_has_nothing_to_explain() -> None:
    found = explain(Program({}))
    require_exact(found)
    assert found.idle() == {}
    assert layer_costs(found) == []


def test_what_ifs_gain_where_the_causes_say() -> None:
    def best(program: Program) -> str:
        ticks = simulate(prepare(program, INF1)).total_ticks
        return what_ifs(program, INF1, ticks)[0].change

    assert best(kernels.weights_stream(64)) == "DRAM rate and DMA engines x 2"
    assert best(kernels.vector_only(64)) == "vector engine x 2"
    assert best(kernels.ping_pong(64)) == "no latency anywhere"
    assert best(kernels.small_descriptors(4, 128, 256)) == "descriptors at no cost"


def test_the_same_run_is_explained_the_same() -> None:
    program = kernels.one_bank()
    a, b = explain(program), explain(program)
    assert np.array_equal(a.cause, b.cause)
    assert np.array_equal(a.row, b.row)
