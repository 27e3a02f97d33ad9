"""The interpreter: waits, signals, interleavings, faults."""

from __future__ import annotations

import random

import numpy as np
import pytest

from isa.alu import AluOp
from isa.dtypes import FP32, UINT8
from isa.encoding import encode_all
from isa.errors import MalformedError, TrapError
from isa.hardware import load_target
from isa.instructions.dma import DmaCopy
from isa.instructions.scalar import Activation
from isa.instructions.sync import Nop
from isa.instructions.tensor import LoadStationary, MultiplyMoving
from isa.instructions.vector import Memset, TensorCopy, TensorScalar
from isa.memory import DRAM, PSUM, SBUF
from isa.program import BufferKind, DramBuffer, Program
from isa.semantics import Machine, interpret_order, run_reference
from isa.spec import Instruction, Signal, Wait
from isa.state import State
from isa.tiles import DmaTile, Immediate, contiguous
from tests.isa.bench import tile

HW = load_target("inf1")
PE, ACT, DVE, SP, Q0 = 0, 1, 2, 4, 5


def memset(value: float, *waits: Wait, signal: Signal | None = None) -> Memset:
    return Memset(tile(0, 1, 1), Immediate.of(value), waits=waits, signal=signal)


def final(state: State) -> float:
    return float(state.read(tile(0, 1, 1))[0, 0])


def small_layer() -> Program:
    """relu(w.T @ x) * 2: weights and input in, product, activation, scaling, result out."""

    def moved(address: int, partitions: int, n: int) -> DmaTile:
        return DmaTile(SBUF, address, FP32, contiguous(n), 0, partitions)

    def dram(address: int, *nums: int) -> DmaTile:
        return DmaTile(DRAM, address, FP32, contiguous(*nums))

    psum = tile(0, 2, 2, memory=PSUM)
    streams: dict[int, list[Instruction]] = {
        Q0: [
            DmaCopy(moved(0, 3, 2), dram(0, 3, 2), signal=Signal(0)),
            DmaCopy(moved(64, 3, 2), dram(24, 3, 2), signal=Signal(0)),
        ],
        Q0 + 1: [DmaCopy(dram(48, 2, 2), moved(128, 2, 2), waits=(Wait(3, 1),))],
        PE: [
            LoadStationary(tile(0, 3, 2), waits=(Wait(0, 2),)),
            MultiplyMoving(psum, tile(64, 3, 2), True, True, signal=Signal(1)),
        ],
        ACT: [Activation(tile(128, 2, 2), psum, waits=(Wait(1, 1),), signal=Signal(2))],
        DVE: [
            TensorScalar(
                tile(128, 2, 2), tile(128, 2, 2), Immediate.of(2.0), op0=AluOp.MULTIPLY,
                waits=(Wait(2, 1),), signal=Signal(3),
            )
        ],
    }  # fmt: skip
    buffers = (
        DramBuffer("w", BufferKind.CONSTANT, 0, 24),
        DramBuffer("x", BufferKind.INPUT, 24, 24),
        DramBuffer("y", BufferKind.OUTPUT, 48, 16),
    )
    return Program({s: encode_all(lines) for s, lines in streams.items()}, buffers)


def layer_window() -> np.ndarray:
    values = np.array([1, 2, 3, 4, 5, 6, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0], np.float32)
    return values.view(np.uint8)


def test_a_program_over_five_streams_computes_its_layer() -> None:
    state = run_reference(small_layer(), HW, layer_window())
    assert state.dram[48:].view(np.float32).tolist() == [12, 16, 16, 20]


def test_every_interleaving_of_an_ordered_program_ends_the_same() -> None:
    keys = set()
    for seed in range(30):
        machine = Machine(small_layer(), HW, layer_window())
        interpret_order(machine, random.Random(seed).choice)
        keys.add(machine.key())
    assert len(keys) == 1


def test_a_race_ends_as_the_interleaving_says() -> None:
    racing: dict[int, list[Instruction]] = {ACT: [Nop()], DVE: [memset(1)], 3: [memset(2)]}
    first = interpret_order(Machine(racing, load_target("trn1")), lambda streams: streams[0])
    last = interpret_order(Machine(racing, load_target("trn1")), lambda streams: streams[-1])
    assert (final(first), final(last)) == (2, 1)


def test_a_wait_holds_until_the_value_is_reached() -> None:
    machine = Machine({DVE: [memset(1, Wait(0, 2))], SP: [Nop(signal=Signal(0))] * 2}, HW)
    assert machine.runnable() == [SP]
    machine.step(SP)
    assert machine.runnable() == [SP]
    machine.step(SP)
    assert machine.runnable() == [DVE]
    machine.step(DVE)
    assert machine.done


def test_both_waits_hold_and_signals_count_by_their_amount() -> None:
    streams: dict[int, list[Instruction]] = {
        DVE: [memset(1, Wait(0, 16), Wait(1, 1))],
        SP: [Nop(signal=Signal(0, 16)), Nop(signal=Signal(1))],
    }
    machine = Machine(streams, HW)
    machine.step(SP)
    assert machine.runnable() == [SP]
    machine.step(SP)
    assert machine.runnable() == [DVE]


def test_a_deadlock_names_every_blocked_stream() -> None:
    streams = {
        ACT: [Nop(waits=(Wait(1, 1),), signal=Signal(0))],
        DVE: [Nop(), Nop(waits=(Wait(0, 2),), signal=Signal(1))],
    }
    with pytest.raises(TrapError, match="SYS-R010") as caught:
        run_reference(streams, HW)
    assert "stream ACT, instruction 0: nop waits for s1>=1 (holds 0)" in caught.value.at
    assert "stream DVE, instruction 1: nop waits for s0>=2 (holds 0)" in caught.value.at


def test_a_semaphore_past_its_range_is_a_fault() -> None:
    most = HW.semaphore_max
    signals = [Nop(signal=Signal(0, 65535))] * 3
    machine = Machine({SP: signals}, HW)
    machine.state.semaphores[0] = most - 2 * 65535
    machine.step(SP)
    machine.step(SP)
    with pytest.raises(TrapError, match="SYS-R011"):
        machine.step(SP)


def test_a_fault_names_its_place() -> None:
    bad = TensorCopy(tile(HW.sbuf_partition_bytes, 1, 1), tile(0, 1, 1))
    with pytest.raises(TrapError) as caught:
        run_reference({DVE: [Nop(), bad]}, HW)
    assert caught.value.at == "stream DVE, instruction 1: tensor_copy"


def test_words_that_do_not_decode_are_malformed() -> None:
    words = np.full((1, 16), 0xFF, np.uint64)
    with pytest.raises(MalformedError):
        run_reference(Program({DVE: words}), HW)


def test_copies_do_not_see_each_other() -> None:
    machine = Machine({DVE: [memset(1), memset(2)]}, HW)
    machine.step(DVE)
    other = machine.copy()
    assert other.key() == machine.key()
    other.step(DVE)
    assert (final(machine.state), final(other.state)) == (1, 2)
    third = machine.copy()
    machine.step(DVE)
    assert (final(machine.state), final(third.state)) == (2, 1)
    assert machine.key() == other.key() != third.key()


def test_the_window_is_copied_in() -> None:
    window = np.zeros(8, np.uint8)
    write = DmaCopy(DmaTile(DRAM, 0, UINT8, ((1, 4),)), DmaTile(DRAM, 4, UINT8, ((1, 4),)))
    window[4:] = 7
    state = run_reference({Q0: [write]}, HW, window)
    assert state.dram.tolist() == [7] * 8
    assert window.tolist() == [0] * 4 + [7] * 4
