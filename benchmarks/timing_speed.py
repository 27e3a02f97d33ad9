"""How fast time is simulated: instructions a second on a synthetic program of five streams.

    python benchmarks/timing_speed.py [--instructions 1000000] [--json]

The program is a tile pipeline: a queue loads tiles, PE multiplies them, ACT and DVE drain PSUM in
turn, another queue stores; each stage waits for the one in front and for room behind. Ratios are to
an idle loop of the same length (a numba loop that adds an array up), so that machines compare.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from isa.activation.functions import ActivationFunction
from isa.alu import AluOp
from isa.dtypes import DType
from isa.encoding import encode_all
from isa.hardware import load_target
from isa.instructions.dma import DmaCopy
from isa.instructions.scalar import Activation
from isa.instructions.tensor import LoadStationary, MultiplyMoving
from isa.instructions.vector import TensorTensor
from isa.memory import DRAM, PSUM, SBUF
from isa.program import Program
from isa.spec import Instruction, Signal, Wait
from isa.tiles import DmaTile, Tile, contiguous
from simulator.timing import prepare, simulate

PE, ACT, DVE, LOADS, STORES = 0, 1, 2, 5, 6
LOADED, MULTIPLIED, ACTIVATED, ADDED, STORED = range(5)
DEPTH = 4  # tiles under way between two stages


def tile_stage(i: int, counted: bool) -> dict[int, list[Instruction]]:
    """The instructions that handle tile `i`, by stream: 17 in all."""
    at = i % DEPTH

    def room(semaphore: int, tiles: int) -> tuple[Wait, ...]:
        return (Wait(semaphore, tiles),) if tiles > 0 else ()

    sbuf = Tile(SBUF, 0, 128, at * 4096, DType.BF16, contiguous(256))
    weights = Tile(SBUF, 0, 128, at * 4096 + 1024, DType.BF16, contiguous(64))
    psum = Tile(PSUM, 0, 64, at * 2048, DType.FP32, contiguous(256))
    out = Tile(SBUF, 0, 64, 32768 + at * 1024, DType.BF16, contiguous(256))
    near = DmaTile(SBUF, at * 4096, DType.BF16, contiguous(512), partitions=128)
    far = DmaTile(DRAM, at * 131072, DType.BF16, contiguous(128, 512))
    result = DmaTile(SBUF, 32768 + at * 1024, DType.BF16, contiguous(256), partitions=64)
    back = DmaTile(DRAM, 1 << 20, DType.BF16, contiguous(64, 256))
    relu = ActivationFunction.RELU
    last = LOADED if counted else STORED
    return {
        LOADS: [DmaCopy(near, far, waits=room(MULTIPLIED, i - DEPTH + 1), signal=Signal(LOADED))],
        PE: [
            LoadStationary(weights, waits=(Wait(LOADED, i + 1),)),
            MultiplyMoving(psum, sbuf, start=True, waits=room(ADDED, i - DEPTH + 1)),
            *[MultiplyMoving(psum, sbuf) for _ in range(5)],
            MultiplyMoving(psum, sbuf, stop=True, signal=Signal(MULTIPLIED)),
        ],
        ACT: [
            Activation(out, psum, function=relu, waits=room(MULTIPLIED, i + 1)),
            Activation(out, out, function=relu),
            Activation(out, out, function=relu, signal=Signal(ACTIVATED)),
        ],
        DVE: [
            TensorTensor(out, psum, out, op=AluOp.ADD, waits=room(ACTIVATED, i + 1)),
            TensorTensor(out, out, out, op=AluOp.MULTIPLY),
            TensorTensor(out, out, out, op=AluOp.ADD),
            TensorTensor(out, out, out, op=AluOp.MULTIPLY, signal=Signal(ADDED)),
        ],
        STORES: [DmaCopy(back, result, waits=room(ADDED, i + 1), signal=Signal(last))],
    }


def pipeline(instructions: int, counted: bool = False) -> Program:
    """The synthetic program. With `counted`, a semaphore has two signallers."""
    period: dict[int, list[Instruction]] = {s: [] for s in (PE, ACT, DVE, LOADS, STORES)}
    for i in range(2 * DEPTH):
        for stream, stage in tile_stage(i, counted).items():
            period[stream] += stage
    tiles = -(-instructions // 17)
    repeats = -(-tiles // DEPTH)
    return Program({s: _repeated(stage, repeats) for s, stage in period.items()})


def _repeated(stage: list[Instruction], repeats: int) -> Any:
    """Two periods written out give the words of any number: only the awaited counts grow."""
    words = encode_all(stage)
    half = len(words) // 2
    growth = words[half:, 1] - words[:half, 1]
    tail = np.tile(words[half:], (repeats - 1, 1))
    step = np.repeat(np.arange(repeats - 1, dtype=np.uint64), half)
    tail[:, 1] += step * np.tile(np.where(growth > 0, np.uint64(DEPTH), np.uint64(0)), repeats - 1)
    return np.concatenate([words[:half], tail])


@njit(cache=True)
def idle_loop(numbers: Any) -> Any:
    """What a loop over as many rows costs when it does nothing else."""
    total = 0
    for i in range(len(numbers)):
        total = (total + numbers[i]) ^ i
    return total


def best_of(runs: int, work: Callable[[], Any]) -> float:
    """Processor seconds of the fastest run; all is single-threaded."""
    times = []
    for _ in range(runs):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def measure(instructions: int, target: str = "inf1") -> dict[str, float]:
    """Instructions a second of `simulate` and `prepare`, and the ratio to the idle loop."""
    hw = load_target(target)
    small = prepare(pipeline(2000), hw)
    simulate(small)  # compiles
    program = pipeline(instructions)
    n = program.instructions
    prepared = prepare(program, hw)
    numbers = np.arange(n)
    idle_loop(numbers)
    idle = best_of(5, lambda: idle_loop(numbers))
    simulated = best_of(3, lambda: simulate(prepared))
    counted = prepare(pipeline(instructions, counted=True), hw)
    timing = simulate(prepared)
    return {
        "instructions": n,
        "simulate_per_s": n / simulated,
        "simulate_counted_per_s": n / best_of(3, lambda: simulate(counted)),
        "prepare_per_s": n / best_of(2, lambda: prepare(program, hw)),
        "ratio_to_idle_loop": simulated / idle,
        "cycles": timing.cycles,
        "pe_busy_share": timing.busy_ticks[PE] / timing.total_ticks,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instructions", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(arguments.instructions)
    if arguments.json:
        print(json.dumps(figures))
        return
    print(
        f"{figures['instructions']:,.0f} instructions, 5 streams, {figures['cycles']:,.0f} cycles"
    )
    print(f"simulate  {figures['simulate_per_s'] / 1e6:6.2f} million instructions/s")
    counted = figures["simulate_counted_per_s"] / 1e6
    print(f"  with a semaphore of two signallers {counted:.2f} million instructions/s")
    print(f"prepare   {figures['prepare_per_s'] / 1e6:6.2f} million instructions/s")
    print(f"time over an idle loop of the same length: {figures['ratio_to_idle_loop']:.0f}")


if __name__ == "__main__":
    main()
