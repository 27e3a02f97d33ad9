"""The cycle-by-cycle array against the instruction costs, over a stated set of shapes.

    python -m benchmarks.systolic_array [--target inf1] [--json] [--write docs/systolic-array.md]

Every (K, M, N) of the set runs on the array: two matmuls, each with its own weights. The products
are compared with the reference bit for bit, the cycles with the cost formulas.
"""

import argparse
import inspect
import itertools
import json
import sys
from dataclasses import asdict
from pathlib import Path

from isa.hardware import DEFAULT_TARGET, Hardware, load_target
from simulator import systolic_cost
from simulator.systolic_cost import Comparison, compare

K_SET = (1, 2, 7, 32, 64, 100, 128)
M_SET = (1, 16, 32, 64)
N_SET = (1, 5, 64, 128, 512)
SETS = K_SET, M_SET, N_SET


def main() -> int:
    parser = argparse.ArgumentParser(description="The systolic array against the costs.")
    parser.add_argument("--target", default=DEFAULT_TARGET)
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    arguments = parser.parse_args()
    hw = load_target(arguments.target)
    results = [compare(hw, *shape) for shape in itertools.product(*SETS)]
    text = (
        json.dumps([asdict(r) for r in results], indent=1) if arguments.json else page(hw, results)
    )
    if arguments.write:
        arguments.write.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
    return 0 if all(r.exact for r in results) else 1


def page(hw: Hardware, results: list[Comparison]) -> str:
    """The Markdown page: what was run, the table of one line an (M, N), and the causes."""
    exact = sum(r.exact for r in results)
    lines = [
        "# The systolic array, cycle by cycle",
        "",
        f"Made by `python -m benchmarks.systolic_array --target {hw.name} --write FILE`.",
        "",
        f"Target `{hw.name}`: {hw.pe_rows} rows by {hw.pe_columns} columns, weights loaded",
        f"{hw.pe_load_speedup} columns a cycle. {len(results)} shapes: K in {list(K_SET)},",
        f"M in {list(M_SET)}, N in {list(N_SET)}.",
        "",
        f"- Products equal to `isa/fma.py`, bit for bit: {exact} of {len(results)}.",
        f"- Cycles that depend on K: {'none' if cycles_ignore_depth(results) else 'SOME'}.",
        "",
        "*Readable*: cycles from the start of the load until the last value of the product can be",
        "read. *Interval*: cycles from one matmul to the next when each has new weights.",
        "",
        *table(results),
        "",
        "## Causes of the difference",
        "",
        "```text",
        causes(),
        "```",
    ]
    return "\n".join(lines)


def table(results: list[Comparison]) -> list[str]:
    """One row an (M, N): the results for the largest K."""
    readable_heads = "readable: array", "cost", "difference", "= short + narrow + ends"
    heads = "M", "N", *readable_heads, "interval: array", "cost", "difference"
    rows = [f"| {' | '.join(heads)} |", "|" + "--:|" * len(heads)]
    for r in (r for r in results if r.k == max(K_SET)):
        causes_of_r = f"{r.short} + {r.narrow} + {r.ends}"
        readable = (r.readable_by_array, r.readable_by_cost, r.readable_difference, causes_of_r)
        interval = (r.interval_by_array, r.interval_by_cost, r.interval_difference)
        rows.append(f"| {' | '.join(str(cell) for cell in (r.m, r.n, *readable, *interval))} |")
    return rows


def cycles_ignore_depth(results: list[Comparison]) -> bool:
    """Whether all shapes of the same (M, N) took the same cycles."""
    seen = {(r.m, r.n, r.readable_by_array, r.interval_by_array) for r in results}
    return len(seen) == len({(r.m, r.n) for r in results})


def causes() -> str:
    """The paragraphs of `simulator/systolic_cost.py` that explain the difference."""
    text = inspect.cleandoc(systolic_cost.__doc__ or "")
    return text[text.index("The cost formulas") :]


if __name__ == "__main__":
    sys.exit(main())
