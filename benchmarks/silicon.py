"""Against published silicon: `python -m benchmarks.silicon [--json]` (neuron-facts 8).

Each line is a model on the batch, target and cores of a published figure. Ours are the simulator's,
with random weights, embeddings as inputs where the model has them, and no host in the loop.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import systola
from benchmarks.zoo import path
from isa.errors import SystolaError


@dataclass(frozen=True)
class Figure:
    """A published figure: items a second, or milliseconds of latency where that is what counts."""

    model: str
    target: str
    cores: int
    pipeline: bool
    items_per_s: float | None
    latency_ms: float | None


FIGURES = (
    Figure("bert-base-s128-b1-embeds", "inf1", 1, False, 125.7, 7.9),
    Figure("bert-base-s128-b6-embeds", "inf1", 4, False, 1180.7, None),
    Figure("resnet50-b10", "inf1", 4, False, 2207, None),
    Figure("bert-base-s128-b1-embeds", "inf1", 16, True, 2009, 5.9),
    Figure("bert-base-s128-b1-embeds", "inf2", 1, False, None, 1.00),
    Figure("bert-large-s128-b1-embeds", "inf2", 1, False, None, 2.69),
)


def measured(figure: Figure) -> dict[str, Any]:
    """The figure and ours. Raises SystolaError."""
    model = systola.compile(
        path(figure.model),
        target=figure.target,
        pipeline_cores=figure.cores if figure.pipeline else 1,
    )
    (device,) = model.device_models
    found = device.throughput(1 if figure.pipeline else figure.cores)
    streamed = None
    if figure.pipeline:
        streamed = sum(s["streamed_bytes"] for s in model.report["pipeline"]["stages"])
    reached = True
    if figure.items_per_s is not None:
        reached &= found["items_per_s"] >= figure.items_per_s
    if figure.latency_ms is not None:
        reached &= 1e3 * found["latency_s"] <= figure.latency_ms
    return {**asdict(figure), "reached": reached, "streamed_bytes": streamed, "ours": found}


def cells(row: dict[str, Any]) -> Iterator[str]:
    """A line of the table."""
    ours = row["ours"]
    yield f"{row['model']} on {row['target']}"
    yield f"{row['cores']}{' in a row' if row['pipeline'] else ''}"
    yield "-" if row["items_per_s"] is None else f"{row['items_per_s']:,.0f}"
    yield f"{ours['items_per_s']:,.0f}"
    yield "-" if row["latency_ms"] is None else f"{row['latency_ms']:.2f}"
    yield f"{1e3 * ours['latency_s']:.2f}"
    yield f"{100 * ours['dram_share']:.0f} %"
    yield "yes" if row["reached"] else "no"


HEAD = ("model", "cores", "items/s", "ours", "ms", "ours", "DRAM of a chip", "reached")


def main(arguments: list[str]) -> int:
    """Print the table; exit code 1 when a figure is not reached, 3 when a model is refused."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.silicon")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rows, code = [], 0
    if not options.json:
        print(f"| {' | '.join(HEAD)} |\n|---|{'--:|' * (len(HEAD) - 1)}")
    for figure in FIGURES:
        try:
            rows.append(measured(figure))
        except SystolaError as error:
            print(f"{figure.model} on {figure.target}: {error}", file=sys.stderr)
            code = 3
            continue
        if not options.json:
            print(f"| {' | '.join(cells(rows[-1]))} |", flush=True)
        code = code or int(not rows[-1]["reached"])
    if options.json:
        print(json.dumps(rows, indent=1))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
