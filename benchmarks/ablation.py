"""What each optimisation is worth: `python -m benchmarks.ablation [--models NAME ...]`.

Every architecture of the zoo (batch 1, embedded tokens, unless models are named) compiled as it
should be, and with each of the four optimisations left out, alone: loop fusion, tensorization,
scheduling, memory management. Three tables: cycles, DRAM bytes, SBUF peak, each as a factor over
the full compiler, with geometric means.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.zoo.entries import ENTRIES, chosen
from benchmarks.zoo.measure import Request, Row, measured
from benchmarks.zoo.store import missing
from compiler.options import PASSES

FOUR = ("fuse-loops", "tensorize", "schedule", "plan-memory")
FIGURES = {
    "cycles": ("Cycles", "{:,.0f}", 1.0),
    "dram_bytes": ("DRAM traffic (MB)", "{:,.1f}", 1e6),
    "sbuf_peak_bytes": ("SBUF peak (MiB)", "{:,.1f}", 2.0**20),
}
"""Key of a row: title of its table, format of the whole compiler's figure, its unit."""

Rows = dict[str, dict[str, Row]]
"""By model, then by what is left out; "" is the whole compiler."""

PAGE = """# What each optimisation is worth

Made by `python -m benchmarks.ablation --target {target} --write FILE`: {target}, one core, BF16.
The first column is the whole compiler's figure; the others are what becomes of it, as a factor,
when one optimisation is left out and the others stay. *does not fit*: without it the program needs
more SBUF than there is, and the compiler refuses. Means are geometric, over the models that fit.

{meaning}

{tables}
"""


def geometric_mean(factors: list[float]) -> float:
    """1 of nothing."""
    return math.exp(sum(map(math.log, factors)) / len(factors)) if factors else 1.0


def factors(rows: Rows, off: str, key: str) -> dict[str, float]:
    """By model: the figure without `off` over that of the whole compiler."""
    return {
        name: found[off][key] / found[""][key]
        for name, found in rows.items()
        if off in found and "refused" not in found[off] and "refused" not in found[""]
    }


def table(rows: Rows, passes: tuple[str, ...], key: str) -> str:
    """One figure over all models."""
    title, form, unit = FIGURES[key]
    lines = [
        f"## {title}\n",
        "| model | all on | " + " | ".join(f"no {p}" for p in passes) + " |",
        "|---|--:" + "|--:" * len(passes) + "|",
    ]
    for name, found in rows.items():
        whole = found[""]
        cells = [name, whole.get("refused") or form.format(whole[key] / unit)]
        cells += [_cell(found.get(off, {}), whole, key) for off in passes]
        lines.append("| " + " | ".join(cells) + " |")
    means = [geometric_mean(list(factors(rows, p, key).values())) for p in passes]
    lines.append("| **mean** | | " + " | ".join(f"**{m:.2f}**" for m in means) + " |")
    return "\n".join(lines)


def _cell(row: Row, whole: Row, key: str) -> str:
    if not row or "refused" in whole:
        return ""
    if "refused" in row:
        return "does not fit" if row["refused"].startswith("SYS-S") else str(row["refused"])
    return f"{row[key] / whole[key]:.2f}"


def page(rows: Rows, passes: tuple[str, ...], target: str) -> str:
    """All three tables."""
    meaning = "\n".join(f"- *no {p}*: {PASSES[p]}" for p in passes)
    tables = "\n\n".join(table(rows, passes, key) for key in FIGURES)
    return PAGE.format(target=target, meaning=meaning, tables=tables)


def collect(
    names: list[str],
    passes: tuple[str, ...],
    target: str,
    known: Mapping[str, Mapping[str, Row]],
    done: Callable[[Rows], None],
) -> Rows:
    """Measure what is not known yet; `done` is called after each model."""
    rows: Rows = {n: dict(known.get(n, {})) for n in names}
    for name in names:
        for off in ("", *passes):
            if off in rows[name] and rows[name][off].get("refused") not in ("FAULT", "TIMEOUT"):
                continue
            request = Request(name, target, without=(off,) if off else ())
            rows[name][off] = row = measured(request)
            said = f"{row['cycles']:,}" if "cycles" in row else f"{row['refused']} {row['found']}"
            print(f"{name:30} {off or 'all on':12} {said}", file=sys.stderr, flush=True)
        done(rows)
    return rows


def main(arguments: list[str]) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.ablation")
    parser.add_argument("--models", nargs="*", default=[], metavar="NAME", help="or a pattern")
    parser.add_argument("--passes", nargs="*", default=list(FOUR), choices=list(PASSES))
    parser.add_argument("--target", default="inf1")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, metavar="FILE.md")
    parser.add_argument("--keep", type=Path, metavar="FILE.json", help="resume from, and record in")
    options = parser.parse_args(arguments)
    names = [n for n in chosen(options.models) if not missing(ENTRIES[n])]
    if not options.models:
        names = [n for n in names if ENTRIES[n].batch == 1 and not ENTRIES[n].tokens]
    known = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}

    def keep(rows: Rows) -> None:
        if options.keep:
            options.keep.write_text(json.dumps({**known, **rows}, indent=1), encoding="utf-8")

    passes = tuple(options.passes)
    rows = collect(names, passes, options.target, known, keep)
    text = page(rows, passes, options.target)
    print(json.dumps(rows, indent=1) if options.json else text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    return 3 if any("refused" in r[""] for r in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
