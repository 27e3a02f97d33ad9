"""On a fresh installation, compile the simulator's inner loops beside the compiler's own.

Numba compiles each inner loop when it is first called, and keeps it in a cache. The simulator's
loops and the compiler's take about as long, and neither needs the other: so a second process runs
a program of one instruction while this one compiles the model.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ONE_INSTRUCTION = ".stream DVE\n memset sbuf:fp32[0..128 @0x0; 8], 0.0\n"
MOST_SECONDS = 600


def is_cold() -> bool:
    """Whether the simulator's loops have still to be compiled on this machine."""
    from simulator.functional.loop import run

    folder = run.stats.cache_path
    return folder is not None and not any(Path(folder).glob("loop.run-*.nbi"))


@contextlib.contextmanager
def warming() -> Iterator[None]:
    """Compile the simulator's loops meanwhile, if that is still to be done; wait at the end."""
    if (os.cpu_count() or 1) < 2 or not is_cold():
        yield
        return
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-m", "systola.warm"], env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(MOST_SECONDS)  # should it fail, the first run compiles them itself
    finally:
        process.kill()
        process.wait()


def warm() -> None:
    """Run one instruction: time first, and where it went, for the compiler asks for these before
    function is needed."""
    from isa.assembly import assemble
    from isa.hardware import DEFAULT_TARGET, load_target
    from simulator.core import NeuronCore
    from simulator.explain import attribute

    program = assemble(ONE_INSTRUCTION)
    core = NeuronCore(program, load_target(DEFAULT_TARGET))
    assert core.timing.cycles > 0
    attribute(program, core.timing)
    core.execute()


if __name__ == "__main__":
    warm()
