"""What the scheduler is worth, and how fast it is: kernels whose bound is known, measured.

    python -m benchmarks.schedule [--json]

For each kernel: instructions, seconds to plan, ticks predicted and simulated, the bound (the larger
of DMA work over all engines and the busiest sequencer's time), and simulated time over the bound,
beside the same without reordering and prefetch.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from compiler.schedule import Plan, ScheduleOptions, plan
from isa.hardware import Hardware, load_target
from isa.kernel import Kernel, VirtualProgram, synchronize
from isa.kernel.dependencies import dependencies
from isa.memory import FIRST_QUEUE
from isa.program import Program
from isa.timing import WORK_SHIFT, dma_work
from simulator.timing import Timing, prepare, simulate
from tests.compiler.schedule_kernels import heads, layers, product

KERNELS: dict[str, Callable[[Hardware], Kernel]] = {
    "weights, 50 MB": lambda hw: layers(hw, 25),
    "weights, 800 MB": lambda hw: layers(hw, 100, 2048),
    "product 768 x 16384 x 4096": lambda hw: product(hw, 768, 16384, 4096),
    "attention heads": lambda hw: heads(hw, 240),
}
IN_ORDER = ScheduleOptions(reorder=False, prefetch=False)


def bound(program: Program, measured: Timing, hw: Hardware) -> int:
    """Ticks that no schedule can go below."""
    queues = [words for s, words in program.streams.items() if s >= FIRST_QUEUE]
    work = sum(int(dma_work(words, hw).engine_work.sum()) for words in queues) >> WORK_SHIFT
    busiest = max(t for s, t in measured.busy_ticks.items() if s < FIRST_QUEUE)
    return max(work // hw.dma_engines, busiest)


def planned(
    virtual: VirtualProgram, hw: Hardware, options: ScheduleOptions
) -> tuple[Plan, Program, float]:
    """The plan, the program, and the seconds that planning took."""
    deps = dependencies(virtual)
    begin = time.perf_counter()
    found = plan(virtual, deps, hw, options)
    seconds = time.perf_counter() - begin
    return (
        found,
        synchronize(found.apply(virtual), deps, found.order, found.address, hw),
        seconds,
    )


def measure(name: str, hw: Hardware) -> dict[str, float]:
    """The figures of one kernel."""
    virtual = KERNELS[name](hw).virtual()
    found, program, seconds = planned(virtual, hw, ScheduleOptions())
    measured = simulate(prepare(program, hw))
    _, plain, _ = planned(virtual, hw, IN_ORDER)
    least = bound(program, measured, hw)
    return {
        "instructions": len(virtual),
        "plan_s": seconds,
        "instructions_per_s": len(virtual) / seconds,
        "predicted_ticks": found.predicted_ticks,
        "simulated_ticks": measured.total_ticks,
        "over_bound": measured.total_ticks / least,
        "in_order_over_bound": simulate(prepare(plain, hw)).total_ticks / least,
        "sbuf_peak_bytes": found.sbuf_peak_bytes,
        "psum_peak_banks": found.psum_peak_banks,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    hw = load_target("inf1")
    planned(layers(hw, 1, 256).virtual(), hw, ScheduleOptions())  # compiles
    figures = {name: measure(name, hw) for name in KERNELS}
    if as_json:
        print(json.dumps(figures))
        return
    print(f"{'':28}{'instr':>8}{'instr/s':>10}{'predicted':>12}{'simulated':>12}", end="")
    print(f"{'/bound':>8}{'in order':>10}")
    for name, f in figures.items():
        print(f"{name:28}{f['instructions']:8}{f['instructions_per_s']:10.0f}", end="")
        print(f"{f['predicted_ticks']:12}{f['simulated_ticks']:12}", end="")
        print(f"{f['over_bound']:8.3f}{f['in_order_over_bound']:10.3f}")
    ratios = np.array([f["over_bound"] for f in figures.values()])
    print(f"geometric mean over the bound: {np.exp(np.log(ratios).mean()):.3f}")


if __name__ == "__main__":
    main()
