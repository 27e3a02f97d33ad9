"""The rules of `docs/timing.md`, each probed one cycle before its boundary, at it and behind it.

On inf1 every clock runs at 1 GHz, so a tick is a cycle is a nanosecond: activation latency 200,
vector 144, PE 192, semaphore 40, table load 1300, DMA start 1300 and completion 300.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from isa.activation.functions import ActivationFunction
from isa.dtypes import DType
from isa.encoding import encode_all
from isa.errors import IllegalError, TrapError
from isa.hardware import Hardware, load_target
from isa.instructions.dma import DmaCopy
from isa.instructions.sync import Branch, Drain, Nop, SemClear
from isa.instructions.vector import TensorCopy
from isa.memory import DRAM, PSUM, SBUF
from isa.program import Program
from isa.spec import Instruction, Signal, Wait
from isa.tiles import DmaTile, contiguous
from simulator.timing import Cause, Timing, prepare, simulate, simulate_chip
from tests.simulator.timing_programs import (
    ACT,
    DVE,
    PE,
    POOL,
    Q0,
    Q1,
    SP,
    activate,
    copy_in,
    load,
    multiply,
    program,
    tile,
)

INF1 = load_target("inf1")
EXP, GELU, RELU = ActivationFunction.EXP, ActivationFunction.GELU, ActivationFunction.RELU
NEAR = pytest.mark.parametrize("off", [-1, 0, 1])


def run(streams: Mapping[int, Sequence[Instruction]], hw: Hardware = INF1) -> Timing:
    return simulate(prepare(program(streams), hw))


def starts(timing: Timing, stream: int) -> list[int]:
    rows = timing.program.rows(stream)
    found: list[int] = timing.start[rows].tolist()
    return found


def busy_act(cycles: int, at: int = 0x8000) -> Instruction:
    """An activation of exactly so many cycles, on SBUF that nothing else here touches."""
    return activate(tile(SBUF, at, cycles, DType.BF16), tile(SBUF, at, cycles, DType.BF16))


# --- streams and semaphores ---------------------------------------------------------------------


def test_an_engine_takes_the_next_instruction_when_it_is_free() -> None:
    timing = run({ACT: [busy_act(10), busy_act(100, 0xA000), busy_act(65, 0xC000)]})
    assert starts(timing, ACT) == [0, 64, 164]  # 64 is the least interval
    assert timing.visible.tolist() == [264, 364, 429]


@NEAR
def test_a_signal_is_seen_once_it_is_visible_and_has_arrived(off: int) -> None:
    arrival = 512 + 192 + 40
    steps = [busy_act(arrival + off), Nop(waits=(Wait(0, 1),))]
    timing = run({PE: [multiply(512, signal=Signal(0))], ACT: steps})
    assert starts(timing, ACT)[1] == arrival + max(0, off)
    assert timing.wait[-1] == max(0, -off)
    assert timing.cause[-1] == (Cause.SEMAPHORE if off < 0 else Cause.NOTHING)


def test_both_waits_hold_and_the_later_one_is_named() -> None:
    early, late = [Nop(signal=Signal(0))], [busy_act(300), Nop(signal=Signal(1))]
    timing = run({SP: early, ACT: late, DVE: [Nop(waits=(Wait(1, 1), Wait(0, 1)))]})
    # The nop completes with the activation in front of it, at 300 + 200.
    assert starts(timing, DVE) == [540]
    assert timing.cause_row[timing.program.rows(DVE)].tolist() == [1]


def test_a_stream_completes_in_order() -> None:
    timing = run({PE: [multiply(512), load(64, signal=Signal(0))], SP: [Nop(waits=(Wait(0, 1),))]})
    assert starts(timing, PE) == [0, 0]
    assert starts(timing, SP) == [512 + 192 + 40]  # although the load ended at 16


def test_amounts_add_up_and_several_signallers_count_together() -> None:
    streams: dict[int, list[Instruction]] = {
        ACT: [busy_act(100), Nop(signal=Signal(0, 2))],
        SP: [Nop(signal=Signal(0, 3))],
        DVE: [Nop(waits=(Wait(0, 3),)), Nop(waits=(Wait(0, 5),))],
    }
    assert starts(run(streams), DVE) == [16 + 40, 300 + 40]


def test_a_cleared_semaphore_starts_again() -> None:
    streams: dict[int, list[Instruction]] = {
        SP: [Nop(signal=Signal(0)), SemClear(0, waits=(Wait(1, 1),)), Nop(signal=Signal(0))],
        ACT: [Nop(waits=(Wait(0, 1),), signal=Signal(1)), Nop(waits=(Wait(2, 1), Wait(0, 1)))],
        DVE: [Nop(waits=(Wait(1, 1),)), busy_act_on_vector(500), Nop(signal=Signal(2))],
    }
    timing = run(streams)
    assert starts(timing, ACT)[0] == 16 + 40
    assert starts(timing, ACT)[1] == starts(timing, DVE)[1] + 500 + 144 + 40


def busy_act_on_vector(cycles: int) -> Instruction:
    return TensorCopy(
        tile(SBUF, 0x9000, cycles, DType.BF16), tile(SBUF, 0x9000, cycles, DType.BF16)
    )


def test_a_drain_waits_for_what_is_in_front() -> None:
    assert starts(run({ACT: [busy_act(64), Drain(), Nop()]}), ACT) == [0, 264, 280]


# --- results inside a stream --------------------------------------------------------------------


def test_a_chain_of_dependent_activations_takes_264_cycles_a_link() -> None:
    one = tile(SBUF, 0, 1)
    timing = run({ACT: [activate(one, one) for _ in range(4)]})
    assert starts(timing, ACT) == [0, 264, 528, 792]
    assert timing.cause.tolist() == [Cause.NOTHING, *[Cause.RESULT] * 3]


@NEAR
def test_a_result_is_readable_a_latency_after_its_end(off: int) -> None:
    one, other = tile(SBUF, 0, 1), tile(SBUF, 64, 1)
    steps = [activate(one, other), busy_act(200 + off), activate(other, one)]
    assert starts(run({ACT: steps}), ACT)[2] == 264 + max(0, off)


@pytest.mark.parametrize(("address", "expected"), [(32, 64), (31, 64 + 200)])
def test_only_overlapping_bytes_make_a_dependence(address: int, expected: int) -> None:
    written = tile(SBUF, 0, 32, DType.UINT8)
    steps = [
        activate(written, tile(SBUF, 256, 32)),
        activate(tile(SBUF, 512, 1), tile(SBUF, address, 1)),
    ]
    assert starts(run({ACT: steps}), ACT)[1] == expected


def test_chained_matmuls_have_no_bubble() -> None:
    assert starts(run({PE: [multiply(512) for _ in range(4)]}), PE) == [0, 512, 1024, 1536]


# --- weights ------------------------------------------------------------------------------------


def test_a_load_hides_behind_the_matmul_in_front() -> None:
    timing = run({PE: [load(64), multiply(512)] * 3})
    assert starts(timing, PE) == [0, 16, 16, 528, 528, 1040]
    assert timing.waits(PE) == {Cause.WEIGHTS: 16}
    assert timing.busy_ticks[PE] == 3 * 512
    assert timing.load_ticks == 3 * 16


@NEAR
def test_short_matmuls_take_as_long_as_their_loads(off: int) -> None:
    hw = replace(INF1, name="eager", pe_min_interval=1)
    timing = run({PE: [load(64), multiply(16 + off)] * 8}, hw)
    multiplies = starts(timing, PE)[1::2]
    intervals = {b - a for a, b in pairwise(multiplies)}
    assert intervals == {max(16, 16 + off)}


def test_at_most_one_load_runs_ahead() -> None:
    timing = run({PE: [multiply(512), load(64), load(64), multiply(64), load(64)]})
    # Both loads run behind the first matmul, one after the other; the last begins with its matmul.
    assert starts(timing, PE) == [0, 0, 16, 512, 512]


def test_a_load_that_waits_holds_its_matmul() -> None:
    late = [busy_act(600), Nop(signal=Signal(0))]
    steps = [load(64), multiply(64), load(64, waits=(Wait(0, 1),)), multiply(64)]
    timing = run({PE: steps, ACT: late})
    assert starts(timing, PE) == [0, 16, 840, 856]
    assert timing.waits(PE) == {Cause.WEIGHTS: 32, Cause.SEMAPHORE: 760}


# --- activation tables and ports ----------------------------------------------------------------


def test_another_set_of_functions_costs_a_table_load() -> None:
    functions = (EXP, EXP, RELU, EXP, GELU)
    steps = [
        activate(tile(SBUF, 64 * i, 1), tile(SBUF, 4096, 1), f) for i, f in enumerate(functions)
    ]
    timing = run({ACT: steps})
    assert starts(timing, ACT) == [1300, 1364, 1428, 1492, 1556 + 1300]
    assert timing.waits(ACT) == {Cause.TABLE: 2600}


@NEAR
def test_a_table_is_loaded_while_a_wait_lasts(off: int) -> None:
    late = [busy_act_on_vector(1300 - 40 - 144 + off), Nop(signal=Signal(0))]
    steps = [activate(tile(SBUF, 0, 1), tile(SBUF, 4096, 1), EXP, waits=(Wait(0, 1),))]
    assert starts(run({ACT: steps, DVE: late}), ACT) == [1300 + max(0, off)]


@NEAR
def test_scalar_and_vector_engine_exclude_each_other_on_psum(off: int) -> None:
    long = activate(tile(SBUF, 0, 200), tile(PSUM, 0, 200))
    steps = [busy_act_on_vector(200 + off), TensorCopy(tile(SBUF, 4096, 64), tile(PSUM, 4096, 64))]
    timing = run({ACT: [long], DVE: steps})
    assert starts(timing, DVE) == [0, 200 + max(0, off)]
    assert timing.waits(DVE) == ({Cause.PORT: 1} if off < 0 else {})


def test_the_oldest_request_gets_the_port() -> None:
    drains = [activate(tile(SBUF, 1024 * i, 100), tile(PSUM, 0, 100)) for i in range(3)]
    copies = [TensorCopy(tile(SBUF, 8192, 100), tile(PSUM, 4096, 100)) for _ in range(2)]
    timing = run({ACT: drains, DVE: copies})
    assert starts(timing, ACT) == [0, 200, 400]
    assert starts(timing, DVE) == [100, 300]


def test_engines_that_keep_off_psum_do_not_meet() -> None:
    timing = run({ACT: [busy_act(100)], DVE: [TensorCopy(tile(SBUF, 0, 64), tile(PSUM, 0, 64))]})
    assert starts(timing, DVE) == [0]


@pytest.mark.parametrize(("target", "expected"), [("trn1", 500), ("trn2", 0)])
def test_vector_engine_and_gpsimd_exclude_each_other_on_sbuf_before_v3(
    target: str, expected: int
) -> None:
    steps = TensorCopy(tile(SBUF, 0, 100), tile(SBUF, 1024, 100))
    timing = run({DVE: [steps], POOL: [steps]}, load_target(target))
    assert starts(timing, POOL) == [expected]  # 100 cycles of 1.12 GHz at 5.6 GHz


# --- DMA ----------------------------------------------------------------------------------------


def test_a_transfer_starts_moves_and_completes() -> None:
    timing = run({Q0: [copy_in(1024, 128)]})
    # 128 descriptors of 25 ns and 128 KiB at 4.096 GB/s are 35,200 ns of one engine, of twelve.
    assert (timing.start[0], timing.end[0], timing.visible[0]) == (1300, 4234, 4534)
    assert timing.dram_read_bytes == 131072
    assert (timing.total_ticks, timing.cycles, timing.time_s) == (4534, 4534, 4534e-9)


def test_a_descriptor_keeps_one_engine_busy() -> None:
    timing = run({Q0: [copy_in(65536)]})
    assert timing.end[0] - timing.start[0] == 25 + 16000


def test_start_up_hides_behind_a_busy_queue() -> None:
    timing = run({Q0: [copy_in(65536) for _ in range(3)]})
    assert timing.ready.tolist() == [0, 16, 32]
    assert timing.start.tolist() == [1300, 17325, 33350]
    assert timing.cause.tolist() == [Cause.DMA_START, Cause.NOTHING, Cause.NOTHING]


@NEAR
def test_a_late_trigger_shows_its_start_up(off: int) -> None:
    end = 1300 + 25 + 16000
    late = [busy_act(end - 1300 - 240 + off), Nop(signal=Signal(0))]
    timing = run({ACT: late, Q0: [copy_in(65536), copy_in(64, waits=(Wait(0, 1),))]})
    assert starts(timing, Q0)[1] == end + max(0, off)


def test_transfers_share_the_engines() -> None:
    timing = run({Q0: [copy_in(1024, 128)], Q1: [copy_in(1024, 128)]})
    assert timing.end.tolist() == [1300 + 5867, 1300 + 5867]


def test_what_a_narrow_transfer_leaves_goes_to_the_others() -> None:
    timing = run({Q0: [copy_in(65536, 3)], Q1: [copy_in(4096, 128)]})
    wide = 128 * (25 + 1000)
    assert timing.end.tolist() == [1300 + 16025, 1300 + -(-wide // 9)]


def test_engines_that_come_free_are_shared_out_anew() -> None:
    timing = run({Q0: [copy_in(1024, 128)], Q1: [copy_in(1024, 128), copy_in(1024, 128)]})
    first = 1300 + 5867
    assert abs(int(timing.end[2]) - (first + 2934)) <= 1


def test_dram_limits_all_transfers_together() -> None:
    hw = replace(INF1, name="short", dram_bytes_per_s=10**9)
    timing = run({Q0: [copy_in(1024, 128)], Q1: [copy_in(1024, 128)]}, hw)
    assert 0 <= timing.end[0] - 1300 - 262144 <= 2


def test_copies_inside_sbuf_need_no_dram() -> None:
    hw = replace(INF1, name="short", dram_bytes_per_s=10**9)
    a, b = (DmaTile(SBUF, at, DType.UINT8, contiguous(1024), partitions=128) for at in (0, 4096))
    timing = run({Q0: [DmaCopy(a, b)]}, hw)
    assert timing.end[0] == 4234
    assert timing.dram_read_bytes == timing.dram_written_bytes == 0


def test_a_copy_inside_dram_counts_twice() -> None:
    a, b = (DmaTile(DRAM, at, DType.UINT8, contiguous(4096)) for at in (0, 8192))
    timing = run({Q0: [DmaCopy(a, b)]})
    assert (timing.dram_read_bytes, timing.dram_written_bytes) == (4096, 4096)


def test_a_queue_reads_what_it_has_written_once_that_is_complete() -> None:
    there = DmaTile(SBUF, 0, DType.UINT8, contiguous(1024), partitions=1)
    back = DmaCopy(DmaTile(DRAM, 1 << 20, DType.UINT8, contiguous(1024)), there)
    timing = run({Q0: [copy_in(1024), back]})
    assert timing.start[1] == timing.end[0] + 300
    assert timing.cause[1] == Cause.RESULT


def test_a_control_instruction_in_a_queue_keeps_its_place() -> None:
    timing = run({Q0: [copy_in(65536), Nop(signal=Signal(0))], SP: [Nop(waits=(Wait(0, 1),))]})
    assert starts(timing, SP) == [1300 + 16025 + 300 + 40]


# --- several cores ------------------------------------------------------------------------------


def test_cores_share_the_engines_of_inf1() -> None:
    one = prepare(program({Q0: [copy_in(1024, 128)]}), INF1)
    both = simulate_chip([one, one])
    assert [t.end.tolist() for t in both] == [[1300 + 5867]] * 2


def test_cores_have_their_own_engines_on_trn1() -> None:
    hw = load_target("trn1")
    one = prepare(
        program({Q0: [copy_in(1024, 128, signal=Signal(0))], SP: [Nop(waits=(Wait(0, 1),))]}), hw
    )
    alone = simulate(one)
    for timing in simulate_chip([one, one], hw):
        assert timing.end.tolist() == alone.end.tolist()
        assert timing.cause_row.tolist() == alone.cause_row.tolist()


def test_rates_far_beyond_the_clocks_are_refused() -> None:
    hw = replace(INF1, name="absurd", dram_bytes_per_s=10**19)
    with pytest.raises(IllegalError, match="SYS-M002"):
        run({SP: [Nop()]}, hw)


# --- programs that cannot be timed --------------------------------------------------------------


def test_a_deadlock_shows_its_cycle() -> None:
    streams: dict[int, list[Instruction]] = {
        ACT: [Nop(waits=(Wait(0, 1),), signal=Signal(1))],
        DVE: [Nop(), Nop(waits=(Wait(1, 1),), signal=Signal(0))],
    }
    with pytest.raises(TrapError) as caught:
        run(streams)
    assert caught.value.code == "SYS-R010"
    assert caught.value.found == "deadlock: ACT -> DVE -> ACT"
    assert caught.value.at == "ACT 0 waits for s0>=1; DVE 1 waits for s1>=1"


def test_a_deadlock_over_a_counted_semaphore_shows_its_cycle() -> None:
    streams: dict[int, list[Instruction]] = {
        ACT: [Nop(waits=(Wait(0, 2),), signal=Signal(1))],
        DVE: [Nop(waits=(Wait(1, 1),)), Nop(signal=Signal(0))],
        SP: [Nop(signal=Signal(0))],
    }
    with pytest.raises(TrapError, match="SYS-R010") as caught:
        run(streams)
    assert caught.value.found == "deadlock: ACT -> DVE -> ACT"


def test_a_wait_that_nobody_signals_is_a_deadlock() -> None:
    with pytest.raises(TrapError) as caught:
        run({SP: [Nop(waits=(Wait(3, 1),))], ACT: [Nop(waits=(Wait(4, 0),))]})
    assert caught.value.found == "deadlock: a wait that no signal satisfies"


@pytest.mark.parametrize("streams", [(SP,), (SP, ACT)])
def test_a_semaphore_overflows(streams: tuple[int, ...]) -> None:
    hw = replace(INF1, name="small", semaphore_max=255)
    signals: list[Instruction] = [Nop(signal=Signal(0, 100)) for _ in range(3)]
    waits: list[Instruction] = [Nop(waits=(Wait(0, 200),))]
    with pytest.raises(TrapError, match="SYS-R011"):
        run({**dict.fromkeys(streams, signals), DVE: waits}, hw)


def test_a_branch_is_refused() -> None:
    with pytest.raises(TrapError, match="SYS-R014"):
        run({SP: [Branch(target=1)]})


def test_nothing_takes_no_time() -> None:
    assert simulate(prepare(Program({}), INF1)).total_ticks == 0
    assert simulate(prepare(Program({SP: encode_all([])}), INF1)).cycles == 0
