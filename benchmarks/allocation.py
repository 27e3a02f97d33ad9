"""The memory solver: hard instances at their capacity, random ones to within 2 % of the bound.

    python -m benchmarks.allocation [--instances FOLDER] [--large] [--models MODEL.onnx ..] [--json]

The hard instances are tables of lower, upper and size, named NAME.CAPACITY.csv; where no folder is
given they are looked for in `shared/allocation` beside the project, or SYSTOLA_ALLOCATION. The
random ones are drawn from fixed seeds: lives of a tenth of the time, ends anywhere, short lives of
sizes over four orders, and a mix of long and short ones. Seconds are a core's, whatever else the
machine does, the best of three (of one from 10,000 boxes on), compiled code warm. A model's boxes
are the buffers that its compilation placed in SBUF (inf1, bytes a partition): there the question is
how low they could have been placed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from compiler.memory import Problem, Solution, minimise, problem, read_csv, solve
from compiler.memory.bounds import lower_bound
from compiler.memory.checker import sweep_faults
from compiler.options import Options
from compiler.pipeline import compile_model

TOLERANCE = 0.02
SEEDS = 5


@dataclass(frozen=True)
class Row:
    """One line of the table. `height` is -1 where nothing was found."""

    instance: str
    buffers: int
    lower_bound: int
    height: int
    method: str
    steps: int
    seconds: float

    def __str__(self) -> str:
        over = 100.0 * (self.height / self.lower_bound - 1.0)
        return (
            f"{self.instance:<28}{self.buffers:>8}{self.lower_bound:>12}{self.height:>12}"
            f"{over:>8.2f} %  {self.method:<8}{self.steps:>9}{self.seconds:>9.3f}"
        )


def tenths(n: int, draw: np.random.Generator) -> Problem:
    """Lives of up to a tenth of the time."""
    lower = draw.integers(0, n, n)
    return problem(lower, lower + draw.integers(1, n // 10, n), draw.integers(1, 1000, n))


def anywhere(n: int, draw: np.random.Generator) -> Problem:
    """Both ends anywhere."""
    ends = np.sort(draw.integers(0, 2 * n, (n, 2)), axis=1)
    return problem(ends[:, 0], ends[:, 1] + 1, draw.integers(1, 1000, n))


def short(n: int, draw: np.random.Generator) -> Problem:
    """Short lives, sizes over four orders of magnitude."""
    lower = draw.integers(0, n, n)
    size = 1 + np.exp(draw.uniform(0, 9, n)).astype(np.int64)
    return problem(lower, lower + 1 + draw.geometric(1 / 20, n), size)


def mixed(n: int, draw: np.random.Generator) -> Problem:
    """One box in ten is long-lived."""
    lower = draw.integers(0, n, n)
    long = draw.random(n) < 0.1
    life = np.where(long, draw.integers(1, n // 2, n), draw.integers(1, 12, n))
    return problem(lower, lower + life, 64 * draw.integers(1, 200, n))


KINDS: tuple[Callable[[int, np.random.Generator], Problem], ...] = (
    tenths,
    anywhere,
    short,
    mixed,
)


def measured(name: str, p: Problem, run: Callable[[], Solution | None], repeats: int) -> Row:
    """A row of the table; whatever was found has passed the checker."""
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        found = run()
        seconds.append(time.process_time() - begin)
    if found is None:
        return Row(name, len(p), lower_bound(p), -1, "none", -1, min(seconds))
    assert not sweep_faults(p, found.offsets, found.height)
    return Row(
        name, len(p), found.lower_bound, found.height, found.method, found.steps, min(seconds)
    )


def hard(folder: Path) -> Iterator[Row]:
    """The instances of a folder, each at its capacity."""
    for path in sorted(folder.glob("*.csv")):
        p, capacity = read_csv(path), int(path.suffixes[0][1:])
        yield measured(path.name[: -len(".csv")], p, partial(solve, p, capacity), 3)


def random(n: int, seeds: int) -> Iterator[Row]:
    """Random instances of n boxes, to within the tolerance."""
    for kind in KINDS:
        for seed in range(seeds):
            p = kind(n, np.random.default_rng(seed))
            name = f"{kind.__name__} {n} seed {seed}"
            run = partial(minimise, p, tolerance=TOLERANCE)
            yield measured(name, p, run, 3 if n <= 1000 else 1)


def planned(model: Path) -> Row:
    """The buffers of a compiled model, placed as low as can be."""
    boxes = compile_model(model, Options()).plan.sbuf
    p = Problem(boxes.start, boxes.end, boxes.size, boxes.align, boxes.q0, boxes.q1)
    return measured(model.stem, p, partial(minimise, p, tolerance=0.0, budget=100_000), 1)


def main() -> None:
    """Print the table."""
    default = Path(__file__).parents[2] / "shared" / "allocation"
    parser = argparse.ArgumentParser(description="Benchmark of the memory solver.")
    parser.add_argument(
        "--instances", type=Path, default=Path(os.environ.get("SYSTOLA_ALLOCATION", default))
    )
    parser.add_argument("--large", action="store_true", help="also 10,000 and 100,000 boxes")
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="ONNX files")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    minimise(problem([0, 1], [2, 3], [1, 1]))  # compiles, or loads what was compiled
    if not options.json:
        print(
            f"{'instance':<28}{'buffers':>8}{'bound':>12}{'height':>12}{'over':>10}  "
            f"{'method':<8}{'steps':>9}{'seconds':>9}"
        )
    rows = []
    for source in (
        hard(options.instances),
        random(1000, SEEDS),
        *((random(10_000, 1), random(100_000, 1)) if options.large else ()),
        map(planned, options.models),
    ):
        for row in source:
            rows.append(row)
            if not options.json:
                print(row, flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
