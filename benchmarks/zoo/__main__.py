"""The zoo, compiled and timed: `python -m benchmarks.zoo [--models NAME ...] [--write FILE]`.

A model a line: cycles, time, the bound and the ratio to it, what the project asks, utilisation,
traffic, prediction, memory, compile time. `--check` runs each in full against onnxruntime as well,
which takes minutes for the large ones. Exit code 0, or 3 where a model was refused.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.zoo import page
from benchmarks.zoo.entries import ENTRIES, chosen
from benchmarks.zoo.measure import Request, Row, measured
from benchmarks.zoo.store import missing, path


def main(arguments: list[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.zoo")
    parser.add_argument("--models", nargs="*", default=[], metavar="NAME", help="or a pattern")
    parser.add_argument("--target", default="inf1")
    parser.add_argument("--without", nargs="*", default=[], metavar="PASS")
    parser.add_argument("--check", action="store_true", help="numbers against onnxruntime")
    parser.add_argument("--make", action="store_true", help="make the models, no more")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--write", type=Path, metavar="FILE.md", help="write a page and a plot, too"
    )
    parser.add_argument("--keep", type=Path, metavar="FILE.json", help="resume from, record in")
    options = parser.parse_args(arguments)
    names = chosen(options.models)
    absent = sorted({p for n in names for p in missing(ENTRIES[n])})
    if absent:
        names = [n for n in names if not missing(ENTRIES[n])]
        text = f"left out what is exported: {', '.join(absent)} not installed (extra `zoo`)"
        print(text, file=sys.stderr)
    if options.make:
        for name in names:
            print(path(name), flush=True)
        return 0
    rows = _rows(names, options)
    if options.json:
        print(json.dumps(rows, indent=1))
    if options.write is not None:
        image = options.write.parent / "images" / f"{options.write.stem}.png"
        page.plot(rows, options.target, image)
        beside = os.path.relpath(image, options.write.parent)
        options.write.write_text(page.page(rows, options.target, beside), encoding="utf-8")
    return 3 if any("refused" in r for r in rows.values()) else 0


def _rows(names: list[str], options: argparse.Namespace) -> dict[str, Row]:
    """Every model's row, printed as it comes unless JSON is asked for."""

    def show(text: str) -> None:
        print(text, file=sys.stderr if options.json else sys.stdout, flush=True)

    show("\n".join(page.head()))
    keep: Path | None = options.keep
    known: dict[str, Row] = json.loads(keep.read_text()) if keep and keep.exists() else {}
    rows: dict[str, Row] = {}
    for name in names:
        request = Request(name, options.target, "all", tuple(options.without), options.check)
        kept = known.get(name, {"refused": "FAULT"})
        rows[name] = measured(request) if kept.get("refused") == "FAULT" else kept
        known[name] = rows[name]
        if keep:
            keep.write_text(json.dumps(known, indent=1), encoding="utf-8")
        show(page.line(ENTRIES[name], rows[name]))
        for key in ("found", "check"):
            if key in rows[name]:
                print(f"  {name}: {rows[name][key]}", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
